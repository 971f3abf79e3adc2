"""What the pipeline must know of a function before it calls it.

A contract is data: it is read by the compiler and by people, never found out by
calling the function on trial arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from hcs_core.errors import ContractError, ParameterError, listed

ValueKind = Literal["image", "labels", "table", "positions"]
"""What a function takes or returns: pixels, object masks, rows, or places."""

PIXELS = ("image", "labels")
"""The kinds that are arrays of pixels, which are converted."""

StackMode = Literal["per_plane", "across", "volume"]
"""How a function treats the planes that it is given in one call.

``per_plane``
    ``(y, x)`` in and out, or every plane of ``(n, y, x)`` by itself.
``across``
    ``(n, y, x)`` in, one plane ``(y, x)`` out: a projection.
``volume``
    ``(n, y, x)`` in and out, where planes influence each other.
"""

DtypePolicy = Literal["native", "preserve", "scale", "float32", "int32"]
"""The dtype of an image that a function returns.

``native``
    What the function returns.
``preserve``
    The input's, by value: rounded half to even and saturated.
``scale``
    The input's, from the nominal range of one dtype to that of the other, so that 1.0
    becomes 65535 where the input is uint16.
``float32``, ``int32``
    Always this one, by value.
"""


def _check_known(function: str, parameter: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ParameterError(function, parameter, value, f"one of {listed(known)}")


@dataclass(frozen=True, slots=True)
class Value:
    """One named value that goes into or comes out of a function.

    Parameters
    ----------
    name : str
        The argument's name, or the output's name in ``save`` and ``inputs``.
    kind : {"image", "labels", "table", "positions"}
        What it is.

    Raises
    ------
    ParameterError
        If `name` is no name as Python has them, or `kind` is none of those.
    """

    name: str
    kind: ValueKind

    def __post_init__(self) -> None:
        _check_known("Value", "kind", self.kind, get_args(ValueKind))
        name: object = self.name
        if not isinstance(name, str) or not name.isidentifier():
            raise ParameterError("Value", "name", name, "a name as Python has them")


@dataclass(frozen=True, slots=True)
class OomPolicy:
    """What is done when a function runs out of memory.

    Parameters
    ----------
    retries : int
        How often it is called again with the same arguments, each time after memory has
        been freed.
    split : bool, optional
        Whether it is then called with ever fewer planes of a stack, if its contract says
        that it treats each plane by itself. By default it is where a decorator was told
        ``stack="per_plane"`` in so many words: a function that left this out has not said
        that its planes have nothing to do with each other.

    Raises
    ------
    ParameterError
        If `retries` is no whole number from 0, or `split` is neither a bool nor None.

    Notes
    -----
    A function that writes into its arguments finds what it has written when it is called
    again, unless the arguments had to be copied for it: copies are made anew for each call.
    Give such a function ``OomPolicy(retries=0, split=False)``. A call with an iterator among
    its arguments is not made again, since the first one may have used it up.
    """

    retries: int = 1
    split: bool | None = None

    def __post_init__(self) -> None:
        if type(self.retries) is not int or self.retries < 0:
            raise ParameterError("OomPolicy", "retries", self.retries, "a whole number, 0 or more")
        if self.split is not None and type(self.split) is not bool:
            raise ParameterError("OomPolicy", "split", self.split, "True, False or None")


_USUAL = OomPolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionContract:
    """How a function is to be called, and what it gives back.

    Parameters
    ----------
    memory_in, memory_out : str
        Array framework of the arguments and of the result, by its name in ``ARRAYS``.
    inputs : tuple of Value
        The arguments that are arrays, in the function's order. The first image
        is the one that flows from step to step.
    outputs : tuple of Value
        What the function returns, in order; several are returned as a tuple.
    dtype : {"native", "preserve", "scale", "float32", "int32"}
        The dtype policy of an image that comes out; the input is the first image, or the
        first array of a function without one.
    stack : {"per_plane", "across", "volume"}
        How the planes of one call are treated.
    context : tuple of str
        Facts of the plate that the function takes as keyword arguments, such as
        ``"pixel_size_um"``; ``None`` is passed where the plate does not know.
    device : str, optional
        Where it runs, such as ``"cuda:1"``; by default where its first array lies.
    slice_by_slice : bool
        Whether it knows single planes only: a stack (n, y, x) is given to it plane by plane.
    oom : OomPolicy
        What is done when it runs out of memory. The decorators settle `OomPolicy.split`; in
        a contract that is made otherwise, None is never.
    enforce_3d : bool
        Whether a call with an image that is no stack (n, y, x) is refused.
    writable : bool
        Whether it may write into its arguments; those that are read-only stay so. False is
        its promise not to: memory that is read-only is then shared with it, also where its
        framework cannot mark that, and what it returns of that memory cannot be written to
        or is copied.
    """

    memory_in: str = "numpy"
    memory_out: str = "numpy"
    inputs: tuple[Value, ...] = (Value("image", "image"),)
    outputs: tuple[Value, ...] = (Value("image", "image"),)
    dtype: DtypePolicy = "native"
    stack: StackMode = "per_plane"
    context: tuple[str, ...] = field(default=())
    device: str | None = None
    slice_by_slice: bool = False
    oom: OomPolicy = _USUAL
    enforce_3d: bool = False
    writable: bool = True

    def __post_init__(self) -> None:
        _check_known("a function contract", "dtype", self.dtype, get_args(DtypePolicy))
        _check_known("a function contract", "stack", self.stack, get_args(StackMode))
        if self.slice_by_slice and self.stack != "per_plane":
            wanted = f"False where stack is {self.stack!r}: such a function needs all planes"
            raise ParameterError("a function contract", "slice_by_slice", True, wanted)
        for role, values in (("input", self.inputs), ("output", self.outputs)):
            names = [value.name for value in values]
            if not names or len(set(names)) < len(names):
                raise ContractError(role, tuple(names))

    def input_of_kind(self, kind: ValueKind) -> Value | None:
        """Return the first array argument of this kind, or None."""
        return next((value for value in self.inputs if value.kind == kind), None)

    def output_of_kind(self, kind: ValueKind) -> Value | None:
        """Return the first output of this kind, or None."""
        return next((value for value in self.outputs if value.kind == kind), None)


CONTRACT_ATTRIBUTE = "__hcs_contract__"


def contract_of(function: Callable[..., Any]) -> FunctionContract | None:
    """Return the contract that a decorator attached to `function`, or None."""
    contract = getattr(function, CONTRACT_ATTRIBUTE, None)
    return contract if isinstance(contract, FunctionContract) else None

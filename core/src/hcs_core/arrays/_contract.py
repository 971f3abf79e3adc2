"""What the pipeline must know of a function before it calls it.

A contract is data: it is read by the compiler and by people, never found out by
calling the function on trial arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from hcs_core.errors import ContractError

ValueKind = Literal["image", "labels", "table", "positions"]
"""What a function takes or returns: pixels, object masks, rows, or places."""

StackMode = Literal["per_plane", "across", "volume"]
"""How a function treats the planes that it is given in one call.

``per_plane``
    ``(y, x)`` in and out, or every plane of ``(n, y, x)`` by itself.
``across``
    ``(n, y, x)`` in, one plane ``(y, x)`` out: a projection.
``volume``
    ``(n, y, x)`` in and out, where planes influence each other.
"""

DtypePolicy = Literal["native", "preserve", "float32", "int32"]
"""The dtype of the result: what the function returns, the input's (by value: rounded
half to even and saturated), or always this one."""


@dataclass(frozen=True, slots=True)
class Value:
    """One named value that goes into or comes out of a function.

    Parameters
    ----------
    name : str
        The argument's name, or the output's name in ``save`` and ``inputs``.
    kind : {"image", "labels", "table", "positions"}
        What it is.
    """

    name: str
    kind: ValueKind


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
    dtype : {"native", "preserve", "float32", "int32"}
        The dtype policy of an image that comes out.
    stack : {"per_plane", "across", "volume"}
        How the planes of one call are treated.
    context : tuple of str
        Facts of the plate that the function takes as keyword arguments, such as
        ``"pixel_size_um"``; ``None`` is passed where the plate does not know.
    """

    memory_in: str = "numpy"
    memory_out: str = "numpy"
    inputs: tuple[Value, ...] = (Value("image", "image"),)
    outputs: tuple[Value, ...] = (Value("image", "image"),)
    dtype: DtypePolicy = "native"
    stack: StackMode = "per_plane"
    context: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
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

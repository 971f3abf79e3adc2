"""Decorators that attach a contract to a user's function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

from hcs_core.arrays._contract import (
    CONTRACT_ATTRIBUTE,
    DtypePolicy,
    FunctionContract,
    StackMode,
    Value,
    ValueKind,
)
from hcs_core.errors import ContractError, NotAFunctionError

F = TypeVar("F", bound=Callable[..., Any])

_KIND_OF_NAME: dict[str, ValueKind] = {
    "labels": "labels",
    "table": "table",
    "positions": "positions",
}
_COLLECTING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@overload
def numpy(function: F) -> F: ...
@overload
def numpy(
    *,
    outputs: tuple[ValueKind, ...] = ...,
    dtype: DtypePolicy = ...,
    stack: StackMode = ...,
    context: tuple[str, ...] = ...,
) -> Callable[[F], F]: ...
def numpy(
    function: F | None = None,
    *,
    outputs: tuple[ValueKind, ...] = ("image",),
    dtype: DtypePolicy = "native",
    stack: StackMode = "per_plane",
    context: tuple[str, ...] = (),
) -> F | Callable[[F], F]:
    """Declare that a function takes and returns NumPy arrays, so that a step can call it.

    The function itself is returned, unchanged but for the attached contract. Its first
    argument is the image, and is passed by position. Arguments called ``labels``, ``table``
    or ``positions`` take what the step's ``inputs`` name, and are passed by keyword. All
    other arguments are parameters.

    Parameters
    ----------
    outputs : tuple of {"image", "labels", "table", "positions"}
        What it returns, in order.
    dtype, stack, context
        As in `FunctionContract`.

    Raises
    ------
    NotAFunctionError
        If it is a bound method, a class, a builtin, a ``functools.partial`` or another
        object that can be called.

    Examples
    --------
    >>> @numpy(stack="across")
    ... def mean_of(stack):
    ...     return stack.mean(axis=0)
    """

    def attach(decorated: F) -> F:
        _refuse_other_callables(decorated)
        contract = FunctionContract(
            memory_in="numpy",
            memory_out="numpy",
            inputs=_inputs_of(decorated, context),
            outputs=tuple(Value(kind, kind) for kind in outputs),
            dtype=dtype,
            stack=stack,
            context=context,
        )
        setattr(decorated, CONTRACT_ATTRIBUTE, contract)
        return decorated

    return attach if function is None else attach(function)


def _refuse_other_callables(decorated: object) -> None:
    """Refuse what has no name of its own to be found by, or takes no attribute."""
    if inspect.ismethod(decorated):
        raise NotAFunctionError("numpy", f"the bound method {decorated.__qualname__}")
    if isinstance(decorated, type):
        raise NotAFunctionError("numpy", f"the class {decorated.__qualname__}")
    if inspect.isbuiltin(decorated) or not hasattr(decorated, "__qualname__"):
        kind = type(decorated)
        raise NotAFunctionError("numpy", f"an object of type {kind.__module__}.{kind.__qualname__}")


def _inputs_of(function: Callable[..., Any], context: tuple[str, ...]) -> tuple[Value, ...]:
    """Return the array arguments: the first one, and those called by a kind's name."""
    parameters = inspect.signature(function).parameters.values()
    free = [p for p in parameters if p.name not in context and p.kind not in _COLLECTING]
    if not free or free[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise ContractError("input", ())
    first, *others = (parameter.name for parameter in free)
    known = [Value(name, _KIND_OF_NAME[name]) for name in others if name in _KIND_OF_NAME]
    return (Value(first, _KIND_OF_NAME.get(first, "image")), *known)

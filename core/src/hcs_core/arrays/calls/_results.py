"""What a function returns, as its contract says: what it is, its dtype, its framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hcs_core.arrays._adapter import ArrayAdapter
from hcs_core.arrays._adapters import adapter_of
from hcs_core.arrays._convert import convert
from hcs_core.arrays._dtypes import dtype_of
from hcs_core.arrays._stacking import stack
from hcs_core.arrays.calls._contract import PIXELS, FunctionContract, Value
from hcs_core.arrays.calls._lending import Loans
from hcs_core.arrays.calls._traced import described, dtype_name
from hcs_core.arrays.rescaling._rescale import rescale
from hcs_core.errors import ResultError, UnsupportedArrayError


class Results:
    """What becomes of that which a function returns.

    Parameters
    ----------
    name : str
        What the function is called in messages.
    contract : FunctionContract
        What it says of itself.

    Attributes
    ----------
    is_native : bool
        Whether an array of the function's framework is a result that needs nothing done.
    """

    def __init__(self, name: str, contract: FunctionContract) -> None:
        self._name, self._contract = name, contract
        self._outputs = contract.outputs
        self.is_native = (
            len(self._outputs) == 1
            and self._outputs[0].kind in PIXELS
            and contract.memory_in == contract.memory_out
            and (contract.dtype == "native" or self._outputs[0].kind == "labels")
        )

    def finished(self, result: Any, like: Any) -> Any:
        """Return a result in the dtype and the framework that the contract says.

        Parameters
        ----------
        result : object
            What the function has returned.
        like : array, optional
            Whose dtype an image gets, where the policy asks for that.
        """
        if len(self._outputs) == 1:
            return self._finished(self._outputs[0], result, like)
        if not isinstance(result, tuple) or len(result) != len(self._outputs):
            wanted = f"({', '.join(value.name for value in self._outputs)})"
            raise ResultError(self._name, _kind_of(result), wanted)
        pairs = zip(self._outputs, result, strict=True)
        return tuple_like(result, [self._finished(value, each, like) for value, each in pairs])

    def protected(self, result: Any, loans: Loans) -> Any:
        """Return a finished result so that nobody writes into lent memory through it."""
        if len(self._outputs) == 1:
            return loans.protected(result)
        return tuple_like(result, map(loans.protected, result))

    def together(self, planes: Sequence[Any]) -> Any:
        """Return the results for single planes as one: images and labels as stacks."""
        if len(self._outputs) == 1:
            return self._together(self._outputs[0], planes)
        pairs = zip(self._outputs, zip(*planes, strict=True), strict=True)
        return tuple_like(planes[0], [self._together(*pair) for pair in pairs])

    def _together(self, value: Value, planes: Sequence[Any]) -> Any:
        is_stack = value.kind in PIXELS
        return stack(planes, self._contract.memory_out) if is_stack else tuple(planes)

    def _finished(self, value: Value, result: Any, like: Any) -> Any:
        if value.kind not in PIXELS:
            return result
        try:
            adapter = adapter_of(result)
        except UnsupportedArrayError:
            wanted = "an image" if value.kind == "image" else "labels"
            raise ResultError(self._name, _kind_of(result), wanted) from None
        if value.kind == "image" and self._contract.dtype != "native":
            result = self._with_dtype(adapter, result, like)
        is_there = adapter.name == self._contract.memory_out
        return result if is_there else convert(result, self._contract.memory_out)

    def _with_dtype(self, adapter: ArrayAdapter, image: Any, like: Any) -> Any:
        """Return an image in the dtype that the policy says; itself where it has that."""
        policy = self._contract.dtype
        wanted: str = policy
        if policy in ("preserve", "scale"):
            if like is None or _are_alike(adapter, image, like):
                return image
            name = dtype_name(adapter_of(like), like)
            wanted = dtype_of(name).newbyteorder("=").name
        found = dtype_name(adapter, image)
        if found == wanted:
            return image
        if described(adapter, image) is None:
            reason = f"{self._name} has to return {wanted} itself: dtype={policy!r} needs values"
            kind = f"an array of {adapter.name} without values, of {found}"
            raise UnsupportedArrayError(kind, (adapter.name,), reason)
        return rescale(image, wanted, mode="scale" if policy == "scale" else "preserve")


def tuple_like(result: tuple[Any, ...], values: Iterable[Any]) -> tuple[Any, ...]:
    """Return values as a tuple of the same type; the result itself where none is new."""
    made = tuple(values)
    is_same = all(old is new for old, new in zip(result, made, strict=True))
    return result if is_same else maker_of(result)(made)


def maker_of(result: tuple[Any, ...]) -> Callable[[Iterable[Any]], tuple[Any, ...]]:
    """Return what makes tuples like this one, if that has names; of others plain tuples."""
    made: Callable[[Iterable[Any]], tuple[Any, ...]] = getattr(type(result), "_make", tuple)
    return made


def _are_alike(adapter: ArrayAdapter, array: Any, other: Any) -> bool:
    """Return whether two arrays have one dtype, found quickly; False where that takes long."""
    if type(array) is not type(other):
        return False
    try:
        return adapter.facts(array, located=False)[0] == adapter.facts(other, located=False)[0]
    except Exception:  # noqa: BLE001 - foreign code: an array that is traced has no facts
        return False


def _kind_of(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    name = type(value).__name__
    article = "an" if name[0].lower() in "aeiou" else "a"
    return "nothing" if value is None else f"{article} {name}"

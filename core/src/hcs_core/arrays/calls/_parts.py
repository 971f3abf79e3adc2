"""Stacks among the arrays of a call: a call for some of their planes, and the results as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from hcs_core.arrays._adapters import adapter_for, adapter_of
from hcs_core.arrays._aligned import empty
from hcs_core.arrays._stacking import handed_over
from hcs_core.arrays.calls._arguments import Given
from hcs_core.arrays.calls._results import maker_of
from hcs_core.arrays.calls._traced import described, shape_of
from hcs_core.errors import DtypeError, ShapeError, UnsupportedArrayError


def plane_counts(given: Given) -> tuple[int, ...]:
    """Return the numbers of planes of the stacks (n, y, x) of a call, each once."""
    shapes = map(shape_of, given.arrays.values())
    return tuple(dict.fromkeys(shape[0] for shape in shapes if len(shape) == 3))


def part_of(given: Given, index: int | slice) -> Given:
    """Return a call for a plane, or some of the planes, of every stack; planes stay whole."""
    return given.replaced(
        {
            argument: adapter_of(value).part(value, index)
            for argument, value in given.arrays.items()
            if len(shape_of(value)) == 3
        }
    )


def check_stacks(function: str, given: Given) -> None:
    """Refuse images that are no stacks (n, y, x)."""
    for argument, value in given.arrays.items():
        shape = shape_of(value)
        if argument.kind == "image" and len(shape) != 3:
            raise ShapeError(f"{function}: a stack (n, y, x)", shape)


def check_counts(function: str, given: Given) -> None:
    """Refuse stacks that cannot be gone through plane by plane, side by side."""
    stacks: dict[int, tuple[int, ...]] = {}
    for value in given.arrays.values():
        shape = shape_of(value)
        if len(shape) not in (2, 3):
            raise ShapeError(f"{function}: planes (y, x) or stacks (n, y, x)", shape)
        if len(shape) == 3:
            _check_values(function, value)
            stacks[shape[0]] = shape
    if 0 in stacks:
        raise ShapeError(f"{function}: at least one plane", stacks[0])
    if len(stacks) > 1:
        first, other = list(stacks.values())[:2]
        raise ShapeError(f"{function}: {first[0]} planes in every stack", other)


def _check_values(function: str, stack: Any) -> None:
    """Refuse a stack that is traced: its planes cannot be put together again."""
    adapter = adapter_of(stack)
    if described(adapter, stack) is None:
        reason = f"{function} takes it plane by plane, which needs values"
        found = f"a stack of {adapter.name} without values"
        raise UnsupportedArrayError(found, (adapter.name,), reason)


class CallInParts:
    """A call that is made for some planes at a time.

    Parameters
    ----------
    function : str
        What is called.
    call : callable
        Makes a call and returns its result.
    given : Given
        The call for all planes.
    count : int
        How many there are.
    """

    def __init__(
        self, function: str, call: Callable[[Given], Any], given: Given, count: int
    ) -> None:
        self._function, self._call, self._given = function, call, given
        self.count = count
        self._outputs: list[Gathered] | None = None
        self._make: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None

    def call(self, start: int, stop: int) -> None:
        """Call the function for the planes from `start` to before `stop`; keep the result."""
        result = self._call(part_of(self._given, slice(start, stop)))
        self._make = maker_of(result) if isinstance(result, tuple) else None
        results = result if isinstance(result, tuple) else (result,)
        if self._outputs is None:
            self._outputs = [Gathered(self._function, self.count) for _ in results]
        for gathered, each in zip(self._outputs, results, strict=True):
            gathered.put(start, stop, each)

    def joined(self) -> Any:
        """Return the results of all planes together."""
        wholes = tuple([gathered.whole() for gathered in self._outputs or ()])
        return wholes[0] if self._make is None else self._make(wholes)


class Gathered:
    """The parts of a stack, put together in host memory, where there is most of it.

    Parameters
    ----------
    function : str
        What they come from.
    count : int
        How many planes there are in the end.
    """

    def __init__(self, function: str, count: int) -> None:
        self._function, self._count = function, count
        self._buffer: NDArray[Any] | None = None
        self._framework, self._device = "numpy", "cpu"

    def put(self, start: int, stop: int, part: Any) -> None:
        """Take the planes from `start` to before `stop`."""
        adapter = adapter_of(part)
        host = adapter.to_host(part)
        if host.ndim != 3 or len(host) != stop - start:
            raise ShapeError(f"{self._function}: a plane out for each plane in", host.shape)
        if self._buffer is None:
            self._buffer = empty((self._count, *host.shape[1:]), host.dtype)
            self._framework, self._device = adapter.name, adapter.describe(part).device
        if host.shape[1:] != self._buffer.shape[1:]:
            raise ShapeError(f"{self._function}: planes of one shape out", host.shape)
        if host.dtype != self._buffer.dtype:
            one_dtype = f"planes of one dtype, {self._buffer.dtype}"
            raise DtypeError(f"the stack of {self._function}", str(host.dtype), one_dtype)
        self._buffer[start:stop] = host

    def whole(self) -> Any:
        """Return all planes, in the framework and on the device that the parts were of."""
        assert self._buffer is not None
        return handed_over(self._buffer, adapter_for(self._framework), self._device)

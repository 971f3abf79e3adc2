"""Stacks among the arrays of a call: how many planes they have, and all planes together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from hcs_core.arrays._adapters import adapter_for, adapter_of
from hcs_core.arrays._aligned import empty, freeze
from hcs_core.arrays._convert import convert
from hcs_core.errors import DtypeError, ShapeError


def shape_of(array: Any) -> tuple[int, ...]:
    """Return an array's shape."""
    return adapter_of(array).describe(array).shape


def plane_counts(arrays: Iterable[Any]) -> tuple[int, ...]:
    """Return the numbers of planes of the stacks (n, y, x) among arrays, each once."""
    shapes = map(shape_of, arrays)
    return tuple(dict.fromkeys(shape[0] for shape in shapes if len(shape) == 3))


def check_counts(function: str, arrays: Iterable[Any]) -> None:
    """Refuse stacks that cannot be gone through plane by plane, side by side."""
    stacks: dict[int, tuple[int, ...]] = {}
    for shape in map(shape_of, arrays):
        if len(shape) not in (2, 3):
            raise ShapeError(f"{function}: planes (y, x) or stacks (n, y, x)", shape)
        if len(shape) == 3:
            stacks[shape[0]] = shape
    if 0 in stacks:
        raise ShapeError(f"{function}: at least one plane", stacks[0])
    if len(stacks) > 1:
        first, other = list(stacks.values())[:2]
        raise ShapeError(f"{function}: {first[0]} planes in every stack", other)


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
        buffer = self._buffer
        if buffer is not None and adapter_for(self._framework).capabilities().immutable:
            buffer = freeze(buffer)  # nobody else has it, so it can be shared
        return convert(buffer, self._framework, device=self._device)

"""Read-only memory that a function was given because it has promised not to write into it.

The arrays of some frameworks cannot be read-only, so that nobody is refused who writes into
them. Whoever called the function has promised nothing, and gets no such array: what the function
returns of the memory is marked as read-only, or copied where that cannot be.
"""

from __future__ import annotations

from typing import Any

from hcs_core.arrays._adapter import ArrayInfo
from hcs_core.arrays._adapters import adapter_of
from hcs_core.arrays._convert import convert
from hcs_core.arrays._recorder import Recorder
from hcs_core.arrays.calls._traced import described
from hcs_core.errors import UnsupportedArrayError


class Loans:
    """The read-only memory that one call has lent to a function."""

    def __init__(self) -> None:
        self._lent: list[ArrayInfo] = []

    def __bool__(self) -> bool:
        return bool(self._lent)

    def converted(self, array: Any, to: str, device: str | None) -> Any:
        """Return an array in a framework; remember it if its memory is read-only, and shared."""
        record = Recorder()
        result = convert(array, to, device=device, writable=False, record=record)
        if record.count("alias") and adapter_of(array).describe(array).readonly:
            self._lent.append(adapter_of(result).describe(result))
        return result

    def protected(self, value: Any) -> Any:
        """Return what a function returned so that nobody writes into lent memory through it.

        What lies in a table, or another object, is not looked for.
        """
        try:
            adapter = adapter_of(value)
        except UnsupportedArrayError:  # a table, or positions that are none
            return value
        info = described(adapter, value)
        if info is None or info.readonly or not self._has(info):
            return value
        if info.device == "cpu" and adapter.capabilities().marks_readonly:
            host = adapter.to_host(value).view()
            host.flags.writeable = False
            return adapter.from_host(host, "cpu")
        return adapter.copied(value, info.device, info.dtype)

    def _has(self, info: ArrayInfo) -> bool:
        """Return whether memory that was lent may be part of an array."""
        first, end = _extent(info)
        extents = [_extent(each) for each in self._lent if each.device == info.device]
        return any(first < other_end and other < end for other, other_end in extents)


def _extent(info: ArrayInfo) -> tuple[int, int]:
    """Return the address of the first byte of an array, and that after its last one."""
    if not info.pointer:
        return 0, 0
    steps = [step * (extent - 1) for step, extent in zip(info.strides, info.shape, strict=True)]
    reach = sum(step for step in steps if step > 0) + info.itemsize
    return info.pointer + sum(step for step in steps if step < 0), info.pointer + reach

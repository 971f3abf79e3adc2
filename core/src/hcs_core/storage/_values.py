"""What every store asks of an array before it keeps it."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays import empty
from hcs_core.errors import ShapeError, UnsavableValueError

Region = tuple[slice, ...]
"""One slice per axis, without steps, inside the array."""

PIXEL_DTYPES = frozenset(
    {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
    | {"float16", "float32", "float64"}
)
"""Names of the dtypes that pixels may have."""


def checked_array(value: object, key: str, format: str) -> NDArray[Any]:
    """Return `value` if it is an array whose bytes are all there is to it.

    Raises
    ------
    UnsavableValueError
        If it is no array, has a mask, or holds Python objects.
    """
    if not isinstance(value, np.ndarray):
        raise UnsavableValueError(key, format, f"needs an array, got {type(value).__name__}")
    if isinstance(value, np.ma.MaskedArray):
        reason = "its mask would be lost; fill it, or save data and mask apart"
        raise UnsavableValueError(key, format, reason)
    if value.dtype.hasobject:
        raise UnsavableValueError(key, format, "objects would have to be pickled")
    return value


def checked_pixels(value: object, key: str, format: str) -> NDArray[Any]:
    """Return `value` if it is an array with a dtype of pixels; as `checked_array`."""
    array = checked_array(value, key, format)
    if array.dtype.name not in PIXEL_DTYPES:
        raise UnsavableValueError(key, format, f"dtype {array.dtype} is not one it can hold")
    return array


def checked_region(region: Region, shape: tuple[int, ...]) -> Region:
    """Return `region` with start and stop of each axis written out.

    Raises
    ------
    ShapeError
        If it has another number of slices than the array has axes, a step, or an end
        outside the array: a smaller result than asked for would be a surprise.
    """
    slices = []
    for part, size in zip(region, shape, strict=len(region) == len(shape)):
        start = 0 if part.start is None else part.start
        stop = size if part.stop is None else part.stop
        if part.step not in (None, 1) or not 0 <= start <= stop <= size:
            break
        slices.append(slice(start, stop))
    if len(slices) != len(shape) or len(region) != len(shape):
        asked = ", ".join(f"{part.start}:{part.stop}:{part.step}" for part in region)
        raise ShapeError(
            f"one slice per axis inside the array, without steps, not [{asked}]", shape
        )
    return tuple(slices)


def read_into_aligned(
    file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any] | None:
    """Return an array filled from where `file` stands, or None where that is too little."""
    array = empty(shape, dtype)
    # As bytes in one row: a buffer of float16 has no format that readinto takes.
    content = memoryview(cast("Any", array.reshape(-1).view(np.uint8)))
    complete = not array.nbytes or cast("Any", file).readinto(content) == array.nbytes
    return array if complete else None

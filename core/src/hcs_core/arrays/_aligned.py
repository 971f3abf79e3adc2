"""Buffers that every framework can take over without a copy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

ALIGNMENT = 64
"""Bytes. JAX copies a buffer that does not start at a multiple of 64; NumPy's own
buffers of image size never do (they start 16 bytes into a page)."""


class _Buffer(np.ndarray[Any, np.dtype[np.uint8]]):
    """The bytes behind what `empty` returns; remembers whether they may still change."""

    frozen = False


def empty(shape: tuple[int, ...], dtype: DTypeLike, *, align: int = ALIGNMENT) -> NDArray[Any]:
    """Return an uninitialised C-ordered array whose first byte is aligned.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    dtype : dtype
        Its dtype; objects are refused, they are no plain bytes.
    align : int
        A power of two, in bytes.

    Raises
    ------
    ValueError
        If an axis is negative, `align` is no power of two, or `dtype` holds objects.
    """
    kind = np.dtype(dtype)
    if kind.hasobject:
        raise ValueError("an aligned buffer holds plain numbers, not objects")
    if align < 1 or align & (align - 1):
        raise ValueError(f"align must be a power of two, got {align}")
    if any(axis < 0 for axis in shape):
        raise ValueError(f"a shape has no negative axes, got {shape}")
    size = math.prod(shape) * kind.itemsize
    raw = _Buffer(size + align, dtype=np.uint8)
    start = -raw.__array_interface__["data"][0] % align
    return np.ndarray(shape, kind, buffer=raw, offset=start)


def freeze(array: NDArray[Any]) -> NDArray[Any]:
    """Return the values as an array that nobody writes to any more.

    What `empty` made is not copied: the caller promises to write no longer through the
    array that it has. JAX and TensorFlow share the memory of a frozen array, which they
    copy otherwise, since their arrays must never change.

    Parameters
    ----------
    array : numpy array
        Any shape and dtype.

    Returns
    -------
    numpy array
        The same shape and dtype, read-only.
    """
    buffer = _buffer_of(array)
    if buffer is None:
        copy = empty(array.shape, array.dtype)
        copy[...] = array
        array, buffer = copy, _buffer_of(copy)
    assert buffer is not None
    buffer.frozen = True
    view = array.view()
    view.flags.writeable = False
    return view


def is_frozen(array: NDArray[Any]) -> bool:
    """Return whether nobody writes to the memory of an array any more."""
    buffer = _buffer_of(array)
    return buffer is not None and buffer.frozen


def unlocked(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only array's memory as a writable array, which keeps it alive.

    For frameworks whose import refuses read-only memory and whose arrays never change, and
    where the caller has promised not to write.
    """
    return array if array.flags.writeable else np.asarray(_Unlocked(array))


class _Unlocked:
    """Says of an array's memory that it may be written to."""

    def __init__(self, array: NDArray[Any]) -> None:
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface
        self._keeps_alive = array


def _buffer_of(array: object) -> _Buffer | None:
    while isinstance(array, np.ndarray):
        if isinstance(array, _Buffer):
            return array
        array = array.base
    return None

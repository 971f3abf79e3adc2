"""Buffers that every framework can take over without a copy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hcs_core.errors import PinnedMemoryError

ALIGNMENT = 64
"""Bytes. JAX copies a buffer that does not start at a multiple of 64; NumPy's own
buffers of image size never do (they start 16 bytes into a page)."""


class _Buffer(np.ndarray[Any, np.dtype[np.uint8]]):
    """The bytes behind what `empty` returns; remembers whether they may still change."""

    frozen = False
    start = 0
    """The address of the first byte that is used."""
    used = -1
    """The number of bytes that are used."""


def empty(
    shape: tuple[int, ...], dtype: DTypeLike, *, align: int = ALIGNMENT, pinned: bool = False
) -> NDArray[Any]:
    """Return an uninitialised C-ordered array whose first byte is aligned.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    dtype : dtype
        Its dtype; objects are refused, they are no plain bytes.
    align : int
        A power of two, in bytes.
    pinned : bool
        Whether the memory is page-locked, so that a GPU fetches it without an intermediate
        copy. It is scarce: take it for buffers that are used again and again.

    Raises
    ------
    ValueError
        If an axis is negative, `align` is no power of two, or `dtype` holds objects.
    PinnedMemoryError
        If no framework that this process has imported can page-lock memory.
    """
    kind = np.dtype(dtype)
    if kind.hasobject:
        raise ValueError("an aligned buffer holds plain numbers, not objects")
    if align < 1 or align & (align - 1):
        raise ValueError(f"align must be a power of two, got {align}")
    if any(axis < 0 for axis in shape):
        raise ValueError(f"a shape has no negative axes, got {shape}")
    size = math.prod(shape) * kind.itemsize
    if pinned:
        memory = _pinned(size + align)
        offset = -memory.ctypes.data % align
        return _lent(np.ndarray(shape, kind, memory, offset), readonly=False)
    buffer = _Buffer(size + align, dtype=np.uint8)
    address = buffer.ctypes.data
    offset = -address % align
    buffer.start, buffer.used = address + offset, size
    return np.ndarray(shape, kind, buffer, offset)


def _pinned(nbytes: int) -> NDArray[Any]:
    from hcs_core.arrays._adapters import loaded_adapters  # which itself needs this module

    loaded = tuple(loaded_adapters())
    for adapter in loaded:
        memory = adapter.pinned(nbytes)
        if memory is not None:
            return memory
    raise PinnedMemoryError(tuple(adapter.name for adapter in loaded))


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
    owner = owner_of(array)
    if owner is None:
        copy = empty(array.shape, array.dtype)
        copy[...] = array
        array, owner = copy, owner_of(copy)
    assert owner is not None
    owner.frozen = True
    view = array.view()
    view.flags.writeable = False
    return view


def marked_frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view of memory of which the caller knows that nobody ever writes to it."""
    return _lent(array, readonly=True)


def address_of(array: NDArray[Any], owner: _Buffer | _Lent | None = None) -> int:
    """Return the address of the first element; `owner` is that of the array, if it is known."""
    # NumPy takes 1 us to tell an address. That of a whole buffer of ours is known.
    if owner is not None and owner.used == array.nbytes and array.flags.c_contiguous:
        return owner.start
    return array.ctypes.data


def is_frozen(array: NDArray[Any]) -> bool:
    """Return whether nobody writes to the memory of an array any more."""
    owner = owner_of(array)
    return owner is not None and owner.frozen


def owner_of(array: object) -> _Buffer | _Lent | None:
    """Return what keeps an array's memory, if it is of this module."""
    while not isinstance(array, _OWNERS):
        if not isinstance(array, np.ndarray):
            return None
        array = array.base
    return array


def unlocked(array: NDArray[Any]) -> NDArray[Any]:
    """Return a read-only array's memory as a writable array, which keeps it alive.

    For frameworks whose import refuses read-only memory and whose arrays never change, and
    where the caller has promised not to write.
    """
    if array.flags.writeable:
        return array
    view = array.view()
    try:
        view.flags.writeable = True
    except ValueError:  # whoever owns the memory says that it is read-only
        return _lent(array, readonly=False)
    return view


def _lent(array: NDArray[Any], *, readonly: bool) -> NDArray[Any]:
    # The interface does not know bfloat16, whose name the view gives back.
    return np.asarray(_Lent(array, readonly=readonly)).view(array.dtype)


class _Lent:
    """Says of an array's memory whether it may be written to, whatever the array says."""

    start, used = 0, -1  # another buffer may be behind it, so nothing is known

    def __init__(self, array: NDArray[Any], *, readonly: bool) -> None:
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], readonly)
        self.__array_interface__ = interface
        self.frozen = readonly
        self._keeps_alive = array


_OWNERS = (_Buffer, _Lent)

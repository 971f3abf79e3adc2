"""Buffers that every framework can take over without a copy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import DTypeLike, NDArray

from hcs_core.arrays._adapters import loaded_adapters
from hcs_core.arrays._dtypes import DTYPES, is_bfloat16
from hcs_core.errors import PinnedMemoryError, UnsupportedArrayError

ALIGNMENT = 64
"""Bytes. JAX copies a buffer that does not start at a multiple of 64; NumPy's own
buffers of image size never do (they start 16 bytes into a page)."""

PLAIN_CHARS = frozenset(np.dtype(name).char for name in DTYPES if name != "bfloat16")
"""NumPy's letters of the dtypes that need no second look."""


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
        array = _lent(np.ndarray(shape, kind, memory, offset), readonly=False)
        owner = owner_of(array)
        assert owner is not None
        owner.start, owner.used = array.ctypes.data, size
        return array
    buffer = _Buffer(size + align, dtype=np.uint8)
    address = buffer.ctypes.data
    offset = -address % align
    buffer.start, buffer.used = address + offset, size
    return np.ndarray(shape, kind, buffer, offset)


def _pinned(nbytes: int) -> NDArray[Any]:
    loaded = tuple(loaded_adapters())
    for adapter in loaded:
        memory = adapter.pinned(nbytes)
        if memory is not None:
            return memory
    raise PinnedMemoryError(tuple(adapter.name for adapter in loaded))


def freeze(array: NDArray[Any]) -> NDArray[Any]:
    """Return the values as an array that nobody writes to any more.

    All of what `empty` made is not copied: the caller promises to write no longer through
    the array that it has. Part of it is copied, and so is what others made. JAX and
    TensorFlow share the memory of a frozen array, which they copy otherwise, since their
    arrays must never change.

    Parameters
    ----------
    array : numpy array
        Any shape and dtype.

    Returns
    -------
    numpy array
        The same shape and dtype, read-only.

    Raises
    ------
    UnsupportedArrayError
        If it has a mask, or its elements are not numbers.
    """
    array = plain(array)
    owner = owner_of(array)
    if owner is None or not _is_all(array, owner):
        copy = empty(array.shape, array.dtype)
        copy[...] = array
        array, owner = copy, owner_of(copy)
    assert owner is not None
    owner.frozen = True
    view = array.view()
    view.flags.writeable = False
    return view


def plain(array: Any) -> NDArray[Any]:
    """Return a NumPy array, that of a subclass such as `memmap` as a view without it.

    Raises
    ------
    UnsupportedArrayError
        If part of what it means would be lost.
    """
    if not isinstance(array, np.ndarray):
        found = f"{type(array).__module__}.{type(array).__qualname__}"
        reason = "only arrays of NumPy are taken here; convert it to NumPy first"
        raise UnsupportedArrayError(found, ("numpy",), reason)
    dtype = array.dtype
    if type(array) is np.ndarray and dtype.char in PLAIN_CHARS:
        return array
    if isinstance(array, np.ma.MaskedArray):
        reason = "its mask would be lost; fill it, or pass data and mask apart"
        raise UnsupportedArrayError("a masked array", ("numpy",), reason)
    if not (dtype.kind in "biufc" or is_bfloat16(dtype)):
        reason = "its elements are not numbers; convert them with astype"
        raise UnsupportedArrayError(f"an array of {dtype}", ("numpy",), reason)
    view = array if type(array) is np.ndarray else array.view(np.ndarray)
    # C has two names for some integers, and frameworks know one.
    has_another_name = dtype.kind in "iu" and dtype.char not in PLAIN_CHARS
    return view.view(dtype.str) if has_another_name else view


def _is_all(array: NDArray[Any], owner: _Buffer | _Lent) -> bool:
    """Return whether an array has every byte of its buffer."""
    if not array.size:
        return owner.used == 0
    low, high = byte_bounds(array)
    return (low, high - low) == (owner.start, owner.used)


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
        view.setflags(write=True)  # in half the time that the attribute takes
    except ValueError:  # whoever owns the memory says that it is read-only
        return _lent(array, readonly=False)
    return view


def _lent(array: NDArray[Any], *, readonly: bool) -> NDArray[Any]:
    # The interface does not know bfloat16 and the like, whose name the view gives back.
    is_known = array.dtype.char in PLAIN_CHARS
    codes = array if is_known else array.view(f"u{array.itemsize}")
    return np.asarray(_Lent(codes, readonly=readonly)).view(array.dtype)


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

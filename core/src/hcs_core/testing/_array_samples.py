"""Arrays of every dtype and layout, and what they hold to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays import convert, empty, freeze
from hcs_core.arrays._dtypes import dtype_of

LAYOUTS = ("c", "f", "strided", "reversed", "broadcast", "offset", "read-only", "frozen")


def numbers(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Return different values, with what is hard to keep among them, in aligned memory."""
    kind = dtype_of(dtype)
    array = empty(shape, kind)
    values = np.arange(array.size, dtype=np.int64)
    if kind.kind == "b":
        array[...] = (values % 3 == 0).reshape(shape)
    elif kind.kind in "iu":
        array[...] = np.iinfo(kind).max - (values % 50).astype(kind).reshape(shape)
    else:
        array[...] = (values % 100 - 50).astype(kind).reshape(shape)
        if array.size:
            array.flat[0] = np.nan
    return array


def laid_out(array: NDArray[Any], layout: str) -> NDArray[Any]:
    """Return an array of the same shape and dtype whose memory lies so."""
    if layout == "c" or not array.size or not array.ndim:
        return freeze(array) if layout == "frozen" else array
    if layout == "f":
        return np.asfortranarray(array)
    if layout == "broadcast":
        return np.broadcast_to(array[:1], array.shape)
    if layout == "read-only":
        array = array.copy()
        array.flags.writeable = False
        return array
    if layout == "frozen":
        return freeze(array)
    if layout == "offset":
        flat = empty((array.size + 1,), array.dtype)
        flat[1:] = array.ravel()
        return flat[1:].reshape(array.shape)
    step = 2 if layout == "strided" else -1
    base = np.zeros((*array.shape[:-1], array.shape[-1] * abs(step)), array.dtype)
    view = base[..., ::step]
    view[...] = array
    return view


def bits(array: Any) -> tuple[Any, ...]:
    host = np.ascontiguousarray(convert(array, "numpy"))
    return host.shape if np.ndim(array) == 0 else tuple(host.shape), str(host.dtype), host.tobytes()


def made(framework: str, array: NDArray[Any]) -> Any:
    """Return an array of a framework, of its own memory."""
    return convert(array, framework, copy=True)

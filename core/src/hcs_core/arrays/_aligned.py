"""Buffers that every framework can take over without a copy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

ALIGNMENT = 64
"""Bytes. JAX copies a buffer that does not start at a multiple of 64; NumPy's own
buffers of image size never do (they start 16 bytes into a page)."""


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
    raw = np.empty(size + align, dtype=np.uint8)
    start = -raw.ctypes.data % align
    return raw[start : start + size].view(kind).reshape(shape)

"""Integers from the range of one dtype to that of another, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def proportional(
    x: NDArray[Any], source_top: int, target_top: int, *, signed: bool
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return ``x * target_top / source_top``, rounded, and where it did not fit.

    No rounding meets a half: ``2 * x * target_top`` is even, and an odd number of times
    `source_top` is odd.

    Parameters
    ----------
    x : numpy array of integers
        Any shape; not modified.
    source_top, target_top : int
        The greatest values of the two dtypes, which are powers of two less one.
    signed : bool
        Whether the target holds negative values.

    Returns
    -------
    values : numpy array
        int64 for a signed target, uint64 otherwise, within the range of the target.
    outside : numpy array of bool
        Where a value was set to the nearest end of that range.
    """
    negative = x < 0
    size = _magnitude(x)
    enlarges = target_top >= source_top
    size = (_enlarged if enlarges else _reduced)(size, source_top, target_top)
    if not signed:
        return np.where(negative, np.uint64(0), size), negative & (size > 0)
    least = np.uint64(target_top + 1)  # the magnitude of the least value
    outside = negative & (size > least)
    size = np.minimum(size, least).astype(np.int64)
    return np.where(negative, np.negative(size), size), outside


def _magnitude(x: NDArray[Any]) -> NDArray[np.uint64]:
    if x.dtype.kind == "u":
        return x.astype(np.uint64)
    # The least int64 is its own negative, and its magnitude once it is unsigned.
    return np.abs(x.astype(np.int64)).astype(np.uint64)


def _enlarged(size: NDArray[np.uint64], source_top: int, target_top: int) -> NDArray[np.uint64]:
    factor, rest = divmod(target_top, source_top)
    # size * rest stays below 2**64: for each pair of dtypes, size has few bits or rest is 1 or 3.
    remainder = (size * np.uint64(rest) + np.uint64(source_top // 2)) // np.uint64(source_top)
    grown: NDArray[np.uint64] = size * np.uint64(factor) + remainder
    return grown


def _reduced(size: NDArray[np.uint64], source_top: int, target_top: int) -> NDArray[np.uint64]:
    """Return the quotient where the product may have 128 bits.

    With tops ``2**a - 1`` and ``2**b - 1``, let ``size = high * 2**(a - b) + low``. Then
    ``size * target_top = high * source_top + (low * 2**b + high) - size``, so that the
    quotient is `high`, and one more or less where that difference exceeds half of
    `source_top`.
    """
    kept = target_top.bit_length()
    dropped = np.uint64(source_top.bit_length() - kept)
    high = size >> dropped
    low = size & np.uint64((1 << int(dropped)) - 1)
    turned = (low << np.uint64(kept)) | high
    half = np.uint64(source_top // 2)
    more = (turned > size) & (turned - size > half)
    less = (size > turned) & (size - turned > half)
    return high + more.astype(np.uint64) - less.astype(np.uint64)

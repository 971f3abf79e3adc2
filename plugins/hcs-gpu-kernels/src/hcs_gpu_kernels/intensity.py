"""Grey levels: the same picture on another scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.errors import ParameterError
from hcs_gpu_kernels._checks import (
    Array,
    check_image,
    check_number,
    for_each_plane,
)
from hcs_gpu_kernels.primitives import numpy as primitives


def percentile_normalize(image: Array, *, low: float = 0.5, high: float = 99.5) -> Array:
    """Return every plane stretched so that its own percentiles fill the range of its dtype.

    For looking at, and for kernels that need one scale. The limits come from each plane by
    itself, so grey levels can no longer be compared between planes; where they must be,
    take `stack_percentile_normalize` or measure before.

    Parameters
    ----------
    image : array, shape (y, x) or (n, y, x)
        Integers of at most 32 bits, or floats; not modified.
    low, high : float
        Percentiles, 0 to 100, interpolated linearly between grey levels as by
        `numpy.percentile`: what becomes the lowest and the highest value.

    Returns
    -------
    array, shape and dtype of `image`
        Integers: `low` becomes the dtype's least value, `high` its greatest, between them
        linear, rounded half to even; beyond them saturated. A span of less than one grey
        level counts as one, so a constant plane becomes the least value. Floats: 0 to 1; a
        constant plane becomes 0. NaN stays NaN; it and the infinities do not count for the
        percentiles.

    Raises
    ------
    DtypeError, ShapeError, ParameterError
        If an argument is not as described.
    """
    image = check_image("percentile_normalize", image)
    _check_percentiles("percentile_normalize", low, high)

    def normalize(plane: Array) -> Array:
        plane = primitives.ready(plane)
        return _stretch(plane, *_limits([plane], low, high))

    return for_each_plane(normalize, image)


def stack_percentile_normalize(image: Array, *, low: float = 0.5, high: float = 99.5) -> Array:
    """Return a stack stretched so that the percentiles of all its pixels fill its dtype's range.

    As `percentile_normalize`, but with one pair of limits for all planes: they stay
    comparable with each other.

    Parameters
    ----------
    image : array, shape (n, y, x) or (y, x)
        Integers of at most 32 bits, or floats; not modified.
    low, high : float
        Percentiles of the whole stack, 0 to 100.

    Returns
    -------
    array, shape and dtype of `image`
        See `percentile_normalize`.

    Raises
    ------
    DtypeError, ShapeError, ParameterError
        If an argument is not as described.
    """
    image = check_image("stack_percentile_normalize", image)
    _check_percentiles("stack_percentile_normalize", low, high)
    if not image.size:
        return image.astype(image.dtype.newbyteorder("="))
    planes = [primitives.ready(plane) for plane in image.reshape(-1, *image.shape[-2:])]
    limits = _limits(planes, low, high)
    out = np.empty(image.shape, planes[0].dtype)
    for index, plane in enumerate(planes):
        out.reshape(-1, *image.shape[-2:])[index] = _stretch(plane, *limits)
    return out


def _check_percentiles(kernel: str, low: float, high: float) -> None:
    check_number(kernel, "low", low, 0, 100)
    check_number(kernel, "high", high, 0, 100)
    if low >= high:
        raise ParameterError(kernel, "low", low, f"less than high ({high!r})")


def _limits(planes: list[Array], low: float, high: float) -> tuple[float, float]:
    """Return the two percentiles of all pixels together; NaN where no pixel is finite."""
    dtype = planes[0].dtype
    if dtype.kind in "iu" and dtype.itemsize <= 2:
        counts = sum(primitives.histogram16(_as_unsigned(plane)) for plane in planes)
        offset = np.iinfo(dtype).min
        first, second = histogram_percentiles(np.asarray(counts), (low, high))
        return first + offset, second + offset
    values = np.concatenate([plane.ravel() for plane in planes])
    if dtype.kind == "f":
        values = values[np.isfinite(values)]
        if not values.size:
            return float("nan"), float("nan")
    # float64, so that the interpolation is not rounded to a narrow dtype.
    first, second = np.percentile(values.astype(np.float64, copy=False), (low, high))
    return float(first), float(second)


def histogram_percentiles(
    counts: NDArray[np.int64], percentiles: tuple[float, ...]
) -> tuple[float, ...]:
    """Return percentiles of the values that a histogram counts.

    The definition is `numpy.percentile`'s default (method 7 of Hyndman and Fan [1]_), and
    so is the order of the floating-point operations: the results are equal, not close.

    Parameters
    ----------
    counts : integer array, shape (values,)
        How often each value from 0 occurs; at least one does.
    percentiles : tuple of float
        From 0 to 100.

    References
    ----------
    .. [1] R. J. Hyndman, Y. Fan, The American Statistician 50(4), 361-365 (1996).
    """
    reached = np.cumsum(counts)
    last = int(reached[-1]) - 1
    found = []
    for percentile in percentiles:
        place = last * (percentile / 100)
        below = int(place)
        ranks = (below, min(below + 1, last))
        left, right = (int(v) for v in np.searchsorted(reached, ranks, side="right"))
        share = place - below
        step = (right - left) * share if share < 0.5 else (right - left) * (1 - share)
        found.append(left + step if share < 0.5 else right - step)
    return tuple(found)


def _stretch(plane: Array, low: float, high: float) -> Array:
    """Return the plane with `low` at the bottom and `high` at the top of the dtype's range."""
    if plane.dtype.kind == "f":
        return _stretch_floats(plane, low, high)
    if plane.dtype.itemsize > 2:
        return _stretch_integers(plane, plane.dtype, low, high)
    # There are only 65536 answers: compute each once, exactly, and look them up.
    limits = np.iinfo(plane.dtype)
    every_value = np.arange(limits.min, limits.max + 1)
    table = _stretch_integers(every_value, plane.dtype, low, high)
    return primitives.look_up(_as_unsigned(plane), table)


def _stretch_integers(values: Array, dtype: np.dtype[Any], low: float, high: float) -> Array:
    limits = np.iinfo(dtype)
    span = float(limits.max) - limits.min
    scaled = (values.astype(np.float64) - low) * (span / max(high - low, 1.0))
    stretched: Array = (np.rint(scaled.clip(0, span)) + limits.min).astype(dtype)
    return stretched


def _stretch_floats(plane: Array, low: float, high: float) -> Array:
    values = plane.astype(np.float64)
    if high > low:
        with np.errstate(over="ignore"):
            values = (values - low) / (high - low)
    else:
        values = np.where(np.isnan(values), values, values > low)
    return values.clip(0, 1).astype(plane.dtype)


def _as_unsigned(plane: Array) -> Array:
    """Return 8- and 16-bit integers moved up so that the least value of the dtype is 0."""
    if plane.dtype.kind == "u":
        return plane
    unsigned = np.dtype(f"u{plane.dtype.itemsize}")
    # Flipping the sign bit adds half the range to a number in two's complement.
    top_bit = unsigned.type(1 << (8 * plane.dtype.itemsize - 1))
    moved: Array = plane.view(unsigned) ^ top_bit
    return moved

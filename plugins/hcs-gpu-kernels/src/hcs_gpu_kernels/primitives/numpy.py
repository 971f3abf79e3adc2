"""Primitives on NumPy arrays in the computer's memory: OpenCV, and NumPy where it is as fast.

Every function takes one plane ``(y, x)`` that is native-endian and C-contiguous (`ready`
makes it so), leaves it untouched and returns a new array. OpenCV's borders are named by
what SciPy calls them: ``BORDER_REFLECT`` is ``reflect``. The number of OpenCV's threads
belongs to the worker process and is not set here.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]

TRUNCATE_SIGMAS = 4.0
"""Where a Gaussian kernel ends; scipy.ndimage's default."""

_CV_DEPTHS = {
    np.dtype(np.uint8): cv2.CV_8U,
    np.dtype(np.int8): cv2.CV_8S,
    np.dtype(np.uint16): cv2.CV_16U,
    np.dtype(np.int16): cv2.CV_16S,
}
_MORPHOLOGY_DTYPES = ("uint8", "uint16", "int16", "float32", "float64")
_LARGEST_EXACT_COUNT = 2**24
"""cv2.calcHist counts in float32: more pixels than this in one bin would be rounded."""


def ready(plane: Plane) -> Plane:
    """Return `plane` as OpenCV can read it; itself where it already is."""
    return np.ascontiguousarray(plane, dtype=plane.dtype.newbyteorder("="))


def as_float(plane: Plane) -> Plane:
    """Return the values as the smallest of float32 and float64 that holds them exactly."""
    wide = plane.dtype.itemsize > 2 and plane.dtype != np.float32
    return plane.astype(np.float64 if wide else np.float32)


def as_dtype(values: Plane, dtype: np.dtype[Any]) -> Plane:
    """Return floats as `dtype`: rounded half to even and saturated where it is an integer."""
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    depth = _CV_DEPTHS.get(dtype)
    if depth is not None and values.size:
        # One pass instead of three: OpenCV's saturate_cast rounds half to even and saturates.
        cast: Plane = cv2.addWeighted(values, 1, values, 0, 0, dtype=depth)
        return cast
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)


def gaussian(plane: Plane, sigma_px: float) -> Plane:
    """Return a float plane blurred by a Gaussian that ends at 4 sigma, borders reflected.

    The kernel is SciPy's: ``2 * int(4 * sigma + 0.5) + 1`` samples of the Gaussian, which
    add up to one. A sigma whose kernel is a single sample changes nothing.
    """
    radius = int(TRUNCATE_SIGMAS * sigma_px + 0.5)
    if radius == 0 or plane.size == 0:
        return plane.copy()
    size = 2 * radius + 1
    # A row kernel and a column kernel of our own: OpenCV guesses neither size nor border.
    taps = cv2.getGaussianKernel(size, sigma_px, cv2.CV_64F)
    blurred: Plane = cv2.sepFilter2D(plane, -1, taps, taps, borderType=cv2.BORDER_REFLECT)
    return blurred


def disk(radius_px: int) -> NDArray[np.uint8]:
    """Return the pixels whose centre lies within `radius_px` of the middle one."""
    away = np.arange(-radius_px, radius_px + 1) ** 2
    return (away[:, None] + away[None, :] <= radius_px**2).astype(np.uint8)


def square(radius_px: int) -> NDArray[np.uint8]:
    """Return the square of ``2 * radius_px + 1`` pixels a side."""
    return np.ones((2 * radius_px + 1,) * 2, np.uint8)


def opening(plane: Plane, footprint: NDArray[np.uint8]) -> Plane:
    """Return the grey opening: what of the plane a footprint-shaped peak or larger reaches.

    Pixels outside the plane do not count, which for a symmetric convex footprint is the
    same as reflecting the border.
    """
    if plane.dtype.name in _MORPHOLOGY_DTYPES:
        footprint = _within_reach(footprint, plane.shape)
        opened: Plane = cv2.dilate(cv2.erode(plane, footprint), footprint)
        return opened
    return opening(as_float(plane), footprint).astype(plane.dtype)


def _within_reach(footprint: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the middle of a footprint: no two pixels of a plane are further apart."""
    middle = (length // 2 for length in footprint.shape)
    near = (
        slice(max(0, centre - length + 1), centre + length)
        for centre, length in zip(middle, shape, strict=True)
    )
    return np.ascontiguousarray(footprint[tuple(near)])


def dilation(plane: Plane, footprint: NDArray[np.uint8]) -> Plane:
    """Return the largest value under the footprint around each pixel."""
    dilated: Plane = cv2.dilate(plane, footprint)
    return dilated


def histogram16(plane: Plane) -> NDArray[np.int64]:
    """Return how often each of 65536 values occurs in a uint8 or uint16 plane."""
    counts = np.zeros(65536, np.int64)
    rows = max(1, _LARGEST_EXACT_COUNT // max(1, plane.shape[1]))
    bins = 1 << (8 * plane.dtype.itemsize)
    for top in range(0, plane.shape[0], rows):
        part = cv2.calcHist([plane[top : top + rows]], [0], None, [bins], [0, bins])
        counts[:bins] += part.ravel().astype(np.int64)
    return counts


def look_up(plane: Plane, table: Plane) -> Plane:
    """Return ``table[plane]`` for a uint8 or uint16 plane; `table` has 256 or 65536 entries."""
    if plane.dtype == np.uint8 or _HAS_WIDE_TABLES:
        looked_up: Plane = cv2.LUT(plane, table)
        return looked_up
    return np.take(table, plane)


def _has_wide_tables() -> bool:
    """Return whether this OpenCV looks up 16-bit values: 5.0 does, 4.10 does not."""
    try:
        cv2.LUT(np.zeros((1, 1), np.uint16), np.zeros(65536, np.uint16))
    except cv2.error:
        return False
    return True


_HAS_WIDE_TABLES = _has_wide_tables()


def shrink(plane: Plane, factor: int) -> Plane:
    """Return the means of blocks of about `factor` by `factor` pixels, at least one a side."""
    height, width = plane.shape
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    smaller: Plane = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return smaller


def box_means(plane: Plane, size_px: int) -> Plane:
    """Return the mean of every square of `size_px` pixels that lies inside a float plane.

    Shape ``(y - size_px + 1, x - size_px + 1)``; the square is no larger than the plane.
    """
    height, width = (min(size_px, length) for length in plane.shape)
    means: Plane = cv2.blur(plane, (width, height), anchor=(0, 0))
    return means[: plane.shape[0] - height + 1, : plane.shape[1] - width + 1]


def enlarge(plane: Plane, shape: tuple[int, ...]) -> Plane:
    """Return the plane stretched to `shape`, interpolated linearly between pixel centres."""
    larger: Plane = cv2.resize(plane, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return larger


def distance_to_background(mask: NDArray[np.uint8]) -> Plane:
    """Return each pixel's distance to the nearest zero, pixels; a 5 x 5 chamfer, 2 % exact."""
    distance: Plane = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    return distance


def components(mask: NDArray[np.uint8]) -> tuple[Plane, NDArray[np.int64]]:
    """Return the 8-connected components, numbered from 1, and their areas (0: background)."""
    # Without OpenCV's own statistics, which take nine times as long as the labels.
    labels: Plane
    count, labels = cv2.connectedComponents(mask, connectivity=8, ltype=cv2.CV_32S)
    return labels, np.bincount(labels.ravel(), minlength=count)


def strays(labels: NDArray[np.int32], seeds: Plane) -> NDArray[np.int32]:
    """Return only the labels' pixels to which no way within the label leads from its seed.

    `seeds` are flat indices of one pixel of each label; ways are 8-connected.
    """
    left = labels.copy()
    for y, x in zip(*(axis.tolist() for axis in np.divmod(seeds, labels.shape[1])), strict=True):
        cv2.floodFill(left, None, (x, y), 0, flags=8)
    return left


def tidy(
    mask: NDArray[np.uint8], *, largest_hole_px: float, smallest_piece_px: float = 0
) -> NDArray[np.uint8]:
    """Return a 0/1 mask with its small holes filled and its crumbs gone.

    Sizes are those of the outlines, which run through the object's border pixels: a hole's
    is larger than the hole, a piece's is corrected for it and may be too large by a few
    pixels, never too small.
    """
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parents = tree[0, :, 3] if contours else ()
    holes, crumbs = [], []
    for contour, parent in zip(contours, parents, strict=True):
        enclosed = cv2.contourArea(contour)
        if parent >= 0 and enclosed <= largest_hole_px:
            holes.append(contour)
        elif parent < 0 and enclosed < smallest_piece_px:
            border = cv2.arcLength(contour, closed=True)
            if enclosed + border / 2 + 1 < smallest_piece_px:
                crumbs.append(contour)
    tidied = mask.copy()
    cv2.drawContours(tidied, holes, -1, 1, thickness=cv2.FILLED)
    cv2.drawContours(tidied, crumbs, -1, 0, thickness=cv2.FILLED)
    return tidied


def outlines(mask: NDArray[np.uint8]) -> list[Plane]:
    """Return the outer outline of each component: its border pixels, (n, 2) as x, y."""
    # Not RETR_EXTERNAL: it leaves out what lies in the hole of something else.
    contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    parents = tree[0, :, 3] if contours else ()
    return [
        contour[:, 0, :] for contour, parent in zip(contours, parents, strict=True) if parent < 0
    ]


def convex_hull(points: Plane) -> Plane:
    """Return the corners of the convex hull of points (n, 2), in order around it."""
    hull: Plane = cv2.convexHull(points)[:, 0, :]
    return hull


def polygon_area(corners: Plane) -> float:
    """Return the area of a polygon, square pixels."""
    return float(cv2.contourArea(corners))

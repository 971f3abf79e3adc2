"""Filters of single planes: what every pixel's neighbourhood says about it."""

from __future__ import annotations

import numpy as np

from hcs_core.errors import ParameterError
from hcs_gpu_kernels._checks import (
    Array,
    check_image,
    check_number,
    check_whole_number,
    for_each_plane,
)
from hcs_gpu_kernels.primitives import numpy as primitives

FOOTPRINTS = ("disk", "square")


def gaussian_blur(image: Array, *, sigma_px: float = 1.0) -> Array:
    """Return every plane blurred by a Gaussian.

    Parameters
    ----------
    image : array, shape (y, x) or (n, y, x)
        Integers of at most 32 bits, or floats; not modified.
    sigma_px : float
        Standard deviation of the Gaussian, pixels; 0 changes nothing. The kernel ends at
        4 sigma and borders are reflected (``d c b a | a b c d | d c b a``).

    Returns
    -------
    array, shape and dtype of `image`
        By value: integers are computed as floats, rounded half to even and saturated. A
        NaN spreads as far as the kernel reaches.

    Raises
    ------
    DtypeError, ShapeError, ParameterError
        If an argument is not as described.
    """
    image = check_image("gaussian_blur", image)
    check_number("gaussian_blur", "sigma_px", sigma_px, 0, _LARGEST_SIGMA_PX)

    def blur(plane: Array) -> Array:
        blurred = primitives.gaussian(primitives.as_float(primitives.ready(plane)), sigma_px)
        return primitives.as_dtype(blurred, plane.dtype.newbyteorder("="))

    return for_each_plane(blur, image)


_LARGEST_SIGMA_PX = 1000
"""Beyond it the kernel outgrows every camera, and a typing error would cost hours."""


def tophat(image: Array, *, radius_px: int = 25, shape: str = "disk") -> Array:
    """Return what stands out from the background: the white top-hat of every plane.

    The opening, the surface that a footprint of this size can touch from below, is
    subtracted. Things narrower than the footprint stay, wider ones and slow shading go.

    Parameters
    ----------
    image : array, shape (y, x) or (n, y, x)
        Integers of at most 32 bits, or floats without NaN; not modified.
    radius_px : int
        Radius of the footprint, pixels; larger than the largest thing to keep. 0 leaves
        nothing.
    shape : {"disk", "square"}
        The footprint: all pixels within `radius_px`, or the square ``2 * radius_px + 1``
        wide, which is many times faster and keeps more of what lies diagonally.

    Returns
    -------
    array, shape and dtype of `image`
        ``image - opening``, never negative; exact. Pixels outside the image do not count,
        which is the same as reflecting the border.

    Raises
    ------
    DtypeError, ShapeError, ParameterError
        If an argument is not as described.

    References
    ----------
    .. [1] J. Serra, Image Analysis and Mathematical Morphology, Academic Press (1982).
    """
    image = check_image("tophat", image)
    check_whole_number("tophat", "radius_px", radius_px, 0, _LARGEST_RADIUS_PX)
    if shape not in FOOTPRINTS:
        raise ParameterError("tophat", "shape", shape, f"one of {', '.join(FOOTPRINTS)}")
    make = primitives.disk if shape == "disk" else primitives.square
    footprint = make(int(radius_px))

    def subtract(plane: Array) -> Array:
        plane = primitives.ready(plane)
        opened = primitives.opening(plane, footprint)
        if plane.dtype.kind != "i":
            return plane - opened
        # Signed: the difference of two int16 may need 17 bits; it saturates.
        wide = plane.astype(np.float64) - opened
        return primitives.as_dtype(wide, plane.dtype)

    return for_each_plane(subtract, image)


_LARGEST_RADIUS_PX = 1000
"""A disk's cost grows with its area; this one takes minutes on a plane of 2048 pixels a side.
On a smaller plane only as much of it counts as fits over the plane from its corners."""

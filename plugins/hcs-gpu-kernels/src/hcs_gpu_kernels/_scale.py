"""How large the things in a plane are, found from the plane itself."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hcs_gpu_kernels.primitives import numpy as primitives

RADII = (5, 6, 7, 8, 9, 10)
"""Of the disks, on the plane and on every halving of it: steps of a quarter and less."""
THINGS_ACROSS = 6
"""Halving ends where fewer of the largest disks fit across the plane: uneven light has no
smaller scale, and so few things are no statistics."""


def find_diameter(pixels: NDArray[np.float32]) -> float:
    """Return the diameter of the bright, compact things that make up most of a plane.

    By granulometry: openings with ever larger disks take away ever larger things; the
    size at which most brightness is lost is theirs [1]_. No threshold is involved, and
    slow shading, which no disk takes away, does not count.

    Parameters
    ----------
    pixels : array, shape (y, x), float32

    Returns
    -------
    float
        Pixels, at least 11: the width of elongated things. Meaningless where there are
        none. The centre, on a logarithmic scale, of the peak of the size distribution.

    References
    ----------
    .. [1] P. Maragos, IEEE Trans. Pattern Anal. Mach. Intell. 11(7), 701-716 (1989),
       doi:10.1109/34.192465; the "pattern spectrum".
    """
    radii, losses = _pattern_spectrum(primitives.gaussian(pixels, 1.0))
    if not losses.size or losses.max() <= 0:
        return 2.0 * RADII[0]
    peak = int(losses.argmax())
    near = slice(max(0, peak - 1), peak + 2)
    weights = losses[near].clip(min=0)
    return 2 * math.exp(float(np.average(np.log(radii[near]), weights=weights)))


def _pattern_spectrum(plane: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """Return radii, and the mean grey level lost per unit of the radius's logarithm."""
    radii, losses, scale = [], [], 1
    while scale == 1 or min(plane.shape) >= THINGS_ACROSS * 2 * RADII[-1]:
        left = [float(primitives.opening(plane, primitives.disk(r)).mean()) for r in RADII]
        for radius, before, after in zip(RADII, left, left[1:], strict=False):
            # A digital disk reaches half a pixel beyond its outermost centres.
            inner, outer = radius + 0.5, radius + 1.5
            radii.append(scale * math.sqrt(inner * outer))
            losses.append((before - after) / math.log(outer / inner))
        plane = primitives.shrink(plane, 2)
        scale *= 2
    return np.array(radii), np.array(losses)

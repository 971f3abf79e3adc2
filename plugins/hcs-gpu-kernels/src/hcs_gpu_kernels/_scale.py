"""How large the things in a plane are, found from the plane itself."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hcs_gpu_kernels.primitives import numpy as primitives

RADII = (3, 4, 5, 6, 7)
"""Of the squares, on the plane and on every halving of it: steps of a quarter and less."""
THINGS_ACROSS = 6
"""Halving ends where fewer of the largest squares fit across the plane: uneven light has no
smaller scale, and so few things are no statistics."""


def find_diameter(pixels: NDArray[np.float32]) -> float:
    """Return the diameter of the bright, compact things that make up most of a plane.

    By granulometry: openings with ever larger squares take away ever larger things; the
    size at which most brightness is lost is theirs [1]_. No threshold is involved, and
    slow shading, which no such square takes away, does not count. Squares are ten times as
    fast as disks; the largest in a disk is its diameter over the root of 2 wide.

    Parameters
    ----------
    pixels : array, shape (y, x), float32

    Returns
    -------
    float
        Pixels, at least 11; meaningless where there are no such things. The centre, on a
        logarithmic scale, of the peak of the size distribution.

    References
    ----------
    .. [1] P. Maragos, IEEE Trans. Pattern Anal. Mach. Intell. 11(7), 701-716 (1989),
       doi:10.1109/34.192465; the "pattern spectrum".
    """
    widths, losses = _pattern_spectrum(primitives.gaussian(pixels, 1.0))
    if losses.max() <= 0:
        return float(math.sqrt(2) * widths[0])
    peak = int(losses.argmax())
    near = slice(max(0, peak - 1), peak + 2)
    centre = np.average(np.log(widths[near]), weights=losses[near].clip(min=0))
    return math.sqrt(2) * math.exp(float(centre))


def _pattern_spectrum(
    plane: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return widths, and the mean grey level lost per unit of the width's logarithm."""
    widths, losses, scale = [], [], 1
    while scale == 1 or min(plane.shape) >= THINGS_ACROSS * 2 * RADII[-1]:
        left = [float(primitives.opening(plane, primitives.square(r)).mean()) for r in RADII]
        for radius, before, after in zip(RADII, left, left[1:], strict=False):
            # What the smaller square enters and the larger does not lies between them.
            inner, outer = 2 * radius + 1, 2 * radius + 3
            widths.append(scale * math.sqrt(inner * outer))
            losses.append((before - after) / math.log(outer / inner))
        plane = primitives.shrink(plane, 2)
        scale *= 2
    return np.array(widths), np.array(losses)

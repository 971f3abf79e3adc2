"""How much of a plane's signal may be noise: fine noise, and noise that was smoothed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hcs_gpu_kernels.primitives import numpy as primitives

CELL = 1 / 7
"""Size, in diameters, of a pixel of the shrunken plane."""
SAMPLING = 1 / 14
"""Distance, in diameters, of the pixels that are looked at: half a cell."""
SOFT_EDGE = 1 / 8
"""Width, in diameters, of the blurred edge around an object, which is not background."""
LEAST_BACKGROUND = 0.25
"""Share of a window that must be background for its spread to be one of the background."""


def noise_level(smooth: NDArray[np.float32], diameter: float) -> float:
    """Return the standard deviation of the noise in a smoothed plane, grey levels.

    From differences of differences between pixels a tenth of a diameter apart. They cancel
    whatever is linear along y or x there [1]_, but not noise, not even that of an
    interpolated or compressed picture, which is alike in neighbouring pixels. Of their
    absolute values a low quantile is taken, which the edges of nuclei do not reach.

    Parameters
    ----------
    smooth : array, shape (y, x), float32
    diameter : float
        Of a typical nucleus, pixels.

    References
    ----------
    .. [1] J. Immerkaer, Computer Vision and Image Understanding 64(2), 300-302 (1996),
       for neighbouring pixels.
    """
    # The rounding of a camera to whole grey levels, and that of float32 in the filters.
    rounding = max(1 / math.sqrt(12), 1e-6 * max(-float(smooth.min()), float(smooth.max())))
    spacing = max(2, round(diameter / 10))
    height, width = (length - 2 * spacing for length in smooth.shape)
    if height < 1 or width < 1:
        return rounding
    step = max(1, int(math.sqrt(height * width / SAMPLE)))
    left = np.zeros((-(-height // step), -(-width // step)), np.float32)
    for row, along_y in enumerate(_SECOND_DIFFERENCE):
        for column, along_x in enumerate(_SECOND_DIFFERENCE):
            top, side = row * spacing, column * spacing
            part = smooth[top : top + height : step, side : side + width : step]
            left += (along_y * along_x) * part
    noise = float(np.quantile(np.abs(left), 0.25)) / (_QUARTER_OF_NORMAL * _GAIN)
    return max(noise, rounding)


_SECOND_DIFFERENCE = (1, -2, 1)
_GAIN = 6
"""Of noise in the second difference along both axes: the root of its squared weights' sum."""
_QUARTER_OF_NORMAL = 0.3186
"""A quarter of a standard normal distribution lies within this distance from zero."""
SAMPLE = 20_000
"""Pixels that are enough for a quantile: it is then good to 1 %."""


def background_spread(
    signal: NDArray[np.float32], mask: NDArray[np.uint8], diameter: float
) -> float:
    """Return the standard deviation of what is no object, grey levels; 0 where all is.

    It sees what differences of near pixels cannot: noise that a blur, a top-hat or a
    compression made alike over a part of a nucleus, skewed or not. It looks into windows
    as wide as a nucleus, so that shading does not count, and takes the median of those
    with enough background; the soft edges of objects are none. Noise that was taken for
    objects is left out as well, which makes the rest too quiet: raise the threshold to
    what this says, and measure again.

    Parameters
    ----------
    signal : array, shape (y, x), float32
        Grey levels above the background surface.
    mask : array, shape (y, x), uint8
        1 on objects, 0 elsewhere.
    diameter : float
        Of a typical nucleus, pixels.
    """
    step = max(1, round(SAMPLING * diameter))
    signal, objects = signal[::step, ::step], np.ascontiguousarray(mask[::step, ::step])
    diameter /= step
    around = primitives.dilation(objects, primitives.disk(max(1, round(SOFT_EDGE * diameter))))
    background = (1 - around).astype(np.float32)
    level = signal * background
    factor = max(1, round(CELL * diameter))
    window = max(2, round(diameter / factor))
    # float64: where all is equal, the variance below must not be a difference's rounding.
    share, mean, square = (
        primitives.box_means(primitives.shrink(part, factor).astype(np.float64), window)
        for part in (background, level, level * signal)
    )
    enough = share >= LEAST_BACKGROUND
    if not enough.any():
        return 0.0
    share, mean, square = share[enough], mean[enough], square[enough]
    variance = square / share - (mean / share) ** 2
    return math.sqrt(max(0.0, float(np.median(variance))))

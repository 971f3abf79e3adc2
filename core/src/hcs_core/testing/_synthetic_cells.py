"""Cells with known centres, and what a camera would see of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# In camera counts, of the order of the real plates in which a nucleus spans 500 to 4000.
CAMERA_OFFSET = 100.0
BACKGROUND = 150.0
READ_NOISE = 4.0
_BRIGHTNESS = 2000.0
# The logistic curve of this slope is within 0.01 of the integral of a Gaussian.
_LOGISTIC_SLOPE = 1.702
# (frequency in cycles per pixel, depth) of the pattern inside a cell, by channel.
_TEXTURES = ((0.06, 0.12), (0.16, 0.35), (0.10, 0.25), (0.22, 0.30))
# So many places in a row were taken: the image is as full as chance makes it.
_MOST_TRIES = 2000


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one field; each is an ellipse.

    Parameters
    ----------
    centers : array, shape (cells, 2)
        (y, x) in pixels; the centre of the first pixel is (0, 0).
    radii : array, shape (cells, 2)
        The two half axes in pixels.
    angles : array, shape (cells,)
        Of the first half axis, from the y axis towards the x axis, in radians.
    brightness : array, shape (cells,)
        Counts above the background, in focus.
    phases : array, shape (cells,)
        Where the texture starts, in radians.
    """

    centers: Floats
    radii: Floats
    angles: Floats
    brightness: Floats
    phases: Floats


def place_cells(
    rng: np.random.Generator,
    count: int,
    shape: tuple[int, int],
    *,
    radius_px: tuple[float, float],
    min_distance_px: float,
) -> Cells:
    """Return cells at random places, whole inside the image, none nearer than stated.

    Raises
    ------
    ValueError
        If so many do not fit.
    """
    margin = radius_px[1] + 1
    low, high = np.array([margin, margin]), np.array(shape) - 1 - margin
    centers = np.empty((count, 2))
    placed, tries = 0, 0
    while placed < count:
        if tries == _MOST_TRIES or (high < low).any():
            raise ValueError(
                f"{count} cells, {min_distance_px:g} pixels apart, do not fit into {shape}; "
                "ask for fewer, smaller ones, or a larger shape"
            )
        tries += 1
        candidate = rng.uniform(low, high)
        if (np.hypot(*(centers[:placed] - candidate).T) >= min_distance_px).all():
            centers[placed] = candidate
            placed, tries = placed + 1, 0
    return Cells(
        centers=centers,
        radii=rng.uniform(*radius_px, (count, 2)),
        angles=rng.uniform(0, math.pi, count),
        brightness=_BRIGHTNESS * np.exp(rng.uniform(-0.7, 0.7, count)),
        phases=rng.uniform(0, 2 * math.pi, count),
    )


def draw_cells(cells: Cells, shape: tuple[int, int], *, channel: int, blur_px: float) -> Floats:
    """Return the light of the cells without background, shape (y, x).

    Channels differ in the texture inside the cells, not in where the cells are. `blur_px`
    is the standard deviation of the point spread; light is kept when it grows.
    """
    image = np.zeros(shape)
    for cell in range(len(cells.centers)):
        reach = cells.radii[cell].max() + 4 * blur_px
        top, left = np.maximum(np.floor(cells.centers[cell] - reach).astype(int), 0)
        bottom, right = np.floor(cells.centers[cell] + reach).astype(int) + 1
        y, x = np.ogrid[top : min(bottom, shape[0]), left : min(right, shape[1])]
        image[top:bottom, left:right] += _one_cell(cells, cell, y, x, channel, blur_px)
    return image


def expose(rng: np.random.Generator, light: Floats) -> NDArray[np.uint16]:
    """Return what a camera records: background, photon noise, offset and read noise."""
    counts = rng.poisson(light + BACKGROUND) + rng.normal(CAMERA_OFFSET, READ_NOISE, light.shape)
    return np.clip(np.rint(counts), 0, np.iinfo(np.uint16).max).astype(np.uint16)


def _one_cell(
    cells: Cells, cell: int, y: NDArray[Any], x: NDArray[Any], channel: int, blur_px: float
) -> Floats:
    """Return the light of one cell on the pixels (y, x)."""
    dy, dx = y - cells.centers[cell, 0], x - cells.centers[cell, 1]
    cos, sin = math.cos(cells.angles[cell]), math.sin(cells.angles[cell])
    long, wide = cells.radii[cell]
    along, across = dy * cos + dx * sin, dx * cos - dy * sin
    # Distance to the edge along the ray from the centre; exact for a circle.
    from_centre = np.hypot(along, across)
    relative = np.hypot(along / long, across / wide)
    outside = from_centre * (1 - 1 / np.maximum(relative, 1e-6))
    width = blur_px / _LOGISTIC_SLOPE
    edge = 1 / (1 + np.exp(np.clip(outside / width, -50, 50)))
    # A logistic disk of radius r holds pi * (r^2 + pi^2/3 * width^2) of light.
    kept = long * wide / (long * wide + math.pi**2 / 3 * width**2)
    frequency, depth = _TEXTURES[channel % len(_TEXTURES)]
    wave = 2 * math.pi * frequency
    depth *= math.exp(-((wave * blur_px) ** 2) / 2)  # what a Gaussian leaves of a sine
    phase = cells.phases[cell] + channel
    texture = 1 + depth * np.sin(wave * along + phase) * np.cos(wave * across + phase)
    light: Floats = cells.brightness[cell] * kept * edge * texture
    return light

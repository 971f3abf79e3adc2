"""Fluorescent nuclei: where they are, each with its own label.

The way of one plane; all lengths in it are multiples of the nuclei's typical diameter:

1. *Background*: the opening of the shrunken plane, smoothed. What stands above is `signal`.
2. *Foreground*: signal above the noise (`_noise`), above a fraction of the field's typical nucleus,
   and above the mean of its surroundings, which finds the edges of bright and dim alike.
3. *Splitting* of what touches, by notches in the outline and dark lines (`_splitting`).
4. *Edges*: a nucleus ends where its signal has fallen to half of its own level.
"""

from __future__ import annotations

import math
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
from hcs_gpu_kernels._noise import CELL, SAMPLE, background_spread, noise_level
from hcs_gpu_kernels._scale import find_diameter
from hcs_gpu_kernels._splitting import split_touching, weighted_level
from hcs_gpu_kernels.primitives import numpy as primitives

NAME = "segment_nuclei"

TYPICAL_DIAMETER_UM = 16.0
"""Of the nuclei of the common screening lines (U2OS, HeLa, A549): 14 to 19 micrometres."""
SMOOTHING = 0.025
"""Sigma against noise: well below the blur of an edge, so that no gap is closed."""
BACKGROUND_WINDOW = 2.0
"""Width of the opening: more than the longest nucleus, less than uneven light's scale."""
SURROUNDINGS = 0.45
"""Sigma of the local mean: about a radius, so that it sees both sides of an edge."""
NOISE_LEVELS = 7.0
"""Standard deviations of the smoothed noise. None of 10 million pixels reaches 6, and the
background is one lower than the pixels' mean, because it is an opening."""
MOST_RISES = 4
"""Of the threshold above noise. Each uncovers more of the noise; after three it is all."""
SAME_NOISE = 1.25
"""Two measures of the same noise that differ by less agree; on white noise it is 1.1."""
SHADING = 0.1
"""Share of the background's own range that an opening may leave of it."""
BRIGHTEST = 1.5
"""A pixel adds to its surroundings at most this often the typical signal: debris and
mitoses, ten times brighter, would otherwise hide their neighbours."""
LARGEST_HOLE = 0.25
"""Areas of a typical nucleus; larger holes are gaps between nuclei, not nucleoli."""
NUCLEUS_LIKE = 0.25
"""Areas of a typical nucleus; a field with nothing as large has debris, but no nuclei."""
HALF = 0.5
"""A blurred step has its edge where it is half as high."""


def segment_nuclei(
    image: Array,
    *,
    diameter_um: float | None = None,
    diameter_px: float | None = None,
    min_brightness: float = 0.25,
    min_area: float = 0.05,
    max_concavity: float = 0.08,
    pixel_size_um: tuple[float, float] | None = None,
) -> NDArray[np.int32]:
    """Return a label for every fluorescent nucleus, touching ones apart.

    For bright, roughly convex nuclei on a darker background (Hoechst, DAPI, DRAQ5, H2B).
    Uneven light, dim nuclei beside bright ones and bright debris are allowed for. A field
    without nuclei has no labels: noise, gradients and specks are told from nuclei by the
    noise in the plane itself and by their size, also where a blur with a sigma up to an
    eighth of the diameter, a top-hat or both came before; only nuclei so close that such a
    blur leaves no background between them may then be lost. No absolute grey level is
    used, so exposure, gain and offset of the camera do not matter.

    Parameters
    ----------
    image : array, shape (y, x) or (n, y, x)
        Integers of at most 32 bits, or floats; not modified. Pixels that are not finite
        are never part of a nucleus.
    diameter_um, diameter_px : float, optional
        Typical diameter of a nucleus, 3 to 2000 pixels. A mistake of a fifth costs
        little, one of a half much. Give one of them, not both, or neither: then it is 16
        micrometres, or, where the pixel size is unknown too, found in each plane by
        granulometry (`find_diameter`).
    min_brightness : float
        The dimmest nucleus to keep, as a fraction of the field's typical one, 0 to 1.
    min_area : float
        The smallest nucleus to keep, as a fraction of the area of a typical one, 0 to 1.
        The default, less than a quarter of the diameter, keeps large micronuclei.
    max_concavity : float
        Depth of the notches that the outline of one nucleus may have, as a fraction of
        the diameter, above 0 to 1. Less splits more.
    pixel_size_um : tuple of float, optional
        Height and width of a pixel, micrometres.

    Returns
    -------
    array, shape of `image`, int32
        0 is background; every label is one 8-connected piece. In each plane the nuclei are
        numbered from 1 without gaps, in the order of their first pixels from top to
        bottom, and left to right in a row.

    Raises
    ------
    DtypeError, ShapeError, ParameterError
        If an argument is not as described, `diameter_um` is given and the pixel size is
        not known, or nuclei are not 3 to 2000 pixels wide.
    """
    image = check_image(NAME, image)
    check_number(NAME, "min_brightness", min_brightness, 0, 1)
    check_number(NAME, "min_area", min_area, 0, 1)
    check_number(NAME, "max_concavity", max_concavity, 1e-3, 1)
    diameter_px = _diameter_in_pixels(diameter_um, diameter_px, pixel_size_um)

    def segment(plane: Array) -> Array:
        pixels, usable = _as_float32(primitives.ready(plane))
        diameter = diameter_px or find_diameter(pixels)
        labels = _segment_plane(pixels, diameter, min_brightness, min_area, max_concavity)
        if usable is not None:
            labels[~usable] = 0
        return _numbered(labels, min_area * _area(diameter))

    return for_each_plane(segment, image, np.dtype(np.int32))


def _diameter_in_pixels(
    diameter_um: float | None,
    diameter_px: float | None,
    pixel_size_um: tuple[float, float] | None,
) -> float | None:
    """Return the diameter in pixels that the arguments mean; None: find it in the plane."""
    if pixel_size_um is not None and not all(0 < size < math.inf for size in pixel_size_um):
        raise ParameterError(NAME, "pixel_size_um", pixel_size_um, "two lengths above 0")
    if diameter_px is not None:
        if diameter_um is not None:
            wanted = "left out where diameter_px is given: give one of the two"
            raise ParameterError(NAME, "diameter_um", diameter_um, wanted)
        check_number(NAME, "diameter_px", diameter_px, _LEAST_PX, _MOST_PX)
        return diameter_px
    if diameter_um is not None:
        check_number(NAME, "diameter_um", diameter_um, 0.1, 1000)
    if pixel_size_um is None:
        if diameter_um is None:
            return None
        wanted = "given as diameter_px where the pixel size of the plate is unknown"
        raise ParameterError(NAME, "diameter_um", diameter_um, wanted)
    wanted_um = TYPICAL_DIAMETER_UM if diameter_um is None else diameter_um
    # Pixels that are not square: those of a square one of the same area.
    side_um = math.sqrt(pixel_size_um[0] * pixel_size_um[1])
    found_px = wanted_um / side_um
    if not _LEAST_PX <= found_px <= _MOST_PX:
        problem = "small" if found_px < _LEAST_PX else "large"
        wanted = (
            f"another: with a pixel size of {side_um:.4g} um nuclei of {wanted_um:g} um are "
            f"{found_px:.3g} pixels wide, too {problem} to segment; give diameter_px if the "
            "pixel size is wrong"
        )
        if diameter_um is None:
            raise ParameterError(NAME, "pixel_size_um", tuple(pixel_size_um), wanted)
        raise ParameterError(NAME, "diameter_um", diameter_um, wanted)
    return found_px


_LEAST_PX, _MOST_PX = 3, 2000


def _as_float32(plane: Array) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Return the plane as float32 and, where some are not, which pixels are finite.

    What float32 cannot hold exactly is first stretched to 0 to 65535; the scale does not
    matter here, and the steps of a 16-bit camera are as fine as anything it resolves.
    """
    if plane.dtype.kind in "iu" and plane.dtype.itemsize <= 2:
        return plane.astype(np.float32), None
    values = plane.astype(np.float64)
    finite = np.isfinite(values)
    usable = None if finite.all() else finite
    low = values.min(where=finite, initial=math.inf)
    high = values.max(where=finite, initial=-math.inf)
    if usable is not None:
        values[~finite] = low if low < high else 0
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values - low) * (65535 / (high - low)) if low < high else np.zeros(plane.shape)
    return scaled.astype(np.float32), usable


def _area(diameter_px: float) -> float:
    return math.pi / 4 * diameter_px**2


def _segment_plane(
    pixels: NDArray[np.float32],
    diameter: float,
    min_brightness: float,
    min_area: float,
    max_concavity: float,
) -> NDArray[np.int32]:
    """Return labels, in any order, of one plane whose nuclei are `diameter` pixels wide."""
    smooth = primitives.gaussian(pixels, SMOOTHING * diameter)
    surface = background(smooth, diameter)
    doubt = SHADING * float(surface.max() - surface.min())
    floor = max(doubt, NOISE_LEVELS * noise_level(smooth, diameter))
    signal = np.subtract(smooth, surface, out=surface)
    mask = _above_noise(signal, floor, diameter, min_brightness)
    labels, areas = primitives.components(mask)
    if areas[1:].max(initial=0) < NUCLEUS_LIKE * _area(diameter):
        return np.zeros(pixels.shape, np.int32)
    labels = split_touching(labels, areas, signal, diameter, max_concavity)
    return _to_half_height(labels, signal, diameter, min_area)


def background(smooth: NDArray[np.float32], diameter: float) -> NDArray[np.float32]:
    """Return the smooth surface below everything that is as narrow as a nucleus.

    Parameters
    ----------
    smooth : array, shape (y, x), float32
    diameter : float
        Of a typical nucleus, pixels.

    Returns
    -------
    array, shape (y, x), float32
        Computed on cells of a seventh of a diameter: a parabola, which is what uneven
        light mostly is, and the opening of the rest. An opening alone would lie too low
        along the brighter borders of every gradient, and leave a seam of false signal.
    """
    factor = max(1, round(CELL * diameter))
    cells = primitives.gaussian(primitives.shrink(smooth, factor), 1.0)
    width = BACKGROUND_WINDOW * diameter / factor
    footprint = primitives.disk(round(width / 2))
    trend = _parabolic_trend(primitives.opening(cells, footprint))
    opened = primitives.opening(cells - trend, footprint)
    surface = primitives.gaussian(opened, width / 2) + trend
    return primitives.enlarge(surface, smooth.shape)


def _parabolic_trend(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the polynomial of second degree in y and x that fits a plane best."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in plane.shape), indexing="ij")
    terms = np.stack([np.ones_like(y), y, x, y * y, y * x, x * x]).reshape(6, -1)
    weights, *_ = np.linalg.lstsq(terms @ terms.T, terms @ plane.ravel(), rcond=None)
    trend: NDArray[np.float32] = (weights @ terms).reshape(plane.shape).astype(np.float32)
    return trend


def _above_noise(
    signal: NDArray[np.float32], floor: float, diameter: float, min_brightness: float
) -> NDArray[np.uint8]:
    """Return the foreground after as many rises of `floor` as the background demands.

    A plane that was smoothed has less fine noise than noise. What its fine noise lets
    through tells: nuclei stand far above the spread of what lies around them, noise does
    not. Where even the dimmest nucleus to keep does, nothing is changed.
    """
    for _ in range(MOST_RISES):
        mask = foreground(signal, floor, diameter, min_brightness)
        if not mask.any():
            break
        reach = NOISE_LEVELS * background_spread(signal, mask, diameter)
        if reach <= max(SAME_NOISE * floor, min_brightness * _typical_signal(signal, floor)):
            break
        floor = reach
    else:
        mask = foreground(signal, floor, diameter, min_brightness)
    return mask


def foreground(
    signal: NDArray[np.float32], floor: float, diameter: float, min_brightness: float
) -> NDArray[np.uint8]:
    """Return 1 on nuclei and 0 elsewhere, touching nuclei in one piece.

    Parameters
    ----------
    signal : array, shape (y, x), float32
        Grey levels above the background.
    floor : float
        Signal up to here may be noise or shading.
    diameter : float
        Of a typical nucleus, pixels.
    min_brightness : float
        The least signal of a nucleus, as a fraction of the typical one.
    """
    typical = _typical_signal(signal, floor)
    factor = max(1, round(CELL * diameter))
    cells = primitives.shrink(signal, factor).clip(0, BRIGHTEST * typical)
    surroundings = primitives.gaussian(cells, SURROUNDINGS * diameter / factor)
    threshold = np.maximum(surroundings, max(floor, min_brightness * typical))
    mask = (signal > primitives.enlarge(threshold, signal.shape)).view(np.uint8)
    filled = primitives.tidy(mask, largest_hole_px=LARGEST_HOLE * _area(diameter))
    return primitives.opening(filled, primitives.disk(max(1, round(diameter / 28))))


def _typical_signal(signal: NDArray[np.float32], floor: float) -> float:
    """Return the median signal of nuclei; 0 where nothing is above `floor`."""
    step = max(1, int(math.sqrt(signal.size / SAMPLE)))
    sample = signal[::step, ::step]
    above = sample[sample > floor]
    if not above.size:
        return 0.0
    # Once more without the halos around nuclei, which are many pixels and dim.
    return float(np.median(above[above >= HALF * np.median(above)]))


def _to_half_height(
    labels: NDArray[np.int32], signal: NDArray[np.float32], diameter: float, min_area: float
) -> NDArray[np.int32]:
    """Return the labels without their dim rims, and without crumbs."""
    flat = labels.ravel()
    where = np.flatnonzero(flat != 0)
    if not where.size:
        return labels
    of, heights = flat[where], signal.ravel()[where]
    level = weighted_level(of, heights, int(of.max()) + 1)
    kept = np.zeros(labels.shape, np.uint8)
    kept.ravel()[where] = heights > HALF * level[of]
    tidied = primitives.tidy(
        kept,
        largest_hole_px=LARGEST_HOLE * _area(diameter),
        smallest_piece_px=min_area * _area(diameter),
    )
    return labels * tidied


def _numbered(labels: NDArray[np.int32], least_px: float) -> NDArray[np.int32]:
    """Return labels 1, 2, ... in the order of their first pixels, without too small ones.

    Each is 8-connected. A dim line across a nucleus parts it at half height; a piece that
    is large enough gets a label of its own.
    """
    where, of, first = _first_pixels(labels)
    strays = primitives.strays(labels, first[first < labels.size])
    if strays.any():
        labels = _with_pieces_apart(labels, np.unique(strays[strays > 0]))
        where, of, first = _first_pixels(labels)
    areas = np.bincount(of, minlength=1)
    kept = np.flatnonzero((areas > 0) & (areas >= least_px))
    number: NDArray[Any] = np.zeros(areas.size, np.int32)
    number[kept[np.argsort(first[kept])]] = np.arange(1, kept.size + 1)
    out = np.zeros(labels.shape, np.int32)
    out.ravel()[where] = number[of]
    return out


def _first_pixels(labels: NDArray[np.int32]) -> tuple[Any, Any, Any]:
    """Return the flat places of all labels' pixels, their labels, and each label's first place.

    A label that does not occur has the plane's size for a place.
    """
    flat = labels.ravel()
    where = np.flatnonzero(flat != 0)
    of = flat[where]
    first = np.full(int(of.max(initial=0)) + 1, flat.size)
    first[of[::-1]] = where[::-1]  # of several values for one place the last one stays
    return where, of, first


def _with_pieces_apart(labels: NDArray[np.int32], broken: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the labels with new ones for all pieces of the broken labels but the largest."""
    labels = labels.copy()
    highest = int(labels.max())
    for label in broken:
        pieces, areas = primitives.components((labels == label).view(np.uint8))
        areas[0] = 0  # the background
        cut_off = (pieces > 0) & (pieces != areas.argmax())
        labels[cut_off] = pieces[cut_off] + highest
        highest += areas.size
    return labels

"""Nuclei: on drawn fields with known truth, on fields without any, and on annotated ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hcs_core.testing import SyntheticPlate, make_plate
from hcs_gpu_kernels import (
    count_objects,
    gaussian_blur,
    percentile_normalize,
    segment_nuclei,
    tophat,
)
from hcs_gpu_kernels._scale import find_diameter
from hcs_gpu_kernels._splitting import notch_depth
from hcs_gpu_kernels.nuclei import _numbered

SHAPE = (300, 400)


def field(
    centres: list[tuple[int, int]],
    *,
    diameter: int = 28,
    level: float = 400,
    noise: float = 6,
    offset: float = 150,
    shape: tuple[int, int] = SHAPE,
) -> np.ndarray:
    """Draw blurred disks on an even background, with noise."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    scene = np.zeros(shape)
    reach = diameter // 2 + 1
    for centre_y, centre_x in centres:
        top, left = max(0, centre_y - reach), max(0, centre_x - reach)
        near = (slice(top, centre_y + reach + 1), slice(left, centre_x + reach + 1))
        scene[near][np.hypot(y[near] - centre_y, x[near] - centre_x) <= diameter / 2] = level
    rng = np.random.default_rng(0)
    blurred = ndimage.gaussian_filter(scene, diameter / 28)
    return np.asarray(offset + blurred + rng.normal(0, noise, shape)).astype(np.uint16)


GRID = [(y, x) for y in range(40, 290, 55) for x in range(40, 390, 55)]


@pytest.mark.parametrize("size", [{"diameter_px": 28.0}, {"pixel_size_um": (0.6, 0.6)}, {}])
def test_every_drawn_nucleus_is_found_where_it_is(size):
    labels = segment_nuclei(field(GRID), **size)
    assert labels.max() == len(GRID)
    assert len({int(labels[y, x]) for y, x in GRID}) == len(GRID)
    areas = np.bincount(labels.ravel())[1:]
    # A digital disk of radius 14 has 613 pixels.
    assert (np.abs(areas - 613) < 0.08 * 613).all()


def test_labels_are_numbered_by_their_first_pixels():
    labels = segment_nuclei(field(GRID), diameter_px=28)
    first = [int(np.flatnonzero(labels == label)[0]) for label in range(1, labels.max() + 1)]
    assert first == sorted(first)
    assert labels.dtype == np.int32


def test_touching_nuclei_are_split():
    pairs = [(60, 60), (60, 86), (150, 200), (168, 218), (240, 60), (240, 86), (240, 112)]
    labels = segment_nuclei(field(pairs), diameter_px=28)
    assert len({int(labels[y, x]) for y, x in pairs} - {0}) == len(pairs) == labels.max()


def test_touching_nuclei_inside_a_ring_of_others_are_split_too():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = np.hypot(y - 150, x - 200)
    ring = 400.0 * ((away > 85) & (away < 105))
    image = field([(150, 187), (150, 213)]) + ndimage.gaussian_filter(ring, 1)
    labels = segment_nuclei(image.astype(np.uint16), diameter_px=28)
    assert len({0, int(labels[150, 187]), int(labels[150, 213])}) == 3


def test_a_long_convex_nucleus_stays_one():
    y, x = np.mgrid[:200, :200]
    ellipse = ((y - 100) / 11) ** 2 + ((x - 100) / 26) ** 2 <= 1
    image = (100 + ndimage.gaussian_filter(300.0 * ellipse, 1)).astype(np.uint16)
    assert segment_nuclei(image, diameter_px=28).max() == 1


def test_dim_nuclei_beside_bright_ones_are_found():
    dim, bright = field(GRID[::2], level=150), field(GRID[1::2], level=1200)
    image = dim + bright - 150
    assert segment_nuclei(image, diameter_px=28).max() == len(GRID)


def test_a_few_very_bright_specks_hide_nothing():
    image = field(GRID)
    specks = [(15, 15), (67, 67), (120, 12)]
    for y, x in specks:
        image[y - 2 : y + 3, x - 2 : x + 3] = 60000
    labels = segment_nuclei(image, diameter_px=28)
    assert len({int(labels[y, x]) for y, x in GRID} - {0}) == len(GRID)


def test_uneven_light_changes_neither_number_nor_place():
    even = segment_nuclei(field(GRID), diameter_px=28)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    shading = 0.7 + 0.3 * np.exp(-((y - 120) ** 2 + (x - 250) ** 2) / 4e4)
    for image in (field(GRID) * shading, field(GRID) + 3 * x, field(GRID) * 1.0 + y + 2 * x):
        labels = segment_nuclei(image.astype(np.uint16), diameter_px=28)
        assert labels.max() == even.max()
        assert ((labels > 0) == (even > 0)).mean() > 0.98


@pytest.mark.parametrize("change", [lambda a: a * 2, lambda a: a + 5000, lambda a: a / 1000.0])
def test_exposure_gain_and_offset_do_not_matter(change):
    image = field(GRID)
    np.testing.assert_array_equal(
        segment_nuclei(change(image), diameter_px=28) > 0,
        segment_nuclei(image, diameter_px=28) > 0,
    )


@pytest.mark.parametrize("zoom", [0.5, 2.0, 3.0])
def test_sizes_follow_the_pixel_size(zoom: float):
    centres = [(round(zoom * y), round(zoom * x)) for y, x in GRID]
    shape = (round(zoom * SHAPE[0]), round(zoom * SHAPE[1]))
    image = field(centres, diameter=round(28 * zoom), shape=shape)
    assert segment_nuclei(image, pixel_size_um=(0.6 / zoom, 0.6 / zoom)).max() == len(GRID)
    assert segment_nuclei(image).max() == len(GRID)


@pytest.mark.parametrize("diameter", [16, 28, 41, 90])
def test_diameters_are_found_from_the_picture(diameter: int):
    step = 2 * diameter
    centres = [(y, x) for y in range(step, 900, step) for x in range(step, 900, step)]
    image = field(centres, diameter=diameter, shape=(960, 960))
    assert find_diameter(image.astype(np.float32)) == pytest.approx(diameter, rel=0.12)


def empty_fields() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float64)
    dome = 3000 - 0.01 * ((y - 100) ** 2 + (x - 250) ** 2)
    interpolated = ndimage.zoom(rng.normal(1000, 30, (150, 200)), 2, order=3)
    return {
        "all zero": np.zeros(SHAPE, np.uint16),
        "constant": np.full(SHAPE, 777, np.uint16),
        "constant float": np.full(SHAPE, 0.1, np.float32),
        "read noise": rng.normal(1000, 30, SHAPE).astype(np.uint16),
        "few photons": rng.poisson(0.5, SHAPE).astype(np.uint8),
        "gradient": (100 + x + 0.5 * y).astype(np.uint16),
        "gradient float": 100 + 0.01 * x,
        "gradient with noise": rng.poisson(100 + 3 * x).astype(np.uint16),
        "dome": dome.astype(np.uint16),
        "dome with noise": rng.poisson(dome).astype(np.uint16),
        "interpolated noise": interpolated.astype(np.uint16),
        "hot pixels": np.where(rng.random(SHAPE) < 1e-3, 60000, 100).astype(np.uint16),
        "not a number": np.full(SHAPE, np.nan),
    }


@pytest.mark.parametrize("name", empty_fields())
@pytest.mark.parametrize("size", [{"diameter_px": 20.0}, {"diameter_px": 28.0}, {}])
def test_a_field_without_nuclei_has_no_labels(name: str, size):
    assert segment_nuclei(empty_fields()[name], **size).max() == 0


def tophat_then_blur(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Prepare a plane as many pipelines do."""
    return np.asarray(gaussian_blur(tophat(image, radius_px=25), sigma_px=sigma_px))


PREPARATIONS = {
    "top-hat": lambda image: tophat(image, radius_px=25),
    "blur 1": lambda image: gaussian_blur(image, sigma_px=1),
    "blur 2": lambda image: gaussian_blur(image, sigma_px=2),
    "blur 3": lambda image: gaussian_blur(image, sigma_px=3),
    "top-hat, blur 1": lambda image: tophat_then_blur(image, 1),
    "top-hat, blur 2": lambda image: tophat_then_blur(image, 2),
    "percentiles": percentile_normalize,
}
PREPARED = pytest.mark.parametrize("prepare", PREPARATIONS.values(), ids=PREPARATIONS)
SIZES = pytest.mark.parametrize("size", [{"diameter_px": 24.8}, {}], ids=["said", "found"])


@PREPARED
@SIZES
def test_noise_that_was_smoothed_is_not_nuclei(prepare, size):
    rng = np.random.default_rng(1)
    for image in (
        np.full(SHAPE, 777, np.uint16),
        rng.normal(1000, 30, SHAPE).astype(np.uint16),
        rng.normal(1000, 30, SHAPE).astype(np.float32),
        rng.poisson(20, SHAPE).astype(np.uint16),
    ):
        assert segment_nuclei(prepare(image), **size).max() == 0


@PREPARED
@SIZES
@pytest.mark.parametrize("empty", [True, False])
def test_sparse_synthetic_fields_keep_their_count_however_prepared(
    tmp_path: Path, prepare, size, empty: bool
):
    sites = [str(site) for site in range(1, 6)]
    plate = SyntheticPlate(
        wells=("A01",),
        sites=len(sites),
        channels=("DAPI",),
        z_indexes=1,
        cells_per_site=(2, 8),
        empty_fields=tuple(("A01", site) for site in sites) if empty else (),
    )
    truth = make_plate(tmp_path / "plate", plate)
    for plane, file in truth.files.items():
        labels = segment_nuclei(prepare(read(truth.path / file)), **size)
        assert labels.max() == truth.counts[plane.well, plane.site], plane


def test_dense_fields_keep_their_nuclei_when_smoothed():
    # Gaps of a sixth of a diameter, and of a quarter.
    for step in (33, 36):
        centres = [(y, x) for y in range(20, 290, step) for x in range(20, 390, step)]
        for prepare in PREPARATIONS.values():
            labels = segment_nuclei(prepare(field(centres)), diameter_px=28)
            assert labels.max() == len(centres)


def test_a_nucleus_that_a_dark_line_parts_becomes_two_labels():
    labels = np.zeros((20, 30), np.int32)
    labels[2:10, 2:10] = 4
    labels[12:18, 2:10] = 4  # apart from the first
    labels[2:18, 10:20] = 7  # touches both
    labels[19, 29] = 7  # a crumb
    expected = np.zeros((20, 30), np.int32)
    expected[2:10, 2:10] = 1
    expected[2:18, 10:20] = 2
    expected[12:18, 2:10] = 3
    np.testing.assert_array_equal(_numbered(labels, 2), expected)


def test_pixels_that_are_not_finite_are_in_no_nucleus():
    image = field(GRID).astype(np.float32)
    image[40, 40] = np.nan
    image[95, 95] = np.inf
    labels = segment_nuclei(image, diameter_px=28)
    assert labels[40, 40] == labels[95, 95] == 0
    assert labels.max() == len(GRID)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 119), st.integers(0, 159)), max_size=12),
    st.integers(6, 40),
)
def test_labels_are_consecutive_whatever_the_field(centres, diameter):
    image = field(centres, diameter=diameter, shape=(120, 160))
    before = image.copy()
    labels = segment_nuclei(image, diameter_px=diameter)
    np.testing.assert_array_equal(np.unique(labels[labels > 0]), np.arange(1, labels.max() + 1))
    assert count_objects(labels)["count"].item() == labels.max()
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"diameter_px": 2.0}, "between 3 and 2000"),
        ({"diameter_px": 28.0, "diameter_um": 16.0}, "give one of the two"),
        ({"diameter_px": "28"}, "diameter_px must be a number"),
        ({"diameter_um": 15.0}, "pixel size of the plate is unknown"),
        ({"pixel_size_um": (0.0, 1.0)}, "two lengths above 0"),
        ({"min_area": -0.1}, "min_area"),
        ({"max_concavity": 0.0}, "max_concavity"),
        (
            {"pixel_size_um": (13.55, 13.55)},
            "pixel_size_um must be another: with a pixel size of 13.55 um nuclei of 16 um are "
            "1.18 pixels wide, too small to segment; give diameter_px if the pixel size is wrong",
        ),
        (
            {"pixel_size_um": (2.0, 2.0), "diameter_um": 5.0},
            "diameter_um must be another: with a pixel size of 2 um nuclei of 5 um are 2.5 pixels",
        ),
        ({"pixel_size_um": (0.001, 0.001)}, "too large to segment"),
    ],
)
def test_impossible_sizes_are_refused(arguments, message: str):
    with pytest.raises(ValueError, match=message):
        segment_nuclei(np.zeros((9, 9), np.uint16), **arguments)


def test_a_square_has_no_notch_and_an_l_shape_has_its_missing_area():
    square = np.array([[0, 0], [9, 0], [9, 9], [0, 9]], np.int32)
    assert notch_depth(square, 100) == 0
    # The hull of an L: a square of 10 by 10 pixels less a triangle in one corner.
    bent = np.array([[0, 0], [4, 0], [9, 5], [9, 9], [0, 9]], np.int32)
    # Pick: 68.5 within the lattice polygon, 31 steps around it: 68.5 + 31 / 2 + 1 = 85.
    assert notch_depth(bent, 75) == pytest.approx(10 / np.sqrt(85))


# --- annotated fields ---------------------------------------------------------------------


def read(path: Path) -> np.ndarray:
    """Read a picture as it is stored."""
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert pixels is not None, path
    return pixels


def truth_of(mask: Path) -> np.ndarray:
    """Label the pixels that touch and have one red value, without crumbs up to 10 pixels."""
    red = read(mask)[..., 2]  # OpenCV orders blue, green, red
    truth = np.zeros(red.shape, np.int32)
    for value in np.unique(red[red > 0]):
        pieces, _ = ndimage.label(red == value, np.ones((3, 3)))
        truth[pieces > 0] = truth.max() + pieces[pieces > 0]
    areas = np.bincount(truth.ravel())
    kept = np.flatnonzero(areas > 10)
    kept = kept[kept > 0]
    number = np.zeros(areas.size, np.int32)
    number[kept] = np.arange(1, kept.size + 1)
    return number[truth]


def f1(truth: np.ndarray, labels: np.ndarray, least_iou: float) -> float:
    """Score objects: a match is a pair whose intersection over union exceeds the least."""
    there, found = int(truth.max()), int(labels.max())
    if not there or not found:
        return float(there == found)
    both = np.zeros((there + 1, found + 1))
    np.add.at(both, (truth, labels), 1)
    union = both.sum(axis=1)[1:, None] + both.sum(axis=0)[None, 1:] - both[1:, 1:]
    return float(2 * (both[1:, 1:] / union > least_iou).sum() / (there + found))


@pytest.mark.parametrize("size", [{"pixel_size_um": (0.645, 0.645)}, {}], ids=["known", "found"])
def test_annotated_fields_are_segmented_as_the_annotators_did(shared: Path, size):
    folder = shared / "data" / "bbbc039"
    scores, errors = [], []
    for path in sorted((folder / "images").glob("*.tif")):
        truth = truth_of(folder / "masks" / f"{path.stem}.png")
        labels = segment_nuclei(read(path), **size)
        if not truth.max():
            assert labels.max() == 0, f"{path.name} is empty"
        scores.append((f1(truth, labels, 0.5), f1(truth, labels, 0.7)))
        errors.append(abs(int(labels.max()) - int(truth.max())) / max(1, int(truth.max())))
    at_half, at_seven_tenths = np.mean(scores, axis=0)
    assert len(scores) == 40
    assert at_half >= 0.93
    assert at_seven_tenths >= 0.90
    assert np.median(errors) <= 0.05


def is_in_one_piece(mask: np.ndarray) -> bool:
    _, pieces = ndimage.label(mask, np.ones((3, 3)))
    return bool(pieces == 1)


@pytest.mark.parametrize("size", [{"pixel_size_um": (0.645, 0.645)}, {}], ids=["known", "found"])
def test_every_label_of_the_annotated_fields_is_in_one_piece(shared: Path, size):
    for path in sorted((shared / "data" / "bbbc039" / "images").glob("*.tif")):
        labels = segment_nuclei(read(path), **size)
        for label, box in enumerate(ndimage.find_objects(labels), start=1):
            assert is_in_one_piece(labels[box] == label), f"{path.name}, label {label}"


@PREPARED
def test_annotated_fields_keep_their_counts_however_prepared(shared: Path, prepare):
    folder = shared / "data" / "bbbc039" / "images"
    (empty,) = folder.glob("*_L10_*.tif")
    assert segment_nuclei(prepare(read(empty)), pixel_size_um=(0.645, 0.645)).max() == 0
    (dense,) = folder.glob("*_E05_s2_*.tif")
    # The top-hat parts some clumps: 194 instead of 177, as it did before any blur.
    labels = segment_nuclei(prepare(read(dense)), pixel_size_um=(0.645, 0.645))
    assert labels.max() == pytest.approx(177, rel=0.12)

"""Measurements, by hand, object by object with NumPy, and against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hcs_core.kernels import PER_CHANNEL_SUFFIX
from hcs_gpu_kernels import measure_objects

SCENES = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.uint16, shape),
        hnp.arrays(np.int32, shape, elements=st.sampled_from([0, 1, 2, 7])),
    )
)


def blobs(size: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Sixty disks that overlap, touch each other and the border, and a noisy image."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.int32)
    for label in range(1, 61):
        centre_y, centre_x = rng.integers(0, size, 2)
        radius = rng.integers(1, 12)
        labels[(y - centre_y) ** 2 + 2 * (x - centre_x) ** 2 <= radius**2] = 3 * label
    return rng.integers(0, 60000, (size, size)).astype(np.uint16), labels


def test_a_rectangle_measured_by_hand():
    image = np.zeros((6, 8), np.uint16)
    labels = np.zeros((6, 8), np.int32)
    labels[1:4, 2:7] = 5  # 3 rows, 5 columns
    image[1:4, 2:7] = 10
    image[2, 4] = 25
    table = {name: column.item() for name, column in measure_objects(image, labels).items()}
    assert table["label"] == 5
    assert table["area_px"] == 15
    assert (table["centroid_y_px"], table["centroid_x_px"]) == (2, 4)
    assert [table[f"bbox_{side}_px"] for side in ("top", "left", "bottom", "right")] == [1, 2, 4, 7]
    assert table["perimeter_px"] == 12  # twice 2 by 4, through the border pixels' centres
    # The variance of n neighbouring whole numbers is (n^2 - 1) / 12: here 2/3 and 2.
    assert table["major_axis_px"] == pytest.approx(4 * np.sqrt(2))
    assert table["minor_axis_px"] == pytest.approx(4 * np.sqrt(2 / 3))
    assert table["eccentricity"] == pytest.approx(np.sqrt(1 - 1 / 3))
    assert table["integrated_intensity"] == 165
    assert table["mean_intensity"] == 11
    assert table["std_intensity"] == pytest.approx(np.sqrt((14 * 1 + 14**2) / 15))
    assert table["min_intensity"] == 10
    assert table["median_intensity"] == 10
    assert table["max_intensity"] == 25


def test_micrometres_come_with_the_pixel_size_only():
    labels = np.zeros((4, 6), np.int32)
    labels[1:3, 2:5] = 1
    image = np.ones((4, 6), np.uint8)
    table = measure_objects(image, labels, pixel_size_um=(0.5, 2.0))
    assert table["area_um2"].item() == 6
    assert table["centroid_y_um"].item() == 0.75
    assert table["centroid_x_um"].item() == 6
    assert not any("um" in name for name in measure_objects(image, labels))


def test_a_column_is_of_the_channel_exactly_when_its_name_says_so():
    image, labels = blobs()
    one, other = measure_objects(image, labels), measure_objects(image[::-1, ::-1], labels)
    for name in one:
        depends_on_image = not np.array_equal(one[name], other[name])
        assert depends_on_image == name.endswith(PER_CHANNEL_SUFFIX), name


@given(SCENES)
def test_every_object_is_what_numpy_says_of_its_pixels(scene):
    image, labels = scene
    table = measure_objects(image, labels)
    present = [label for label in np.unique(labels) if label]
    np.testing.assert_array_equal(table["label"], present)
    for row, label in enumerate(present):
        y, x = np.nonzero(labels == label)
        values = image[labels == label].astype(np.float64)
        covariance = np.cov(np.stack([y, x]), bias=True) if y.size > 1 else np.zeros((2, 2))
        small, large = np.linalg.eigvalsh(covariance).clip(min=0)
        expected = {
            "area_px": y.size,
            "centroid_y_px": y.mean(),
            "centroid_x_px": x.mean(),
            "bbox_top_px": y.min(),
            "bbox_left_px": x.min(),
            "bbox_bottom_px": y.max() + 1,
            "bbox_right_px": x.max() + 1,
            "major_axis_px": 4 * np.sqrt(large),
            "minor_axis_px": 4 * np.sqrt(small),
            "mean_intensity": values.mean(),
            "std_intensity": values.std(),
            "min_intensity": values.min(),
            "median_intensity": np.median(values),
            "max_intensity": values.max(),
            "integrated_intensity": values.sum(),
        }
        for name, value in expected.items():
            assert table[name][row] == pytest.approx(value, rel=1e-9, abs=1e-6), name


def test_columns_equal_scikit_images():
    measure = pytest.importorskip("skimage.measure")
    image, labels = blobs()
    table = measure_objects(image, labels)
    theirs = {
        "label": "label",
        "area_px": "area",
        "centroid_y_px": "centroid-0",
        "centroid_x_px": "centroid-1",
        "bbox_top_px": "bbox-0",
        "bbox_right_px": "bbox-3",
        "perimeter_px": "perimeter",
        "major_axis_px": "axis_major_length",
        "minor_axis_px": "axis_minor_length",
        "eccentricity": "eccentricity",
        "mean_intensity": "intensity_mean",
        "std_intensity": "intensity_std",
        "min_intensity": "intensity_min",
        "max_intensity": "intensity_max",
    }
    properties = {name.split("-")[0] for name in theirs.values()}
    expected = measure.regionprops_table(labels, image, properties=tuple(properties))
    for ours, name in theirs.items():
        np.testing.assert_allclose(table[ours], expected[name], rtol=1e-9, atol=1e-9, err_msg=ours)


def test_perimeters_worked_out_by_hand():
    labels = np.zeros((7, 16), np.int32)
    labels[3, 1] = 1  # a single pixel has no length
    labels[1, 3:6] = 2  # a line: only its middle pixel has two neighbours
    diamond = [(1, 10), (2, 9), (2, 10), (2, 11), (3, 10)]
    labels[tuple(np.transpose(diamond))] = 3  # four border pixels, joined diagonally
    table = measure_objects(labels.astype(np.uint16), labels)
    np.testing.assert_allclose(table["perimeter_px"], [0, 1, 4 * np.sqrt(2)])


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int32", "float32", "float64"])
def test_image_dtypes_agree(dtype: str):
    image, labels = blobs()
    image = image // 500
    expected = measure_objects(image, labels)
    found = measure_objects(image.astype(dtype), labels)
    for name, column in expected.items():
        np.testing.assert_array_equal(found[name], column)


def test_a_nan_spoils_the_intensities_of_its_object_alone():
    image = np.array([[np.nan, 1.0, 5.0, 5.0]], np.float32)
    labels = np.array([[1, 1, 2, 2]], np.int32)
    table = measure_objects(image, labels)
    for name in table:
        if name.endswith(PER_CHANNEL_SUFFIX):
            assert np.isnan(table[name][0]), name
            assert np.isfinite(table[name][1]), name


def test_without_objects_all_columns_are_there_and_empty():
    image = np.zeros((5, 5), np.uint16)
    empty = measure_objects(image, np.zeros((5, 5), np.int32), pixel_size_um=(1, 1))
    full = measure_objects(image, np.ones((5, 5), np.int32), pixel_size_um=(1, 1))
    assert list(empty) == list(full)
    for name, column in empty.items():
        assert column.shape == (0,)
        assert column.dtype == full[name].dtype, name


def test_huge_labels_need_no_huge_memory():
    labels = np.array([[0, 2**31 - 1, 5]], np.int32)
    table = measure_objects(np.array([[1, 2, 3]], np.uint8), labels)
    np.testing.assert_array_equal(table["label"], [5, 2**31 - 1])
    np.testing.assert_array_equal(table["mean_intensity"], [3, 2])


def test_a_stack_gives_the_rows_of_its_planes_in_turn():
    image, labels = blobs()
    stack, masks = np.stack([image, image[::-1]]), np.stack([labels, labels.T])
    table = measure_objects(stack, masks)
    first, second = (measure_objects(*pair) for pair in zip(stack, masks, strict=True))
    rows = first["label"].size
    np.testing.assert_array_equal(table["plane"], [0] * rows + [1] * second["label"].size)
    for name in first:
        np.testing.assert_array_equal(table[name], np.concatenate([first[name], second[name]]))


def test_image_and_labels_must_have_one_shape():
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        measure_objects(np.zeros((3, 3), np.uint8), np.zeros((3, 4), np.int32))

"""Percentile stretches, against numpy.percentile and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hcs_gpu_kernels import percentile_normalize, stack_percentile_normalize
from hcs_gpu_kernels.intensity import histogram_percentiles

IMAGES = hnp.arrays(
    st.sampled_from([np.uint8, np.int8, np.uint16, np.int16]),
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
)
PERCENTS = st.tuples(st.floats(0, 100), st.floats(0, 100)).filter(lambda pair: pair[0] < pair[1])


def plain_stretch(values: np.ndarray, limits: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The formula as a screener would write it, in float64."""
    info = np.iinfo(dtype)
    span = float(info.max) - info.min
    low, high = limits
    scaled = (values.astype(np.float64) - low) * (span / max(high - low, 1))
    return np.asarray(scaled.clip(0, span).round() + info.min).astype(dtype)


@given(IMAGES, PERCENTS)
def test_integer_planes_are_the_plain_formula_exactly(image, percents):
    low, high = percents
    # Widened: numpy.percentile of int8 subtracts in int8, and wraps (seen with numpy 2.4).
    limits = np.percentile(image.astype(np.int64), [low, high])
    expected = plain_stretch(image, limits, image.dtype)
    found = percentile_normalize(image, low=low, high=high)
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, expected)


@given(
    hnp.arrays(np.uint16, st.integers(1, 200), elements=st.integers(0, 300)),
    st.lists(st.floats(0, 100), min_size=1, max_size=4),
)
def test_percentiles_of_a_histogram_equal_numpys(values, percents):
    counts = np.bincount(values, minlength=65536)
    expected = np.percentile(values, percents)
    np.testing.assert_array_equal(histogram_percentiles(counts, tuple(percents)), expected)


def test_a_stack_gets_the_limits_of_all_its_planes():
    stack = np.array([[[0, 100]], [[100, 200]]], np.uint16)
    found = stack_percentile_normalize(stack, low=0, high=100)
    # 100 is the middle of 0 to 200: 32767.5, rounded to even.
    np.testing.assert_array_equal(found, [[[0, 32768]], [[32768, 65535]]])


def test_planes_get_limits_of_their_own():
    stack = np.array([[[0, 100]], [[100, 200]]], np.uint16)
    found = percentile_normalize(stack, low=0, high=100)
    np.testing.assert_array_equal(found, [[[0, 65535]], [[0, 65535]]])


def test_a_stretched_stack_is_within_one_grey_level_of_a_float32_loop():
    rng = np.random.default_rng(1)
    stack = rng.poisson(rng.gamma(2, 400, (3, 64, 64))).astype(np.uint16)
    low, high = np.percentile(stack, [0.5, 99.5])
    scale = 65535 / max(high - low, 1)
    expected = ((stack.astype(np.float32) - low) * scale).clip(0, 65535).round()
    found = stack_percentile_normalize(stack).astype(np.float64)
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_wide_integers_are_stretched_to_their_whole_range(dtype):
    image = np.array([[10, 20, 30]], dtype)
    info = np.iinfo(dtype)
    found = percentile_normalize(image, low=0, high=100)
    assert found[0, 0] == info.min
    assert found[0, 2] == info.max


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_become_zero_to_one(dtype):
    image = np.array([[-5.0, 0.0, 5.0, 15.0]], dtype)
    found = percentile_normalize(image, low=0, high=100)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, [[0, 0.25, 0.5, 1]])


def test_what_is_not_finite_does_not_move_the_limits():
    image = np.array([[np.nan, 0.0, 1.0, 2.0, np.inf, -np.inf]], np.float32)
    found = percentile_normalize(image, low=0, high=100)
    np.testing.assert_array_equal(found, np.array([[np.nan, 0, 0.5, 1, 1, 0]], np.float32))


def test_a_plane_of_nan_stays_nan():
    image = np.full((2, 2), np.nan, np.float32)
    assert np.isnan(percentile_normalize(image)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_a_constant_plane_becomes_the_lowest_value(dtype):
    image = np.full((3, 4), 7, dtype)
    lowest = 0 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).min
    for function in (percentile_normalize, stack_percentile_normalize):
        np.testing.assert_array_equal(function(image), np.full((3, 4), lowest, dtype))


def test_limits_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match=r"low must be less than high"):
        percentile_normalize(np.zeros((2, 2), np.uint8), low=60, high=40)
    with pytest.raises(ValueError, match="between 0 and 100"):
        stack_percentile_normalize(np.zeros((2, 2), np.uint8), high=101)

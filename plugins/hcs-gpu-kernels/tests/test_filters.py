"""Blur and top-hat, against SciPy in float64 and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from hcs_gpu_kernels import gaussian_blur, tophat

DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


def noise(dtype: str, shape: tuple[int, ...] = (37, 53)) -> np.ndarray:
    rng = np.random.default_rng(3)
    if np.dtype(dtype).kind == "f":
        return rng.normal(100, 30, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5, 7.0])
def test_blur_is_scipys_in_float64(dtype: str, sigma: float):
    image = noise(dtype)
    expected = ndimage.gaussian_filter(image.astype(np.float64), sigma, mode="reflect")
    blurred = gaussian_blur(image, sigma_px=sigma)
    assert blurred.dtype == image.dtype
    if image.dtype.kind == "f":
        np.testing.assert_allclose(blurred, expected, rtol=1e-5)
    else:
        # 0.5 for the rounding, and a hair for float32.
        assert np.abs(blurred.astype(np.float64) - expected).max() <= 0.51


def test_a_sigma_much_larger_than_the_plane_is_still_exact():
    image = noise("float64", (9, 14))
    expected = ndimage.gaussian_filter(image, 40, mode="reflect")
    np.testing.assert_allclose(gaussian_blur(image, sigma_px=40), expected, rtol=1e-9)


def test_blur_of_sigma_zero_changes_nothing():
    image = noise("uint16")
    np.testing.assert_array_equal(gaussian_blur(image, sigma_px=0), image)


def test_blur_rounds_half_to_even_and_saturates():
    # A constant plane stays itself to the last bit of every dtype.
    for dtype in DTYPES[:6]:
        for value in (np.iinfo(dtype).min, np.iinfo(dtype).max):
            image = np.full((6, 7), value, dtype)
            np.testing.assert_array_equal(gaussian_blur(image, sigma_px=1.5), image)


def test_rounding_of_floats_to_integers_is_half_to_even():
    from hcs_gpu_kernels.primitives import numpy as primitives

    values = np.array([[0.5, 1.5, 2.5, -3.0, 70000.0, 0.49]] * 2, np.float32)
    expected = np.array([[0, 2, 2, 0, 65535, 0]] * 2, np.uint16)
    np.testing.assert_array_equal(primitives.as_dtype(values, np.dtype(np.uint16)), expected)


def test_a_nan_spreads_only_as_far_as_the_kernel():
    image = np.ones((30, 30), np.float32)
    image[15, 15] = np.nan
    blurred = gaussian_blur(image, sigma_px=1)
    assert np.isnan(blurred[11:20, 11:20]).all()
    assert np.isfinite(blurred[:11]).all()
    assert np.isfinite(blurred[20:]).all()


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf"), "2", None, True])
def test_impossible_sigmas_are_refused(sigma: float):
    with pytest.raises(ValueError, match="sigma_px must be"):
        gaussian_blur(np.zeros((4, 4), np.uint8), sigma_px=sigma)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("radius", "shape"), [(0, "disk"), (1, "disk"), (6, "disk"), (4, "square")]
)
def test_tophat_is_scipys(dtype: str, radius: int, shape: str):
    image = noise(dtype)
    if image.dtype.kind == "i":
        image = image // 4  # SciPy wraps where the difference does not fit
    away = np.arange(-radius, radius + 1)
    footprint = np.hypot(away[:, None], away) <= radius
    if shape == "square":
        footprint[:] = True
    expected = ndimage.white_tophat(image, footprint=footprint, mode="reflect")
    result = tophat(image, radius_px=radius, shape=shape)
    assert result.dtype == image.dtype
    np.testing.assert_array_equal(result, expected)


def test_tophat_keeps_narrow_things_and_removes_wide_ones():
    image = np.full((1, 12), 10, np.uint8)
    image[0, 2] = 15  # one pixel wide
    image[0, 5:10] = 30  # five pixels wide: the square of radius 1, three wide, fits
    expected = np.zeros((1, 12), np.uint8)
    expected[0, 2] = 5
    np.testing.assert_array_equal(tophat(image, radius_px=1, shape="square"), expected)


def test_tophat_of_signed_pixels_saturates_where_the_difference_does_not_fit():
    image = np.full((5, 5), -32768, np.int16)
    image[2, 2] = 32767
    assert tophat(image, radius_px=1)[2, 2] == 32767


@pytest.mark.parametrize("shape", ["disk", "square"])
@pytest.mark.parametrize("radius", [5, 7, 12, 13, 14, 40])
def test_a_footprint_larger_than_the_plane_is_still_scipys(radius: int, shape: str):
    image = noise("uint16", (7, 13))
    away = np.arange(-radius, radius + 1)
    footprint = np.hypot(away[:, None], away) <= radius
    if shape == "square":
        footprint[:] = True
    # Reflected borders are those of pixels that do not count; here written out.
    padded = np.pad(image.astype(float), radius, constant_values=np.inf)
    eroded = ndimage.grey_erosion(padded, footprint=footprint, mode="constant", cval=np.inf)
    eroded = eroded[radius:-radius, radius:-radius]
    padded = np.pad(eroded, radius, constant_values=-np.inf)
    opened = ndimage.grey_dilation(padded, footprint=footprint, mode="constant", cval=-np.inf)
    expected = image - opened[radius:-radius, radius:-radius]
    np.testing.assert_array_equal(tophat(image, radius_px=radius, shape=shape), expected)


def test_no_more_of_a_footprint_is_used_than_the_plane_shows():
    from hcs_gpu_kernels.primitives import numpy as primitives

    near = primitives._within_reach(primitives.disk(1000), (256, 200))
    assert near.shape == (2 * 255 + 1, 2 * 199 + 1)
    assert near.all()


@pytest.mark.parametrize("radius", ["25", 2.5, None, -1, 1001])
def test_impossible_radii_are_refused_in_one_line(radius):
    with pytest.raises(ValueError, match="radius_px must be") as caught:
        tophat(np.zeros((4, 4), np.uint8), radius_px=radius)
    assert "\n" not in str(caught.value)


def test_unknown_footprints_are_refused():
    with pytest.raises(ValueError, match="disk, square"):
        tophat(np.zeros((4, 4), np.uint8), shape="star")


@given(st.integers(0, 5), st.integers(0, 49_000))
def test_tophat_does_not_see_an_offset(radius: int, offset: int):
    image = noise("uint16", (11, 13)) // 4
    moved = image + np.uint16(offset)
    np.testing.assert_array_equal(tophat(moved, radius_px=radius), tophat(image, radius_px=radius))

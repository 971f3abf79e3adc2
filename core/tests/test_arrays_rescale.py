"""Values change their dtype by value or by range, as exact arithmetic says, or not at all."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
import warnings
from fractions import Fraction
from math import floor, inf, isfinite, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hcs_core.arrays import Recorder, convert, describe, empty
from hcs_core.arrays._adapters import adapter_for
from hcs_core.arrays._recorder import Rescaling
from hcs_core.arrays.rescaling import _blockwise
from hcs_core.arrays.rescaling._blockwise import HOST_BLOCK, rescaled_on_device, runs_on_device
from hcs_core.arrays.rescaling._rescale import rescale, value_range
from hcs_core.arrays.rescaling._scaling import Rule
from hcs_core.errors import (
    DtypeError,
    ParameterError,
    UnscalableValuesError,
    UnsupportedArrayError,
)

UNSIGNED = ("bool", "uint8", "uint16", "uint32", "uint64")
SIGNED = ("int8", "int16", "int32", "int64")
INTEGERS = (*UNSIGNED, *SIGNED)
FLOATS = ("float16", "bfloat16", "float32", "float64")
DTYPES = (*INTEGERS, *FLOATS)

# Bits of the significand, and the exponent of the least positive number.
FLOAT_BITS = {
    "float16": (11, -24),
    "bfloat16": (8, -133),
    "float32": (24, -149),
    "float64": (53, -1074),
}
FLOAT_MAX = {
    "float16": 65504,
    "bfloat16": (2**8 - 1) * 2**120,
    "float32": (2**24 - 1) * 2**104,
    "float64": (2**53 - 1) * 2**971,
}


def kind_of(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        name = pytest.importorskip("ml_dtypes").bfloat16
    kind: np.dtype[Any] = np.dtype(name)
    return kind


def range_of(name: str) -> tuple[int, int]:
    if name == "bool":
        return 0, 1
    if name in FLOATS:
        return -FLOAT_MAX[name], FLOAT_MAX[name]
    bits = int(name.lstrip("uint"))
    return (0, 2**bits - 1) if name in UNSIGNED else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def top_of(name: str) -> int:
    return 1 if name in FLOATS else range_of(name)[1]


def python_values(array: np.ndarray) -> list[Any]:
    wide = array.astype(np.float64) if array.dtype.name in FLOATS else array
    return [int(v) if isinstance(v, bool) else v for v in wide.ravel().tolist()]


# -- an independent implementation, in exact arithmetic --------------------------------------


def rounded_to(name: str, value: Any) -> Any:
    """Return the float of a dtype nearest to a rational, as a rational; infinities stay."""
    if isinstance(value, float) and not isfinite(value):
        return value
    value = Fraction(value)
    bits, least = FLOAT_BITS[name]
    exponent = least
    if value:
        size = abs(value)
        log = size.numerator.bit_length() - size.denominator.bit_length()
        log -= size < Fraction(2) ** log
        exponent = max(least, log - bits + 1)
    unit = Fraction(2) ** exponent
    nearest = round(value / unit) * unit  # Python rounds halves of fractions to even
    if abs(nearest) > FLOAT_MAX[name]:
        return inf if nearest > 0 else -inf
    return nearest


def saturated(name: str, value: Any) -> Any:
    low, high = range_of(name)
    if name in FLOATS and isinstance(value, float) and not isfinite(value):
        return value
    return min(max(value, low), high)


def expected(
    value: Any, source: str, target: str, mode: str, in_range: tuple[Any, Any] | None = None
) -> Any:
    """Return what becomes of one finite or infinite value."""
    wide = any(
        name in ("float64", "uint32", "uint64", "int32", "int64") for name in (source, target)
    )
    p = "float64" if wide else "float32"
    if in_range:
        low, high = in_range
        value = min(max(value, low), high) if mode == "stretch" else value
        difference = rounded_to(p, Fraction(value) - Fraction(low)) if isfinite(value) else value
        width = rounded_to(p, Fraction(high) - Fraction(low))
        value = rounded_to(p, difference / width) if isinstance(difference, Fraction) else value
        if target not in FLOATS:
            value = rounded_to(p, value * top_of(target))
    elif mode == "scale":
        if source in INTEGERS and target in INTEGERS:
            value = Fraction(value * top_of(target), top_of(source))
        elif source in INTEGERS:
            value = rounded_to(p, rounded_to(p, value) / rounded_to(p, top_of(source)))
        elif target in INTEGERS:
            factor = rounded_to(p, top_of(target))
            value = rounded_to(p, Fraction(value) * factor) if isfinite(value) else value
    if target in INTEGERS:
        return saturated(target, round(value) if isfinite(value) else value)
    value = saturated(target, value)
    return rounded_to(target, rounded_to("float32", value) if target == "bfloat16" else value)


def edges(name: str, other: str) -> np.ndarray:
    """Return the values at which something could go wrong between two dtypes, and random ones."""
    random = np.random.default_rng(7)
    kind = kind_of(name)
    low, high = range_of(name)
    if name in INTEGERS:
        marks = {0, 1, 2, low, low + 1, high, high - 1, high // 2, high // 2 + 1, high // 3}
        for bits in (1, 7, 8, 15, 16, 24, 25, 31, 32, 53, 54, 63):
            marks |= {s * 2**bits + d for s in (1, -1) for d in (-1, 0, 1)}
        steps = top_of(other) if other in INTEGERS else 7
        for step in {0, 1, steps // 2, steps - 1}:  # where the result goes from one to the next
            turn = floor(Fraction((2 * step + 1) * high, 2 * steps))
            marks |= {turn, turn + 1, -turn, -turn - 1}
        marks |= {int(v) for v in random.integers(0, high, 30, endpoint=True, dtype=np.uint64)}
        return np.array([m for m in sorted(marks) if low <= m <= high], kind)
    floats = [0.0, -0.0, 0.3, 0.5, 1.5, 2.5, -0.5, -1.5, 1.0, -1.0, 1.001, 1e-3, 254.5, 255.5, 256]
    floats += [65504, 65519, 65520, 65535.5, 65536, 2.0**31, 2.0**32, 2.0**63, 2.0**64, -(2.0**63)]
    floats += [2.0**63 - 1024, 2.0**64 - 2048, 2.0**31 - 1, 2.0**32 - 1, 1e30, -1e30, inf, -inf]
    floats += [1e-40, 3.4e38, -3.4e38, 3.4028235e38, 3.4028236e38, 1.7e308, FLOAT_MAX[name]]
    floats += [n + 0.5 for n in (-129, -1, 0, 126, 127, 32767)]
    floats += list(random.random(30)) + list(random.normal(0, 1e5, 30))
    with np.errstate(all="ignore"):
        return np.array(floats, np.float64).astype(kind)


PAIRS = [(source, target) for source in DTYPES for target in DTYPES]


@pytest.mark.parametrize("mode", ["preserve", "scale"])
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_every_pair_of_dtypes_agrees_with_exact_arithmetic(source, target, mode):
    array = edges(source, target)
    found = rescale(array, kind_of(target), mode=mode)
    assert found.dtype == kind_of(target)
    wanted = [expected(v, source, target, mode) for v in python_values(array)]
    assert python_values(found) == wanted, list(
        filter(lambda t: t[1] != t[2], zip(array, python_values(found), wanted, strict=True))
    )


@pytest.mark.parametrize("mode", ["scale", "stretch"])
@pytest.mark.parametrize("in_range", [(0, 1), (-3, 252), (100, 4095), (0.5, 0.75), (0, 65535)])
@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("source", ["uint8", "int16", "uint16", "float32", "int64", "float64"])
def test_a_given_range_agrees_with_exact_arithmetic(source, target, in_range, mode):
    array = edges(source, target)
    found = rescale(array, kind_of(target), mode=mode, in_range=in_range)
    wanted = [expected(v, source, target, mode, in_range) for v in python_values(array)]
    assert python_values(found) == wanted, list(
        filter(lambda t: t[1] != t[2], zip(array, python_values(found), wanted, strict=True))
    )


def test_a_range_far_from_zero_is_resolved_although_float64_does_not_hold_its_ends():
    low = 2**60 + 1
    array = np.array([low, low + 51, low + 255], np.int64)
    found = rescale(array, "uint8", mode="stretch", in_range=(low, low + 255))
    assert found.tolist() == [0, 51, 255]


# -- by hand ---------------------------------------------------------------------------------

TABLE = [
    ([0, 0.25, 0.5, 0.75, 1], [0, 64, 128, 191, 255]),
    ([0.2, 0.25, 0.3, 0.35, 0.4], [51, 64, 76, 89, 102]),
    ([-1, -0.5, 0, 0.5, 1], [0, 0, 0, 128, 255]),
    ([0, 0.5, inf, 1], [0, 128, 255, 255]),
    ([0, 0.5, -inf, 1], [0, 128, 0, 255]),
    ([0, 100, 70_000], [0, 255, 255]),
    ([0.5, 0.5], [128, 128]),
    ([300, 300], [255, 255]),
]


@pytest.mark.parametrize(("values", "wanted"), TABLE)
def test_floats_scaled_to_8_bits(values, wanted):
    assert rescale(np.array(values, np.float32), "uint8", mode="scale").tolist() == wanted


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 0.25, 0.5, 0.75, 1], [0, 0, 0, 1, 1]),
        ([0.5, 1.5, 2.5, 3.5], [0, 2, 2, 4]),
        ([-1, -0.5, 0, 0.5, 1], [0, 0, 0, 0, 1]),
        ([0, 0.5, inf, -inf], [0, 0, 255, 0]),
        ([0, 100, 70_000], [0, 100, 255]),
        ([300, 300], [255, 255]),
        ([254.5, 255.5, 254.6], [254, 255, 255]),
    ],
)
def test_floats_kept_by_value_in_8_bits(values, wanted):
    assert rescale(np.array(values, np.float32), "uint8", mode="preserve").tolist() == wanted


def test_a_stretch_maps_the_range_that_was_given_to_all_of_the_dtype():
    tile = np.array([10, 11, 12, 13], np.float32)
    stretched = rescale(tile, "uint16", mode="stretch", in_range=(10, 13))
    assert stretched.tolist() == [0, 21845, 43690, 65535]
    assert rescale(tile, "uint8", mode="stretch", in_range=(0, 255)).tolist() == [10, 11, 12, 13]


def test_a_stretch_ends_at_the_nominal_range_also_where_the_dtype_goes_on():
    values = np.array([-100, 0, 50, 100, 200], np.int16)
    as_float = rescale(values, "float32", mode="stretch", in_range=(0, 100))
    assert as_float.tolist() == [0, 0, 0.5, 1, 1]
    as_signed = rescale(values, "int8", mode="stretch", in_range=(0, 100))
    assert as_signed.tolist() == [0, 0, 64, 127, 127]
    assert rescale(values, "float32", mode="scale", in_range=(0, 100)).tolist() == [
        -1,
        0,
        0.5,
        1,
        2,
    ]


@pytest.mark.parametrize("values", [[5, 5], [0, 9], [-inf, inf]])
def test_a_stretch_of_a_range_without_width_is_zero(values):
    found = rescale(np.array(values, np.float32), "uint16", mode="stretch", in_range=(5, 5))
    assert found.tolist() == [0, 0]


def test_signed_integers_scale_by_their_non_negative_part():
    values = np.array([-32768, -32767, -1, 0, 16384, 32767], np.int16)
    assert rescale(values, "uint8", mode="scale").tolist() == [0, 0, 0, 0, 128, 255]
    assert rescale(values, "int8", mode="scale").tolist() == [-127, -127, 0, 0, 64, 127]
    assert rescale(values, "float32", mode="scale")[[1, 3, 5]].tolist() == [-1, 0, 1]
    deepest = np.array([-128, 127], np.int8)  # -128 * 32767 / 127 = -33025
    assert rescale(deepest, "int16", mode="scale").tolist() == [-32768, 32767]


def test_8_bits_to_16_and_back():
    assert rescale(np.array([0, 1, 2, 255], np.uint8), "uint16", mode="scale").tolist() == [
        0,
        257,
        514,
        65535,
    ]
    values = np.array([0, 128, 129, 385, 386, 1000, 65406, 65407, 65535], np.uint16)
    assert rescale(values, "uint8", mode="scale").tolist() == [0, 0, 1, 1, 2, 4, 254, 255, 255]


def test_a_boolean_is_an_integer_of_one_bit():
    mask = np.array([False, True])
    assert rescale(mask, "uint8", mode="scale").tolist() == [0, 255]
    assert rescale(mask, "uint8", mode="preserve").tolist() == [0, 1]
    assert rescale(mask, "int16", mode="scale").tolist() == [0, 32767]
    assert rescale(mask, "float32", mode="scale").tolist() == [0, 1]
    assert rescale(np.array([-3, 0, 1, 5], np.int32), "bool", mode="preserve").tolist() == [
        0,
        0,
        1,
        1,
    ]
    assert rescale(np.array([0.5, 0.7, -1], np.float32), "bool", mode="preserve").tolist() == [
        0,
        1,
        0,
    ]
    assert rescale(np.array([0, 127, 128], np.uint8), "bool", mode="scale").tolist() == [0, 0, 1]


def test_floats_too_great_for_a_narrower_dtype_become_its_greatest_and_infinity_stays():
    record = Recorder()
    values = np.array([65504, 65535, -1e300, inf, -inf, nan])
    found = rescale(values, "float16", mode="preserve", record=record)
    np.testing.assert_array_equal(
        found, np.array([65504, 65504, -65504, inf, -inf, nan], np.float16)
    )
    assert record.rescalings[0].saturated == 2


# -- laws ------------------------------------------------------------------------------------

ALL_16 = np.arange(65536, dtype=np.uint16)
ALL_8 = np.arange(256, dtype=np.uint8)


@pytest.mark.parametrize(
    ("values", "through"),
    [
        (ALL_8, "uint16"),
        (ALL_8, "uint32"),
        (ALL_8, "uint64"),
        (ALL_8, "float16"),
        (ALL_8, "float32"),
        (ALL_16, "float32"),
        (ALL_16, "float64"),
        (ALL_16, "uint32"),
        (ALL_16, "int32"),
        (np.delete(ALL_16.view(np.int16), 32768), "int32"),  # whose mirror of -32768 is no int32
        (ALL_16.view(np.int16), "float32"),
        (np.delete(ALL_16.view(np.int16), 32768), "int64"),
        (np.linspace(0, 2**32 - 1, 10**5).astype(np.uint32), "float64"),
        (np.linspace(0, 2**32 - 1, 10**5).astype(np.uint32), "uint64"),
    ],
)
def test_there_and_back_changes_nothing(values, through):
    there = rescale(values, through, mode="scale")
    np.testing.assert_array_equal(rescale(there, values.dtype, mode="scale"), values)


def test_all_16_bit_values_go_to_8_bits_by_the_nearest_fraction():
    wanted = [round(Fraction(value * 255, 65535)) for value in range(65536)]
    assert rescale(ALL_16, "uint8", mode="scale").tolist() == wanted
    wanted = [round(Fraction(value * 127, 32767)) for value in range(-32768, 32768)]
    values = np.arange(-32768, 32768, dtype=np.int16)
    assert rescale(values, "int8", mode="scale").tolist() == wanted


@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("source", DTYPES)
def test_the_ends_of_nominal_ranges_meet_exactly(source, target):
    ends = np.array([0, top_of(source)], kind_of(source))
    found = rescale(ends, kind_of(target), mode="scale")
    assert python_values(found) == [0, top_of(target)]
    assert python_values(rescale(ends, kind_of(target), mode="scale", strict=True))[1]


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    dtype = draw(st.sampled_from([d for d in DTYPES if d != "bfloat16"]))
    elements = {"allow_nan": False} if dtype in FLOATS else {}
    shape = hnp.array_shapes(min_dims=0, min_side=0, max_side=6)
    return draw(hnp.arrays(dtype, shape, elements=elements))


@given(arrays(), st.sampled_from([d for d in DTYPES if d != "bfloat16"]), st.data())
def test_order_is_kept(array, target, data):
    mode, in_range = data.draw(
        st.sampled_from(
            [("preserve", None), ("scale", None), ("scale", (3, 9)), ("stretch", (1, 5))]
        )
    )
    line = np.sort(array.ravel())
    found = rescale(line, target, mode=mode, in_range=in_range)
    assert (found[1:] >= found[:-1]).all()


@given(arrays(), st.sampled_from(INTEGERS), st.sampled_from(["preserve", "scale"]))
def test_any_layout_gives_what_c_order_gives_and_nothing_is_written_to_the_input(
    array, target, mode
):
    before = array.copy()
    array.flags.writeable = False
    wanted = rescale(before, target, mode=mode)
    for same in (array, np.array(array, order="F"), array.astype(array.dtype.newbyteorder(">"))):
        found = rescale(same, target, mode=mode)
        assert found.dtype == target
        assert found.shape == array.shape
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(rescale(array.T, target, mode=mode), wanted.T)
    np.testing.assert_array_equal(array, before)
    if array.ndim:
        np.testing.assert_array_equal(rescale(array[::-1], target, mode=mode), wanted[::-1])


@pytest.mark.parametrize("source", ["uint8", "int16", "uint16", "float16", "float32", "uint32"])
@pytest.mark.parametrize("target", ["bool", "uint8", "uint16", "int16", "uint64", "float32"])
def test_the_result_of_a_tile_is_the_tile_of_the_result(source, target):
    side = 1 + int(HOST_BLOCK**0.5)  # several blocks, and more elements than a table
    random = np.random.default_rng(3)
    if source.startswith("float"):
        image = random.normal(0.5, 0.5, (side, side)).astype(source)
    else:
        low, high = range_of(source)
        image = random.integers(low, high, (side, side), dtype=source, endpoint=True)
    rules: list[tuple[Any, Any]] = [("scale", None), ("preserve", None)]
    for mode, in_range in (*rules, ("stretch", value_range(image))):
        whole = rescale(image, target, mode=mode, in_range=in_range)
        tile = rescale(image[10:90, 7:50], target, mode=mode, in_range=in_range)
        np.testing.assert_array_equal(tile, whole[10:90, 7:50])


def test_planes_of_one_well_stay_comparable():
    dim, bright = (
        np.array([10, 11, 12, 13], np.float32),
        np.array([1000, 1001, 1002, 1003], np.float32),
    )
    modes: tuple[Any, ...] = ("preserve", "scale")
    for mode in modes:
        assert (
            rescale(dim, "uint16", mode=mode).tolist()
            == rescale(np.stack([dim, bright]), "uint16", mode=mode)[0].tolist()
        )
    assert rescale(dim, "uint16", mode="preserve").tolist() == [10, 11, 12, 13]


# -- what went wrong elsewhere ---------------------------------------------------------------


def test_a_blurred_image_keeps_its_mean():
    image = np.random.default_rng(1).poisson(500, (64, 64)).astype(np.uint16)
    blurred: np.ndarray = image.astype(np.float32)
    for axis in (0, 1):
        blurred = (np.roll(blurred, 1, axis) + blurred + np.roll(blurred, -1, axis)) / 3
    back = rescale(blurred, image.dtype, mode="preserve")
    assert back.dtype == np.uint16
    assert abs(back.mean() - image.mean()) < 0.5


def test_one_bad_pixel_does_not_change_the_others():
    values = np.array([100, nan, inf, 200], np.float32)
    assert rescale(values, "uint16", mode="preserve", nan="zero").tolist() == [100, 0, 65535, 200]


@pytest.mark.parametrize("target", ["int64", "uint64", "int32"])
def test_labels_that_went_through_floats_are_exact(target):
    labels = np.array([0, 1, 2, 1000, 2**24], np.int64)
    assert rescale(labels.astype(np.float32), target, mode="preserve").tolist() == labels.tolist()


@pytest.mark.parametrize("target", ["int8", "int16", "int32", "int64", "uint32", "uint64"])
def test_the_whole_of_an_integer_range_is_reached(target):
    found = rescale(np.array([-inf, -1e300, 1e300, inf]), target, mode="scale")
    low, high = range_of(target)
    assert found.tolist() == [low, low, high, high]


def test_a_constant_image_follows_the_same_formula():
    for value, wanted in ((100.5, 100), (-5, 0), (1e6, 65535)):
        assert rescale(np.full(3, value), "uint16", mode="preserve").tolist() == [wanted] * 3


def test_integers_that_do_not_fit_saturate_instead_of_wrapping():
    values = np.array([70_000, -1, 65_535], np.int32)
    assert rescale(values, "uint16", mode="preserve").tolist() == [65_535, 0, 65_535]


# -- NaN, strictness, record -----------------------------------------------------------------


@pytest.mark.parametrize("target", ["uint8", "int64", "bool"])
@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
def test_nan_is_refused_unless_it_is_said_what_becomes_of_it(source, target):
    values = np.array([nan, 1, nan], source)
    with pytest.raises(UnscalableValuesError, match=r"has no place for 2 NaN; .*nan='zero'"):
        rescale(values, target, mode="preserve")
    assert rescale(values, target, mode="preserve", nan="zero").tolist() == [0, 1, 0]
    assert rescale(values, target, mode="preserve", nan=1).tolist() == [1, 1, 1]


def test_a_number_for_nan_is_meant_in_the_result_and_not_scaled():
    values = np.array([nan, 1], np.float32)
    assert rescale(values, "uint8", mode="scale", nan=7).tolist() == [7, 255]
    in_range = (0, 1)
    assert rescale(values, "uint8", mode="stretch", in_range=in_range, nan=7).tolist() == [7, 255]


def test_nan_stays_nan_among_floats():
    assert np.isnan(rescale(np.array([nan]), "float32", mode="scale")).all()


@pytest.mark.parametrize("number", [0.5, nan, inf, 256, -1, 10**400, "nothing", None])
def test_what_stands_for_nan_must_be_a_whole_number_of_the_target(number):
    with pytest.raises(ParameterError, match="whole number that uint8"):
        rescale(np.array([1], np.float32), "uint8", mode="preserve", nan=number)


def test_a_number_for_nan_that_float64_would_change_is_refused():
    with pytest.raises(ParameterError, match="float64"):
        rescale(np.array([nan], np.float32), "int64", mode="preserve", nan=2**53 + 1)


@pytest.mark.parametrize(
    ("values", "mode", "in_range", "count"),
    [
        (np.array([-0.4, 255.4, 0], np.float32), "preserve", None, 0),
        (np.array([-0.6, 255.6, inf], np.float32), "preserve", None, 3),
        (np.array([-0.5, 0.5, 1.1], np.float32), "scale", None, 2),
        (np.array([0, 4, 6], np.float32), "stretch", (1, 5), 2),
        (np.array([5, 6], np.float32), "stretch", (5, 5), 1),
        (np.array([-1, 0, 300], np.int16), "preserve", None, 2),
        (np.array([-100, 0, 300], np.int16), "scale", None, 1),
        (np.array([-(2**60), 2**62], np.int64), "scale", None, 1),
        (np.repeat(np.array([9, 300], np.uint16), 40_000), "preserve", None, 40_000),
        (np.repeat(np.array([-300, 300], np.int16), 40_000), "scale", None, 40_000),
    ],
)
def test_what_lay_outside_is_counted_and_strictness_refuses_it(values, mode, in_range, count):
    record = Recorder()
    rescale(values, "uint8", mode=mode, in_range=in_range, record=record)
    source = values.dtype.name
    assert record.rescalings == [Rescaling(mode, source, "uint8", in_range, count, 0)]
    if not count:
        rescale(values, "uint8", mode=mode, in_range=in_range, strict=True)
        return
    with pytest.raises(UnscalableValuesError, match=f"has no place for {count} of .*strict=False"):
        rescale(values, "uint8", mode=mode, in_range=in_range, strict=True)


def test_2_to_the_63_is_outside_of_int64_by_value():
    record = Recorder()
    values = np.array([2.0**63 - 1024, 2.0**63, -(2.0**63), -(2.0**63) - 2048])
    found = rescale(values, "int64", mode="preserve", record=record)
    assert found.tolist() == [2**63 - 1024, 2**63 - 1, -(2**63), -(2**63)]
    assert record.rescalings[0].saturated == 2


def test_the_record_counts_nan_and_tells_the_range_that_was_taken_from_the_array():
    record = Recorder()
    values = np.array([10, nan, 13, -inf, 11], np.float32)
    found = rescale(values, "uint8", mode="stretch", in_range="array", nan=1, record=record)
    assert found.tolist() == [0, 1, 255, 0, 85]
    assert record.rescalings == [Rescaling("stretch", "float32", "uint8", (10, 13), 1, 1)]


def test_nan_of_half_floats_is_counted_in_a_large_image_too():
    image = np.full((300, 300), nan, np.float16)
    image[0] = 2
    record = Recorder()
    found = rescale(image, "uint8", mode="preserve", nan=9, record=record)
    assert (found[0] == 2).all()
    assert (found[1:] == 9).all()
    assert record.rescalings[0].nans == 299 * 300


# -- ranges ----------------------------------------------------------------------------------


def test_one_range_serves_all_tiles_of_a_well():
    tiles = [
        np.array([[5, 9]], np.uint16),
        np.array([[700]], np.uint16),
        np.zeros((0, 2), np.uint16),
    ]
    assert value_range(*tiles) == (5, 700)
    assert value_range(np.array([2**63 - 1, 2**62], np.int64)) == (2**62, 2**63 - 1)
    assert value_range(np.array([True, True])) == (1, 1)
    assert value_range(np.array([nan, 0.5, inf], np.float16), np.array([-3], np.int8)) == (-3, 0.5)
    large = np.arange(300_000, dtype=">f4")[::-1].reshape(300, 1000)
    assert value_range(large) == (0, 299_999)


@pytest.mark.parametrize("arrays", [(), (np.array([nan, inf], np.float32),), (np.zeros((0, 3)),)])
def test_a_range_is_never_invented(arrays):
    with pytest.raises(ParameterError, match="finite value"):
        value_range(*arrays)


def test_an_array_of_nan_cannot_be_stretched_by_its_own_range():
    with pytest.raises(ParameterError, match="finite value"):
        rescale(np.array([nan], np.float32), "uint8", mode="stretch", in_range="array", nan="zero")


# -- what is given back ----------------------------------------------------------------------


def test_native_returns_the_array_itself():
    values = np.array([0.5, nan], np.float32)
    record = Recorder()
    assert rescale(values, mode="native", record=record) is values
    assert rescale(values, "uint8", mode="native") is values
    assert record.rescalings == [Rescaling("native", "float32", "float32", None, 0, 0)]


@pytest.mark.parametrize("mode", ["preserve", "scale"])
def test_an_array_that_has_the_dtype_is_returned_itself(mode):
    values = np.array([1, 2], np.uint16)
    assert rescale(values, "uint16", mode=mode) is values
    foreign = values.astype(">u2")
    found = rescale(foreign, "uint16", mode=mode)
    assert found.dtype.isnative
    assert found.tolist() == [1, 2]


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0, 4), (1,)])
@pytest.mark.parametrize("mode", ["preserve", "scale", "stretch"])
def test_arrays_without_axes_or_without_elements_keep_their_shape(shape, mode):
    in_range: Any = "array" if mode == "stretch" else None
    record = Recorder()
    found = rescale(np.ones(shape), "uint8", mode=mode, in_range=in_range, record=record)
    assert found.shape == shape
    assert found.dtype == np.uint8
    if not found.size and mode == "stretch":
        assert record.rescalings[0].in_range is None


def test_the_result_is_a_writable_array_of_its_own_in_aligned_memory():
    found = rescale(np.ones((50, 50), np.uint8), "uint16", mode="scale")
    assert found.flags.writeable
    assert found.flags.c_contiguous
    assert found.ctypes.data % 64 == 0


def test_memory_is_taken_for_the_result_and_for_little_more():
    image = empty((4, 2048, 2048), np.float32)
    image[...] = 0.5
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        found = rescale(image, "uint16", mode="scale")
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert found.nbytes <= peak < 1.2 * found.nbytes


def test_overflow_is_counted_without_a_warning():
    record = Recorder()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        half = rescale(np.array([1e308, -1e308, inf]), "float16", mode="preserve", record=record)
        single = rescale(np.array([3e38], np.float32), "uint16", mode="scale", record=record)
        wide = rescale(
            np.array([1.7e308]), "uint16", mode="scale", in_range=(-1e307, 1), record=record
        )
    assert half.tolist() == [65504, -65504, inf]  # the greatest that float16 has
    assert (single.tolist(), wide.tolist()) == ([65535], [65535])
    assert [each.saturated for each in record.rescalings] == [2, 1, 1]


# -- refusals --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"dtype": "uint8", "mode": "auto"},
            "mode must be one of native, preserve, scale, stretch",
        ),
        ({"mode": "scale"}, "dtype must be given"),
        ({"dtype": "uint8", "mode": "stretch"}, "in_range must be a pair, or 'array'"),
        (
            {"dtype": "uint8", "mode": "preserve", "in_range": (0, 1)},
            "left out with mode='preserve'",
        ),
        ({"mode": "native", "in_range": (0, 1)}, "left out with mode='native'"),
        ({"dtype": "uint8", "mode": "scale", "in_range": "array"}, "two numbers"),
        ({"dtype": "uint8", "mode": "scale", "in_range": (1, 1)}, "a lesser and a greater number"),
        (
            {"dtype": "uint8", "mode": "stretch", "in_range": (2, 1)},
            "a lesser and a greater number",
        ),
        (
            {"dtype": "uint8", "mode": "scale", "in_range": (0, nan)},
            "a lesser and a greater number",
        ),
        ({"dtype": "uint8", "mode": "scale", "in_range": (0, inf)}, "finite numbers"),
        ({"dtype": "uint8", "mode": "scale", "in_range": (-1.7e308, 1.7e308)}, "so far apart"),
        ({"dtype": "uint8", "mode": "scale", "in_range": (0, 10**400)}, "finite numbers"),
        ({"dtype": "uint8", "mode": "scale", "in_range": (0, 1, 2)}, "two numbers"),
        ({"dtype": "uint8", "mode": "scale", "in_range": 5}, "two numbers"),
        ({"dtype": "uint8", "mode": "scale", "in_range": ("0", "1")}, "two numbers"),
    ],
)
def test_arguments_that_do_not_fit_together_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        rescale(np.array([0, 1], np.float32), **arguments)


def test_complex_numbers_text_and_other_things_are_refused():
    with pytest.raises(DtypeError, match="real numbers and booleans, got complex64"):
        rescale(np.zeros(2, np.complex64), "uint8", mode="scale")
    with pytest.raises(DtypeError, match="real numbers and booleans, got complex128"):
        rescale(np.zeros(2), complex, mode="scale")
    with pytest.raises(UnsupportedArrayError, match="not numbers"):
        rescale(np.array(["a"]), "uint8", mode="scale")
    with pytest.raises(DtypeError, match="uint7"):
        rescale(np.zeros(2), "uint7", mode="scale")
    with pytest.raises(DtypeError):
        value_range(np.zeros(2, np.complex64))
    with pytest.raises(UnsupportedArrayError):
        rescale([1, 2], "uint8", mode="scale")
    with pytest.raises(UnsupportedArrayError, match="mask"):
        rescale(np.ma.masked_array([1.0, 2.0], [False, True]), "uint8", mode="scale")


# -- the same formula on the namespaces of devices ---------------------------------------------


def namespace(name: str) -> Any:
    """Return a module of the array API standard, and how a NumPy array becomes one of its."""
    if name == "numpy":
        return np, np.asarray
    if name == "jax":
        jax = pytest.importorskip("jax")
        return jax.numpy, jax.numpy.asarray
    xp = pytest.importorskip(f"array_api_compat.{name}" if name == "torch" else name)
    if name == "torch":
        import ml_dtypes  # noqa: F401 - as a reason to skip, should it be missing

        torch = pytest.importorskip("torch")
        return xp, lambda a: _torch_tensor(torch, a)
    return xp, xp.asarray


def _torch_tensor(torch: Any, array: np.ndarray) -> Any:
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.uint16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


def _host(array: Any, kind: np.dtype[Any]) -> np.ndarray:
    if kind.name == "bfloat16" and hasattr(array, "view") and not hasattr(array, "astype"):
        array = array.float()
    return np.asarray(array).astype(kind)


RULES: list[tuple[Any, tuple[float, float] | None]] = [
    ("preserve", None),
    ("scale", None),
    ("scale", (100, 4095)),
    ("stretch", (0.25, 0.75)),
]


@pytest.mark.parametrize("library", ["numpy", "jax", "torch", "array_api_strict"])
@pytest.mark.parametrize("target", ["bool", "uint8", "uint16", "int16", "int32", "float32"])
@pytest.mark.parametrize(
    "source",
    ["bool", "uint8", "int8", "uint16", "int16", "int32", "float16", "bfloat16", "float32"],
)
def test_every_namespace_computes_what_numpy_computes(library, source, target):
    xp, from_numpy = namespace(library)
    if library == "array_api_strict" and {source, target} & {"float16", "bfloat16"}:
        pytest.skip("array_api_strict has no floats of 16 bits")
    kind = kind_of(source)
    values = edges(source, target)
    if source in FLOATS:
        values = np.append(values, np.array([nan], kind))
    values = np.resize(values, (3, -(-len(values) // 3)))
    for mode, in_range in RULES:
        rule = Rule(mode, kind, kind_of(target), in_range, nan=1)
        if rule.is_identity or not runs_on_device(rule, has_float64=library != "jax"):
            continue
        with np.errstate(all="ignore"):
            found, tally = rescaled_on_device(xp, from_numpy(values), rule, from_numpy)
        record = Recorder()
        wanted = rescale(
            values, kind_of(target), mode=mode, in_range=in_range, nan=1, record=record
        )
        np.testing.assert_array_equal(_host(found, wanted.dtype), wanted, strict=True)
        told = record.rescalings[0]
        assert (tally.saturated, tally.nans) == (told.saturated, told.nans)


def test_a_device_works_through_a_large_array_in_several_blocks(monkeypatch):
    monkeypatch.setattr(_blockwise, "DEVICE_BLOCK", 100)
    values = np.arange(-500, 500, dtype=np.int16).reshape(10, 100)[:, ::-1]
    for array in (values, values.astype(np.float32) + 0.25):
        rule = Rule("preserve", array.dtype, np.dtype(np.uint8))
        found, tally = rescaled_on_device(np, array, rule, np.asarray)
        assert found.tolist() == np.clip(values, 0, 255).tolist()
        assert tally.saturated == 500 + 244
        assert _blockwise.finite_range_on_device(np, array, array.dtype) == value_range(array)


@pytest.mark.gpu
@pytest.mark.parametrize("framework", ["torch", "cupy", "jax"])
@pytest.mark.parametrize(("mode", "in_range"), RULES)
def test_a_gpu_gives_bit_for_bit_what_numpy_gives(framework, mode, in_range):
    pytest.importorskip(framework)
    adapter = adapter_for(framework)
    device = next((name for name in adapter.devices() if name != "cpu"), None)
    if device is None:
        pytest.skip(f"{framework} sees no GPU")
    able = sorted(adapter.capabilities().dtypes.intersection(DTYPES))
    for source in able:
        for target in able:
            values = edges(source, target)
            array = convert(values, framework, device=device)
            found = rescale(array, kind_of(target), mode=mode, in_range=in_range)
            wanted = rescale(values, kind_of(target), mode=mode, in_range=in_range)
            assert describe(found).device == device
            assert convert(found, "numpy").tobytes() == wanted.tobytes(), (source, target)
        assert value_range(array) == value_range(values)


def test_rescaling_imports_no_framework():
    code = (
        "import sys, numpy as np\n"
        "from hcs_core.arrays.rescaling._rescale import rescale\n"
        "rescale(np.ones(3), 'uint8', mode='scale')\n"
        "print(sorted({'torch','jax','tensorflow','pyclesperanto','cupy','ml_dtypes'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("count", [1, 300])
@pytest.mark.parametrize("mode", ["preserve", "scale"])
def test_a_mask_of_other_bytes_than_0_and_1_is_a_mask(count, mode):
    mask = np.array([0, 255, 1] * count, np.uint8).view(bool)
    top = 255 if mode == "scale" else 1
    assert rescale(mask, "uint8", mode=mode).tolist() == [0, top, top] * count
    assert value_range(mask) == (0, 1)

"""Arrays change hands without a copy that was not asked for, and without a changed value."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hcs_core.arrays import (
    ALIGNMENT,
    ARRAYS,
    ArrayAdapter,
    ArrayInfo,
    Capabilities,
    convert,
    describe,
    detect,
    empty,
    is_exact,
)
from hcs_core.arrays.frameworks.numpy import NumpyAdapter
from hcs_core.errors import (
    CopyRequiredError,
    DeviceNotFoundError,
    DtypeError,
    LossyConversionError,
    UnknownPluginError,
    UnsupportedArrayError,
)

PLANE = np.arange(48, dtype=np.uint16).reshape(6, 8)
LAYOUTS = {
    "C order": PLANE,
    "Fortran order": np.asfortranarray(PLANE),
    "negative strides": PLANE[::-1, ::-1],
    "every second": PLANE[::2, ::3],
    "transposed": PLANE.T,
    "broadcast": np.broadcast_to(PLANE[0], (4, 8)),
    "no axes": np.array(7, np.uint16),
    "no elements": np.zeros((0, 3), np.uint16),
    "one element": np.array([[5]], np.uint16),
    "big-endian": PLANE.astype(">u2"),
}


def address(array: np.ndarray) -> int:
    pointer: int = array.__array_interface__["data"][0]
    return pointer


# -- describe -------------------------------------------------------------------------------


def test_an_array_is_described_without_touching_it():
    info = describe(PLANE)
    assert (info.framework, info.shape, info.dtype, info.device) == (
        "numpy",
        (6, 8),
        "uint16",
        "cpu",
    )
    assert (info.strides, info.pointer, info.nbytes) == ((16, 2), address(PLANE), 96)
    assert not info.readonly


def test_a_view_is_described_by_its_own_first_element():
    info = describe(PLANE[::-1, 1:])
    assert info.pointer == address(PLANE) + 5 * 16 + 2
    assert info.strides == (-16, 2)


def test_a_read_only_array_is_described_as_such():
    locked = PLANE.copy()
    locked.flags.writeable = False
    assert describe(locked).readonly


@pytest.mark.parametrize("value", [[[1, 2]], 3, None, "text", memoryview(b"ab"), np.float64(1)])
def test_what_is_no_array_is_refused_by_its_type(value):
    with pytest.raises(UnsupportedArrayError, match=type(value).__name__):
        detect(value)


# -- convert --------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("copy", [None, True, False])
def test_every_layout_keeps_its_values_shape_and_dtype(layout, copy):
    source = LAYOUTS[layout]
    before = source.copy()
    result = convert(source, "numpy", copy=copy)
    assert (result.shape, result.dtype) == (source.shape, source.dtype)
    np.testing.assert_array_equal(result, before)
    np.testing.assert_array_equal(source, before)
    if source.size:
        assert (address(result) == address(source)) is (copy is not True)
        assert np.shares_memory(result, source) is (copy is not True)
    if copy is True:
        assert result is not source


def test_the_same_framework_without_a_copy_is_the_array_itself():
    assert convert(PLANE, "numpy") is PLANE
    assert convert(PLANE, "numpy", copy=False) is PLANE
    assert convert(PLANE, "numpy", dtype="uint16") is PLANE


def test_a_copy_is_aligned_writable_and_of_its_own():
    locked = PLANE.copy()
    locked.flags.writeable = False
    result = convert(locked, "numpy", copy=True)
    assert address(result) % ALIGNMENT == 0
    result[0, 0] = 99
    assert locked[0, 0] == 0


def test_a_view_of_read_only_memory_stays_read_only():
    locked = PLANE.copy()
    locked.flags.writeable = False
    for copy in (None, False):
        assert not convert(locked, "numpy", copy=copy).flags.writeable


def test_a_memory_map_becomes_a_plain_view_of_it(tmp_path):
    np.save(tmp_path / "a.npy", PLANE)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    result = convert(mapped, "numpy", copy=False)
    assert type(result) is np.ndarray
    assert address(result) == address(mapped)
    assert not result.flags.writeable


def test_a_masked_array_is_refused_because_its_mask_would_be_lost():
    masked = np.ma.masked_greater(PLANE, 3)
    for copy in (None, True, False):
        with pytest.raises(UnsupportedArrayError, match="mask would be lost"):
            convert(masked, "numpy", copy=copy)


def test_an_array_of_objects_is_refused():
    with pytest.raises(UnsupportedArrayError, match="an array of object: its elements are not"):
        convert(np.array([object()]), "numpy")
    with pytest.raises(DtypeError, match="numbers and booleans"):
        convert(PLANE, "numpy", dtype=object)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("bool", "uint8"),
        ("uint8", "float16"),
        ("uint16", "float32"),
        ("int32", "float64"),
        ("uint32", "int64"),
        ("float32", "float64"),
        ("uint16", ">u2"),
        ("float64", "complex128"),
    ],
)
def test_a_dtype_that_holds_all_values_is_allowed(source, target):
    assert is_exact(source, target)
    values = np.array([0, 1, 1, 0], source)
    result = convert(values, "numpy", dtype=target)
    assert result.dtype == target
    np.testing.assert_array_equal(result, values)
    assert address(result) % ALIGNMENT == 0


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("uint16", "uint8"),
        ("uint16", "int16"),
        ("int8", "uint8"),
        ("uint16", "float16"),
        ("int32", "float32"),
        ("int64", "float64"),  # NumPy calls it safe; 2**53 + 1 is none of its values
        ("uint64", "float64"),
        ("int64", "complex128"),
        ("float64", "float32"),
        ("float32", "int64"),
        ("complex64", "float32"),
        ("uint8", "bool"),
    ],
)
def test_a_dtype_that_could_change_a_value_is_refused_unless_asked_for(source, target):
    assert not is_exact(np.dtype(source), target)
    values = np.array([0, 1], source)
    with pytest.raises(LossyConversionError, match=f"{source} to {target}"):
        convert(values, "numpy", dtype=target)
    if source != "complex64":  # NumPy warns of the lost part
        assert convert(values, "numpy", dtype=target, casting="unsafe").dtype == target


def test_numpys_weaker_rules_can_be_asked_for():
    exact = np.array([2**53], np.int64)
    assert convert(exact, "numpy", dtype="float64", casting="same_kind")[0] == 2.0**53
    with pytest.raises(LossyConversionError):
        convert(PLANE, "numpy", dtype="uint32", casting="no")


def test_copy_false_with_another_dtype_is_refused_before_anything_is_copied():
    with pytest.raises(CopyRequiredError, match="its dtype differs"):
        convert(PLANE, "numpy", dtype="float32", copy=False)


def test_an_unknown_framework_or_device_names_what_there_is():
    with pytest.raises(UnknownPluginError, match="did you mean 'numpy'"):
        convert(PLANE, "nunpy")
    with pytest.raises(DeviceNotFoundError, match="cuda:0"):
        convert(PLANE, "numpy", device="cuda:0")
    assert convert(PLANE, "numpy", device="cpu") is PLANE


@given(
    values=hnp.arrays(
        hnp.integer_dtypes() | hnp.unsigned_integer_dtypes(), hnp.array_shapes(max_dims=2)
    ),
    target=st.sampled_from(["float16", "float32", "float64"]),
)
def test_no_safe_conversion_of_integers_to_floats_changes_a_value(values, target):
    try:
        result = convert(values, "numpy", dtype=target)
    except LossyConversionError:
        return
    assert [int(value) for value in result.flat] == [int(value) for value in values.flat]


# -- adapters -------------------------------------------------------------------------------


class _Copying(NumpyAdapter):
    """A framework that cannot share memory, as a device with memory of its own."""

    name = "copying"
    module_names = ("numpy",)

    def owns(self, value: object) -> bool:
        return False

    def from_host(self, array: Any, device: str) -> Any:
        return array.copy()


def test_copy_false_is_checked_by_address_and_not_believed():
    with ARRAYS.overrides(copying=_Copying):
        assert convert(PLANE, "copying").tolist() == PLANE.tolist()
        with pytest.raises(CopyRequiredError, match="without a copy"):
            convert(PLANE, "copying", copy=False)
        assert convert(PLANE[:0], "copying", copy=False).shape == (0, 8)  # no memory to share


class _Kept:
    """An array that remembers what it was made of."""

    def __init__(self, host: np.ndarray) -> None:
        self.host = host


class _KeptAdapter(NumpyAdapter):
    name = "kept"

    def owns(self, value: object) -> bool:
        return isinstance(value, _Kept)

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), layout="c", alignment=ALIGNMENT)

    def from_host(self, array: np.ndarray, device: str) -> Any:
        return _Kept(array)


class _DistantAdapter(NumpyAdapter):
    """NumPy arrays that seem to lie on a device; they come to the host unaligned."""

    def describe(self, array: np.ndarray) -> ArrayInfo:
        return super().describe(array)._replace(device="cuda:0", pointer=0)

    def to_host(self, array: np.ndarray) -> np.ndarray:
        copy = empty((array.size + 1,), array.dtype)[1:].reshape(array.shape)
        copy[...] = array
        return copy


def test_what_comes_from_a_device_reaches_a_framework_as_its_capabilities_say():
    with ARRAYS.overrides(numpy=_DistantAdapter, kept=_KeptAdapter):
        kept = convert(PLANE, "kept")
    assert address(kept.host) % ALIGNMENT == 0
    np.testing.assert_array_equal(kept.host, PLANE)


def test_an_array_whose_adapter_is_gone_is_refused_by_its_type():
    array = _Kept(PLANE)
    with ARRAYS.overrides(kept=_KeptAdapter):
        assert detect(array) == "kept"
    with pytest.raises(UnsupportedArrayError, match="_Kept"):
        detect(array)


def test_a_broken_adapter_breaks_only_itself(tmp_path, monkeypatch):
    metadata = tmp_path / "acme-1.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("[hcs.arrays.v1]\naaa = no_such_module:A\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    ARRAYS.refresh()
    try:
        assert "aaa" in ARRAYS  # asked before numpy
        assert detect(PLANE) == "numpy"
    finally:
        monkeypatch.undo()
        ARRAYS.refresh()


def test_an_array_of_a_subclass_elsewhere_is_still_found():
    class Image(np.ndarray):
        pass

    assert detect(PLANE.view(Image)) == "numpy"
    assert type(convert(PLANE.view(Image), "numpy")) is np.ndarray


def test_an_adapter_that_lacks_a_method_cannot_be_made():
    half = type("Half", (ArrayAdapter,), {"name": "half", "module_names": ()})
    with pytest.raises(TypeError, match="abstract"):
        half()


def test_detecting_and_describing_import_no_framework():
    script = (
        "import sys, numpy; from hcs_core.arrays import describe, convert;"
        "describe(numpy.zeros(3)); convert(numpy.zeros(3), 'numpy', copy=True);"
        "print([m for m in ('torch', 'jax', 'cupy', 'tensorflow', 'pyclesperanto', 'zarr')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# -- empty ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 5), (1024, 1024)])
@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "float32", "complex128", ">u2"])
@pytest.mark.parametrize("align", [1, 64, 4096])
def test_an_empty_array_is_aligned_writable_and_in_c_order(shape, dtype, align):
    array = empty(shape, dtype, align=align)
    assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
    assert address(array) % align == 0
    assert array.flags.c_contiguous
    assert array.flags.writeable
    array[...] = 1
    assert (array == 1).all()


def test_an_empty_array_may_have_no_elements():
    assert empty((0, 5), "uint16").shape == (0, 5)


@pytest.mark.parametrize(
    ("shape", "dtype", "align", "reason"),
    [
        ((3,), object, 64, "objects"),
        ((3,), [("a", object)], 64, "objects"),
        ((3,), "u1", 48, "power of two"),
        ((3,), "u1", 0, "power of two"),
        ((-1, 4), "u1", 64, "negative"),
        ((-2, -2), "u1", 64, "negative"),
    ],
)
def test_an_empty_array_that_makes_no_sense_is_refused(shape, dtype, align, reason):
    with pytest.raises(ValueError, match=reason):
        empty(shape, dtype, align=align)

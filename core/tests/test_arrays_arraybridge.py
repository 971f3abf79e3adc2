"""A program that uses arraybridge finds its names here, with their meaning."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from hcs_core.arrays import ARRAYS, ArrayAdapter, ArrayInfo, Capabilities, convert, describe
from hcs_core.arrays._arraybridge import (
    MemoryType,
    convert_memory,
    detect_memory_type,
    stack_slices,
    unstack_slices,
)
from hcs_core.errors import (
    DeviceNotFoundError,
    DtypeError,
    LossyConversionError,
    ParameterError,
    ShapeError,
    UnknownPluginError,
    UnsupportedArrayError,
)

PLANE = np.arange(12, dtype=np.uint16).reshape(3, 4)
needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")
needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed")


class Far:
    """An array on an accelerator."""

    def __init__(self, host: Any, device: str) -> None:
        self.host, self.device = host, device


class FarAdapter(ArrayAdapter):
    """A framework of a CPU and two accelerators."""

    name = "far"
    module_names = ("far_module",)

    def is_loaded(self) -> bool:
        return True

    def owns(self, value: object) -> bool:
        return isinstance(value, Far)

    def capabilities(self) -> Capabilities:
        return Capabilities(dtypes=frozenset(("uint16",)))

    def describe(self, array: Any) -> ArrayInfo:
        return describe(array.host)._replace(framework="far", device=array.device, pointer=0)

    def to_host(self, array: Any) -> Any:
        return array.host.copy()

    def from_host(self, array: Any, device: str) -> Any:
        return Far(array.copy(), device)

    def devices(self) -> tuple[str, ...]:
        return ("cpu", "far:0", "far:1")


@pytest.fixture
def far() -> Iterator[None]:
    with ARRAYS.overrides(far=FarAdapter):
        yield


# -- MemoryType -----------------------------------------------------------------------------


def test_the_memory_types_are_those_of_arraybridge():
    assert [(each.name, each.value) for each in MemoryType] == [
        ("NUMPY", "numpy"),
        ("CUPY", "cupy"),
        ("TORCH", "torch"),
        ("TENSORFLOW", "tensorflow"),
        ("JAX", "jax"),
        ("PYCLESPERANTO", "pyclesperanto"),
    ]
    assert MemoryType("torch") is MemoryType["TORCH"] is MemoryType.TORCH
    assert pickle.loads(pickle.dumps(MemoryType.JAX)) is MemoryType.JAX  # noqa: S301


def test_a_memory_type_is_its_name_and_a_framework_of_the_core():
    assert [f"{each}" for each in MemoryType] == [each.value for each in MemoryType]
    assert isinstance(MemoryType.NUMPY, str)
    assert set(MemoryType) <= set(ARRAYS)


# -- convert_memory and detect_memory_type --------------------------------------------------


@pytest.mark.parametrize("name", ["numpy", MemoryType.NUMPY])
def test_what_is_there_already_is_the_array_itself(name: str):
    assert convert_memory(PLANE, name, name, "cpu") is PLANE
    assert convert_memory(data=PLANE, source_type=name, target_type=name, device="cpu") is PLANE


def test_the_framework_of_an_array_is_named_by_a_text():
    found = detect_memory_type(PLANE)
    assert (found, type(found)) == ("numpy", str)
    assert found == MemoryType.NUMPY.value


def test_an_array_of_another_framework_than_was_said_is_refused():
    with pytest.raises(ParameterError, match="source_type must be 'numpy', of which the array"):
        convert_memory(PLANE, "torch", "numpy", "cpu")


def test_what_is_no_array_or_no_framework_is_refused():
    with pytest.raises(UnsupportedArrayError, match="list"):
        detect_memory_type([[1, 2]])
    with pytest.raises(UnknownPluginError, match="did you mean 'numpy'"):
        convert_memory(PLANE, "numpy", "nunpy", "cpu")


@pytest.mark.parametrize("asked", [{"device": 1}, {"gpu_id": 1}, {"device": "far:1"}])
def test_a_device_is_a_name_or_the_number_of_an_accelerator(far: None, asked: dict[str, Any]):
    result = convert_memory(PLANE, "numpy", "far", **asked)
    assert (result.device, result.host.tolist()) == ("far:1", PLANE.tolist())
    stacked = stack_slices([PLANE, result], "far", **asked)
    assert (stacked.device, stacked.host.shape) == ("far:1", (2, 3, 4))
    assert [each.device for each in unstack_slices(stacked, "far", **asked)] == ["far:1"] * 2


@pytest.mark.parametrize("number", [-1, 2])
def test_an_accelerator_that_is_not_there_is_refused(far: None, number: int):
    with pytest.raises(DeviceNotFoundError, match="cpu, far:0, far:1"):
        convert_memory(PLANE, "numpy", "far", gpu_id=number)


def test_numpy_takes_no_notice_of_the_number_of_an_accelerator(far: None):
    away = convert(PLANE, "far", device="far:0")
    assert convert_memory(away, "far", "numpy", gpu_id=3).tolist() == PLANE.tolist()


def test_two_devices_at_once_are_refused():
    with pytest.raises(ParameterError, match="gpu_id must be left out"):
        convert_memory(PLANE, "numpy", "numpy", "cpu", gpu_id=0)


@needs_torch
def test_memory_is_shared_with_torch_and_kept_from_it_where_it_must_not_change():
    shared = convert_memory(PLANE, "numpy", "torch", "cpu")
    assert describe(shared).pointer == describe(PLANE).pointer
    locked = PLANE.copy()
    locked.flags.writeable = False
    convert_memory(locked, MemoryType.NUMPY, MemoryType.TORCH, "cpu")[:] = 0
    assert locked.tolist() == PLANE.tolist()


@needs_jax
def test_a_dtype_that_is_not_there_is_refused_and_not_replaced():
    with pytest.raises(LossyConversionError, match="float64"):
        convert_memory(np.zeros((2, 2)), "numpy", "jax", "cpu")


# -- stack_slices and unstack_slices --------------------------------------------------------


@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_planes_from_anywhere_become_a_stack(kind: Any):
    result = stack_slices(kind([PLANE, PLANE + 1]), "numpy", "cpu")
    assert (result.shape, result.dtype) == ((2, 3, 4), np.uint16)
    assert result[1].tolist() == (PLANE + 1).tolist()
    assert not np.shares_memory(result, PLANE)


def test_a_stack_becomes_a_list_of_planes_that_share_its_memory():
    whole = np.arange(24).reshape(2, 3, 4)
    planes = unstack_slices(whole, memory_type=MemoryType.NUMPY, device="cpu", validate_slices=True)
    assert type(planes) is list
    assert [plane.tolist() for plane in planes] == whole.tolist()
    assert all(np.shares_memory(plane, whole) for plane in planes)
    assert unstack_slices(whole[:0], "numpy", "cpu") == []


@needs_torch
def test_planes_of_several_frameworks_become_one_stack():
    import torch

    planes = [PLANE, torch.from_numpy(PLANE + 1)]
    result = stack_slices(planes, "torch", "cpu")
    assert isinstance(result, torch.Tensor)
    assert result.numpy()[1].tolist() == (PLANE + 1).tolist()
    back = unstack_slices(result, "numpy", "cpu")
    assert [type(each) for each in back] == [np.ndarray] * 2


@pytest.mark.parametrize(
    ("planes", "shape"),
    [([], r"\(0,\)"), ([PLANE[0]], r"\(4,\)"), ([PLANE, PLANE[None]], r"\(1, 3, 4\)")],
)
def test_what_are_no_planes_make_no_stack(planes: list[Any], shape: str):
    with pytest.raises(ShapeError, match=shape):
        stack_slices(planes, "numpy", "cpu")


def test_planes_of_different_shape_or_dtype_make_no_stack():
    with pytest.raises(ShapeError, match=r"\(1, 4\)"):
        stack_slices([PLANE, PLANE[:1]], "numpy", "cpu")
    with pytest.raises(DtypeError, match="float32"):
        stack_slices([PLANE, PLANE.astype(np.float32)], "numpy", "cpu")


@pytest.mark.parametrize("array", [PLANE, PLANE[None, None]])
def test_what_is_no_stack_has_no_planes(array: Any):
    with pytest.raises(ShapeError, match="a stack"):
        unstack_slices(array, "numpy", "cpu")

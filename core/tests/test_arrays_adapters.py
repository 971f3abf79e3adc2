"""The adapters of the core hold the contract of all array adapters, and what is common to them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
import pytest

from hcs_core.arrays import (
    ARRAYS,
    ArrayInfo,
    convert,
    device_memory,
    free_caches,
    memory_types,
    plan,
    stack,
    unstack,
)
from hcs_core.arrays._adapter import ArrayAdapter
from hcs_core.arrays._adapters import adapter_for, loaded_adapter
from hcs_core.arrays._device_names import full_name, index_of, kind_of
from hcs_core.arrays._dtypes import DTYPES
from hcs_core.arrays._layout import c_strides
from hcs_core.arrays.frameworks.numpy import NumpyAdapter
from hcs_core.errors import DeviceNotFoundError, LossyConversionError, MissingLibraryError
from hcs_core.testing import ArrayAdapterTests


class TestNumpyAdapter(ArrayAdapterTests):
    adapter = NumpyAdapter


# -- devices ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "full", "kind", "index"),
    [
        ("cpu", "cpu", "cpu", 0),
        ("cpu:0", "cpu", "cpu", 0),
        ("cpu:3", "cpu:3", "cpu", 3),  # of several that JAX was told to have
        ("cuda", "cuda:0", "cuda", 0),
        ("cuda:0", "cuda:0", "cuda", 0),
        ("cuda:12", "cuda:12", "cuda", 12),
        ("mps", "mps:0", "mps", 0),
    ],
)
def test_a_device_has_one_full_name(name: str, full: str, kind: str, index: int):
    assert (full_name(name), full_name(full)) == (full, full)
    assert (kind_of(full), index_of(full)) == (kind, index)


def test_where_no_device_is_named_there_is_no_name():
    assert full_name(None) is None


class Pair(NumpyAdapter):
    """A framework of the host and two devices, the second of which holds less."""

    name: ClassVar[str] = "pair"

    def devices(self) -> tuple[str, ...]:
        return ("cpu", "far:0", "far:1")

    def dtypes_on(self, device: str) -> frozenset[str]:
        held = super().dtypes_on(device)
        return held - {"float64"} if device == "far:1" else held


@pytest.mark.parametrize(("asked", "found"), [("far", "far:0"), ("far:1", "far:1"), ("cpu", "cpu")])
def test_a_device_that_is_there_is_returned_under_its_full_name(asked: str, found: str):
    assert Pair().require(asked) == found


@pytest.mark.parametrize("asked", ["far:2", "far:-1", "far:one", "far:", "far:01", "", "near"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(asked: str):
    with pytest.raises(DeviceNotFoundError, match=f"no device {asked!r} here .*cpu, far:0, far:1"):
        Pair().require(asked)


def test_the_host_may_be_numbered_wherever_a_device_is_named():
    plane = np.zeros((2, 3), np.uint16)
    assert convert(plane, "numpy", device="cpu:0") is plane
    assert plan(plane, "numpy", device="cpu:0").action == "same"
    assert stack([plane], device="cpu:0").shape == (1, 2, 3)
    assert unstack(plane, device="cpu:0")[0].shape == (3,)

    @memory_types(device="cpu:0")
    def kept(image: Any) -> Any:
        return image

    assert kept(plane) is plane


def test_the_memory_of_a_device_is_found_under_any_name_of_it():
    first, second = (device_memory("numpy", name) for name in ("cpu", "cpu:0"))
    if first is None or second is None:
        pytest.skip("this system does not tell how full its memory is")
    assert (first.device, second.device, first.total) == ("cpu", "cpu", second.total)


@pytest.mark.parametrize("asked", ["cuda:0", "cpu:1", "nothing"])
def test_the_memory_of_a_device_that_is_not_there_is_not_known_but_refused(asked: str):
    with pytest.raises(DeviceNotFoundError, match="numpy has no device"):
        device_memory("numpy", asked)


@pytest.mark.skipif(find_spec("cupy") is not None, reason="CuPy is installed")
def test_a_framework_that_is_not_installed_is_named_with_how_to_get_it():
    with pytest.raises(MissingLibraryError, match="cupy"):
        loaded_adapter("cupy")
    with pytest.raises(MissingLibraryError, match="cupy"):
        device_memory("cupy", "cuda:0")


# -- dtypes -----------------------------------------------------------------------------------


def test_what_a_framework_holds_can_depend_on_the_device():
    info = ArrayInfo("numpy", (2, 3), "float64", "cpu", (24, 8), 64, False, 48)
    with ARRAYS.overrides(pair=Pair):
        assert plan(info, "pair", device="far").dtype == "float64"
        with pytest.raises(LossyConversionError, match="float64"):
            plan(info, "pair", device="far:1")
        assert plan(info, "pair", device="far:1", casting="same_kind").dtype == "float32"


def test_torch_holds_no_numbers_of_64_bits_on_mps_but_integers():
    torch = adapter_for("torch")
    assert torch.dtypes_on("cpu") == torch.dtypes_on("cuda:1") == set(DTYPES)
    assert torch.dtypes_on("mps:0") == set(DTYPES) - {"float64", "complex128"}


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (4, 2, 3), (3, 1, 2)])
def test_strides_in_c_order_are_those_of_numpy(shape: tuple[int, ...]):
    assert c_strides(shape, 2) == np.zeros(shape, np.uint16).strides


# -- parts ------------------------------------------------------------------------------------


class Sealed:
    """An array that cannot be indexed."""

    def __init__(self, host: Any) -> None:
        self.host = host


class SealedAdapter(NumpyAdapter):
    """A framework whose arrays are not indexed."""

    name: ClassVar[str] = "sealed"

    def describe(self, array: Any) -> ArrayInfo:
        return super().describe(array.host)

    def to_host(self, array: Any) -> Any:
        return array.host

    def from_host(self, array: Any, device: str) -> Any:
        return Sealed(array)


def test_a_part_of_what_can_be_indexed_is_a_view():
    host = np.arange(24).reshape(4, 2, 3)
    for index in (2, slice(1, 3)):
        part = NumpyAdapter().part(host, index)
        assert np.shares_memory(part, host)
        np.testing.assert_array_equal(part, host[index])


def test_a_part_of_what_cannot_be_indexed_is_an_aligned_copy():
    host = np.arange(24, dtype=np.uint16).reshape(4, 2, 3)
    for index in (2, slice(1, 3)):
        part = SealedAdapter().part(Sealed(host), index).host
        np.testing.assert_array_equal(part, host[index])
        assert not np.shares_memory(part, host)
        assert part.ctypes.data % 64 == 0


# -- lack of memory ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("framework", "message", "nbytes"),
    [
        ("numpy", "Unable to allocate 600. MiB for an array with shape (629145600,)", 600 * 2**20),
        ("numpy", "Unable to allocate 64.0 TiB for an array", 2**46),
        ("numpy", "Unable to allocate 1.50 PiB for an array", 3 * 2**49),
        ("numpy", "Unable to allocate 2.00 EiB for an array", 2**61),
        ("torch", "can't allocate memory: you tried to allocate 1024 bytes. Error code 12", 1024),
        ("torch", "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has", 20 * 2**30),
        ("jax", "RESOURCE_EXHAUSTED: Out of memory allocating 314572800 bytes.", 314572800),
        ("jax", "Out of memory while trying to allocate 64.00GiB.", 64 * 2**30),
        ("cupy", "Out of memory allocating 1,024 bytes (allocated so far: 512 bytes).", 1024),
        ("tensorflow", "OOM when allocating tensor with shape[64,2048] and type float on", 2**19),
        ("tensorflow", "OOM when allocating tensor with shape[3] and type bfloat16 on /job", 6),
        ("tensorflow", "OOM when allocating tensor with shape[] and type uint16 on /job", 2),
        ("tensorflow", "OOM when allocating tensor with shape[8] and type variant on /job", None),
        ("tensorflow", "failed to allocate 2.00MiB", 2**21),
        ("pyclesperanto", "Failed to allocate buffer memory. CL_INVALID_BUFFER_SIZE (-61)", None),
        ("torch", "", None),
    ],
)
def test_what_was_asked_for_is_read_from_the_message(
    framework: str, message: str, nbytes: int | None
):
    assert adapter_for(framework).requested_bytes(RuntimeError(message)) == nbytes


def test_an_adapter_of_another_package_reads_its_own_messages():
    class Terse(Pair):
        def requested_bytes(self, error: BaseException) -> int | None:
            return int(str(error))

    assert Terse().requested_bytes(MemoryError("12")) == 12
    assert ArrayAdapter.requested_bytes(Terse(), MemoryError("12")) is None


def test_freeing_caches_takes_any_name_of_a_device():
    freed: list[str] = []

    class Hoarding(Pair):
        def is_loaded(self) -> bool:
            return True

        def free_cache(self, device: str) -> int:
            freed.append(device)
            return 1

    with ARRAYS.overrides(pair=Hoarding):
        free_caches("far")
    assert freed == ["far:0"]

"""Every framework gives the same integers, on the device where the array lies."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from hcs_core.arrays import Recorder, convert, describe, detect
from hcs_core.arrays._adapters import adapter_for
from hcs_core.arrays.rescaling._rescale import rescale, value_range
from hcs_core.errors import DtypeError
from hcs_core.testing._frameworks import import_frameworks

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

READY = {"numpy", *import_frameworks()}
FRAMEWORKS = [
    pytest.param(name, marks=pytest.mark.skipif(name not in READY, reason=f"{name} is not ready"))
    for name in ("numpy", "torch", "jax", "tensorflow", "pyclesperanto")
]
SOURCES = ("bool", "uint8", "int16", "uint16", "int32", "uint32", "float16", "bfloat16", "float32")
TARGETS = ("bool", "uint8", "int16", "uint16", "int32", "uint32", "float16", "bfloat16", "float32")
RULES: list[tuple[Any, tuple[float, float] | None]] = [
    ("preserve", None),
    ("scale", None),
    ("scale", (100, 4095)),
    ("stretch", (0.25, 300)),
]


def numbers(dtype: str) -> np.ndarray:
    """Return a plane with the least and the greatest values of a dtype among others."""
    random = np.random.default_rng(5)
    if dtype in ("float16", "bfloat16", "float32"):
        values = np.concatenate([random.random(200), random.normal(0, 300, 195)])
        values = np.append(values, [0.3, 0.5, 2.5, np.inf, -np.inf])
        plane: np.ndarray = convert(values.reshape(20, 20), "numpy", dtype=dtype, casting="unsafe")
        return plane
    if dtype == "bool":
        return random.random((20, 20)) < 0.5
    info = np.iinfo(dtype)
    values = random.integers(info.min, info.max, 400, dtype=dtype, endpoint=True)
    values[:6] = info.min, info.max, 0, 1, 100, 101
    return values.reshape(20, 20)


def bits(array: Any) -> tuple[Any, ...]:
    host = np.ascontiguousarray(convert(array, "numpy"))
    return host.shape, host.dtype.name, host.tobytes()


@pytest.mark.parametrize(("mode", "in_range"), RULES)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_framework_gives_bit_for_bit_what_numpy_gives(framework, mode, in_range):
    able = adapter_for(framework).capabilities().dtypes
    compared = 0
    for source in able.intersection(SOURCES):
        values = numbers(source)
        array = convert(values, framework, copy=True)
        before = bits(array)
        for target in able.intersection(TARGETS):
            record, reference = Recorder(), Recorder()
            found = rescale(array, target, mode=mode, in_range=in_range, record=record)
            wanted = rescale(values, target, mode=mode, in_range=in_range, record=reference)
            assert detect(found) == framework
            assert describe(found).device == describe(array).device
            assert bits(found) == bits(wanted), (source, target)
            assert record.rescalings == reference.rescalings
            compared += 1
        assert bits(array) == before
    assert compared >= 36


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_range_of_its_own_is_the_same_in_every_framework(framework):
    values = numbers("uint16")
    array = convert(values, framework, copy=True)
    assert value_range(array, convert(values, "numpy")) == (0, 65535)
    found = rescale(array, "uint8", mode="stretch", in_range="array")
    assert bits(found) == bits(rescale(values, "uint8", mode="scale"))


@pytest.mark.parametrize("framework", FRAMEWORKS[1:4])
def test_a_result_in_host_memory_is_handed_over_without_a_copy(framework, monkeypatch):
    handed = []
    adapter = adapter_for(framework)
    original = type(adapter).from_host

    def watched(self: Any, array: np.ndarray, device: str) -> Any:
        handed.append(array.ctypes.data)
        return original(self, array, device)

    monkeypatch.setattr(type(adapter), "from_host", watched)
    found = rescale(convert(numbers("uint16"), framework, copy=True), "float32", mode="scale")
    assert describe(found).pointer == handed[-1]


@pytest.mark.parametrize("framework", FRAMEWORKS[1:4])
@pytest.mark.parametrize("shape", [(), (0, 4)])
def test_arrays_without_axes_or_elements_keep_their_framework(framework, shape):
    array = convert(np.ones(shape, np.float32), framework)
    found = rescale(array, "uint8", mode="scale")
    assert detect(found) == framework
    assert bits(found) == bits(np.full(shape, 255, np.uint8))


@pytest.mark.parametrize(("framework", "dtype"), [("pyclesperanto", "float64"), ("jax", "int64")])
def test_a_dtype_that_the_framework_lacks_is_refused_before_anything_is_computed(framework, dtype):
    if framework not in READY:
        pytest.skip(f"{framework} is not ready")
    image = convert(np.ones((4, 4), np.float32), framework)
    with pytest.raises(DtypeError, match=rf"rescale within {framework} takes .*, got {dtype}"):
        rescale(image, dtype, mode="preserve")


@pytest.mark.skipif("jax" not in READY, reason="jax is not installed")
def test_on_a_device_apart_it_is_computed_there_and_the_integers_are_the_same():
    code = (
        "import numpy as np, jax\n"
        "from hcs_core.arrays import convert, describe\n"
        "from hcs_core.arrays.rescaling._rescale import rescale, value_range\n"
        "ramp = np.arange(-300, 700, dtype=np.int16).reshape(20, 50)\n"
        "for plane in ramp, ramp.astype(np.float32) / 400:\n"
        "    array = convert(plane, 'jax', device='cpu:1')\n"
        "    assert value_range(array) == value_range(plane)\n"
        "    for mode in 'preserve', 'scale':\n"
        "        for target in 'bool', 'uint8', 'uint16', 'int32', 'uint32', 'float16':\n"
        "            found = rescale(array, target, mode=mode)\n"
        "            assert describe(found).device == 'cpu:1'\n"
        "            wanted = rescale(plane, target, mode=mode)\n"
        "            np.testing.assert_array_equal(np.asarray(found), wanted, strict=True)\n"
    )
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | devices,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

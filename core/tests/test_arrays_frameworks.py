"""Arrays go between real frameworks: no copy unasked, no value changed, nothing leaked."""

from __future__ import annotations

import itertools
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from hcs_core.arrays import convert, describe, detect, freeze
from hcs_core.arrays._adapters import adapter_for
from hcs_core.arrays.frameworks.jax import JaxAdapter
from hcs_core.arrays.frameworks.pyclesperanto import PyclesperantoAdapter
from hcs_core.arrays.frameworks.tensorflow import TensorflowAdapter
from hcs_core.arrays.frameworks.torch import TorchAdapter
from hcs_core.errors import (
    FrameworkOrderError,
    LossyConversionError,
    UnsupportedArrayError,
)
from hcs_core.testing import ArrayAdapterTests
from hcs_core.testing._array_samples import bits, laid_out, made, numbers
from hcs_core.testing._frameworks import import_frameworks

READY = {"numpy", *import_frameworks()}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

HOST = tuple(name for name in ("numpy", "torch", "tensorflow", "jax") if name in READY)
ALL = (*HOST, *READY.intersection(["pyclesperanto"]))
HOST_PAIRS = [f"{a} to {b}" for a, b in itertools.permutations(HOST, 2)]


def need(*frameworks: str) -> None:
    """Skip where one of these cannot be used."""
    for name in frameworks:
        if name not in READY:
            pytest.skip(f"{name} is not installed, or has no device here")


def pair(text: str) -> tuple[str, str]:
    first, _, second = text.partition(" to ")
    return first, second


class TestTorchAdapter(ArrayAdapterTests):
    adapter = TorchAdapter


class TestTensorflowAdapter(ArrayAdapterTests):
    adapter = TensorflowAdapter


class TestJaxAdapter(ArrayAdapterTests):
    adapter = JaxAdapter


class TestPyclesperantoAdapter(ArrayAdapterTests):
    adapter = PyclesperantoAdapter


@pytest.mark.parametrize("pair_", HOST_PAIRS)
def test_frozen_memory_is_shared_between_all_host_frameworks(pair_):
    first, second = pair(pair_)
    frozen = freeze(numbers((16, 32), "uint16"))
    x = convert(frozen, first, copy=False, writable=False)
    y = convert(x, second, copy=False, writable=False)
    assert describe(frozen).pointer == describe(x).pointer == describe(y).pointer
    assert bits(y) == bits(frozen)


@pytest.mark.parametrize("second", ["torch", "numpy"])
@pytest.mark.parametrize("first", ["tensorflow", "jax", "read-only", "broadcast"])
def test_no_write_reaches_what_must_not_change(first, second):
    need(second, *{"tensorflow", "jax"}.intersection([first]))
    source = numbers((4, 6), "float32")
    if first in ("tensorflow", "jax"):
        x: Any = made(first, source)
    else:
        x = laid_out(source, first)
    before = bits(x)
    y = convert(x, second)
    host = y if second == "numpy" else None
    if host is not None and not host.flags.writeable:
        with pytest.raises(ValueError, match="read-only"):
            host[...] = 7
    else:
        y[:] = 7
    assert bits(x) == before


@pytest.mark.parametrize("second", ["jax", "tensorflow"])
@pytest.mark.parametrize("first", ["numpy", "torch"])
def test_an_array_that_never_changes_does_not_share_what_can_be_written(first, second):
    need(first, second)
    source = made(first, numbers((8, 8), "int32"))
    y = convert(source, second)
    before = bits(y)
    source[:] = 0
    assert bits(y) == before
    shared = convert(made(first, numbers((8, 8), "int32")), second, copy=False)
    assert detect(shared) == second


@pytest.mark.parametrize(
    ("framework", "dtype"),
    [("jax", "float64"), ("jax", "int64"), ("pyclesperanto", "int64"), ("pyclesperanto", "bool")],
)
def test_a_dtype_that_a_framework_lacks_is_refused_unless_another_is_asked_for(framework, dtype):
    need(framework)
    source = numbers((3, 4), dtype)
    source[...] = 1
    with pytest.raises(LossyConversionError, match=framework):
        convert(source, framework)
    nearest = convert(source, framework, casting="unsafe")
    assert bits(convert(nearest, "numpy", dtype=dtype, casting="unsafe")) == bits(source)


def test_tensors_that_are_not_what_lies_in_memory_are_refused():
    torch = pytest.importorskip("torch")
    with pytest.raises(UnsupportedArrayError, match="detach"):
        convert(torch.zeros(3, requires_grad=True), "numpy")
    with pytest.raises(UnsupportedArrayError, match="resolve_conj"):
        convert(torch.zeros(3, dtype=torch.complex64).conj(), "numpy")


@pytest.mark.parametrize("framework", ALL)
def test_an_unknown_device_says_which_there_are(framework):
    from hcs_core.errors import DeviceNotFoundError

    with pytest.raises(DeviceNotFoundError, match=adapter_for(framework).devices()[0]):
        convert(numbers((2, 2), "uint8"), framework, device="cuda:77")


def test_an_array_of_jax_in_another_order_is_seen_where_it_lies():
    jax = pytest.importorskip("jax")
    source = numbers((6, 4), "uint16").T
    array = jax.dlpack.from_dlpack(source)
    info = describe(array)
    assert (info.pointer, info.strides) == (describe(source).pointer, source.strides)
    host = convert(array, "numpy", copy=False)
    assert describe(host).pointer == info.pointer
    assert not host.flags.writeable
    assert bits(host) == bits(source)


@pytest.mark.parametrize("framework", HOST)
def test_a_real_lack_of_memory_is_known_as_one(framework):
    module: Any = import_module({"jax": "jax.numpy"}.get(framework, framework))
    with pytest.raises(Exception) as raised:  # noqa: PT011 - each has its own type
        module.zeros((1 << 50,), dtype=module.uint8)  # more than any address space has
    assert adapter_for(framework).is_out_of_memory(raised.value)


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.driverless
def test_pyclesperanto_after_tensorflow_is_refused_in_place_of_a_crash():
    need("tensorflow")
    pytest.importorskip("pyclesperanto")
    script = """
import os; os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow
from hcs_core.arrays import convert
from hcs_core.errors import FrameworkOrderError
try:
    convert(np.zeros((3, 4), np.float32), "pyclesperanto")
except FrameworkOrderError as refused:
    print(refused)
"""
    assert "pyclesperanto cannot be loaded after tensorflow" in run(script)
    assert issubclass(FrameworkOrderError, ImportError)

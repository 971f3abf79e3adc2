"""Arrays go between real frameworks: no copy unasked, no value changed, nothing leaked."""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
import threading
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcs_core.arrays import Recorder, convert, describe, detect, empty, freeze, plan
from hcs_core.arrays._adapters import adapter_for
from hcs_core.arrays._dtypes import dtype_of
from hcs_core.arrays.frameworks.jax import JaxAdapter
from hcs_core.arrays.frameworks.pyclesperanto import PyclesperantoAdapter
from hcs_core.arrays.frameworks.tensorflow import TensorflowAdapter
from hcs_core.arrays.frameworks.torch import TorchAdapter
from hcs_core.errors import (
    CopyRequiredError,
    FrameworkOrderError,
    LossyConversionError,
    ShapeError,
    UnsupportedArrayError,
)
from hcs_core.testing import ArrayAdapterTests
from hcs_core.testing._frameworks import import_frameworks

READY = {"numpy", *import_frameworks()}
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

HOST = tuple(name for name in ("numpy", "torch", "tensorflow", "jax") if name in READY)
ALL = (*HOST, *READY.intersection(["pyclesperanto"]))
PAIRS = [f"{a} to {b}" for a, b in itertools.product(ALL, ALL)]
HOST_PAIRS = [f"{a} to {b}" for a, b in itertools.permutations(HOST, 2)]
DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "int8", "int16", "int32"),
    *("float16", "bfloat16", "float32", "float64", "int64", "uint64", "complex64"),
)
REFUSALS = (LossyConversionError, ShapeError)
LAYOUTS = ("c", "f", "strided", "reversed", "broadcast", "offset", "read-only", "frozen")


def need(*frameworks: str) -> None:
    """Skip where one of these cannot be used."""
    for name in frameworks:
        if name not in READY:
            pytest.skip(f"{name} is not installed, or has no device here")


def pair(text: str) -> tuple[str, str]:
    first, _, second = text.partition(" to ")
    return first, second


def numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Return different values, with what is hard to keep among them, in aligned memory."""
    kind = dtype_of(dtype)
    array = empty(shape, kind)
    values = np.arange(array.size, dtype=np.int64)
    if kind.kind == "b":
        array[...] = (values % 3 == 0).reshape(shape)
    elif kind.kind in "iu":
        array[...] = np.iinfo(kind).max - (values % 50).astype(kind).reshape(shape)
    else:
        array[...] = (values % 100 - 50).astype(kind).reshape(shape)
        if array.size:
            array.flat[0] = np.nan
    return array


def laid_out(array: np.ndarray[Any, Any], layout: str) -> np.ndarray[Any, Any]:
    """Return an array of the same shape and dtype whose memory lies so."""
    if layout == "c" or not array.size or not array.ndim:
        return freeze(array) if layout == "frozen" else array
    if layout == "f":
        return np.asfortranarray(array)
    if layout == "broadcast":
        return np.broadcast_to(array[:1], array.shape)
    if layout == "read-only":
        array = array.copy()
        array.flags.writeable = False
        return array
    if layout == "frozen":
        return freeze(array)
    if layout == "offset":
        flat = empty((array.size + 1,), array.dtype)
        flat[1:] = array.ravel()
        return flat[1:].reshape(array.shape)
    step = 2 if layout == "strided" else -1
    base = np.zeros((*array.shape[:-1], array.shape[-1] * abs(step)), array.dtype)
    view = base[..., ::step]
    view[...] = array
    return view


def bits(array: Any) -> tuple[Any, ...]:
    host = np.ascontiguousarray(convert(array, "numpy"))
    return host.shape if np.ndim(array) == 0 else tuple(host.shape), str(host.dtype), host.tobytes()


def made(framework: str, array: np.ndarray[Any, Any]) -> Any:
    """Return an array of a framework, of its own memory."""
    return convert(array, framework, copy=True)


class TestTorchAdapter(ArrayAdapterTests):
    adapter = TorchAdapter


class TestTensorflowAdapter(ArrayAdapterTests):
    adapter = TensorflowAdapter


class TestJaxAdapter(ArrayAdapterTests):
    adapter = JaxAdapter


class TestPyclesperantoAdapter(ArrayAdapterTests):
    adapter = PyclesperantoAdapter


SHAPES = st.sampled_from([(), (1,), (7,), (3, 5), (4, 1), (2, 3, 4), (0,), (3, 0), (2, 1, 1, 3)])


@settings(max_examples=400)
@given(
    pair_=st.sampled_from(PAIRS),
    dtype=st.sampled_from(DTYPES),
    shape=SHAPES,
    layout=st.sampled_from(LAYOUTS),
)
def test_a_round_trip_keeps_every_bit_or_is_refused_before(pair_, dtype, shape, layout):
    first, second = pair(pair_)
    source = laid_out(numbers(shape, dtype), layout)
    before = source.tobytes()
    try:
        x = source if first == "numpy" else convert(source, first)
        y = convert(x, second)
    except REFUSALS:
        return
    assert detect(y) == second
    back = convert(y, first)
    assert bits(back) == bits(x) == bits(source)
    info = describe(y)
    assert (info.shape, info.dtype) == (tuple(shape), dtype)
    assert source.tobytes() == before


@settings(max_examples=300)
@given(
    pair_=st.sampled_from(PAIRS),
    dtype=st.sampled_from(("uint8", "uint16", "float32", "bfloat16", "int64")),
    shape=SHAPES,
    layout=st.sampled_from(LAYOUTS),
    copy=st.sampled_from((None, True, False)),
    writable=st.booleans(),
)
def test_what_happens_is_what_was_planned(pair_, dtype, shape, layout, copy, writable):
    first, second = pair(pair_)
    source = laid_out(numbers(shape, dtype), layout)
    options: dict[str, Any] = {"copy": copy, "writable": writable}
    try:
        x = source if first == "numpy" else convert(source, first)
    except REFUSALS:
        return
    try:
        route = plan(x, second, **options)
    except (*REFUSALS, CopyRequiredError) as refused:
        with pytest.raises(type(refused)):
            convert(x, second, **options)
        return
    recorder = Recorder()
    y = convert(x, second, **options, record=recorder)
    assert [conversion.route for conversion in recorder.conversions] == [route]
    info, result = describe(x), describe(y)
    assert (result.device, result.dtype, route.dtype) == (route.device, dtype, dtype)
    if route.action == "same":
        assert y is x or first == "numpy"
    if info.nbytes and info.pointer and result.pointer:
        assert (info.pointer == result.pointer) is (route.action in ("same", "alias"))
    assert (route.nbytes == 0) is (route.action in ("same", "alias") or not info.nbytes)
    if copy is False:
        assert route.action in ("same", "alias")


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


@pytest.mark.parametrize("pair_", PAIRS)
def test_a_copy_shares_nothing(pair_):
    first, second = pair(pair_)
    source = made(first, numbers((5, 7), "uint16"))
    y = convert(source, second, copy=True)
    before = bits(y)
    if first in ("numpy", "torch"):
        source[:] = 0
        assert bits(y) == before
    if second in ("numpy", "torch"):
        kept = bits(source)
        y[:] = 1
        assert bits(source) == kept
    pointers = describe(source).pointer, describe(y).pointer
    assert 0 in pointers or pointers[0] != pointers[1]


@pytest.mark.parametrize("pair_", PAIRS)
def test_a_result_outlives_its_source(pair_):
    first, second = pair(pair_)
    expected = numbers((64, 64), "float32")
    y = convert(made(first, expected), second, writable=False)
    gc.collect()
    churn = [made(first, numbers((64, 64), "float32") * 0) for _ in range(20)]
    assert bits(y) == bits(expected)
    del churn


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


def test_many_threads_convert_at_once():
    wrong: list[str] = []

    def chain(number: int) -> None:
        expected = numbers((32, 32), "float32") + number
        x: Any = expected
        for name in (*ALL[1:], *ALL) * 5:
            x = convert(x, name)
        if bits(x) != bits(expected):
            wrong.append(str(number))

    threads = [threading.Thread(target=chain, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


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


def test_knowing_and_planning_import_no_framework():
    script = """
import sys, numpy as np
from hcs_core.arrays import describe, detect, plan
detect(np.zeros(3)); describe(np.zeros(3))
print(plan(np.zeros((3, 4), "float32"), "torch").action)
print(plan(np.zeros((3, 4), "float32"), "tensorflow").action)
print(plan(np.zeros((3, 4), "float32"), "jax").action)
print({"torch", "jax", "tensorflow", "pyclesperanto", "cupy"} & set(sys.modules) or "none")
"""
    assert run(script).split() == ["alias", "copy", "copy", "none"]


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

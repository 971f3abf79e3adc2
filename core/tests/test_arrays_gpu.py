"""The array bridge on a CUDA device: nothing leaves it unasked, and nothing is read too early.

Written against the frameworks' documentation; they have not been run on a device yet.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from hcs_core.arrays import (
    Recorder,
    convert,
    describe,
    device_memory,
    devices,
    empty,
    free_caches,
    plan,
    rescale,
    stack,
    unstack,
)
from hcs_core.arrays._adapters import adapter_for
from hcs_core.errors import DeviceNotFoundError
from hcs_core.testing._frameworks import import_frameworks

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

ON_GPU = ("cupy", "torch", "jax")
PAIRS = [(a, b) for a in ON_GPU for b in ON_GPU if a != b]
DTYPES = ("bool", "uint8", "uint16", "int16", "int32", "float16", "float32", "complex64")
CYCLES = 300_000_000  # a tenth of a second or more: far longer than any hand-over


@pytest.fixture(autouse=True)
def cuda() -> None:
    """Skip where one of the frameworks has no CUDA device."""
    for name in ON_GPU:
        if name not in import_frameworks() or "cuda:0" not in devices(name):
            pytest.skip(f"{name} has no CUDA device here")


def numbers(dtype: str = "uint16", shape: tuple[int, ...] = (64, 64)) -> Any:
    array = empty(shape, dtype)
    array[...] = (np.arange(array.size) % 251).reshape(shape)
    return array


def on_gpu(framework: str, array: Any) -> Any:
    return convert(array, framework, device="cuda:0")


@pytest.mark.parametrize("framework", ON_GPU)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_goes_up_and_comes_down_to_the_last_bit(framework, dtype):
    source = numbers(dtype)
    there = on_gpu(framework, source)
    assert describe(there).device == "cuda:0"
    np.testing.assert_array_equal(convert(there, "numpy"), source)


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_of_the_device_is_shared_between_frameworks(source, target, dtype):
    there = on_gpu(source, numbers(dtype))
    assert plan(there, target, copy=False, writable=False).way == "dlpack"
    result = convert(there, target, copy=False, writable=False)
    assert describe(result).device == "cuda:0"
    assert describe(result).pointer == describe(there).pointer
    np.testing.assert_array_equal(convert(result, "numpy"), numbers(dtype))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_copy_has_memory_of_its_own_and_never_comes_to_the_host(source, target):
    there, record = on_gpu(source, numbers()), Recorder()
    result = convert(there, target, copy=True, record=record)
    assert describe(result).pointer != describe(there).pointer
    assert record.conversions[0].route.way == "dlpack"
    np.testing.assert_array_equal(convert(result, "numpy"), numbers())


@pytest.mark.parametrize("framework", ON_GPU)
def test_a_dtype_is_changed_on_the_device(framework):
    there = on_gpu(framework, numbers("uint8"))
    result = convert(there, framework, dtype="float32")
    assert (describe(result).dtype, describe(result).device) == ("float32", "cuda:0")
    np.testing.assert_array_equal(convert(result, "numpy"), numbers("float32"))


def test_a_device_without_a_number_is_the_first():
    there = convert(numbers(), "torch", device="cuda")
    assert describe(there).device == "cuda:0"
    assert plan(there, "torch", device="cuda").action == "same"


@pytest.mark.parametrize("framework", ON_GPU)
def test_a_device_that_is_not_there_is_refused(framework):
    with pytest.raises(DeviceNotFoundError, match="cuda:0"):
        convert(numbers(), framework, device="cuda:77")


# -- nothing is read before it is computed ------------------------------------------------------


def late_torch(value: int) -> Any:
    """Return a tensor whose values are written long after this returns."""
    import torch

    tensor = torch.zeros(1024, device="cuda:0")
    torch.cuda.synchronize()
    torch.cuda._sleep(CYCLES)
    tensor.fill_(value)
    return tensor


@pytest.mark.parametrize("target", ["cupy", "jax", "numpy"])
def test_what_another_stream_still_computes_is_waited_for(target):
    import cupy
    import torch

    with torch.cuda.stream(torch.cuda.Stream()), cupy.cuda.Stream(non_blocking=True):
        result = convert(late_torch(7), target, device="cpu" if target == "numpy" else None)
        assert (np.asarray(convert(result, "numpy")) == 7).all()


def test_demonstration_of_what_is_read_when_nobody_waits():
    """Show what the test above would see without synchronisation.

    This is no proof: it holds while the device waits for longer than a copy takes. If it
    fails, `CYCLES` are too few; nothing is said about the bridge, of which nothing is used.
    """
    import cupy
    import torch

    with torch.cuda.stream(torch.cuda.Stream()), cupy.cuda.Stream(non_blocking=True) as stream:
        tensor = late_torch(7)
        early = cupy.ndarray(
            (1024,),
            "float32",
            cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(tensor.data_ptr(), 4096, tensor, 0), 0),
        ).copy()
        stream.synchronize()
        assert (cupy.asnumpy(early) == 0).all()


@pytest.mark.parametrize("framework", ["torch", "cupy"])
def test_what_a_thread_computes_in_its_stream_is_ready_when_it_is_handed_on(framework):
    import torch

    adapter = adapter_for(framework)
    with adapter.on("cuda:0"):
        torch.cuda.synchronize()
        result = late_torch(9) if framework == "torch" else _late_cupy(9)
    read = result + 1  # queued on the outer stream, which waits
    assert (np.asarray(convert(read, "numpy", device="cpu")) == 10).all()


def _late_cupy(value: int) -> Any:
    import cupy

    wait = cupy.RawKernel(
        'extern "C" __global__ void wait(long long n) {'
        " long long t = clock64(); while (clock64() - t < n) {} }",
        "wait",
    )
    array = cupy.zeros(1024, "float32")
    wait((1,), (1,), (CYCLES,))
    array.fill(value)
    return array


def test_each_thread_has_a_stream_of_its_own():
    streams: list[Any] = []

    def note() -> None:
        import torch

        with adapter_for("torch").on("cuda:0"):
            streams.append(torch.cuda.current_stream().cuda_stream)

    threads = [threading.Thread(target=note) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(streams)) == 3


# -- memory -------------------------------------------------------------------------------------


def test_page_locked_memory_is_page_locked_and_aligned():
    import torch

    torch.zeros(1, device="cuda:0")
    array = empty((64, 64), "uint16", pinned=True)
    assert describe(array).pointer % 64 == 0
    assert torch.from_numpy(array).is_pinned()


def test_what_comes_from_the_device_comes_into_page_locked_memory():
    import torch

    host = convert(torch.arange(4096, device="cuda:0"), "numpy", device="cpu")
    assert torch.from_numpy(host).is_pinned()


@pytest.mark.parametrize("framework", ["torch", "cupy"])
def test_the_memory_of_a_device_is_known(framework):
    found = device_memory(framework, "cuda:0")
    assert found is not None
    assert found.free > 0
    assert found.total > found.free


@pytest.mark.parametrize("framework", ON_GPU)
def test_a_real_lack_of_memory_is_known_as_one(framework):
    with pytest.raises((MemoryError, RuntimeError, ValueError)) as raised:
        too_much(framework)
    assert adapter_for(framework).is_out_of_memory(raised.value)


def too_much(framework: str) -> Any:
    """Return what no device has room for, made on the device by the framework itself."""
    shape = (1 << 22, 1 << 22)  # 16 TiB
    if framework == "torch":
        import torch

        return torch.zeros(shape, dtype=torch.uint8, device="cuda:0")
    if framework == "cupy":
        import cupy

        with cupy.cuda.Device(0):
            return cupy.zeros(shape, "uint8")
    import jax

    place = jax.devices("gpu")[0]
    return jax.numpy.zeros(shape, "uint8", device=place).block_until_ready()


def test_freed_caches_are_there_for_another_framework():
    import cupy

    block = cupy.zeros(1 << 28, "uint8")
    del block
    assert free_caches("cuda:0") >= 1 << 28


# -- what is built on it ------------------------------------------------------------------------


@pytest.mark.parametrize("framework", ON_GPU)
def test_a_stack_is_made_and_comes_apart_on_the_device(framework):
    planes = [on_gpu(framework, numbers() + index) for index in range(3)]
    whole = stack(planes)
    assert describe(whole).device == "cuda:0"
    np.testing.assert_array_equal(
        convert(whole, "numpy", device="cpu"), np.stack([numbers() + index for index in range(3)])
    )
    parts = unstack(whole)
    assert {describe(part).device for part in parts} == {"cuda:0"}
    np.testing.assert_array_equal(convert(parts[2], "numpy", device="cpu"), numbers() + 2)


@pytest.mark.parametrize("framework", ON_GPU)
@pytest.mark.parametrize("mode", ["preserve", "scale"])
def test_values_are_rescaled_to_the_same_integers_as_on_the_host(framework, mode):
    source = np.linspace(-0.5, 300, 4096).astype("float32").reshape(64, 64)
    there = rescale(on_gpu(framework, source), "uint16", mode=mode)
    assert describe(there).device == "cuda:0"
    np.testing.assert_array_equal(
        convert(there, "numpy", device="cpu"), rescale(source, "uint16", mode=mode)
    )

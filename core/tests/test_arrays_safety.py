"""What once ended the process, leaked a write or was refused without a clear line."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import warnings
import weakref
from typing import Any

import numpy as np
import pytest

from hcs_core.arrays import convert, describe, empty, freeze, plan, stack, unstack
from hcs_core.errors import (
    DeviceNotFoundError,
    DtypeError,
    LossyConversionError,
    ParameterError,
    UnsupportedArrayError,
)
from hcs_core.testing._frameworks import import_frameworks


def needs(*frameworks: str) -> Any:
    """Import every framework that is there in an order that works; skip if one is missing."""
    missing = set(frameworks) - import_frameworks()
    if missing:
        pytest.skip(f"not installed, or without a device: {', '.join(sorted(missing))}")
    return sys.modules[frameworks[0]]


def run(script: str, **variables: str) -> str:
    """Run a script that may end its process; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# -- the process lives on -----------------------------------------------------------------------


def test_complex_numbers_off_their_place_are_copied_for_torch():
    needs("torch")
    script = """
import numpy as np
from hcs_core.arrays import convert, describe, plan
# 8 bytes after a multiple of 16: torch adds pairs of such numbers with instructions that
# end the process there.
source = np.arange(16.0)
start = 1 if describe(source).pointer % 16 == 0 else 0
odd = source[start : start + 14].view(np.complex128)
assert describe(odd).pointer % 16 == 8
even = source[1 - start : 15 - start].view(np.complex128)
for array in (even, odd, even):
    tensor = convert(array, "torch")
    assert (np.asarray(tensor + tensor) == 2 * array).all()
    print(plan(array, "torch").action)
"""
    assert run(script).split() == ["alias", "copy", "alias"]


def test_memory_off_its_place_does_not_end_the_process_in_tensorflow():
    needs("tensorflow")
    script = """
import numpy as np
from hcs_core.arrays import convert, empty, freeze
plane = empty((9, 16), "float32")
plane[...] = 1
for start in range(9):
    part = np.frombuffer(freeze(plane).tobytes(), np.float32)[start:][:100]
    tensor = convert(part, "tensorflow", copy=None)
    assert float((tensor + tensor)[7]) == 2
print("alive")
"""
    assert run(script).split() == ["alive"]


# -- nothing is written through -----------------------------------------------------------------


def test_freezing_part_of_a_buffer_promises_nothing_of_the_rest():
    needs("jax")
    buffer = empty((2, 64, 64), "float32")
    buffer[...] = 1
    first = freeze(buffer[0])
    assert not np.shares_memory(first, buffer)
    rest = np.broadcast_to(buffer[1], (64, 64))  # read-only, and nobody froze it
    array = convert(rest, "jax")
    buffer[1] = 9
    assert float(array[0, 0]) == 1


@pytest.mark.parametrize(
    "view",
    [lambda a: a, lambda a: a.T, lambda a: a.reshape(-1), lambda a: a[::-1], lambda a: a[None]],
    ids=["itself", "turned", "flat", "reversed", "one axis more"],
)
def test_all_of_a_buffer_is_frozen_where_it_lies(view):
    buffer = empty((4, 6), "uint16")
    frozen = freeze(view(buffer))
    assert np.shares_memory(frozen, buffer)
    assert not frozen.flags.writeable
    assert describe(frozen).frozen


def test_a_masked_array_is_not_frozen_without_its_mask():
    with pytest.raises(UnsupportedArrayError, match="mask"):
        freeze(np.ma.masked_greater(np.arange(3), 1))


def test_another_cpu_device_of_jax_has_memory_of_its_own():
    needs("jax")
    script = """
from hcs_core.arrays import convert, empty
for copy in (True, None):
    source = empty((256, 256), "float32")
    source[...] = 1
    array = convert(source, "jax", device="cpu:1", copy=copy)
    source[...] = 9
    print(float(array[0, 0]))
"""
    flags = "--xla_force_host_platform_device_count=4"
    assert run(script, XLA_FLAGS=flags).split() == ["1.0", "1.0"]


def test_windows_over_an_array_are_copied_for_who_may_write():
    needs("torch")
    windows = np.lib.stride_tricks.sliding_window_view(np.arange(6.0), 3, writeable=True)
    tensor = convert(windows, "torch")
    tensor[0, 1] = 99
    assert windows[1, 0] == 1
    assert plan(windows, "torch", writable=False).action == "alias"


@pytest.mark.parametrize("shape", [(3, 4), (1, 4), (3, 1), (2, 3, 4), (0, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_ordinary_arrays_do_not_overlap(shape, order):
    array = np.zeros(shape, order=order)
    assert not describe(array).overlaps()
    assert not describe(array[::2, ::-1]).overlaps()


def test_out_whose_elements_are_one_is_refused():
    torch = needs("torch")
    out = torch.empty(1, 3, 3).expand(2, 3, 3)
    with pytest.raises(UnsupportedArrayError, match="overlap"):
        stack(np.zeros((2, 3, 3), np.float32), out=out)


def test_planes_written_over_their_own_stack_are_put_in_order():
    whole = np.arange(8).reshape(2, 2, 2)
    unstack(whole, out=[whole[1], whole[0]])
    assert whole.tolist() == [[[4, 5], [6, 7]], [[0, 1], [2, 3]]]


# -- what is planned is done --------------------------------------------------------------------


@pytest.mark.parametrize("framework", ["torch", "jax", "tensorflow", "pyclesperanto"])
def test_a_dtype_in_the_other_byte_order_is_the_dtype(framework):
    needs(framework)
    plane = np.arange(6, dtype=np.uint16).reshape(2, 3)
    result = convert(plane, framework, dtype=">u2")
    assert describe(result).dtype == "uint16"
    np.testing.assert_array_equal(convert(result, "numpy"), plane)
    assert convert(plane, "numpy", dtype=">u2").dtype == np.dtype(">u2")


def test_a_field_of_packed_records_is_copied_for_torch():
    needs("torch")
    records = np.zeros(4, [("a", "u1"), ("b", "<i2")])
    records["b"] = [1, 2, 3, 4]
    assert convert(records["b"], "torch").tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("framework", ["torch", "jax", "tensorflow", "numpy"])
@pytest.mark.parametrize("code", ["q", "Q", "l", "L"])
def test_integers_that_c_has_two_names_for_are_one_dtype(framework, code):
    needs(framework)
    array = np.ones(2, code)
    wanted = "int32" if framework == "jax" else array.dtype
    result = convert(array, framework, dtype=wanted, casting="unsafe")
    np.testing.assert_array_equal(convert(result, "numpy"), array)


def test_unsigned_integers_stay_unsigned_where_the_widest_is_missing():
    needs("jax")
    result = convert(np.array([3_000_000_000], np.uint64), "jax", casting="same_kind")
    assert (str(result.dtype), int(result[0])) == ("uint32", 3_000_000_000)


def test_0_means_what_false_means():
    needs("jax")
    plane = empty((4, 6), "uint16")
    plane[...] = 0
    nos: tuple[Any, ...] = (0, False, np.False_)
    for copy in nos:
        shared = convert(plane, "jax", copy=copy)
        assert describe(shared).pointer == describe(plane).pointer


def test_an_array_of_a_dtype_that_only_its_framework_has_stays_what_it_is():
    torch = needs("torch")
    tensor = torch.zeros(4, dtype=torch.float8_e4m3fn)
    assert convert(tensor, "torch") is tensor
    with pytest.raises((DtypeError, LossyConversionError), match="float8_e4m3fn"):
        convert(tensor, "numpy")


# -- one clear line -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array",
    [
        np.array(["text"]),
        np.array([b"text"]),
        np.zeros(2, "V3"),
        np.zeros(2, [("a", "u1")]),
        np.zeros(2, "datetime64[ns]"),
        np.array([object()]),
    ],
    ids=lambda array: array.dtype.str,
)
def test_what_is_no_number_is_refused_with_what_to_do(array):
    for ask in (describe, freeze, lambda a: convert(a, "torch"), lambda a: plan(a, "jax")):
        with pytest.raises(UnsupportedArrayError, match="not numbers; convert them with astype"):
            ask(array)


@pytest.mark.parametrize("dtype", ["nonsense", "datetime64[ns]", "O", [("a", "u1")], "V4"])
def test_a_dtype_that_is_none_is_refused(dtype):
    with pytest.raises(DtypeError, match="convert takes numbers and booleans"):
        convert(np.zeros((2, 2)), "numpy", dtype=dtype)


def test_a_casting_that_there_is_not_is_refused():
    asks: tuple[Any, ...] = (convert, plan)
    for ask in asks:
        with pytest.raises(ParameterError, match="casting must be one of no, equiv, safe"):
            ask(np.zeros((2, 2)), "numpy", casting="bogus")


def test_a_device_may_be_the_object_of_its_framework():
    torch = needs("torch")
    plane = np.zeros((2, 2), np.float32)
    assert convert(plane, "torch", device=torch.device("cpu")).device.type == "cpu"
    with pytest.raises(DeviceNotFoundError, match="cuda:77"):
        convert(plane, "torch", device=torch.device("cuda:77"))


def odd_arrays() -> dict[str, Any]:
    """Return arrays that have no values in one place of memory, by what they are."""
    torch, jax, tensorflow = (needs(name) for name in ("torch", "jax", "tensorflow"))
    deleted = jax.numpy.zeros(3) + 1
    deleted.delete()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls some of these a prototype
        return {
            "sparse": torch.eye(3).to_sparse(),
            "nested": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)]),
            "meta": torch.zeros(3, device="meta"),
            "quantized": torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.quint8),
            "half complex": torch.zeros(3, dtype=torch.complex32),
            "float8": torch.zeros(3, dtype=torch.float8_e5m2),
            "deleted": deleted,
            "random key": jax.random.key(0),
            "int4": jax.numpy.zeros(3, "int4"),
            "texts": tensorflow.constant(["a"]),
            "quantized integers": tensorflow.zeros(3, tensorflow.qint8),
            "variable": tensorflow.Variable([1.0]),
            "ragged": tensorflow.ragged.constant([[1], [1, 2]]),
        }


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_arrays_without_plain_values_are_refused_in_one_line():
    refused = (UnsupportedArrayError, DtypeError, LossyConversionError)
    for name, array in odd_arrays().items():
        with pytest.raises(refused) as raised:
            convert(array, "numpy", device="cpu")
        assert "\n" not in str(raised.value), name
        assert raised.value.__cause__ is not raised.value


def test_what_stands_for_an_array_while_a_function_is_traced_is_refused():
    jax = needs("jax")
    with pytest.raises(UnsupportedArrayError, match="no values while a function is traced"):
        jax.jit(lambda x: convert(x, "numpy"))(jax.numpy.zeros(3))


def test_an_array_that_is_spread_over_devices_says_to_gather_it():
    needs("jax")
    script = """
import jax, numpy as np
from hcs_core.arrays import convert
mesh = jax.sharding.Mesh(np.array(jax.devices()), ("x",))
spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
try:
    convert(jax.device_put(np.zeros(8, np.float32), spread), "numpy")
except TypeError as refused:
    print(refused)
"""
    said = run(script, XLA_FLAGS="--xla_force_host_platform_device_count=4")
    assert "spread over 4 devices; gather it with jax.device_put first" in said


def test_a_lack_of_memory_stays_one():
    huge = np.broadcast_to(np.uint8(1), (1 << 60,))
    with pytest.raises(MemoryError):
        convert(huge, "numpy", copy=True)


def test_planes_of_a_dtype_that_is_not_known_here_are_refused():
    jax = needs("jax")
    with pytest.raises(LossyConversionError, match="float8_e5m2"):
        unstack(jax.numpy.arange(4, dtype="float8_e5m2").reshape(2, 2))


def test_bfloat16_is_handed_on_while_a_graph_is_built():
    tensorflow = needs("tensorflow")
    tensor = tensorflow.constant([1.0, 2.0], tensorflow.bfloat16)
    found = []
    tensorflow.function(lambda: found.append(convert(tensor, "numpy")))()
    assert found[0].astype(float).tolist() == [1, 2]


def test_a_type_that_was_made_while_the_program_runs_can_be_freed():
    made = type("Passing", (np.ndarray,), {})
    convert(np.zeros(3).view(made), "numpy")
    reference = weakref.ref(made)
    del made
    gc.collect()
    assert reference() is None


def test_only_arrays_of_numpy_are_frozen():
    for value in ([1], None, 3):
        with pytest.raises(UnsupportedArrayError, match="only arrays of NumPy"):
            freeze(value)  # type: ignore[arg-type]


def test_a_promise_that_is_no_promise_is_refused():
    for ask in (convert, plan):
        with pytest.raises(ParameterError, match="copy must be None, True or False, got 'no'"):
            ask(np.zeros((2, 2)), "numpy", copy="no")  # type: ignore[arg-type]

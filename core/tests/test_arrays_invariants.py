"""The promises of the array bridge, each over pair, dtype, shape and layout.

Every framework that is here takes part, for real. Two of the promises are kept elsewhere: of
`rescale` (14) in test_arrays_rescale.py and test_arrays_rescale_frameworks.py, of a lack of
memory (15) in test_arrays_oom.py; that nothing ends the process (11) and that nothing is
imported (12) have more tests in test_arrays_safety.py and test_arrays_frameworks.py.
"""

from __future__ import annotations

import gc
import itertools
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hcs_core.arrays import Recorder, convert, describe, detect, plan
from hcs_core.errors import CopyRequiredError, LossyConversionError, ShapeError
from hcs_core.testing._array_samples import LAYOUTS, bits, laid_out, numbers
from hcs_core.testing._frameworks import import_frameworks

READY = {"numpy", *import_frameworks()}
FRAMEWORKS = [
    name for name in ("numpy", "torch", "tensorflow", "jax", "pyclesperanto") if name in READY
]
DTYPES = (
    *("bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
    *(["bfloat16"] if len(FRAMEWORKS) > 1 else []),
)
SHAPES = ((), (1,), (7,), (3, 5), (4, 1), (2, 3, 4), (0,), (3, 0), (2, 1, 1, 3))
REFUSALS = (LossyConversionError, ShapeError)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Case:
    """An array of one framework, the host array it was made from, and where it goes."""

    def __init__(self, first: str, to: str, dtype: str, shape: tuple[int, ...], layout: str):
        self.host: NDArray[Any] = laid_out(numbers(shape, dtype), layout)
        self.first, self.to, self.dtype, self.layout = first, to, dtype, layout
        self.said = f"{first} to {to}, {dtype} {shape}, {layout}"

    def __repr__(self) -> str:
        return self.said

    def array(self) -> Any:
        """Return the array in its framework; a case that there is not is no case."""
        try:
            return self.host if self.first == "numpy" else convert(self.host, self.first)
        except REFUSALS:
            assume(False)

    def converted(self, array: Any, **options: Any) -> Any:
        """Return it in the framework that it goes to, if that has such arrays."""
        try:
            return convert(array, self.to, **options)
        except REFUSALS:
            assume(False)


cases = st.builds(
    Case,
    st.sampled_from(FRAMEWORKS),
    st.sampled_from(FRAMEWORKS),
    st.sampled_from(DTYPES),
    st.sampled_from(SHAPES),
    st.sampled_from(LAYOUTS),
)
many = settings(max_examples=120, suppress_health_check=[HealthCheck.filter_too_much])


def overwritten(array: Any) -> bool:
    """Write over every element in place; return whether the array takes writes."""
    host = array if detect(array) == "numpy" else None
    if host is not None and not host.flags.writeable:
        return False
    if detect(array) not in ("numpy", "torch") or 0 in describe(array).shape:
        return False
    array[...] = 1 if "bool" not in describe(array).dtype else True
    return True


@many
@given(case=cases)
def test_1_a_round_trip_keeps_every_bit(case):
    x = case.array()
    y = case.converted(x)
    assert detect(y) == case.to
    assert bits(convert(y, case.first)) == bits(x) == bits(case.host)


@many
@given(case=cases)
def test_2_the_shape_is_kept_or_refused_before_anything_moves(case):
    x, record = case.array(), Recorder()
    try:
        y = convert(x, case.to, record=record)
    except REFUSALS:
        assert record.conversions == []
        return
    assert describe(y).shape == case.host.shape


@many
@given(case=cases, wanted=st.sampled_from(DTYPES))
def test_3_the_dtype_is_kept_unless_another_is_asked_for(case, wanted):
    x = case.array()
    assert describe(case.converted(x)).dtype == case.dtype
    try:
        other = convert(x, case.to, dtype=wanted)
    except REFUSALS:
        return
    assert describe(other).dtype == wanted
    assert np.can_cast(_plain(case.dtype), _plain(wanted), "safe")


def _plain(dtype: str) -> str:
    return "float32" if dtype == "bfloat16" else dtype  # its values are all float32's


@many
@given(case=cases)
def test_4_after_copy_true_no_side_sees_what_the_other_writes(case):
    x = case.array()
    y = case.converted(x, copy=True)
    pointers = describe(x).pointer, describe(y).pointer
    assert 0 in pointers or pointers[0] != pointers[1]
    kept = bits(x)
    if overwritten(y):
        assert bits(x) == kept
    y = case.converted(x, copy=True)
    kept = bits(y)
    if overwritten(x):
        assert bits(y) == kept


@many
@given(case=cases)
def test_5_after_copy_false_the_memory_is_one_or_it_is_refused_with_a_reason(case):
    x = case.array()
    before = bits(x)
    reason = ""
    try:
        y = case.converted(x, copy=False)
    except CopyRequiredError as refused:
        y, reason = None, refused.reason
    assert reason or describe(x).pointer == describe(y).pointer
    assert bits(x) == before


@many
@given(case=cases, copy=st.sampled_from((None, True, False)), writable=st.booleans())
def test_6_what_happens_is_what_was_planned(case, copy, writable):
    x, record = case.array(), Recorder()
    options: dict[str, Any] = {"copy": copy, "writable": writable}
    try:
        route = plan(x, case.to, **options)
    except (*REFUSALS, CopyRequiredError) as refused:
        with pytest.raises(type(refused)):
            convert(x, case.to, **options)
        return
    y = convert(x, case.to, **options, record=record)
    assert [conversion.route for conversion in record.conversions] == [route]
    info, result = describe(x), describe(y)
    assert (result.device, result.dtype) == (route.device, route.dtype)
    is_shared = route.action in ("same", "alias")
    if info.nbytes and info.pointer and result.pointer:
        assert (info.pointer == result.pointer) is is_shared
    assert (route.nbytes == 0) is (is_shared or not info.nbytes)
    assert is_shared or copy is not False


@many
@given(case=cases)
def test_7_no_write_reaches_what_is_read_only_or_never_changes(case):
    x = case.array()
    assume(describe(x).readonly or describe(x).overlaps())
    before = bits(x)
    y = case.converted(x)
    if y is not x:
        overwritten(y)
    assert bits(x) == before


@many
@given(case=cases)
def test_8_a_result_outlives_its_source(case):
    expected = bits(case.host)
    x = case.array()
    y = case.converted(x, writable=False)
    del x
    case.host = np.empty(0)
    gc.collect(0)  # all of what TensorFlow has made takes half a second
    churn = [numbers((64, 64), "uint8") for _ in range(4)]
    assert bits(y) == expected
    del churn


@many
@given(case=cases)
def test_9_the_device_is_the_one_asked_for_and_what_is_there_is_returned(case):
    x = case.array()
    y = case.converted(x)
    device = describe(y).device
    assert describe(case.converted(x, device=device)).device == device
    again = convert(y, case.to, device=device)
    assert again is y


@many
@given(case=cases)
def test_10_every_order_of_memory_gives_the_values_of_c_order(case):
    plain = np.ascontiguousarray(case.host).reshape(case.host.shape)
    y = case.converted(case.host)
    assert bits(y) == bits(case.converted(plain))


KILLERS = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from hcs_core.arrays import convert, devices
from hcs_core.errors import FrameworkOrderError
from hcs_core.testing._frameworks import import_frameworks

ready = {"numpy", *import_frameworks()}
negative = np.arange(6.0, dtype=np.float32)[::-1]
for name in sorted(ready):
    array = convert(negative, name)
    host = np.asarray(convert(array, "numpy"))
    assert host.tolist() == [5, 4, 3, 2, 1, 0], name
if {"pyclesperanto", "torch"} <= ready:
    image = convert(np.ones((3, 4), np.float32), "pyclesperanto")
    assert float(convert(image, "torch").sum()) == 12
print("alive")
"""


def test_11_what_is_known_to_end_the_process_does_not():
    done = subprocess.run(
        [sys.executable, "-c", KILLERS], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["alive"], done.stderr


def test_12_nothing_is_imported_to_detect_describe_or_plan():
    script = """
import sys
import numpy as np
from hcs_core.arrays import ARRAYS, describe, detect, plan
before = set(sys.modules)
array = np.zeros((3, 4), np.float32)
detect(array), describe(array)
for name in ARRAYS:
    plan(array, name)
new = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(new - {"hcs_core"} - sys.stdlib_module_names))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_13_threads_do_not_disturb_each_other():
    wrong: list[str] = []

    def chain(number: int) -> None:
        expected = numbers((32, 32), "float32") + number
        x: Any = expected
        for name in itertools.islice(itertools.cycle(FRAMEWORKS[number % 2 :: 2]), 60):
            x = convert(x, name)
        if bits(x) != bits(expected):
            wrong.append(str(number))

    threads = [threading.Thread(target=chain, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong

"""A function that runs out of memory is helped where that is possible, and says so where not."""

from __future__ import annotations

import ast
import gc
import os
import pickle
import subprocess
import sys
import weakref
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from hcs_core.arrays import OOM_RECOVERED, OomPolicy, convert, numpy
from hcs_core.arrays._adapters import adapter_for
from hcs_core.arrays.calls._decorators import memory_types, torch
from hcs_core.arrays.calls._oom import free_caches
from hcs_core.errors import DtypeError, OutOfMemory, ParameterError, ShapeError, sized
from hcs_core.testing._frameworks import import_frameworks

HERE = import_frameworks()

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

HOST = [
    pytest.param(name, marks=pytest.mark.skipif(is_absent, reason=f"{name} is not installed"))
    for name in ("numpy", "torch", "jax", "tensorflow")
    for is_absent in [name not in ("numpy", *HERE)]
]
needs_torch = pytest.mark.skipif("torch" not in HERE, reason="torch is not installed")
needs_cle = pytest.mark.skipif("pyclesperanto" not in HERE, reason="it is not installed")
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS holds on Linux")

TOO_MUCH = 2**46  # 64 TiB


def zeros(framework: str, nbytes: int) -> Any:
    """Return so many zeros of one byte, made by the framework itself."""
    module: Any = import_module({"jax": "jax.numpy"}.get(framework, framework))
    made = module.zeros((nbytes,), dtype=module.uint8)
    return made.block_until_ready() if framework == "jax" else made


@cache
def lack_of(framework: str) -> Exception:
    """Return what a framework raises; made once, since TensorFlow tries for ten seconds."""
    with pytest.raises(Exception) as raised:  # noqa: PT011 - each has its own type
        zeros(framework, TOO_MUCH)
    return raised.value


def two_planes_at_most(framework: str) -> Callable[[Any], None]:
    """Return what runs out of memory where a stack has more than two planes."""

    def check(stack: Any) -> None:
        if len(stack) > 2:
            raise lack_of(framework)

    return check


@pytest.fixture
def told() -> Any:
    """What observers of a recovery were told."""
    events: list[dict[str, object]] = []
    with OOM_RECOVERED.connect(lambda **event: events.append(event)):
        yield events


# -- which errors it is -----------------------------------------------------------------------


@pytest.mark.parametrize("framework", HOST)
def test_a_real_lack_of_memory_is_known_as_one(framework):
    assert adapter_for(framework).is_out_of_memory(lack_of(framework))
    assert adapter_for(framework).requested_bytes(lack_of(framework)) == TOO_MUCH


def wrong_shapes(module: Any) -> Any:
    return module.ones((3,)) + module.ones((4,))


def too_big_to_count(module: Any) -> Any:
    return module.zeros((2**40, 2**40))


def no_number(module: Any) -> Any:
    return module.ones((3,)) + "three"


def negative(module: Any) -> Any:
    return module.zeros((-1,))


@pytest.mark.parametrize("framework", HOST)
@pytest.mark.parametrize("wrong", [wrong_shapes, too_big_to_count, no_number, negative])
def test_other_errors_are_no_lack_of_memory(framework, wrong):
    if (framework, wrong) == ("jax", too_big_to_count):
        pytest.skip("JAX says itself that this exhausts its resources")
    with pytest.raises(Exception) as raised:  # noqa: PT011 - each has its own type
        wrong(import_module({"jax": "jax.numpy"}.get(framework, framework)))
    assert not adapter_for(framework).is_out_of_memory(raised.value)


@pytest.mark.parametrize(
    ("framework", "error"),
    [
        ("torch", RuntimeError("there are not enough memory cards in the microscope")),
        ("torch", RuntimeError("my step says: CUDA out of memory")),
        ("torch", ValueError("DefaultCPUAllocator: not enough memory")),
        ("jax", ValueError("RESOURCE_EXHAUSTED: the plate has no more wells")),
        ("jax", RuntimeError("RESOURCE_EXHAUSTED: Out of memory, says the user")),
    ],
)
def test_an_error_of_the_users_own_is_no_lack_of_memory(framework, error):
    assert not adapter_for(framework).is_out_of_memory(error)


@needs_torch
def test_torch_says_it_in_other_words_on_windows():
    """Seen in PyTorch's issue 20887; on Linux it says "can't allocate memory" there."""
    said = "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you"
    assert adapter_for("torch").is_out_of_memory(RuntimeError(said))


@pytest.mark.skipif("jax" not in HERE, reason="jax is not installed")
def test_an_error_that_jax_has_not_wrapped_is_known_too():
    error = ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 314572800 bytes.")
    assert adapter_for("jax").is_out_of_memory(error)


@needs_cle
def test_a_kernel_that_does_not_compile_is_no_lack_of_memory():
    import pyclesperanto as cle

    array = cle.push(np.zeros((2, 2), np.float32))
    source = "__kernel void broken(IMAGE_a_TYPE a) { CL_OUT_OF_RESOURCES = (-5); }"
    with pytest.raises(RuntimeError) as raised:
        cle.execute(
            anchor=__file__, kernel_source=source, kernel_name="broken", parameters={"a": array}
        )
    assert not adapter_for("pyclesperanto").is_out_of_memory(raised.value)


# -- retry ------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", HOST)
def test_a_function_is_called_again_after_memory_was_freed(framework, told):
    calls = []

    @memory_types(input=framework, output="numpy")
    def doubled(image):
        calls.append(image)
        if len(calls) == 1:
            raise lack_of(framework)
        return image + image

    result = doubled(np.ones((2, 2), np.float32))
    np.testing.assert_array_equal(result, np.full((2, 2), 2))
    (event,) = told
    assert (event["framework"], event["device"]) == (framework, "cpu")
    assert (event["action"], event["attempts"]) == ("retry", 2)
    assert str(event["function"]).endswith("doubled")
    assert str(event["error"])


def test_arrays_of_the_call_that_failed_are_gone_when_it_is_called_again():
    held: list[Any] = []

    def deeper(image):
        scratch = image + 1
        held.append(weakref.ref(scratch))
        raise MemoryError

    @numpy
    def needy(image):
        if held:
            assert held[0]() is None
            return image
        mine = image + 1
        held.append(weakref.ref(mine))
        try:
            deeper(mine)
        except MemoryError as cause:
            raise MemoryError("again") from cause
        return mine

    assert needy(np.zeros((2, 2))).shape == (2, 2)
    assert [each() for each in held] == [None, None]


def test_arrays_of_the_failure_do_not_outlive_the_recovery():
    image = np.zeros((2, 2))
    reference = weakref.ref(image)

    @numpy(oom=OomPolicy(retries=0))
    def needy(image):
        raise MemoryError

    gc.disable()
    try:
        with pytest.raises(OutOfMemory):
            needy(image)
        del image
        assert reference() is None
    finally:
        gc.enable()


# -- what belongs to the caller ---------------------------------------------------------------


def needy_once() -> Callable[[Any], Any]:
    """Return a function that lacks memory when it is called first."""
    calls: list[Any] = []

    @numpy
    def needy(image):
        calls.append(image)
        if len(calls) == 1:
            raise MemoryError
        return image

    return needy


def test_an_error_that_the_caller_handles_stays_as_it_is():
    kept: list[BaseException] = []
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            kept.append(first)
            raise ValueError("second") from None
    except ValueError as second:
        kept.append(second)
        needy_once()(np.zeros(1))
    assert [type(error) for error in kept] == [KeyError, ValueError]
    assert kept[1].__context__ is kept[0]
    for error in kept:
        assert error.__traceback__ is not None
        assert not hasattr(error, "__notes__")


def test_the_failure_comes_from_what_the_caller_was_handling():
    @numpy
    def needy(image):
        raise MemoryError

    kept: list[BaseException] = []
    try:
        raise ValueError("mine")
    except ValueError as mine:
        with pytest.raises(OutOfMemory) as raised:
            needy(np.zeros(1))
        kept.append(mine)
    assert raised.value.__context__ is kept[0]
    assert kept[0].__traceback__ is not None


def test_an_error_that_is_handled_and_raised_again_stays_as_it_is():
    kept: list[MemoryError] = []

    @numpy(oom=OomPolicy(retries=0))
    def needy(image):
        raise kept[0]

    try:
        raise MemoryError("mine")
    except MemoryError as mine:
        kept.append(mine)
        with pytest.raises(OutOfMemory):
            needy(np.zeros(1))
    assert kept[0].__traceback__ is not None
    assert not hasattr(kept[0], "__notes__")


def test_a_generator_of_the_caller_goes_on():
    def rows():
        try:
            yield "first"
        except ValueError as error:
            failures.append(error)
        yield "second"
        yield "third"

    failures: list[ValueError] = []
    running = rows()
    assert next(running) == "first"
    assert running.throw(ValueError()) == "second"

    @numpy(oom=OomPolicy(retries=0))
    def needy(image):
        raise MemoryError from failures[0]

    with pytest.raises(OutOfMemory):
        needy(np.zeros(1))
    assert failures[0].__traceback__ is not None
    assert next(running) == "third"


def test_a_generator_that_the_function_stopped_in_goes_on():
    def parts():
        try:
            yield np.empty(TOO_MUCH, np.uint8)
        except MemoryError as error:
            failures.append(error)
        yield "second"
        yield "third"

    failures: list[MemoryError] = []
    running: list[Any] = []

    @numpy(oom=OomPolicy(retries=0))
    def needy(image):
        running.append(parts())
        for _ in running[0]:
            raise failures[0]

    with pytest.raises(OutOfMemory):
        needy(np.zeros(1))
    assert list(running[0]) == ["third"]


def test_arrays_that_a_generator_of_the_call_held_are_gone():
    held: list[Any] = []

    def parts(image):
        mine = image + 1
        held.append(weakref.ref(mine))
        try:
            deeper(mine)
        except MemoryError as cause:
            raise MemoryError("again") from cause
        yield mine

    def deeper(image):
        scratch = image + 1
        held.append(weakref.ref(scratch))
        raise MemoryError

    @numpy
    def needy(image):
        if held:
            assert [each() for each in held] == [None, None]
            return image
        return next(parts(image))

    assert needy(np.zeros(1)).shape == (1,)


@pytest.mark.parametrize("as_name", [False, True])
def test_a_call_with_an_iterator_is_not_made_again(as_name):
    """Its second call would find nothing left, and compute something else."""
    calls = []

    @numpy(stack="per_plane")
    def weighted(image, weights):
        calls.append(sum(weights))
        raise MemoryError

    weights = (weight for weight in (1, 2))
    stack = np.zeros((4, 2, 2))
    with pytest.raises(OutOfMemory, match="tried once") as raised:
        weighted(stack, weights=weights) if as_name else weighted(stack, weights)
    assert calls == [3]
    cause = raised.value.__cause__
    assert cause is not None
    assert "an argument is an iterator" in cause.__notes__[-1]


def test_a_named_tuple_is_put_together_as_one():
    check = two_planes_at_most("numpy")

    @numpy(stack="per_plane", outputs=("image", "labels"))
    def measured(image):
        check(image)
        return Drawn(image * 2, image > 1)

    found = measured(np.arange(3.0).reshape(3, 1, 1))
    assert type(found) is Drawn
    assert found.image.ravel().tolist() == [0, 2, 4]
    assert found.labels.ravel().tolist() == [False, False, True]


class Drawn(NamedTuple):
    """What a function returns."""

    image: Any
    labels: Any


def test_a_policy_has_no_half_retries():
    with pytest.raises(ParameterError, match=r"whole number.*1\.5"):
        OomPolicy(retries=1.5)  # type: ignore[arg-type]


def test_an_error_that_is_no_lack_of_memory_is_raised_at_once(told):
    calls = []

    @numpy(oom=OomPolicy(retries=5))
    def broken(image):
        calls.append(image)
        raise ValueError("out of memory, says the user")

    with pytest.raises(ValueError, match="says the user"):
        broken(np.zeros((2, 2)))
    assert (len(calls), told) == (1, [])


def test_another_error_during_the_recovery_is_raised_as_it_is():
    calls = []

    @numpy
    def broken(image):
        calls.append(image)
        if len(calls) == 1:
            raise MemoryError
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as raised:
        broken(np.zeros((2, 2)))
    assert raised.value.__context__ is None


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_policy_says_how_often_it_is_called_again(retries):
    calls = []

    @numpy(oom=OomPolicy(retries=retries))
    def needy(image):
        calls.append(image)
        raise MemoryError

    with pytest.raises(OutOfMemory) as raised:
        needy(np.zeros((2, 2)))
    assert len(calls) == raised.value.attempts == retries + 1


def test_a_policy_has_no_negative_retries():
    with pytest.raises(ParameterError, match="retries must be a whole number, 0 or more, got -1"):
        OomPolicy(retries=-1)


def test_a_function_that_writes_into_its_argument_finds_that_when_called_again():
    """Nobody can undo it: such a function is to be given a policy without retries."""
    calls = []

    @numpy
    def added(image):
        image += 1
        calls.append(image)
        if len(calls) == 1:
            raise MemoryError
        return image

    assert added(np.zeros(1)) == [2]


@needs_torch
def test_an_argument_that_was_converted_is_converted_anew_for_each_call():
    calls = []

    @torch
    def added(image):
        image += 1
        calls.append(image)
        if len(calls) == 1:
            raise MemoryError
        return image

    plane = np.zeros(1)
    plane.flags.writeable = False
    assert added(plane).tolist() == [1]
    assert plane.tolist() == [0]


# -- split ------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", HOST)
@pytest.mark.parametrize("output", HOST)
def test_a_function_of_planes_is_called_with_ever_fewer_of_them(framework, output, told):
    counts = []
    check = two_planes_at_most(framework)

    @memory_types(input=framework, output=output, outputs=("image", "labels"), stack="per_plane")
    def doubled(image, labels):
        counts.append(len(image))
        assert len(labels) == len(image)
        check(image)
        return image + image, labels

    stack = np.arange(20, dtype=np.float32).reshape(5, 2, 2)
    labels = np.arange(20, dtype=np.int32).reshape(5, 2, 2)
    pixels, drawn = doubled(stack, labels=labels)
    # All twice, then three of five, then two at a time.
    assert counts == [5, 5, 3, 2, 2, 1]
    np.testing.assert_array_equal(convert(pixels, "numpy"), stack * 2)
    np.testing.assert_array_equal(convert(drawn, "numpy"), labels)
    (event,) = told
    assert (event["action"], event["attempts"]) == ("split", 6)


def test_a_split_result_is_as_an_unsplit_one():
    check = two_planes_at_most("numpy")

    @numpy(dtype="preserve", images=("background",), stack="per_plane")
    def subtracted(image, background):
        check(image)
        return image / 2 - background

    stack = np.arange(12, dtype=np.uint16).reshape(3, 2, 2)
    result = subtracted(stack, np.ones((2, 2)))
    assert (result.dtype, result.flags.writeable) == (np.uint16, True)
    # Half of 0 to 11, less one: half to even, nothing below 0.
    expected = [0, 0, 0, 0, 1, 2, 2, 2, 3, 4, 4, 4]
    assert result.ravel().tolist() == expected


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"stack": "across"}, (4, 2, 2)),
        ({"stack": "volume"}, (4, 2, 2)),
        ({"stack": "per_plane", "outputs": ("table",)}, (4, 2, 2)),
        ({"stack": "per_plane", "oom": OomPolicy(split=False)}, (4, 2, 2)),
        ({"stack": "per_plane"}, (1, 2, 2)),
        ({"stack": "per_plane"}, (2, 2)),
        ({}, (4, 2, 2)),  # nobody has said that its planes have nothing to do with each other
        ({"slice_by_slice": True}, (4, 2, 2)),
    ],
)
def test_what_cannot_be_split_is_not(options, shape):
    counts = []

    @numpy(**options)
    def needy(image):
        counts.append(image.shape)
        raise MemoryError

    with pytest.raises(OutOfMemory, match="tried 2 times"):
        needy(np.zeros(shape))
    whole = shape[1:] if "slice_by_slice" in options else shape
    assert counts == [whole, whole]


def test_stacks_of_different_length_are_not_split():
    @numpy(stack="per_plane")
    def needy(image, labels):
        raise MemoryError

    with pytest.raises(OutOfMemory, match="tried 2 times"):
        needy(np.zeros((4, 2, 2)), np.zeros((2, 2, 2), np.int32))


@pytest.mark.parametrize(
    ("made", "error"),
    [
        (lambda stack: stack[0], ShapeError),
        (lambda stack: stack[:, : len(stack)], ShapeError),
        (lambda stack: stack.sum(axis=0), ShapeError),  # of two planes it looks like two
        (lambda stack: stack.astype(np.float64 if len(stack) > 1 else np.float32), DtypeError),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(made, error):
    check = two_planes_at_most("numpy")

    @numpy(stack="per_plane")
    def odd(image):
        check(image)
        return made(image)

    with pytest.raises(error, match="odd"):
        odd(np.zeros((3, 2, 2), np.float32))


def test_a_stack_goes_on_after_one_plane_was_helped(told):
    calls = []

    @numpy(slice_by_slice=True)
    def doubled(plane):
        calls.append(plane)
        if len(calls) == 2:
            raise MemoryError
        return plane * 2

    result = doubled(np.arange(12).reshape(3, 2, 2))
    assert result.ravel().tolist() == [2 * value for value in range(12)]
    assert len(calls) == 4
    assert [event["action"] for event in told] == ["retry"]


# -- nothing helps ----------------------------------------------------------------------------


@pytest.mark.parametrize("framework", HOST)
def test_the_error_says_the_numbers_and_what_to_do(framework):
    @memory_types(input=framework, stack="per_plane", oom=OomPolicy(retries=2))
    def needy(image):
        raise lack_of(framework)

    with pytest.raises(OutOfMemory) as raised:
        needy(np.zeros((4, 2, 2), np.float32))
    error = raised.value
    assert isinstance(error, MemoryError)
    # Once and two retries, then two planes at a time and one.
    assert (error.device, error.requested, error.attempts) == ("cpu", TOO_MUCH, 5)
    text = str(error)
    assert ".needy ran out of memory on cpu: tried 5 times, asked for 64 TiB, " in text
    assert "; give it fewer or smaller planes at once, or " in text
    cause = error.__cause__
    assert cause is lack_of(framework)
    assert cause.__traceback__ is None
    assert any(note.endswith("in needy") for note in getattr(cause, "__notes__", ()))


@needs_linux
def test_the_error_says_how_much_is_free():
    @numpy
    def needy(image):
        raise MemoryError

    with pytest.raises(OutOfMemory) as raised:
        needy(np.zeros((2, 2)))
    assert raised.value.free is not None
    assert raised.value.total is not None
    assert 0 < raised.value.free < raised.value.total


def test_the_error_survives_the_way_back_from_a_worker():
    error = OutOfMemory("blur", "cuda:1", 3 * 2**29, 0, 1, 2**30, 2**34)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this line
    assert vars(copy) == vars(error)
    assert str(copy) == (
        "blur ran out of memory on cuda:1: tried once, asked for 1.5 GiB, 0 bytes were freed in "
        "between, 1 GiB of 16 GiB are free; give it fewer or smaller planes at once, or free "
        "what else holds memory there"
    )


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (2**46, "64 TiB")],
)
def test_bytes_are_said_as_people_read_them(nbytes, text):
    assert sized(nbytes) == text


# -- caches -----------------------------------------------------------------------------------

FREE = """
import sys
from hcs_core.arrays.calls._oom import free_caches
before = set(sys.modules)
print(free_caches(), free_caches("cpu"), free_caches("cuda:0"))
loaded = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(loaded & {"torch", "cupy", "jax", "tensorflow", "pyclesperanto"}))
"""


def test_freeing_caches_imports_no_framework():
    ended = subprocess.run(
        [sys.executable, "-c", FREE], capture_output=True, text=True, check=True, timeout=120
    )
    assert ended.stdout.split("\n")[:2] == ["0 0 0", "[]"]


def test_caches_of_every_framework_here_are_freed_without_an_error():
    assert free_caches() >= 0
    for device in ("cpu", "cuda:0", "opencl:0"):
        assert free_caches(device) >= 0


# -- for real ---------------------------------------------------------------------------------


def run(*arguments: str, **variables: str) -> Any:
    """Return what a process of its own printed last, of oom_under_limit.py or of a text."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ast.literal_eval(ended.stdout.strip().splitlines()[-1])


SCRIPT = str(Path(__file__).with_name("oom_under_limit.py"))


@needs_linux
@pytest.mark.parametrize("framework", HOST)
def test_memory_that_garbage_holds_is_had_by_the_second_call(framework):
    result = run(SCRIPT, "retry", framework)
    # Once to warm up, once in vain, once with success; twice 0 + 1 + ... + 5.
    needs = [1000, 700 * 2**20, 700 * 2**20]
    assert result == {"sum": 30.0, "needs": needs, "told": [(framework, "retry")]}


@needs_linux
@pytest.mark.parametrize("framework", HOST)
def test_planes_that_do_not_fit_at_once_fit_in_parts(framework):
    result = run(SCRIPT, "split", framework)
    assert result == {"right": True, "calls": [8, 8, 4, 4], "told": [(framework, "split")]}


OPENCL = """
import numpy as np
import pyclesperanto as cle
from hcs_core.arrays import OOM_RECOVERED, detect, pyclesperanto

told, counts = [], []
OOM_RECOVERED.connect(lambda device, action: told.append((device, action)))

@pyclesperanto(stack="per_plane")
def doubled(image):
    counts.append(image.shape[0])
    cle.create((50 * image.shape[0], 1024, 1024), dtype=np.uint8)
    return image + image

stack = np.arange(48, dtype=np.float32).reshape(8, 2, 3)
result = doubled(stack)
right = detect(result) == "pyclesperanto" and bool((cle.pull(result) == stack * 2).all())
print({"right": right, "counts": counts, "told": told})
"""


@needs_cle
def test_an_opencl_device_is_recovered_from_too():
    result = run("-c", OPENCL, POCL_MEMORY_LIMIT="1")  # GiB; a buffer has a quarter of it
    told = [("opencl:0", "split")]
    assert result == {"right": True, "counts": [8, 8, 4, 4], "told": told}

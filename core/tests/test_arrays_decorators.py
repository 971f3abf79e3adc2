"""A decorated function is given its own arrays, whoever calls it, and stays what it was."""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
import traceback
from typing import Any, NamedTuple, get_type_hints

import numpy as np
import pytest
from numpy.typing import NDArray

from hcs_core.arrays import contract_of, convert, describe, detect, freeze, numpy
from hcs_core.arrays.calls._decorators import (
    Options,
    cupy,
    jax,
    memory_types,
    pyclesperanto,
    tensorflow,
    torch,
)
from hcs_core.errors import (
    DeviceNotFoundError,
    LossyConversionError,
    ParameterError,
    ResultError,
    ShapeError,
    UnsupportedArrayError,
)
from hcs_core.testing._frameworks import import_frameworks

HERE = import_frameworks()

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

DECORATORS: dict[str, Any] = {
    "numpy": numpy,
    "torch": torch,
    "jax": jax,
    "tensorflow": tensorflow,
    "pyclesperanto": pyclesperanto,
}
FRAMEWORKS = [
    pytest.param(name, marks=pytest.mark.skipif(is_absent, reason=f"{name} is not installed"))
    for name in DECORATORS
    for is_absent in [name not in ("numpy", *HERE)]
]
every = pytest.mark.parametrize("framework", FRAMEWORKS)
needs_torch = pytest.mark.skipif("torch" not in HERE, reason="torch is not installed")
needs_jax = pytest.mark.skipif("jax" not in HERE, reason="jax is not installed")


def image(*shape: int) -> NDArray[np.float32]:
    """Return pixels 0, 1, 2, ..."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def values(array: Any) -> NDArray[Any]:
    found: NDArray[Any] = convert(array, "numpy")
    return found


# -- arrays come in and go out ----------------------------------------------------------------


@every
@pytest.mark.parametrize("source", FRAMEWORKS)
def test_arrays_of_every_framework_reach_a_function_as_its_own(framework, source):
    seen = []

    @DECORATORS[framework]
    def doubled(image):
        seen.append(detect(image))
        return image + image

    result = doubled(convert(image(2, 3), source))
    assert seen == [framework]
    assert detect(result) == framework
    np.testing.assert_array_equal(values(result), [[0, 2, 4], [6, 8, 10]])


@every
def test_an_array_that_is_its_own_is_passed_and_returned_as_it_is(framework):
    array = convert(image(2, 3), framework)

    @DECORATORS[framework]
    def same(image):
        assert image is array
        return image

    for _ in range(2):  # the first call finds out what the others know
        assert same(array) is array


@every
def test_a_result_goes_to_the_framework_that_was_named(framework):
    @memory_types(input=framework, output="numpy")
    def doubled(image):
        return image + image

    result = doubled(image(2, 2))
    assert isinstance(result, np.ndarray)
    np.testing.assert_array_equal(result, [[0, 2], [4, 6]])


@every
def test_labels_are_exact_where_a_float_would_round_them(framework):
    labels = np.array([[0, 2**24 + 1], [2**31 - 2, 2**31 - 1]], np.int32)

    @memory_types(input=framework, output="numpy", outputs=("labels",), dtype="float32")
    def same(image, labels):
        assert detect(labels) == framework
        return labels

    result = same(image(2, 2), labels)
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, labels)


def test_memory_types_without_options_is_numpy():
    @memory_types
    def same(image):
        return image

    contract = contract_of(same)
    assert contract is not None
    assert (contract.memory_in, contract.memory_out) == ("numpy", "numpy")


def test_cupys_decorator_declares_cupy():
    contract = contract_of(cupy(lambda image: image))
    assert contract is not None
    assert (contract.memory_in, contract.memory_out) == ("cupy", "cupy")


@needs_torch
def test_arrays_are_found_by_position_and_by_name():
    @torch(images=("background",))
    def subtract(image, background, *, labels=None):
        assert {detect(image), detect(background), detect(labels)} == {"torch"}
        return image - background

    first, second = image(2, 2) + 5, image(2, 2)
    labels = np.ones((2, 2), np.int32)
    for result in (
        subtract(first, second, labels=labels),
        subtract(first, background=second, labels=labels),
        subtract(labels=labels, background=second, image=first),
    ):
        np.testing.assert_array_equal(values(result), np.full((2, 2), 5))


def test_labels_that_may_be_left_out_may_be_none():
    @numpy
    def same(image, labels=None):
        assert labels is None
        return image

    plane = image(2, 2)
    assert same(plane) is plane
    assert same(plane, None) is plane
    assert same(plane, labels=None) is plane


@needs_torch
def test_tables_positions_and_parameters_are_passed_as_they_are():
    table, positions, weights = {"label": np.array([1])}, image(3, 2), image(2)

    @torch(outputs=("table",))
    def measure(image, table, positions, weights):
        return (detect(image), table, positions, weights)

    found = measure(image(2, 2), table, positions=positions, weights=weights)
    assert found[0] == "torch"
    assert found[1] is table
    assert found[2] is positions
    assert found[3] is weights


@pytest.mark.parametrize("decorator", [numpy, torch])
@pytest.mark.parametrize("other", [[[1, 2]], None, 3.0, "image"])
def test_what_is_no_array_is_refused_with_the_function_and_the_argument(decorator, other):
    @decorator
    def blur(image, labels=None):
        return image

    with pytest.raises(UnsupportedArrayError) as raised:
        blur(other)
    assert "argument 'image' of " in str(raised.value)
    assert ".blur must be an array" in str(raised.value)


def test_an_argument_that_is_missing_is_missed_as_without_the_decorator():
    @numpy
    def blur(image):
        return image

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'image'"):
        blur()  # type: ignore[call-arg]


@needs_jax
def test_a_conversion_that_would_change_values_says_for_which_argument():
    @jax
    def same(image, labels=None):
        return image

    with pytest.raises(LossyConversionError) as raised:
        same(image(2, 2), labels=np.array([[2**40]]))
    (note,) = raised.value.__notes__
    assert note.startswith("argument 'labels' of ")


# -- results ----------------------------------------------------------------------------------


@needs_torch
def test_each_of_several_results_goes_its_way():
    @memory_types(input="torch", output="numpy", outputs=("image", "labels", "table"))
    def all_three(image):
        labels = (image > 1).int()
        return image * 2, labels, {"count": labels}

    doubled, labels, table = all_three(image(1, 3))
    np.testing.assert_array_equal(doubled, [[0, 2, 4]])
    np.testing.assert_array_equal(labels, [[0, 0, 1]])
    assert detect(table["count"]) == "torch"


def test_several_results_with_nothing_to_do_are_the_functions_own_tuple():
    pair = (image(2, 2), np.ones((2, 2), np.int32))

    @numpy(outputs=("image", "labels"))
    def both(image):
        return pair

    assert both(pair[0]) is pair


class Measured(NamedTuple):
    """What a function returns."""

    image: Any
    table: Any


@needs_torch
@pytest.mark.parametrize("shape", [(2, 2), (3, 2, 2)])
def test_a_named_tuple_stays_one(shape):
    @memory_types(
        input="torch", output="numpy", outputs=("image", "table"), slice_by_slice=len(shape) == 3
    )
    def measured(image):
        return Measured(image * 2, {"sum": int(image.sum())})

    found = measured(image(*shape))
    assert type(found) is Measured
    np.testing.assert_array_equal(found.image, image(*shape) * 2)
    assert found.table in ({"sum": 6}, ({"sum": 6}, {"sum": 22}, {"sum": 38}))


@needs_torch
def test_a_tuple_that_is_made_in_another_way_becomes_a_plain_one():
    @memory_types(input="torch", output="numpy", outputs=("image", "labels"))
    def highest(stack):
        return stack.max(dim=0)  # torch.return_types.max

    found = highest(image(2, 1, 2))
    assert type(found) is tuple
    np.testing.assert_array_equal(found, [[[2, 3]], [[1, 1]]])


@pytest.mark.parametrize(
    ("outputs", "result", "said"),
    [
        (("image",), None, "returned nothing, not an image;"),
        (("labels",), "x", "returned a str, not labels;"),
        (("image", "table"), [1, 2], r"returned a list, not \(image, table\);"),
        (("image", "table"), (1, 2, 3), r"returned a tuple of 3, not \(image, table\);"),
    ],
)
def test_a_result_that_is_not_what_the_contract_says_is_refused(outputs, result, said):
    @numpy(outputs=outputs)
    def broken(image):
        return result

    with pytest.raises(ResultError, match=rf"\.broken {said}"):
        broken(image(2, 2))


# Worked out by hand: half to even, then what does not fit goes to the end of the range.
FLOATS = np.array([[0.5, 1.5, 2.5], [-3.0, 65535.4, 70000.0]])
IN_UINT16 = [[0, 2, 2], [0, 65535, 65535]]


@pytest.mark.parametrize(
    ("policy", "returned", "dtype", "expected"),
    [
        ("native", FLOATS, "float64", FLOATS),
        ("preserve", FLOATS, "uint16", IN_UINT16),
        ("float32", FLOATS, "float32", FLOATS.astype(np.float32)),
        ("int32", FLOATS, "int32", [[0, 2, 2], [-3, 65535, 70000]]),
        ("scale", np.array([[0.0, 0.5, 1.0]]), "uint16", [[0, 32768, 65535]]),
        ("scale", np.array([[0, 255]], np.uint8), "uint16", [[0, 65535]]),
        ("preserve", np.array([[7]], np.uint8), "uint16", [[7]]),
    ],
)
def test_an_image_comes_out_in_the_dtype_of_the_policy(policy, returned, dtype, expected):
    @numpy(dtype=policy)
    def made(image):
        return returned

    result = made(np.zeros((2, 3), np.uint16))
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)
    if returned.dtype == dtype:
        assert result is returned


@every
def test_preserve_is_the_dtype_that_the_caller_passed(framework):
    @memory_types(input=framework, output="numpy", dtype="preserve")
    def halved(image):
        return convert(values(image).astype(np.float32) / 2, framework)

    result = halved(np.array([[1, 3, 5]], ">u2" if framework == "numpy" else np.uint16))
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, [[0, 2, 2]])


def test_labels_have_no_dtype_policy():
    @numpy(outputs=("image", "labels"), dtype="preserve")
    def both(image):
        return image.astype(float), image.astype(np.int32)

    first, labels = both(np.zeros((2, 2), np.uint8))
    assert (first.dtype, labels.dtype) == (np.uint8, np.int32)


def test_a_function_of_labels_alone_preserves_theirs():
    @numpy(dtype="preserve")
    def drawn(labels):
        return labels * 1.5

    assert drawn(np.ones((2, 2), np.int32)).dtype == np.int32


# -- stacks -----------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("source", FRAMEWORKS)
def test_a_stack_is_given_plane_by_plane_and_comes_back_as_one(framework, source):
    shapes = []

    @DECORATORS[framework](slice_by_slice=True)
    def doubled(plane):
        shapes.append(tuple(plane.shape))
        return plane + plane

    result = doubled(convert(image(3, 2, 2), source))
    assert shapes == [(2, 2)] * 3
    assert detect(result) == framework
    np.testing.assert_array_equal(values(result), image(3, 2, 2) * 2)


def test_stacks_go_alongside_and_a_plane_is_given_whole():
    @numpy(slice_by_slice=True, images=("background",), outputs=("image", "labels", "table"))
    def masked(image, labels, background):
        return (image - background) * labels, labels, {"sum": int(image.sum())}

    stack, labels = image(2, 2, 2), np.array([[[1, 1], [0, 0]], [[0, 0], [1, 1]]], np.int32)
    pixels, drawn, tables = masked(stack, labels, background=np.ones((2, 2), np.float32))
    np.testing.assert_array_equal(pixels, [[[-1, 0], [0, 0]], [[0, 0], [5, 6]]])
    np.testing.assert_array_equal(drawn, labels)
    assert tables == ({"sum": 6}, {"sum": 22})


def test_one_plane_is_one_call():
    @numpy(slice_by_slice=True, outputs=("table",))
    def total(plane):
        return {"sum": float(plane.sum())}

    assert total(image(2, 2)) == {"sum": 6.0}
    assert total(image(2, 2, 2)) == ({"sum": 6.0}, {"sum": 22.0})


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (((3, 2, 2), (2, 2, 2)), r"3 planes in every stack, got shape \(2, 2, 2\)"),
        (((0, 2, 2), (0, 2, 2)), r"at least one plane, got shape \(0, 2, 2\)"),
        (((1, 2, 2, 2), (2, 2)), r"planes \(y, x\) or stacks \(n, y, x\), got"),
    ],
)
def test_stacks_that_do_not_go_together_are_refused_before_any_call(shapes, said):
    calls = []

    @numpy(slice_by_slice=True)
    def masked(image, labels):
        calls.append(image)
        return image

    with pytest.raises(ShapeError, match=rf"\.masked: {said}"):
        masked(image(*shapes[0]), np.zeros(shapes[1], np.int32))
    assert calls == []


@pytest.mark.parametrize("shape", [(2, 2), (1, 2, 2, 2)])
def test_a_function_that_asks_for_stacks_gets_no_others(shape):
    @numpy(enforce_3d=True)
    def projected(image, labels=None):
        return image

    stack, labels = image(2, 2, 2), np.zeros((2, 2), np.int32)
    for _ in range(2):
        assert projected(stack, labels) is stack
        with pytest.raises(ShapeError, match=r"\.projected: a stack \(n, y, x\)"):
            projected(image(*shape))


# -- memory and devices -----------------------------------------------------------------------


@needs_torch
@pytest.mark.parametrize("writable", [True, False])
def test_read_only_memory_is_shared_with_a_function_that_promises_not_to_write(writable):
    frozen = freeze(image(4, 4))

    @torch(writable=writable, outputs=("table",))
    def address(image):
        return image.data_ptr()

    is_shared = address(frozen) == describe(frozen).pointer
    assert is_shared is not writable


@pytest.mark.parametrize("decorator", [numpy, torch])
def test_a_device_that_is_not_there_is_said_so(decorator):
    if decorator is torch and "torch" not in HERE:
        pytest.skip("torch is not installed")

    @decorator(device="cuda:99")
    def same(image):
        return image

    with pytest.raises(DeviceNotFoundError, match="cuda:99"):
        same(image(2, 2))


@needs_torch
@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_the_device_that_is_asked_for_may_be_where_the_array_lies(device):
    @torch(device=device)
    def same(image):
        return image

    tensor = convert(image(2, 2), "torch")
    assert same(tensor) is tensor


def test_a_function_may_call_itself_and_others():
    @numpy(dtype="preserve")
    def halved(image):
        return image / 2

    @numpy
    def smallest_half(image):
        return image if image.max() <= 1 else smallest_half(halved(image))

    # 8, 4, 2, 1: three halves.
    np.testing.assert_array_equal(smallest_half(np.array([[8, 4]], np.uint8)), [[1, 0]])


@needs_torch
def test_a_tensor_that_autograd_follows_is_its_own_and_passed():
    tensor = convert(image(2, 2), "torch").requires_grad_()

    @torch
    def doubled(image):
        return image * 2

    assert doubled(tensor).requires_grad


TWO_DEVICES = """
import jax, numpy as np
from hcs_core.arrays import convert, describe
from hcs_core.arrays.calls._decorators import jax as on_jax, memory_types

first = jax.device_put(np.ones((2, 2), np.float32), jax.devices()[0])
second = jax.device_put(np.ones((2, 2), np.float32), jax.devices()[1])
host = np.ones((2, 2), np.float32)
places = []

@on_jax(images=("other",))
def both(image, other):
    places.append((describe(image).device, describe(other).device))
    return image + other

for pair in ((first, second), (second, first), (host, second), (first, first), (host, host)):
    both(*pair)
both.__wrapped__(first, first)
on_jax(device="cpu:1", images=("other",))(both.__wrapped__)(first, host)
print(places)
"""


@needs_jax
def test_all_arrays_of_a_call_lie_on_one_device():
    flags = "--xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    ended = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        capture_output=True, text=True, check=False, timeout=120, env=environment,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    # The first array that is its own leads; where there is none, the usual device does.
    expected = [("cpu", "cpu"), ("cpu:1", "cpu:1"), ("cpu:1", "cpu:1"), *[("cpu", "cpu")] * 3]
    assert ended.stdout.strip() == str([*expected, ("cpu:1", "cpu:1")])


# -- the function stays what it was -----------------------------------------------------------


@torch(dtype="preserve", outputs=("image", "table"))
def smoothed(
    image: NDArray[Any], radius: float = 2.0, *, labels: NDArray[Any] | None = None
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the image without its noise."""
    return image, {"radius": [radius]}


def test_name_signature_docstring_and_annotations_are_the_functions():
    assert (smoothed.__name__, smoothed.__qualname__) == ("smoothed", "smoothed")
    assert smoothed.__module__ == __name__
    assert smoothed.__doc__ == "Return the image without its noise."
    assert list(inspect.signature(smoothed).parameters) == ["image", "radius", "labels"]
    assert inspect.signature(smoothed).parameters["radius"].default == 2.0
    assert get_type_hints(smoothed)["labels"] == NDArray[Any] | None
    assert contract_of(smoothed) is not None
    assert contract_of(inspect.unwrap(smoothed)) is None


def test_a_decorated_function_is_pickled_by_its_name(monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules[smoothed.__module__])
    assert pickle.loads(pickle.dumps(smoothed)) is smoothed  # noqa: S301 - made in this line


def test_an_error_of_the_function_passes_untouched():
    error = ValueError("mine")

    @numpy
    def broken(image):
        raise error

    for _ in range(2):
        with pytest.raises(ValueError, match="mine") as raised:
            broken(image(2, 2))
        assert raised.value is error
        assert traceback.extract_tb(error.__traceback__)[-1].name == "broken"
        assert error.__cause__ is error.__context__ is None
        error.__traceback__ = None


def test_every_option_is_documented():
    assert memory_types.__doc__ is not None
    for name in Options.__annotations__:
        assert f"\n    {name} : " in memory_types.__doc__


@pytest.mark.parametrize("decorator", [numpy, memory_types])
def test_an_option_that_does_not_exist_is_refused_with_the_nearest(decorator):
    with pytest.raises(ParameterError, match=r"dtyp must be left out.*did you mean 'dtype'"):
        decorator(dtyp="preserve")(lambda image: image)

"""What a function asks for is written on it, and read without calling it."""

from __future__ import annotations

import inspect
import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest

from hcs_core.arrays import FunctionContract, OomPolicy, Value, contract_of, numpy
from hcs_core.arrays.calls._decorators import memory_types, torch
from hcs_core.errors import ContractError, NotAFunctionError, ParameterError


def test_the_bare_decorator_declares_an_image_to_image_function():
    @numpy
    def invert(plane):
        return plane.max() - plane

    assert contract_of(invert) == FunctionContract(
        memory_in="numpy",
        memory_out="numpy",
        inputs=(Value("plane", "image"),),
        outputs=(Value("image", "image"),),
        dtype="native",
        stack="per_plane",
        oom=OomPolicy(split=False),  # which takes a promise
    )


def test_the_function_is_wrapped_and_stays_what_it_was():
    def double(plane):
        """Twice."""
        return plane * 2

    decorated = numpy(stack="volume")(double)
    assert inspect.unwrap(decorated) is double
    assert decorated.__doc__ == "Twice."
    assert contract_of(double) is None
    np.testing.assert_array_equal(decorated(np.array([1, 2])), [2, 4])


def test_every_option_is_a_field_of_the_contract():
    policy = OomPolicy(retries=3, split=False)

    @numpy(device="cpu", slice_by_slice=True, oom=policy, enforce_3d=True, writable=False)
    def blur(plane):
        return plane

    assert contract_of(blur) == FunctionContract(
        inputs=(Value("plane", "image"),),
        device="cpu",
        slice_by_slice=True,
        oom=policy,
        enforce_3d=True,
        writable=False,
    )


def test_a_contract_made_without_the_options_promises_nothing_new():
    contract = FunctionContract()
    assert (contract.device, contract.slice_by_slice, contract.enforce_3d) == (None, False, False)
    assert contract.writable
    assert contract.oom == OomPolicy(retries=1, split=None)


@pytest.mark.parametrize(
    ("options", "split"),
    [
        ({}, False),
        ({"oom": OomPolicy(retries=3)}, False),
        ({"slice_by_slice": True}, False),
        ({"stack": "volume"}, False),
        ({"stack": "across", "oom": OomPolicy(retries=3)}, False),
        ({"stack": "per_plane"}, True),
        ({"stack": "per_plane", "oom": OomPolicy(retries=3)}, True),
        ({"stack": "per_plane", "oom": OomPolicy(split=False)}, False),
        ({"oom": OomPolicy(split=True)}, True),
    ],
)
def test_a_call_is_split_only_where_the_decorator_says_so(options, split):
    contract = contract_of(numpy(**options)(lambda image: image))
    assert contract is not None
    assert contract.oom.split is split
    assert contract.oom.retries == options.get("oom", OomPolicy()).retries


@pytest.mark.parametrize("kind", ["images", "label", "", None])
def test_a_value_is_of_a_kind_that_there_is(kind):
    with pytest.raises(ParameterError, match="kind must be one of image, labels, table, positions"):
        Value("image", kind)
    with pytest.raises(ParameterError, match="kind must be one of"):
        numpy(outputs=("image", kind))(lambda image: image)


@pytest.mark.parametrize("name", ["", "two words", "2nd", None, 3])
def test_a_value_is_called_as_an_argument_could_be(name):
    with pytest.raises(ParameterError, match="name must be a name as Python has them"):
        Value(name, "image")


@pytest.mark.parametrize("option", ["images", "outputs", "context"])
def test_one_text_is_not_taken_for_several(option):
    options: dict[str, Any] = {option: "labels"}
    wanted = rf"@numpy: {option} must be a tuple, as in \('labels',\)"
    with pytest.raises(ParameterError, match=wanted):
        numpy(**options)(lambda image, labels: image)


@pytest.mark.parametrize("split", ["yes", 1, ()])
def test_a_policy_splits_or_does_not(split):
    with pytest.raises(ParameterError, match="split must be True, False or None"):
        OomPolicy(split=split)


@pytest.mark.parametrize("stack", ["across", "volume"])
def test_a_function_that_needs_all_planes_cannot_go_plane_by_plane(stack):
    with pytest.raises(ParameterError, match=f"slice_by_slice must be False.*{stack}"):
        numpy(stack=stack, slice_by_slice=True)(lambda image: image)


def test_further_images_are_named_and_must_be_arguments():
    @numpy(images=("background",))
    def subtract(image, background, radius=1):
        return image - background

    contract = contract_of(subtract)
    assert contract is not None
    assert contract.inputs == (Value("image", "image"), Value("background", "image"))
    with pytest.raises(ParameterError, match="images must be names of its arguments"):
        numpy(images=("backgruond",))(lambda image, background: image)


def test_arguments_named_after_a_kind_are_arrays_and_all_others_parameters():
    @numpy(outputs=("table",), context=("pixel_size_um",))
    def measure(image, radius, labels, *, table=None, positions=None, pixel_size_um=None, **other):
        return {}

    contract = contract_of(measure)
    assert contract is not None
    assert contract.inputs == (
        Value("image", "image"),
        Value("labels", "labels"),
        Value("table", "table"),
        Value("positions", "positions"),
    )
    assert contract.outputs == (Value("table", "table"),)
    assert contract.context == ("pixel_size_um",)


def test_a_function_of_labels_alone_takes_labels():
    @numpy(outputs=("labels", "table"))
    def grow(labels):
        return labels, {}

    contract = contract_of(grow)
    assert contract is not None
    assert contract.input_of_kind("image") is None
    assert contract.input_of_kind("labels") == Value("labels", "labels")
    assert contract.output_of_kind("table") == Value("table", "table")
    assert contract.output_of_kind("positions") is None


def test_a_function_without_arguments_is_refused():
    with pytest.raises(ContractError, match="at least one input"):

        @numpy
        def nothing():
            return 1


def double(plane):
    return plane * 2


class Blur:
    def run(self, plane):
        return plane

    def __call__(self, plane):
        return plane


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (Blur().run, "the bound method Blur.run"),
        (Blur(), "Blur"),
        (Blur, "the class Blur"),
        (staticmethod(double), "the static method double (write @staticmethod above it)"),
        (classmethod(double), "the class method double"),
        (partial(np.clip, a_min=0), "functools.partial"),
        (len, "builtin"),
        (np.zeros(3), "numpy.ndarray"),
    ],
)
@pytest.mark.parametrize(
    ("name", "decorator"),
    [
        ("numpy", numpy),
        ("numpy", numpy(stack="across")),
        ("torch", torch),
        ("memory_types", memory_types(input="jax", output="numpy")),
    ],
)
def test_what_is_no_function_is_refused_in_one_line(name, decorator, other, found):
    with pytest.raises(NotAFunctionError) as raised:
        decorator(other)
    text = str(raised.value)
    assert isinstance(raised.value, TypeError)
    assert text.startswith(f"@{name} decorates functions, got ")
    assert found in text
    assert "written with def" in text
    assert contract_of(other) is None


def test_a_decorated_function_may_be_a_static_method():
    class Microscope:
        doubled = staticmethod(numpy(double))

    for place in Microscope, Microscope():
        assert place.doubled(np.array([1, 2])).tolist() == [2, 4]


async def fetched(plane):
    return plane


async def fetched_each(plane):
    yield plane


def each(plane):
    yield plane


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (fetched, "the coroutine fetched"),
        (fetched_each, "the coroutine fetched_each"),
        (each, "the generator each"),
    ],
)
def test_a_function_whose_call_runs_nothing_is_refused(other, found):
    with pytest.raises(NotAFunctionError, match=f"^@torch decorates functions, got {found};"):
        torch(other)


def test_a_function_has_one_contract():
    @torch
    def halve(plane):
        return plane / 2

    with pytest.raises(NotAFunctionError, match="halve, which has been decorated already"):
        numpy(halve)


@pytest.mark.parametrize("function", [len, np.max, lambda x: x, partial(len), object()])
def test_a_function_without_a_decorator_has_no_contract(function):
    assert contract_of(function) is None


@pytest.mark.parametrize("role", ["inputs", "outputs"])
@pytest.mark.parametrize("values", [(), (Value("a", "image"), Value("a", "labels"))])
def test_a_contract_needs_each_name_once(role, values):
    with pytest.raises(ContractError, match=role[:-1]):
        FunctionContract(**{role: values})


def test_a_contract_is_plain_data_that_cannot_change():
    contract = FunctionContract(stack="across", dtype="float32")
    with pytest.raises(AttributeError):
        contract.stack = "volume"  # type: ignore[misc]
    copy = pickle.loads(pickle.dumps(contract))  # noqa: S301 - made in this line
    assert copy == contract
    assert hash(copy) == hash(contract)


def test_several_outputs_of_a_kind_are_numbered():
    @numpy(outputs=("image", "image", "labels"))
    def apart(plane):
        return plane, plane, plane

    contract = contract_of(apart)
    assert contract is not None
    assert [value.name for value in contract.outputs] == ["image", "image_2", "labels"]


@pytest.mark.parametrize("option", [{"dtype": "uint8"}, {"stack": "planes"}])
def test_an_option_that_there_is_not_is_refused_when_the_function_is_decorated(option):
    with pytest.raises(ParameterError, match="one of"):
        numpy(**option)(lambda plane: plane)


def test_a_method_is_refused_in_the_body_of_its_class():
    with pytest.raises(NotAFunctionError, match="the method"):

        class Filter:
            @numpy
            def run(self, plane):
                return plane


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtpye": "preserve"}, "@numpy: dtpye must be left out.*did you mean 'dtype'"),
        ({"input_type": "torch"}, "its options are .*outputs"),
        ({"oom": 3}, "oom must be an OomPolicy, got 3"),
        ({"oom": "retry"}, "oom must be an OomPolicy"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_with_those_that_do(options, said):
    with pytest.raises(ParameterError, match=said):
        numpy(**options)(lambda plane: plane)


def test_an_option_without_its_name_is_refused():
    with pytest.raises(NotAFunctionError, match="its options go by name"):
        numpy("preserve")  # type: ignore[call-overload]


def test_help_for_a_function_without_a_docstring_says_nothing_of_ours():
    @numpy
    def mine(plane):
        return plane

    assert inspect.getcomments(mine) is None

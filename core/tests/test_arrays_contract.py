"""What a function asks for is written on it, and read without calling it."""

from __future__ import annotations

import pickle
from functools import partial

import numpy as np
import pytest

from hcs_core.arrays import FunctionContract, Value, contract_of, numpy
from hcs_core.errors import ContractError, NotAFunctionError


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
    )


def test_the_function_itself_is_unchanged():
    def double(plane):
        """Twice."""
        return plane * 2

    decorated = numpy(stack="volume")(double)
    assert decorated is double
    assert decorated.__doc__ == "Twice."
    np.testing.assert_array_equal(decorated(np.array([1, 2])), [2, 4])


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
        (partial(np.clip, a_min=0), "functools.partial"),
        (len, "builtin"),
        (np.zeros(3), "numpy.ndarray"),
    ],
)
@pytest.mark.parametrize("decorator", [numpy, numpy(stack="across")])
def test_what_is_no_function_is_refused_in_one_line(decorator, other, found):
    with pytest.raises(NotAFunctionError) as raised:
        decorator(other)
    text = str(raised.value)
    assert isinstance(raised.value, TypeError)
    assert text.startswith("@numpy decorates functions, got ")
    assert found in text
    assert "written with def" in text
    assert contract_of(other) is None


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

"""What the functions of the catalogue hold beyond the contract of a kernel."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import hcs_gpu_kernels
from hcs_core.errors import ParameterError
from hcs_core.kernels import Kernel, Parameter
from hcs_gpu_kernels import LIBRARY

KERNELS = pytest.mark.parametrize("kernel", LIBRARY.kernels, ids=lambda kernel: kernel.name)


@KERNELS
def test_signatures_are_inputs_then_parameters_then_context(kernel: Kernel):
    signature = inspect.signature(kernel.load())
    arrays = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    keywords = [p for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert len(arrays) == len(kernel.inputs)
    assert all(p.default is p.empty for p in arrays)
    declared = [parameter.name for parameter in kernel.parameters]
    assert [p.name for p in keywords] == [*declared, *kernel.context]


@pytest.mark.parametrize(
    ("kernel", "parameter"),
    [
        pytest.param(kernel, parameter, id=f"{kernel.name}-{parameter.name}")
        for kernel in LIBRARY.kernels
        for parameter in kernel.parameters
        if parameter.type in (int, float)
    ],
)
def test_functions_take_what_the_catalogue_declares_and_no_more(
    kernel: Kernel, parameter: Parameter
):
    image = np.random.default_rng(0).integers(0, 1000, (20, 30)).astype(np.uint16)
    # What else makes the value possible: a pixel size, and an upper percentile of its own.
    others: dict[str, Any] = {"low": {"high": 100.0}, "high": {"low": 0.0}}.get(parameter.name, {})
    low, high = parameter.minimum, parameter.maximum
    step = 1 if parameter.type is int else 1e-4
    assert low is not None
    assert high is not None
    for value, beyond in ((low, low - step), (high, high + step)):
        if parameter.name == "diameter_um":
            others = {"pixel_size_um": (value / 20,) * 2}
        with pytest.raises(ParameterError, match=f"{parameter.name} must be between"):
            kernel.load()(image, **{parameter.name: parameter.type(beyond)}, **others)
        if others.get("high") == value or others.get("low") == value:
            continue  # in range, but the two percentiles must differ
        kernel.load()(image, **{parameter.name: parameter.type(value)}, **others)


@KERNELS
def test_results_are_of_the_declared_dtype_and_shape(kernel: Kernel):
    image = np.random.default_rng(0).integers(0, 1000, (2, 20, 30)).astype(np.uint16)
    inputs = {"image": image, "labels": (image > 900).astype(np.int32)}
    result = kernel.load()(*(inputs[value.kind] for value in kernel.inputs))
    if kernel.outputs[0].kind == "table":
        assert all(column.ndim == 1 for column in result.values())
        assert len({column.size for column in result.values()}) == 1
        return
    assert result.dtype == (np.int32 if kernel.dtype == "int32" else image.dtype)
    assert result.shape == (image.shape[1:] if kernel.stack == "across" else image.shape)


@KERNELS
def test_layout_and_byte_order_do_not_matter(kernel: Kernel):
    image = np.random.default_rng(0).integers(0, 1000, (2, 20, 30)).astype(np.uint16)
    labels = (image > 900).astype(np.int32)
    wide = np.zeros((2, 40, 60), np.uint16)
    wide[:, ::2, ::2] = image
    strange = {"image": wide.astype(">u2")[:, ::2, ::2], "labels": np.asfortranarray(labels)}
    plain = {"image": image, "labels": labels}
    function = kernel.load()
    expected = function(*(plain[value.kind] for value in kernel.inputs))
    found = function(*(strange[value.kind] for value in kernel.inputs))
    if isinstance(expected, dict):
        for name, column in expected.items():
            np.testing.assert_array_equal(found[name], column)
    else:
        np.testing.assert_array_equal(found, expected)


@KERNELS
@pytest.mark.parametrize("dtype", [bool, complex, object])
def test_other_dtypes_are_refused_in_one_line(kernel: Kernel, dtype: type):
    arrays: list[Any] = [np.zeros((2, 4, 4), dtype) for _ in kernel.inputs]
    with pytest.raises(TypeError) as caught:
        kernel.load()(*arrays)
    assert kernel.name in str(caught.value)
    assert "\n" not in str(caught.value)


@KERNELS
def test_other_shapes_are_refused(kernel: Kernel):
    arrays = [np.zeros(5, np.uint16) for _ in kernel.inputs]
    with pytest.raises(ValueError, match=kernel.name):
        kernel.load()(*arrays)


@KERNELS
@pytest.mark.parametrize("shape", [(0, 5, 5), (2, 0, 5), (1, 1, 1), (1, 1, 7)])
def test_empty_and_tiny_stacks_are_taken(kernel: Kernel, shape: tuple[int, ...]):
    arrays = [np.zeros(shape, np.uint16) for _ in kernel.inputs]
    if kernel.stack == "across" and not shape[0]:
        with pytest.raises(ValueError, match="at least one plane"):
            kernel.load()(*arrays)
        return
    result = kernel.load()(*arrays)
    if not isinstance(result, dict):
        assert result.shape == (shape[1:] if kernel.stack == "across" else shape)


def test_kernels_can_be_imported_by_name_from_the_package():
    assert set(hcs_gpu_kernels.__all__) - {"LIBRARY", "__version__"} == {
        kernel.name for kernel in LIBRARY.kernels
    }
    for kernel in LIBRARY.kernels:
        assert getattr(hcs_gpu_kernels, kernel.name) is kernel.load()
    assert not hasattr(hcs_gpu_kernels, "no_such_kernel")


def test_reading_the_catalogue_loads_no_image_library():
    code = (
        "import sys, hcs_gpu_kernels; "
        "heavy = {'cv2', 'scipy', 'skimage', 'hcs_gpu_kernels.filters'}; "
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""Decorated functions are traced as others are: what stands for an array passes as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hcs_core.arrays import OomPolicy
from hcs_core.arrays.calls._decorators import jax, memory_types, tensorflow, torch
from hcs_core.errors import OutOfMemory, UnsupportedArrayError
from hcs_core.testing._frameworks import import_frameworks

HERE = import_frameworks()

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

DECORATORS: dict[str, Any] = {"jax": jax, "torch": torch, "tensorflow": tensorflow}
FRAMEWORKS = [
    pytest.param(name, marks=pytest.mark.skipif(name not in HERE, reason=f"{name} is missing"))
    for name in DECORATORS
]
every = pytest.mark.parametrize("framework", FRAMEWORKS)
needs_jax = pytest.mark.skipif("jax" not in HERE, reason="jax is not installed")
needs_torch = pytest.mark.skipif("torch" not in HERE, reason="torch is not installed")


def traced(framework: str, function: Callable[..., Any], *arrays: Any) -> Any:
    """Return what a function returns that its framework calls with arrays without values."""
    if framework == "jax":
        import jax

        return np.asarray(jax.jit(function)(*map(jax.numpy.asarray, arrays)))
    if framework == "torch":
        import torch

        return torch.vmap(function)(*map(torch.asarray, arrays)).numpy()
    import tensorflow

    # AutoGraph puts errors into one of its own.
    graph = tensorflow.function(function, autograph=False)
    return graph(*map(tensorflow.constant, arrays)).numpy()


PLANE = np.array([[1, 2], [3, 4]], np.float32)
STACK = np.arange(12, dtype=np.float32).reshape(3, 2, 2)


def double(image):
    return image + image


@every
@pytest.mark.parametrize("is_known", [False, True])
def test_a_function_is_traced_whatever_it_was_called_with_before(framework, is_known):
    function = DECORATORS[framework](double)
    if is_known:
        function(PLANE)
    for _ in range(2):
        np.testing.assert_array_equal(traced(framework, function, PLANE), [[2, 4], [6, 8]])


ALONE = """
import sys
sys.path.insert(0, sys.argv[2])
import test_arrays_tracing as tests
function = tests.DECORATORS[sys.argv[1]](tests.double)
print(tests.traced(sys.argv[1], function, tests.PLANE).tolist())
"""


@every
def test_the_first_call_of_a_process_may_be_a_traced_one(framework):
    """Nothing is known of any type there."""
    ended = subprocess.run(
        [sys.executable, "-c", ALONE, framework, os.path.dirname(__file__)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.stdout.strip() == "[[2.0, 4.0], [6.0, 8.0]]", ended.stderr[-2000:]


@needs_jax
def test_jax_maps_and_differentiates_a_decorated_function():
    import jax.numpy as jnp
    from jax import grad, vmap

    mapped = vmap(jax(double))(jnp.asarray(PLANE))
    np.testing.assert_array_equal(mapped, [[2, 4], [6, 8]])
    # The derivative of the sum of squares is twice the value.
    slope = grad(jax(lambda image: (image * image).sum()))(jnp.asarray(PLANE))
    np.testing.assert_array_equal(slope, [[2, 4], [6, 8]])


@needs_torch
def test_torch_differentiates_a_decorated_function():
    from torch import asarray
    from torch.func import grad

    slope = grad(torch(lambda image: (image * image).sum()))(asarray(PLANE))
    assert slope.tolist() == [[2, 4], [6, 8]]


@pytest.mark.skipif("tensorflow" not in HERE, reason="tensorflow is not installed")
def test_tensorflow_rewrites_a_decorated_function():
    """As its AutoGraph does with Python's own ifs and loops."""
    import tensorflow as framework

    @framework.function(input_signature=[framework.TensorSpec([None, 2])])
    def call(image):
        return tensorflow(double)(image)

    np.testing.assert_array_equal(call(PLANE), [[2, 4], [6, 8]])


@every
def test_other_arrays_of_a_traced_call_are_converted(framework):
    @DECORATORS[framework](images=("background",))
    def subtract(image, background):
        return image - background

    dark = np.ones(2, np.float32)
    for call in (lambda image: subtract(image, dark)), (lambda image: subtract(dark, image)):
        result = traced(framework, call, PLANE)
        np.testing.assert_array_equal(np.abs(result), [[0, 1], [2, 3]])


@every
@pytest.mark.parametrize("policy", ["preserve", "scale", "float32"])
def test_a_dtype_that_the_result_has_needs_no_values(framework, policy):
    function = DECORATORS[framework](dtype=policy)(double)
    for _ in range(2):
        np.testing.assert_array_equal(traced(framework, function, PLANE), [[2, 4], [6, 8]])


@every
@pytest.mark.parametrize(
    ("options", "array"),
    [
        ({"dtype": "int32"}, PLANE),
        ({"output": "numpy"}, PLANE),
        ({"slice_by_slice": True}, np.stack([STACK, STACK])),
    ],
)
def test_what_needs_values_is_refused_in_one_line(framework, options, array):
    if framework != "torch" and array.ndim == 4:
        array = array[0]  # torch takes the first axis away
    function = memory_types(input=framework, **options)(double)
    if framework != "tensorflow":
        function(STACK)
    with pytest.raises(UnsupportedArrayError) as raised:
        traced(framework, function, array)
    assert "\n" not in str(raised.value)


@needs_jax
def test_a_traced_array_goes_to_no_device():
    for _ in range(2):
        with pytest.raises(UnsupportedArrayError) as raised:
            traced("jax", jax(device="cpu")(double), PLANE)
        assert raised.value.__notes__[0].startswith("argument 'image' of ")


@needs_torch
def test_a_traced_tensor_is_where_it_says():
    import torch as framework

    class Fresh(framework.Tensor):  # type: ignore[misc]
        """A type of which nothing is known, made as that of a first call."""

    function = torch(device="cpu")(double)
    for kind in (Fresh, framework.Tensor):
        tensor = framework.asarray(PLANE).as_subclass(kind)
        assert framework.vmap(function)(tensor).tolist() == [[2, 4], [6, 8]]


@every
def test_a_traced_stack_has_a_shape(framework):
    function = DECORATORS[framework](enforce_3d=True)(double)
    array = np.stack([STACK, STACK]) if framework == "torch" else STACK
    np.testing.assert_array_equal(traced(framework, function, array), array * 2)


@needs_jax
def test_a_traced_call_that_lacks_memory_is_not_split():
    @jax(stack="per_plane", oom=OomPolicy(retries=0))
    def needy(image):
        raise MemoryError

    with pytest.raises(OutOfMemory, match="tried once"):
        traced("jax", needy, STACK)


@needs_torch
def test_a_sparse_tensor_is_its_own_and_passed():
    import torch as framework

    sparse = framework.eye(2).to_sparse()
    same = torch(lambda image: image)
    assert same(sparse) is sparse
    assert torch(double)(sparse).to_dense().tolist() == [[2, 0], [0, 2]]


SHARDED = """
import jax, numpy as np
from hcs_core.arrays.calls._decorators import jax as on_jax
mesh = jax.sharding.Mesh(jax.devices(), ("rows",))
there = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
image = jax.device_put(np.ones((2, 2), np.float32), there)
for _ in range(2):
    print(len(on_jax(lambda image: image + image)(image).devices()))
"""


@needs_jax
def test_an_array_in_several_places_is_its_own_and_passed():
    flags = "--xla_force_host_platform_device_count=2"
    ended = subprocess.run(
        [sys.executable, "-c", SHARDED],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert ended.stdout.split() == ["2", "2"], ended.stderr[-2000:]

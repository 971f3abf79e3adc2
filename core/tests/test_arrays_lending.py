"""What a decorated function may write into, and what its caller may."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from hcs_core.arrays import convert, detect, freeze, numpy
from hcs_core.arrays._adapters import adapter_of
from hcs_core.arrays.calls._decorators import jax, memory_types, tensorflow, torch
from hcs_core.testing._frameworks import import_frameworks

HERE = import_frameworks()

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

needs_torch = pytest.mark.skipif("torch" not in HERE, reason="torch is not installed")
needs_jax = pytest.mark.skipif("jax" not in HERE, reason="jax is not installed")


def image(*shape: int) -> NDArray[np.float32]:
    """Return pixels 0, 1, 2, ..."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def read_only() -> NDArray[Any]:
    array = image(8, 4)
    array.flags.writeable = False
    return array


UNCHANGING = [
    pytest.param(made, id=name, marks=pytest.mark.skipif(is_absent, reason=f"{name} is missing"))
    for name, made in {
        "read-only": read_only,
        "frozen": lambda: freeze(image(8, 4)),
        "jax": lambda: convert(image(8, 4), "jax"),
        "tensorflow": lambda: convert(image(8, 4), "tensorflow"),
    }.items()
    for is_absent in [name in ("jax", "tensorflow") and name not in HERE]
]
every_unchanging = pytest.mark.parametrize("made", UNCHANGING)


def host(array: Any) -> NDArray[Any]:
    """Return an array in host memory, as a view if it lies there."""
    return adapter_of(array).to_host(array)


def share_memory(one: Any, other: Any) -> bool:
    return bool(np.shares_memory(host(one), host(other)))


# -- what is promised -------------------------------------------------------------------------


@needs_torch
@every_unchanging
def test_what_comes_out_of_lent_memory_in_numpy_is_read_only(made):
    @memory_types(input="torch", output="numpy", writable=False)
    def crop(image):
        return image[2:5]

    source = made()
    for _ in range(2):
        result = crop(source)
        np.testing.assert_array_equal(result, image(8, 4)[2:5])
        assert share_memory(result, source)
        with pytest.raises(ValueError, match="read-only"):
            result[...] = -7


@needs_torch
@every_unchanging
def test_what_comes_out_of_lent_memory_in_torch_is_a_copy(made):
    @torch(writable=False)
    def crop(image):
        assert share_memory(image, source)
        return image[2:5]

    source = made()
    for _ in range(2):
        result = crop(source)
        assert not share_memory(result, source)
        result[...] = -7
        np.testing.assert_array_equal(host(source), image(8, 4))


@needs_torch
@pytest.mark.parametrize("output", ["numpy", "torch"])
def test_a_memory_map_survives_whoever_writes_into_the_result(tmp_path: Path, output):
    """Its pages are read-only, so that a write would end the process."""
    (tmp_path / "plane").write_bytes(image(8, 4).tobytes())
    mapped = np.memmap(tmp_path / "plane", np.float32, "r", shape=(8, 4))

    @memory_types(input="torch", output=output, writable=False)
    def flipped(image):
        return image.T

    result = flipped(mapped)
    if output == "numpy":
        with pytest.raises(ValueError, match="read-only"):
            result += 1
    else:
        result += 1
        assert result[0].tolist() == [1, 5, 9, 13, 17, 21, 25, 29]


@needs_torch
def test_a_view_that_could_not_be_converted_is_copied_too():
    """Conjugated views are refused by `convert`: their values are not what lies in memory."""
    source = freeze(np.array([1 + 2j, 3 - 4j]))
    result = torch(writable=False)(lambda image: image.conj())(source)
    result += 1
    assert result.tolist() == [2 - 2j, 4 + 4j]
    assert source.tolist() == [1 + 2j, 3 - 4j]


@needs_torch
def test_memory_of_its_own_is_returned_as_it_is():
    made = []

    @torch(writable=False)
    def doubled(image):
        made.append(image * 2)
        return made[-1]

    assert doubled(read_only()) is made[-1]


@needs_torch
def test_what_the_caller_may_write_to_is_shared_to_and_fro():
    @memory_types(input="torch", output="numpy", writable=False)
    def crop(image):
        return image[2:5]

    source = image(8, 4)
    crop(source)[...] = -7
    assert (source[2:5] == -7).all()


class Found(NamedTuple):
    """What a function returns."""

    image: Any
    labels: Any
    table: Any
    positions: Any


@needs_torch
def test_each_of_several_results_is_protected():
    @memory_types(
        input="torch",
        output="numpy",
        writable=False,
        outputs=("image", "labels", "table", "positions"),
    )
    def measured(image, labels):
        return Found(image * 2, labels[:2], {"rows": 8}, image[:, :2])

    pixels, labels = image(8, 4), freeze(np.ones((8, 4), np.int32))
    found = measured(freeze(pixels), labels)
    assert type(found) is Found
    assert found.image.flags.writeable
    assert not found.labels.flags.writeable
    assert found.table == {"rows": 8}
    found.positions[...] = -7  # which stays a tensor
    np.testing.assert_array_equal(pixels, image(8, 4))


@needs_torch
@pytest.mark.parametrize("options", [{"slice_by_slice": True}, {"stack": "per_plane"}])
def test_planes_of_lent_memory_come_back_in_a_stack_of_their_own(options):
    calls = []

    @memory_types(input="torch", output="numpy", writable=False, **options)
    def same(image):
        calls.append(image)
        if options.get("stack") and len(image) > 2:
            raise MemoryError
        return image

    source = freeze(image(3, 2, 2))
    result = same(source)
    assert len(calls) > 2
    result[...] = -7
    np.testing.assert_array_equal(source, image(3, 2, 2))


@needs_torch
def test_lent_memory_is_protected_after_a_recovery_too():
    calls = []

    @memory_types(input="torch", output="numpy", writable=False)
    def crop(image):
        calls.append(image.shape)
        if len(calls) == 1:
            raise MemoryError
        return image[2:5]

    assert not crop(read_only()).flags.writeable


@pytest.mark.parametrize("writable", [True, False])
def test_a_view_of_a_read_only_numpy_array_is_one_already(writable):
    @numpy(writable=writable)
    def crop(image):
        return image[2:5]

    for _ in range(2):
        assert not crop(read_only()).flags.writeable


# -- what is not ------------------------------------------------------------------------------


def add_one(image):
    image += 1
    return image


@every_unchanging
def test_numpy_tells_a_function_that_writes_into_what_never_changes(made):
    source = made()
    for _ in range(2):
        with pytest.raises(ValueError, match="output array is read-only"):
            numpy(add_one)(source)
    np.testing.assert_array_equal(host(source), image(8, 4))


@needs_torch
@every_unchanging
def test_a_function_of_torch_writes_into_a_copy_of_what_never_changes(made):
    source = made()
    for _ in range(2):
        assert torch(add_one)(source)[0].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(host(source), image(8, 4))


@needs_torch
@pytest.mark.parametrize(("decorator", "source"), [(numpy, "torch"), (torch, "numpy")])
def test_what_can_be_written_to_is_written_through(decorator, source):
    array = convert(image(1, 3), source)
    decorator(add_one)(array)
    assert array.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("decorator", [jax, tensorflow])
def test_functions_whose_arrays_never_change_leave_their_arguments_alone(decorator):
    if decorator.__name__ not in HERE:
        pytest.skip(f"{decorator.__name__} is not installed")
    array = image(1, 3)
    result = decorator(add_one)(array)
    assert detect(result) == decorator.__name__
    np.testing.assert_array_equal(host(result), [[1, 2, 3]])
    np.testing.assert_array_equal(array, [[0, 1, 2]])


@needs_torch
def test_elements_that_are_one_are_copied_apart_before_they_are_written_to():
    row = image(1, 3)
    overlapping = np.lib.stride_tricks.as_strided(row, (2, 3), (0, 4))
    assert torch(add_one)(overlapping).tolist() == [[1, 2, 3]] * 2
    assert row.tolist() == [[0, 1, 2]]

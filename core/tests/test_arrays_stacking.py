"""Planes become a stack and a stack its planes, with one copy at most."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from hcs_core.arrays import Recorder, convert, describe, empty, freeze, stack, unstack
from hcs_core.errors import (
    DeviceNotFoundError,
    DtypeError,
    LossyConversionError,
    ParameterError,
    ShapeError,
    UnsupportedArrayError,
)
from hcs_core.testing._frameworks import import_frameworks

READY = {"numpy", *import_frameworks()}
FRAMEWORKS = ("numpy", "torch", "jax", "tensorflow", "pyclesperanto")


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    """Return a framework that is there."""
    if request.param not in READY:
        pytest.skip(f"{request.param} is not installed, or has no device here")
    return str(request.param)


def planes(count: int = 3, dtype: str = "uint16") -> list[np.ndarray]:
    return [np.arange(48, dtype=dtype).reshape(6, 8) + 100 * index for index in range(count)]


def test_planes_of_numpy_become_a_stack_in_aligned_memory():
    result = stack(planes())
    np.testing.assert_array_equal(result, np.stack(planes()))
    assert result.dtype == np.uint16
    assert describe(result).pointer % 64 == 0
    result[0, 0, 0] = 9  # it is nobody else's


def test_a_generator_of_planes_is_taken():
    np.testing.assert_array_equal(stack(p for p in planes()), np.stack(planes()))


def test_planes_become_a_stack_of_any_framework_by_one_copy(framework):
    record = Recorder()
    result = stack(planes(), framework, record=record)
    assert describe(result).framework == framework
    np.testing.assert_array_equal(convert(result, "numpy"), np.stack(planes()))
    once = 3 * 48 * 2
    assert record.copied_bytes == once * (2 if framework == "pyclesperanto" else 1)


def test_planes_of_any_framework_become_a_stack_of_their_own(framework):
    mine = [convert(plane, framework) for plane in planes()]
    result = stack(mine)
    assert describe(result).framework == framework
    np.testing.assert_array_equal(convert(result, "numpy"), np.stack(planes()))


def test_the_stack_shares_no_memory_with_its_planes(framework):
    mine = [convert(plane, framework, copy=True) for plane in planes()]
    taken = {describe(plane).pointer for plane in mine}
    assert describe(stack(mine, "numpy")).pointer not in taken


def test_planes_of_several_frameworks_become_one_stack(framework):
    first, second, third = planes()
    result = stack([first, convert(second, framework), third])
    np.testing.assert_array_equal(result, np.stack(planes()))


def test_stacks_of_stacks_and_of_numbers_are_made():
    volumes = [np.arange(24).reshape(2, 3, 4)] * 2
    assert stack(volumes).shape == (2, 2, 3, 4)
    np.testing.assert_array_equal(stack([np.array(3), np.array(4)]), [3, 4])


def test_planes_in_any_order_of_memory_are_stacked():
    big_endian = [plane.astype(">u2") for plane in planes()]
    turned = [np.asfortranarray(plane)[::-1] for plane in planes()]
    np.testing.assert_array_equal(stack(big_endian), np.stack(planes()))
    assert stack(big_endian).dtype == np.dtype(">u2")  # as NumPy keeps it, and only NumPy
    np.testing.assert_array_equal(stack(turned), np.stack(planes())[:, ::-1])


def test_a_stack_is_written_where_the_caller_wants_it():
    out = empty((3, 6, 8), "uint16")
    assert stack(planes(), out=out) is out
    np.testing.assert_array_equal(out, np.stack(planes()))


def test_a_stack_is_written_into_a_tensor():
    torch = pytest.importorskip("torch")
    out = torch.zeros((3, 6, 8), dtype=torch.uint16)
    assert stack(planes(), out=out) is out
    np.testing.assert_array_equal(out.numpy(), np.stack(planes()))


def test_with_out_each_plane_is_let_go_before_the_next_is_made():
    made: list[weakref.ref[np.ndarray]] = []

    def one_after_the_other() -> Iterator[np.ndarray]:
        for index in range(3):
            assert [each() for each in made] == [None] * index
            plane = planes()[index]
            made.append(weakref.ref(plane))
            yield plane
            del plane

    stack(one_after_the_other(), out=empty((3, 6, 8), "uint16"))
    assert len(made) == 3


def test_planes_that_lie_in_out_themselves_are_put_in_order():
    out = np.stack(planes())
    stack([out[2], out[0], out[1]], out=out)
    np.testing.assert_array_equal(out, np.stack(planes())[[2, 0, 1]])


def test_where_the_result_goes_is_said_once():
    out = empty((3, 6, 8), "uint16")
    with pytest.raises(ParameterError, match="to must be left out"):
        stack(planes(), "numpy", out=out)
    with pytest.raises(ParameterError, match="device must be left out"):
        unstack(np.stack(planes()), device="cpu", out=planes())


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(DeviceNotFoundError, match="numpy has no device 'cuda:0'"):
        stack(planes(), device="cuda:0")


def test_an_iterator_that_fails_midway_has_filled_what_it_made():
    def failing() -> Iterator[np.ndarray]:
        yield planes()[0]
        raise OSError("the disk is gone")

    out = np.zeros((3, 6, 8), np.uint16)
    with pytest.raises(OSError, match="disk is gone"):
        stack(failing(), out=out)
    np.testing.assert_array_equal(out, np.stack([planes()[0], *np.zeros((2, 6, 8))]))


@pytest.mark.parametrize("count", [0, 2, 4])
def test_out_of_another_length_is_refused(count):
    with pytest.raises(ShapeError, match="out for"):
        stack(planes(count), out=empty((3, 6, 8), "uint16"))


def test_out_that_cannot_be_written_to_is_refused_before_any_work():
    asked: list[int] = []

    def never() -> Iterator[np.ndarray]:
        asked.append(1)
        yield from planes()

    with pytest.raises(UnsupportedArrayError, match="read-only"):
        stack(never(), out=freeze(empty((3, 6, 8), "uint16")))
    with pytest.raises(ShapeError, match="axis"):
        stack(never(), out=np.array(3))
    assert not asked


@pytest.mark.parametrize("immutable", ["jax", "tensorflow", "pyclesperanto"])
def test_out_of_a_framework_that_takes_no_writes_is_refused(immutable):
    pytest.importorskip(immutable)
    out = convert(empty((3, 6, 8), "uint16"), immutable)
    with pytest.raises(UnsupportedArrayError):
        stack(planes(), out=out)


def test_nothing_can_be_stacked():
    with pytest.raises(ShapeError, match="at least one array"):
        stack([])


def test_planes_of_different_shapes_are_refused(framework):
    with pytest.raises(ShapeError, match=r"one shape, \(6, 8\)"):
        stack([*planes(2), np.zeros((6, 7), np.uint16)], framework)


def test_planes_of_different_dtypes_are_refused_and_not_cast():
    with pytest.raises(DtypeError, match="one dtype, uint16"):
        stack([*planes(2), np.full((6, 8), 1.7)])
    with pytest.raises(DtypeError, match="one dtype, uint16"):
        stack(planes(3, "int32"), out=empty((3, 6, 8), "uint16"))


def test_what_is_no_array_is_refused():
    with pytest.raises(UnsupportedArrayError, match=r"builtins\.list"):
        stack([[1, 2], [3, 4]])


def test_a_dtype_that_the_framework_lacks_is_refused_before_any_copy():
    pytest.importorskip("jax")
    record = Recorder()
    with pytest.raises(LossyConversionError):
        stack([np.zeros((6, 8))], "jax", record=record)
    assert not record.conversions


def test_a_stack_comes_apart_into_views_of_its_memory():
    whole = stack(planes())
    parts = unstack(whole)
    assert [np.shares_memory(part, whole) for part in parts] == [True] * 3
    np.testing.assert_array_equal(np.stack(parts), whole)


def test_a_stack_of_any_framework_comes_apart(framework):
    whole = stack(planes(), framework)
    parts = unstack(whole)
    assert [describe(part).framework for part in parts] == [framework] * 3
    for part, plane in zip(parts, planes(), strict=True):
        np.testing.assert_array_equal(convert(part, "numpy"), plane)


@pytest.mark.parametrize("source", ["torch", "jax", "tensorflow"])
@pytest.mark.parametrize("target", ["numpy", "jax", "tensorflow", "same"])
def test_planes_lie_where_the_stack_lies(source, target):
    target = source if target == "same" else target
    if source == "torch" and target in ("jax", "tensorflow"):
        pytest.skip("a tensor of torch can be written to: what never changes gets a copy")
    pytest.importorskip(source)
    pytest.importorskip(target)
    aligned = [np.full((8, 16), value, np.float32) for value in range(3)]  # 512 bytes each
    whole = stack(aligned, source)
    start = describe(whole).pointer
    parts = unstack(whole, target)
    assert [describe(part).pointer - start for part in parts] == [0, 512, 1024]
    assert [float(np.asarray(part)[0, 0]) for part in parts] == [0, 1, 2]


def test_a_stack_of_bfloat16_comes_apart():
    jax = pytest.importorskip("jax")
    parts = unstack(jax.numpy.arange(12, dtype="bfloat16").reshape(3, 4))
    assert [describe(part).dtype for part in parts] == ["bfloat16"] * 3
    assert [float(part[1]) for part in parts] == [1, 5, 9]


def test_a_frozen_stack_comes_apart_without_a_copy_for_what_never_changes():
    pytest.importorskip("jax")
    whole = freeze(stack([np.full((8, 16), value, np.float32) for value in range(2)]))
    start = describe(whole).pointer
    assert [describe(part).pointer - start for part in unstack(whole, "jax")] == [0, 512]


def test_planes_are_written_where_the_caller_wants_them(framework):
    out = [empty((6, 8), "uint16") for _ in range(3)]
    results = unstack(stack(planes(), framework), out=out)
    assert all(result is mine for result, mine in zip(results, out, strict=True))
    np.testing.assert_array_equal(np.stack(out), np.stack(planes()))


def test_planes_that_do_not_fit_are_refused():
    whole = stack(planes())
    with pytest.raises(ShapeError, match="one for each plane"):
        unstack(whole, out=[empty((6, 8), "uint16")])
    with pytest.raises(DtypeError):
        unstack(whole, out=[empty((6, 8), "int32") for _ in range(3)])
    with pytest.raises(UnsupportedArrayError, match="read-only"):
        unstack(whole, out=[freeze(plane) for plane in planes()])


def test_a_number_does_not_come_apart_and_an_empty_stack_into_nothing():
    with pytest.raises(ShapeError, match="at least one axis"):
        unstack(np.array(3))
    assert unstack(np.zeros((0, 6, 8))) == []


def test_the_source_is_not_changed(framework):
    source = stack(planes(), framework)
    for part in unstack(source, "numpy"):
        if part.flags.writeable and framework not in ("numpy", "torch"):
            part[...] = 0
    np.testing.assert_array_equal(convert(source, "numpy"), np.stack(planes()))

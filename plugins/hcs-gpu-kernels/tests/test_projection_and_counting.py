"""Projections and counts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hcs_gpu_kernels import count_objects, max_projection


def test_the_brightest_of_each_pixel_is_projected():
    stack = np.array([[[1, 5], [3, 0]], [[4, 2], [3, 9]]], np.uint16)
    projected = max_projection(stack)
    assert projected.dtype == np.uint16
    np.testing.assert_array_equal(projected, [[4, 5], [3, 9]])


def test_the_projection_of_one_plane_is_a_copy():
    stack = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    projected = max_projection(stack)
    assert not np.shares_memory(projected, stack)
    np.testing.assert_array_equal(projected, stack[0])


def test_nan_in_any_plane_is_nan_in_the_projection():
    stack = np.array([[[1.0, np.nan]], [[2.0, 3.0]]], np.float32)
    np.testing.assert_array_equal(max_projection(stack), np.array([[2, np.nan]], np.float32))


@pytest.mark.parametrize("shape", [(4, 4), (0, 4, 4)])
def test_a_projection_needs_a_stack_of_planes(shape):
    with pytest.raises(ValueError, match="max_projection"):
        max_projection(np.zeros(shape, np.uint8))


def test_labels_are_counted_whatever_their_numbers():
    labels = np.array([[0, 7, 7], [2_000_000_000, 0, 7]], np.int32)
    np.testing.assert_array_equal(count_objects(labels)["count"], [2])


def test_an_empty_plane_has_no_objects():
    np.testing.assert_array_equal(count_objects(np.zeros((3, 3), np.int32))["count"], [0])


def test_a_stack_is_counted_plane_by_plane():
    labels = np.array([[[1, 2]], [[0, 0]], [[3, 3]]], np.int32)
    table = count_objects(labels)
    np.testing.assert_array_equal(table["plane"], [0, 1, 2])
    np.testing.assert_array_equal(table["count"], [2, 0, 1])


def test_negative_labels_are_refused():
    with pytest.raises(ValueError, match="got -1"):
        count_objects(np.array([[-1, 0]], np.int32))


def test_labels_must_be_integers():
    with pytest.raises(TypeError, match="integer labels"):
        count_objects(np.zeros((2, 2), np.float32))

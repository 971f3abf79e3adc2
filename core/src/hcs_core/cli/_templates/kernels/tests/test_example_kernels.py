"""The catalogue tells the truth of its functions, and their values are those worked out by hand."""

from __future__ import annotations

import numpy as np
from hcs_core.kernels import KERNELS, find_kernel
from hcs_core.testing import KernelLibraryTests, assert_listing_imports_nothing

from example_kernels import LIBRARY
from example_kernels.filters import covered, subtract_background


class TestExampleKernels(KernelLibraryTests):
    library = LIBRARY
    catalogue = "example_kernels.catalogue:LIBRARY"


def test_the_background_is_subtracted_and_nothing_wraps() -> None:
    image = np.array([[10, 20], [30, 200]], np.uint8)
    # The pixel at half of the three steps from 10 to 200, rounded down, is 20.
    assert subtract_background(image, percent=50.0).tolist() == [[0, 0], [10, 180]]
    assert subtract_background(image, percent=0.0).tolist() == [[0, 10], [20, 190]]


def test_every_plane_of_a_stack_has_its_own_background() -> None:
    stack = np.array([[[5, 7]], [[50, 60]]], np.uint16)
    assert subtract_background(stack, percent=0.0).tolist() == [[[0, 2]], [[0, 10]]]


def test_three_of_four_pixels_are_covered() -> None:
    assert covered(np.array([[0, 1], [2, 2]], np.int32)) == {"covered_percent": [75.0]}


def test_a_pipeline_finds_the_kernel_by_library_and_name() -> None:
    library, kernel = find_kernel("example-kernels:subtract_background")
    assert library == "example-kernels"
    assert kernel.load() is subtract_background


def test_it_is_listed_and_listing_imports_nothing() -> None:
    info = KERNELS.info("example-kernels")
    assert info.distribution == "example-kernels"
    assert_listing_imports_nothing()

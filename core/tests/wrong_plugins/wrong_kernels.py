"""A kernel library that holds its contract, and libraries that each break one promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import toy_catalogue
import toy_functions  # what a catalogue must not do
from toy_catalogue import EXPONENT, IMAGE, LABELS, LEVELS, TABLE

from hcs_core.kernels import Kernel, KernelLibrary
from hcs_core.testing import KernelLibraryTests

assert toy_functions.__name__ not in dir(toy_catalogue)


class ToyLibraryTests(KernelLibraryTests):
    catalogue = "toy_catalogue:LIBRARY"
    caught_by: ClassVar[tuple[str, ...]] = ()


class TestRight(ToyLibraryTests):
    library = toy_catalogue.LIBRARY


def library_of(function: str, **declared: Any) -> KernelLibrary:
    """Return a library of one kernel."""
    about: dict[str, Any] = {"name": function, "category": "tests", "doc": "a toy"}
    about["implementations"] = {"numpy": f"toy_functions:{function}"}
    return KernelLibrary("toy", (Kernel(**about | declared),))


EAGER = library_of("shift", parameters=(LEVELS,))


class TestElsewhere(ToyLibraryTests):
    library = EAGER
    caught_by = ("test_the_catalogue_is_where_it_is_said_to_be",)


class TestEager(ToyLibraryTests):
    library = EAGER
    catalogue = "wrong_kernels:EAGER"
    caught_by = ("test_listing_the_catalogue_imports_no_implementation",)


class TestTwice(ToyLibraryTests):
    library = replace(EAGER, kernels=EAGER.kernels * 2)
    caught_by = ("test_names_are_lower_case_words_and_each_is_one_kernel",)


class TestCapitals(ToyLibraryTests):
    library = library_of("shift", name="Shift up", parameters=(LEVELS,))
    caught_by = ("test_names_are_lower_case_words_and_each_is_one_kernel",)


class TestSilent(ToyLibraryTests):
    library = library_of("shift", doc="", parameters=(LEVELS,))
    caught_by = ("test_it_is_described_in_one_line",)


class TestDefaultOutOfRange(ToyLibraryTests):
    library = library_of("shift", parameters=(replace(LEVELS, minimum=2),))
    caught_by = ("test_its_parameters_make_sense",)


class TestTypo(ToyLibraryTests):
    library = library_of("no_such_function")
    caught_by = ("test_it_has_an_implementation_that_loads",)


class TestUndeclaredArgument(ToyLibraryTests):
    library = library_of("shift")
    caught_by = ("test_its_function_takes_what_the_catalogue_says",)


class TestOtherDefault(ToyLibraryTests):
    library = library_of("shift", parameters=(replace(LEVELS, default=2),))
    caught_by = ("test_its_function_has_the_defaults_of_the_catalogue",)


class TestNotRequired(ToyLibraryTests):
    library = library_of("power", parameters=(replace(EXPONENT, required=False, default=2),))
    caught_by = ("test_its_function_has_the_defaults_of_the_catalogue",)


class TestOtherDtype(ToyLibraryTests):
    library = library_of("wider", dtype="preserve")
    caught_by = ("test_what_comes_out_is_what_is_declared",)


class TestNoProjection(ToyLibraryTests):
    library = library_of("wider", stack="across")
    caught_by = ("test_what_comes_out_is_what_is_declared",)


class TestWideLabels(ToyLibraryTests):
    library = library_of("wide_labels", outputs=(LABELS,))
    caught_by = ("test_what_comes_out_is_what_is_declared",)


class TestUnevenTable(ToyLibraryTests):
    library = library_of("uneven", outputs=(TABLE,))
    caught_by = ("test_what_comes_out_is_what_is_declared",)


class TestOneOfTwo(ToyLibraryTests):
    library = library_of("bright", outputs=(IMAGE, LABELS))
    caught_by = ("test_what_comes_out_is_what_is_declared",)


class TestNoCameras(ToyLibraryTests):
    library = library_of("only_floats")
    caught_by = ("test_what_comes_out_is_what_is_declared",)


class TestNoisy(ToyLibraryTests):
    library = library_of("noisy")
    caught_by = ("test_the_same_images_give_the_same_result",)


class TestSameBuffer(ToyLibraryTests):
    library = library_of("same_buffer")
    caught_by = ("test_a_result_does_not_change_with_the_next_call",)


class TestInPlace(ToyLibraryTests):
    library = library_of("in_place")
    caught_by = ("test_what_goes_in_is_not_changed",)


class TestWantsToWrite(ToyLibraryTests):
    library = library_of("wants_to_write")
    caught_by = ("test_what_goes_in_may_be_read_only",)


class TestAsInMemory(ToyLibraryTests):
    library = library_of("as_in_memory")
    caught_by = ("test_the_layout_of_an_image_does_not_matter",)


class TestNeedsThePixelSize(ToyLibraryTests):
    library = library_of("in_um", outputs=(TABLE,), context=("pixel_size_um",))
    caught_by = ("test_facts_of_the_plate_may_be_unknown",)


class TestOfTheWhole(ToyLibraryTests):
    library = library_of("of_the_whole")
    caught_by = ("test_a_stack_gives_what_its_planes_give",)

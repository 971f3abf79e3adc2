"""Decorated functions know frameworks by their adapters: nothing is asked of arrays themselves."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from hcs_core.arrays import (
    ARRAYS,
    ArrayAdapter,
    ArrayInfo,
    Capabilities,
    OomPolicy,
    contract_of,
    detect,
    memory_types,
)
from hcs_core.arrays.calls._host_types import HostTypes
from hcs_core.arrays.frameworks.numpy import NumpyAdapter
from hcs_core.errors import DeviceNotFoundError, ShapeError, UnknownPluginError

CAPABILITIES = Capabilities(dtypes=frozenset(("uint8", "uint16", "int32", "float32", "float64")))


class Crate:
    """Numbers in a place; `device` is the camera that took them."""

    def __init__(self, values: ArrayLike, place: str = "cpu") -> None:
        self.values, self.place = np.asarray(values, np.uint16), place
        self.device = {"camera": "sCMOS"}


class CrateAdapter(ArrayAdapter):
    """Crates, on the host and on two devices."""

    name: ClassVar[str] = "crates"
    module_names: ClassVar[tuple[str, ...]] = (__name__,)
    entered: ClassVar[list[str]] = []

    def owns(self, value: object) -> bool:
        return isinstance(value, Crate)

    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def devices(self) -> tuple[str, ...]:
        return ("cpu", "toy:0", "toy:1")

    def describe(self, array: Any) -> ArrayInfo:
        numbers = array.values
        shape, dtype = numbers.shape, numbers.dtype.name
        pointer = numbers.ctypes.data
        info = (shape, dtype, array.place, numbers.strides, pointer, False, numbers.nbytes)
        return ArrayInfo(self.name, *info)

    def to_host(self, array: Any) -> NDArray[Any]:
        found: NDArray[Any] = array.values
        return found

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        if device not in self.devices():
            raise DeviceNotFoundError(device, self.name, self.devices())
        return Crate(array, device)

    def on(self, device: str) -> AbstractContextManager[object]:
        self.entered.append(device)
        return nullcontext()


@pytest.fixture
def crates() -> Iterator[list[str]]:
    """On which devices the framework was told to compute."""
    CrateAdapter.entered.clear()
    with ARRAYS.overrides(crates=CrateAdapter):
        yield CrateAdapter.entered


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The array type of an addon's framework: it has no attribute but its values."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "wrong_plugins")
    made: Any = import_module("toy_framework")
    with ARRAYS.overrides(toy_box=import_module("toy_adapter").BoxAdapter):
        yield made.Box


@pytest.mark.parametrize(
    ("options", "dtype", "expected"),
    [
        ({}, "float64", [[0.5, 1.5]]),
        ({"dtype": "native"}, "float64", [[0.5, 1.5]]),
        ({"dtype": "preserve"}, "uint16", [[0, 2]]),
        ({"dtype": "scale"}, "uint16", [[32768, 65535]]),  # 0.5 of 65535, and more than all
        ({"dtype": "float32"}, "float32", [[0.5, 1.5]]),
        ({"dtype": "int32"}, "int32", [[0, 2]]),
        ({"outputs": ("labels",), "dtype": "int32"}, "float64", [[0.5, 1.5]]),
        ({"device": "cpu"}, "float64", [[0.5, 1.5]]),
        ({"device": "cpu:0"}, "float64", [[0.5, 1.5]]),
        ({"writable": False}, "float64", [[0.5, 1.5]]),
        ({"slice_by_slice": True}, "float64", [[0.5, 1.5]]),
        ({"stack": "per_plane"}, "float64", [[0.5, 1.5]]),
        ({"stack": "volume"}, "float64", [[0.5, 1.5]]),
        ({"oom": OomPolicy(retries=0)}, "float64", [[0.5, 1.5]]),
    ],
)
@pytest.mark.parametrize("is_own", [True, False])
def test_every_option_holds_at_each_call(box, options, dtype, expected, is_own):
    @memory_types(input="toy_box", **options)
    def halved(image):
        assert detect(image) == "toy_box"
        return box(image.values / 2)

    plane = np.array([[1, 3]], np.uint16)
    for _ in range(3):  # later calls rely on what the first has found out
        result = halved(box(plane) if is_own else plane)
        assert type(result) is box
        assert result.values.dtype == dtype
        np.testing.assert_array_equal(result.values, expected)


@pytest.mark.parametrize("dtype", ["preserve", "scale"])
def test_an_image_that_has_the_dtype_is_returned_itself(box, dtype):
    @memory_types(input="toy_box", dtype=dtype)
    def same(image):
        return image

    image = box(np.array([[1, 3]], np.uint16))
    for _ in range(3):
        assert same(image) is image


def test_all_images_and_labels_are_found_at_each_call(box):
    @memory_types(input="toy_box", output="numpy", images=("background",))
    def masked(image, background, labels=None):
        assert {detect(image), detect(background)} == {"toy_box"}
        pixels = image.values - background.values
        return box(pixels if labels is None else pixels * labels.values)

    image, dark = box(np.array([[5, 7]], np.uint16)), np.array([[1, 2]], np.uint16)
    drawn = np.array([[0, 1]], np.int32)
    for _ in range(3):
        np.testing.assert_array_equal(masked(image, dark), [[4, 5]])
        np.testing.assert_array_equal(masked(image, dark, labels=drawn), [[0, 5]])


def test_an_image_that_is_no_stack_is_refused_at_each_call(box):
    @memory_types(input="toy_box", enforce_3d=True)
    def same(image):
        return image

    stack = box(np.zeros((2, 2, 2)))
    for _ in range(2):
        assert same(stack) is stack
        with pytest.raises(ShapeError, match=r"same: a stack \(n, y, x\), got shape \(2, 2\)"):
            same(box(np.zeros((2, 2))))


@pytest.mark.parametrize("slice_by_slice", [True, False])
def test_stacks_that_cannot_be_indexed_go_in_parts(box, slice_by_slice):
    shapes = []

    @memory_types(input="toy_box", stack="per_plane", slice_by_slice=slice_by_slice)
    def doubled(image):
        shapes.append(image.values.shape)
        if len(image.values) > 2:
            raise MemoryError
        return box(image.values * 2)

    stack = np.arange(12, dtype=np.uint16).reshape(3, 2, 2)
    for _ in range(2):
        np.testing.assert_array_equal(doubled(box(stack)).values, stack * 2)
    once = [(2, 2)] * 3 if slice_by_slice else [(3, 2, 2), (3, 2, 2), (2, 2, 2), (1, 2, 2)]
    assert shapes == once * 2


def test_a_function_runs_where_its_arrays_lie_at_each_call(crates):
    @memory_types(input="crates")
    def same(image):
        return image

    near, far = Crate([[1]]), Crate([[2]], "toy:1")
    for _ in range(3):
        assert same(near) is near
        assert same(far) is far
    assert crates == ["toy:1"] * 3


def test_arrays_are_sent_to_the_device_at_each_call(crates):
    @memory_types(input="crates", device="toy:1")
    def place(image):
        return Crate(image.values, image.place)

    for image in [Crate([[1]]), Crate([[1]], "toy:1"), np.array([[1]], np.uint16)] * 2:
        assert place(image).place == "toy:1"
    assert crates == ["toy:1"] * 6


@pytest.mark.parametrize("device", ["toy", "toy:0"])
def test_a_device_without_a_number_is_the_first_of_its_kind(crates, device):
    @memory_types(input="crates", device=device)
    def same(image):
        return image

    there = Crate([[1]], "toy:0")
    for _ in range(2):
        assert same(there) is there
        assert same(Crate([[1]])).place == "toy:0"
    assert crates == ["toy:0"] * 4


class Elsewhere(CrateAdapter):
    """Says of the same crates that they all lie elsewhere."""

    def describe(self, array: Any) -> ArrayInfo:
        return super().describe(array)._replace(device="toy:1")


class Host(CrateAdapter):
    """Says that there is the host alone, so that a type tells all."""

    def devices(self) -> tuple[str, ...]:
        return ("cpu",)


def test_what_is_known_of_a_type_is_forgotten_with_the_adapter_that_knew_it(crates):
    @memory_types(input="crates")
    def same(image):
        return image

    crate = Crate([[1]])
    for _ in range(2):
        with ARRAYS.overrides(crates=Host):
            assert same(same(crate)) is crate
        assert crates == []
        with ARRAYS.overrides(crates=Elsewhere):
            assert same(same(crate)) is crate
        assert crates == ["toy:1"] * 2
        crates.clear()


class Labelled(np.ndarray[Any, np.dtype[Any]]):
    """A type that its module has."""


@pytest.mark.parametrize("base", [np.ndarray, Crate])
def test_a_type_that_was_made_for_a_while_is_freed(base):
    adapter = CrateAdapter() if base is Crate else NumpyAdapter()
    known = HostTypes(adapter)
    made = type("Made", (base,), {})
    array = made([[1]]) if base is Crate else np.zeros((2, 2)).view(made)
    assert known.device_of(array) == "cpu"
    reference = weakref.ref(made)
    del made, array
    gc.collect()
    assert reference() is None


def test_a_type_that_lasts_is_remembered():
    known = HostTypes(NumpyAdapter())
    for array in (np.zeros(2), np.zeros(2).view(Labelled)):
        assert known.device_of(array) == "cpu"
        assert known.has(array)


def test_a_function_of_a_framework_that_is_gone_is_refused():
    @memory_types(input="crates")
    def same(image):
        return image

    crate = Crate([[1]])
    with ARRAYS.overrides(crates=Host):
        assert same(same(crate)) is crate
    with pytest.raises(UnknownPluginError, match="crates"):
        same(crate)
    assert contract_of(same) is not None

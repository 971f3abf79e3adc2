"""An array adapter that holds its contract, and adapters that each break one promise."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from toy_adapter import BoxAdapter, EagerAdapter

from hcs_core.arrays import ARRAYS, ArrayInfo, Capabilities, DeviceMemory
from hcs_core.arrays._aligned import unlocked
from hcs_core.testing import ArrayAdapterTests


class ToyAdapterTests(ArrayAdapterTests):
    caught_by: ClassVar[tuple[str, ...]] = ()


class TestRight(ToyAdapterTests):
    adapter = BoxAdapter


class TestName(ToyAdapterTests):
    caught_by = ("test_it_has_the_name_that_users_type",)

    class adapter(BoxAdapter):  # noqa: N801 - the attribute of the suite
        name = "Toy box"


class TestModules(ToyAdapterTests):
    caught_by = ("test_its_modules_are_top_level_names",)

    class adapter(BoxAdapter):  # noqa: N801
        module_names = ("toy_framework.arrays",)


class TestKey(ToyAdapterTests):
    adapter = BoxAdapter
    caught_by = ("test_it_is_registered_under_its_name",)

    @pytest.fixture(autouse=True)
    def _registered(self) -> Iterator[None]:
        with ARRAYS.overrides(other_key=BoxAdapter):
            yield


class TestEager(ToyAdapterTests):
    adapter = EagerAdapter
    caught_by = ("test_knowing_it_does_not_import_its_framework",)


class TestCapabilities(ToyAdapterTests):
    caught_by = ("test_its_capabilities_make_sense",)

    class adapter(BoxAdapter):  # noqa: N801
        def capabilities(self) -> Capabilities:
            return replace(super().capabilities(), alignment=48)


class TestOwnsNothing(ToyAdapterTests):
    caught_by = ("test_it_owns_its_arrays",)

    class adapter(BoxAdapter):  # noqa: N801
        def owns(self, value: object) -> bool:
            return False


class TestOwnsEverything(ToyAdapterTests):
    caught_by = (
        "test_it_owns_nothing_that_is_no_array",
        "test_no_two_adapters_own_an_array",
    )

    class adapter(BoxAdapter):  # noqa: N801
        def owns(self, value: object) -> bool:
            return True


class TestAnyErrorIsMemory(ToyAdapterTests):
    caught_by = ("test_it_knows_a_lack_of_memory_from_other_errors",)

    class adapter(BoxAdapter):  # noqa: N801
        def is_out_of_memory(self, error: BaseException) -> bool:
            return isinstance(error, RuntimeError | MemoryError)


class TestNarrow(ToyAdapterTests):
    caught_by = ("test_every_dtype_comes_back_to_the_last_bit",)

    class adapter(BoxAdapter):  # noqa: N801
        def from_host(self, array: NDArray[Any], device: str) -> Any:
            with np.errstate(all="ignore"):
                return super().from_host(array.astype(np.float32).astype(array.dtype), device)


class TestAsInMemory(ToyAdapterTests):
    caught_by = ("test_every_layout_comes_back_with_its_values",)

    class adapter(BoxAdapter):  # noqa: N801
        def from_host(self, array: NDArray[Any], device: str) -> Any:
            return super().from_host(array.ravel(order="K").reshape(array.shape), device)


class TestDescription(ToyAdapterTests):
    caught_by = (
        "test_an_array_is_described_as_what_it_is",
        "test_a_description_has_an_address_and_a_step_for_each_axis",
        "test_an_array_without_elements_has_no_address",
    )

    class adapter(BoxAdapter):  # noqa: N801
        def describe(self, array: Any) -> ArrayInfo:
            info = super().describe(array)
            steps = tuple(step // array.values.itemsize for step in info.strides)
            pointer = array.values.ctypes.data
            return info._replace(dtype=array.values.dtype.str, strides=steps, pointer=pointer)


class TestImmutable(ToyAdapterTests):
    caught_by = (
        "test_a_description_says_whether_the_array_can_change",
        "test_what_comes_to_the_host_is_a_plain_array",
    )

    class adapter(BoxAdapter):  # noqa: N801
        def capabilities(self) -> Capabilities:
            return replace(super().capabilities(), immutable=True)


class TestChecksByCopying(ToyAdapterTests):
    caught_by = ("test_an_ordinary_array_is_handed_on",)

    class adapter(BoxAdapter):  # noqa: N801
        def checked(self, array: Any) -> Any:
            return self.from_host(array.values.copy(), "cpu")


class TestSubclass(ToyAdapterTests):
    caught_by = ("test_what_comes_to_the_host_is_a_plain_array",)

    class adapter(BoxAdapter):  # noqa: N801
        def to_host(self, array: Any) -> NDArray[Any]:
            return super().to_host(array).view(np.ma.MaskedArray)


class TestFreesTooMuch(ToyAdapterTests):
    caught_by = ("test_no_array_changes_when_the_cache_is_freed",)

    class adapter(BoxAdapter):  # noqa: N801
        cache: ClassVar[list[NDArray[Any]]] = []

        def from_host(self, array: NDArray[Any], device: str) -> Any:
            self.cache.append(array)
            return super().from_host(array, device)

        def free_cache(self, device: str) -> int:
            for used in self.cache:
                used[...] = 0
            return 0


class TestNewFacts(ToyAdapterTests):
    caught_by = ("test_arrays_that_are_alike_have_the_same_facts",)

    class adapter(BoxAdapter):  # noqa: N801
        def facts(self, array: Any, *, located: bool) -> tuple[Hashable, int]:
            return id(array), array.values.ctypes.data


class TestFewFacts(ToyAdapterTests):
    caught_by = ("test_arrays_of_the_same_facts_have_the_same_description",)

    class adapter(BoxAdapter):  # noqa: N801
        def facts(self, array: Any, *, located: bool) -> tuple[Hashable, int]:
            return (array.values.shape, array.values.dtype), array.values.ctypes.data


class TestAddressOfTheObject(ToyAdapterTests):
    caught_by = ("test_the_address_is_that_of_the_description",)

    class adapter(BoxAdapter):  # noqa: N801
        def address(self, array: Any) -> int:
            return id(array)


class TestFirstPart(ToyAdapterTests):
    caught_by = ("test_a_part_is_one_plane_or_some_planes",)

    class adapter(BoxAdapter):  # noqa: N801
        def part(self, array: Any, index: int | slice) -> Any:
            return self.from_host(array.values[0].copy(), "cpu")


class TestCopiesByName(ToyAdapterTests):
    caught_by = ("test_a_copy_has_its_own_memory_and_the_dtype_that_was_asked_for",)

    class adapter(BoxAdapter):  # noqa: N801
        def copied(self, array: Any, device: str, dtype: str) -> Any:
            return self.from_host(array.values.astype(dtype, copy=False), device)


class TestNegativeMemory(ToyAdapterTests):
    caught_by = ("test_the_memory_of_a_device_is_known_or_nothing_is_said",)

    class adapter(BoxAdapter):  # noqa: N801
        def memory(self, device: str) -> DeviceMemory | None:
            return DeviceMemory(device, 10, -10)


class TestSilent(ToyAdapterTests):
    caught_by = ("test_computing_on_a_device_changes_no_result",)

    class adapter(BoxAdapter):  # noqa: N801
        def on(self, device: str) -> AbstractContextManager[object]:
            return suppress(Exception)


class TestNoNamespace(ToyAdapterTests):
    caught_by = ("test_its_namespace_has_what_the_bridge_computes_by",)

    class adapter(BoxAdapter):  # noqa: N801
        def namespace(self) -> Any | None:
            return math


class TestOnePlane(ToyAdapterTests):
    caught_by = ("test_its_arrays_become_a_stack", "test_a_stack_of_its_arrays_comes_apart")

    class adapter(BoxAdapter):  # noqa: N801
        def from_host(self, array: NDArray[Any], device: str) -> Any:
            return super().from_host(array[0] if array.ndim > 2 else array, device)


class TestOneDtype(ToyAdapterTests):
    caught_by = ("test_values_are_rescaled_as_those_of_numpy_are",)

    class adapter(BoxAdapter):  # noqa: N801
        def from_host(self, array: NDArray[Any], device: str) -> Any:
            return super().from_host(array.astype(np.uint16, copy=False), device)


class TestOneDtypeTold(ToyAdapterTests):
    caught_by = ("test_a_decorated_function_takes_its_arrays_and_those_of_numpy",)

    class adapter(BoxAdapter):  # noqa: N801
        def describe(self, array: Any) -> ArrayInfo:
            return super().describe(array)._replace(dtype="uint16")


class TestCopies(ToyAdapterTests):
    caught_by = ("test_memory_that_fits_is_shared",)

    class adapter(BoxAdapter):  # noqa: N801
        def from_host(self, array: NDArray[Any], device: str) -> Any:
            return super().from_host(array.copy(), device)


class TestCopiesBack(ToyAdapterTests):
    caught_by = ("test_memory_that_fits_is_shared",)

    class adapter(BoxAdapter):  # noqa: N801
        def to_host(self, array: Any) -> NDArray[Any]:
            return super().to_host(array).copy()


class TestInventedAddress(ToyAdapterTests):
    caught_by = ("test_the_address_says_whether_memory_is_shared",)

    class adapter(BoxAdapter):  # noqa: N801
        def describe(self, array: Any) -> ArrayInfo:
            return super().describe(array)._replace(pointer=id(array))


class TestUnlocks(ToyAdapterTests):
    caught_by = (
        "test_a_description_says_whether_the_array_can_change",
        "test_no_write_reaches_memory_that_is_read_only",
    )

    class adapter(BoxAdapter):  # noqa: N801
        def from_host(self, array: NDArray[Any], device: str) -> Any:
            return super().from_host(unlocked(array), device)


class TestDevicesOfOthers(ToyAdapterTests):
    caught_by = ("test_its_usual_device_is_one_that_is_there",)

    class adapter(BoxAdapter):  # noqa: N801
        def devices(self) -> tuple[str, ...]:
            return ("cuda:0",)


class TestAnyDevice(ToyAdapterTests):
    caught_by = ("test_a_device_that_is_not_there_is_refused_by_name",)

    class adapter(BoxAdapter):  # noqa: N801
        def from_host(self, array: NDArray[Any], device: str) -> Any:
            return super().from_host(array, "cpu")

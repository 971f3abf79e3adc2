"""What every array adapter must hold: inherit `ArrayAdapterTests`, give it an adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from hcs_core.arrays import ARRAYS, ArrayAdapter
from hcs_core.errors import HcsError, UsageError
from hcs_core.testing._processes import modules_after
from hcs_core.testing._samples import PIXEL_DTYPES, extremes, same

_PLANE = np.arange(48, dtype=np.uint16).reshape(6, 8)
_LAYOUTS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "no axes": lambda plane: plane[1, 2].reshape(()),
    "no elements": lambda plane: plane[:0],
    "one element": lambda plane: plane[:1, :1],
    "fortran": np.asfortranarray,
    "reversed": lambda plane: plane[::-1, ::-1],
    "every second": lambda plane: plane[::2, ::3],
    "broadcast": lambda plane: np.broadcast_to(plane[0], plane.shape),
    "big-endian": lambda plane: plane.astype(plane.dtype.newbyteorder(">")),
}
_NO_ARRAYS = (None, 3, 2.5, "text", b"ab", [1, 2], (1,), {"a": 1}, memoryview(b"ab"), object())
_NO_DEVICE = "no such device:7"


class ArrayAdapterTests:
    """Tests that an array adapter passes, whatever its framework is.

    Subclass it in a test module, and give it `adapter`. Where the framework is not
    installed, all but the tests of the adapter itself are skipped.

    Examples
    --------
    >>> class TestMyAdapter(ArrayAdapterTests):
    ...     adapter = MyAdapter
    ...     cannot = {"float16": "it has no half floats"}
    """

    adapter: ClassVar[type[ArrayAdapter]]
    device: ClassVar[str] = "cpu"
    """The device on which the tests make arrays."""
    cannot: ClassVar[Mapping[str, str]] = {}
    """Why the framework cannot hold a dtype or a layout, by its name: that is skipped."""

    @pytest.fixture
    def ready(self) -> ArrayAdapter:
        """Return the adapter of a framework that is installed."""
        names = self.adapter.module_names
        if not any(find_spec(name) is not None for name in names):
            pytest.skip(f"{self.adapter.name} is not installed")
        return self.adapter()

    def test_it_has_the_name_that_users_type(self) -> None:
        name = self.adapter.name
        assert isinstance(name, str)
        assert name.isidentifier()
        assert name == name.lower()

    def test_its_modules_are_top_level_names(self) -> None:
        names = self.adapter.module_names
        assert isinstance(names, tuple)
        assert names
        assert all(name.isidentifier() for name in names), names

    def test_it_is_registered_under_its_name(self) -> None:
        value = f"{self.adapter.__module__}:{self.adapter.__qualname__}"
        keys = [info.key for info in ARRAYS.infos() if info.value == value]
        assert keys in ([], [self.adapter.name])

    def test_knowing_it_does_not_import_its_framework(self) -> None:
        if self.adapter.name == "numpy":
            pytest.skip("the core itself needs NumPy")
        home, name = self.adapter.__module__, self.adapter.__qualname__
        asked = f"a = {name}()\na.owns(3)\na.owns(numpy.zeros(3))"
        loaded = modules_after(f"import numpy\nfrom {home} import {name}\n{asked}")
        assert sorted(loaded & set(self.adapter.module_names)) == []

    def test_it_owns_its_arrays(self, ready: ArrayAdapter) -> None:
        array = self._made(ready, _PLANE)
        assert ready.owns(array) is True
        assert type(array).__module__.partition(".")[0] in ready.module_names

    @pytest.mark.parametrize("value", _NO_ARRAYS, ids=lambda value: type(value).__name__)
    def test_it_owns_nothing_that_is_no_array(self, value: object) -> None:
        assert self.adapter().owns(value) is False

    def test_no_two_adapters_own_an_array(self, ready: ArrayAdapter) -> None:
        array = self._made(ready, _PLANE)
        others = [_adapter(key) for key in ARRAYS if key != ready.name]
        assert [each.name for each in others if each is not None and each.owns(array)] == []
        assert ready.owns(_PLANE) is (ready.name == "numpy")

    @pytest.mark.parametrize("dtype", PIXEL_DTYPES)
    def test_every_dtype_comes_back_to_the_last_bit(self, ready: ArrayAdapter, dtype: str) -> None:
        self._skip_what_it_cannot(dtype)
        host = extremes(np.dtype(dtype))
        assert same(self._returned(ready, host), host)  # also NaN and the sign of zero

    @pytest.mark.parametrize("layout", _LAYOUTS)
    def test_every_layout_comes_back_with_its_values(
        self, ready: ArrayAdapter, layout: str
    ) -> None:
        self._skip_what_it_cannot(layout)
        host = _LAYOUTS[layout](_PLANE)
        back = self._returned(ready, host)
        assert back.dtype in (host.dtype, host.dtype.newbyteorder("="))
        np.testing.assert_array_equal(back, host)
        assert back.shape == host.shape

    @pytest.mark.parametrize("dtype", PIXEL_DTYPES)
    def test_an_array_is_described_as_what_it_is(self, ready: ArrayAdapter, dtype: str) -> None:
        self._skip_what_it_cannot(dtype)
        host = extremes(np.dtype(dtype))
        info = ready.describe(self._made(ready, host))
        facts = (info.framework, info.shape, info.dtype, info.device, info.nbytes)
        assert facts == (ready.name, host.shape, dtype, self.device, host.nbytes)
        assert isinstance(info.readonly, bool)

    def test_a_description_has_an_address_and_a_step_for_each_axis(
        self, ready: ArrayAdapter
    ) -> None:
        array = self._made(ready, _PLANE)
        info, back = ready.describe(array), ready.to_host(array)
        assert isinstance(info.pointer, int)
        assert info.pointer
        assert len(info.strides) == 2
        if info.pointer == _address(back):
            assert info.strides == back.strides
        assert ready.describe(array) == info

    def test_an_array_without_elements_has_no_address(self, ready: ArrayAdapter) -> None:
        self._skip_what_it_cannot("no elements")
        info = ready.describe(self._made(ready, _PLANE[:0]))
        assert (info.pointer, info.shape, info.nbytes) == (0, (0, 8), 0)

    def test_what_comes_to_the_host_is_a_plain_array(self, ready: ArrayAdapter) -> None:
        assert type(self._returned(ready, _PLANE)) is np.ndarray

    def test_the_address_says_whether_memory_is_shared(self, ready: ArrayAdapter) -> None:
        host = _PLANE.copy()
        array = self._made(ready, host)
        is_shared = ready.describe(array).pointer == _address(host)
        host[:] = 7
        seen = np.array(ready.to_host(array))
        np.testing.assert_array_equal(seen, host if is_shared else _PLANE)

    def test_no_write_reaches_memory_that_is_read_only(self, ready: ArrayAdapter) -> None:
        host = _PLANE.copy()
        host.flags.writeable = False
        array = self._made(ready, host)
        info = ready.describe(array)
        assert info.readonly or info.pointer != _address(host)
        back = ready.to_host(array)
        if back.flags.writeable:
            back[:] = 7
        np.testing.assert_array_equal(host, _PLANE)

    def test_a_device_that_is_not_there_is_refused_by_name(self, ready: ArrayAdapter) -> None:
        with pytest.raises(UsageError, match=_NO_DEVICE):
            ready.from_host(_PLANE, _NO_DEVICE)

    def _made(self, adapter: ArrayAdapter, host: NDArray[Any]) -> Any:
        return adapter.from_host(host, self.device)

    def _returned(self, adapter: ArrayAdapter, host: NDArray[Any]) -> NDArray[Any]:
        """Return an array that went to the framework and back; the original is not changed."""
        before = host.copy()
        back = adapter.to_host(self._made(adapter, host))
        assert same(np.array(host), np.array(before))
        return back

    def _skip_what_it_cannot(self, name: str) -> None:
        if name in self.cannot:
            pytest.skip(f"{self.adapter.name} cannot: {self.cannot[name]}")


def _adapter(key: str) -> ArrayAdapter | None:
    """Return another adapter; one that cannot be loaded owns nothing."""
    try:
        return ARRAYS[key]()
    except HcsError:
        return None


def _address(array: NDArray[Any]) -> int:
    pointer: int = array.__array_interface__["data"][0]
    return pointer

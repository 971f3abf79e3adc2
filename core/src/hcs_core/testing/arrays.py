"""What every array adapter must hold: inherit `ArrayAdapterTests`, give it an adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any, ClassVar, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from hcs_core.arrays import (
    ARRAYS,
    ArrayAdapter,
    Capabilities,
    DeviceMemory,
    convert,
    describe,
    empty,
    freeze,
    memory_types,
    plan,
    rescale,
    stack,
    unstack,
)
from hcs_core.arrays._adapter import Layout
from hcs_core.arrays._dtypes import dtype_of
from hcs_core.errors import (
    CopyRequiredError,
    HcsError,
    LossyConversionError,
    ShapeError,
    UsageError,
)
from hcs_core.testing._processes import modules_after
from hcs_core.testing._samples import PIXEL_DTYPES, extremes, same

_DTYPES = (*PIXEL_DTYPES, "complex64", "complex128", "bfloat16")
_LAYOUTS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "C order": lambda plane: plane,
    "read-only": freeze,
    "no axes": lambda plane: plane[:1, :1].reshape(()),
    "one axis": lambda plane: plane[1],
    "three axes": lambda plane: plane.reshape(2, 3, 8),
    "four axes": lambda plane: plane.reshape(2, 3, 2, 4),
    "no elements": lambda plane: plane[:0],
    "one element": lambda plane: plane[:1, :1],
    "Fortran order": lambda plane: plane.reshape(8, 6).T,
    "axes in any order": lambda plane: plane.reshape(2, 3, 8).transpose(1, 2, 0),
    "reversed": lambda plane: plane[::-1, ::-1],
    "every second": lambda plane: plane[::2, ::3],
    "unaligned": lambda plane: plane[:, 1:],
    "broadcast": lambda plane: np.broadcast_to(plane[0], plane.shape),
    "big-endian": lambda plane: plane.astype(plane.dtype.newbyteorder(">")),
}
_NO_ARRAYS = (None, 3, 2.5, "text", b"ab", [1, 2], (1,), {"a": 1}, memoryview(b"ab"), object())
_NOT_MEMORY = (ValueError("wrong value"), TypeError("no number"), RuntimeError("shape mismatch"))
# What is computed on a device is computed by these; the rest of a namespace is its own affair.
_COMPUTED_BY = (
    *("abs", "any", "astype", "clip", "concat", "full_like", "isfinite", "isinf", "isnan"),
    *("max", "min", "reshape", "round", "stack", "sum", "take", "where"),
)
_NO_DEVICE = "no such device:7"
_REFUSALS = (LossyConversionError, ShapeError)


class ArrayAdapterTests:
    """Tests that an array adapter passes, whatever its framework is.

    Subclass it in a test module, and give it `adapter`. Arrays are made by `convert`, so
    that the adapter is given what fits its capabilities, and nothing else. Where the
    framework is not installed, all but the tests of the adapter itself are skipped.

    Examples
    --------
    >>> class TestMyAdapter(ArrayAdapterTests):
    ...     adapter = MyAdapter
    """

    adapter: ClassVar[type[ArrayAdapter]]
    device: ClassVar[str] = ""
    """The device on which the tests make arrays; by default the adapter's `host_device`."""

    @pytest.fixture
    def ready(self) -> Iterator[ArrayAdapter]:
        """Return the adapter of a framework that is installed; `convert` uses it too."""
        kind = self.adapter
        if not any(find_spec(name) is not None for name in kind.module_names):
            pytest.skip(f"{kind.name} is not installed")
        with ARRAYS.overrides(**{kind.name: kind}):
            adapter = kind()
            if not adapter.devices():
                pytest.skip(f"{kind.name} has no device here")
            yield adapter

    # -- the adapter itself -----------------------------------------------------------------

    def test_it_has_the_name_that_users_type(self) -> None:
        name = self.adapter.name
        assert isinstance(name, str)
        assert name.isidentifier()
        assert name == name.lower()

    def test_its_modules_are_top_level_names(self) -> None:
        names, before = self.adapter.module_names, self.adapter.import_before
        assert isinstance(names, tuple)
        assert isinstance(before, tuple)
        assert names
        assert all(name.isidentifier() for name in (*names, *before)), (names, before)

    def test_it_is_registered_under_its_name(self) -> None:
        value = f"{self.adapter.__module__}:{self.adapter.__qualname__}"
        keys = [info.key for info in ARRAYS.infos() if info.value == value]
        assert keys in ([], [self.adapter.name])

    def test_knowing_it_does_not_import_its_framework(self) -> None:
        if self.adapter.name == "numpy":
            pytest.skip("the core itself needs NumPy")
        home, name = self.adapter.__module__, self.adapter.__qualname__
        asked = f"a = {name}()\na.owns(3)\na.owns(numpy.zeros(3))\na.capabilities()\n"
        asked += "a.dtypes_on(a.host_device())\n"
        asked += "a.is_loaded()\na.is_out_of_memory(MemoryError())"
        loaded = modules_after(f"import numpy\nfrom {home} import {name}\n{asked}")
        assert sorted(loaded & set(self.adapter.module_names)) == []

    def test_its_capabilities_make_sense(self) -> None:
        able = self.adapter().capabilities()
        assert isinstance(able, Capabilities)
        assert able.dtypes
        assert able.dtypes <= set(_DTYPES)
        assert able.layout in get_args(Layout)
        assert able.alignment > 0
        assert able.alignment & (able.alignment - 1) == 0  # a power of two
        fewest, most = able.ndim
        assert 0 <= fewest <= 2 <= most  # a plane has two
        assert self.adapter().capabilities() == able
        assert self.adapter().dtypes_on(self.adapter().host_device()) <= able.dtypes

    @pytest.mark.parametrize("value", _NO_ARRAYS, ids=lambda value: type(value).__name__)
    def test_it_owns_nothing_that_is_no_array(self, value: object) -> None:
        assert self.adapter().owns(value) is False

    def test_it_knows_a_lack_of_memory_from_other_errors(self) -> None:
        adapter = self.adapter()
        assert adapter.is_out_of_memory(MemoryError()) is True
        assert [adapter.is_out_of_memory(error) for error in _NOT_MEMORY] == [False] * 3
        assert [adapter.requested_bytes(error) for error in _NOT_MEMORY] == [None] * 3

    # -- what its arrays are ----------------------------------------------------------------

    def test_it_owns_its_arrays(self, ready: ArrayAdapter) -> None:
        array = self._made(ready, _plane(ready))
        assert ready.owns(array) is True
        assert type(array).__module__.partition(".")[0] in ready.module_names
        assert ready.is_loaded() is True

    def test_no_two_adapters_own_an_array(self, ready: ArrayAdapter) -> None:
        plane = _plane(ready)
        array = self._made(ready, plane)
        others = [_adapter(key) for key in ARRAYS if key != ready.name]
        assert [each.name for each in others if each is not None and each.owns(array)] == []
        assert ready.owns(plane) is (ready.name == "numpy")

    @pytest.mark.parametrize("dtype", _DTYPES)
    def test_an_array_is_described_as_what_it_is(self, ready: ArrayAdapter, dtype: str) -> None:
        host = _extremes(dtype)
        if not _holds(ready, host):
            pytest.skip(f"{ready.name} has no {dtype}")
        info = ready.describe(self._made(ready, host))
        facts = (info.framework, info.shape, info.dtype, info.device, info.nbytes)
        assert facts == (ready.name, host.shape, dtype, self._place(ready), host.nbytes)

    def test_a_description_has_an_address_and_a_step_for_each_axis(
        self, ready: ArrayAdapter
    ) -> None:
        plane = _plane(ready)
        array = self._made(ready, plane)
        info = ready.describe(array)
        assert isinstance(info.pointer, int)
        assert info.pointer or not ready.capabilities().shares_host
        assert info.strides == plane.strides
        assert ready.describe(array) == info

    def test_an_array_without_elements_has_no_address(self, ready: ArrayAdapter) -> None:
        plane = _plane(ready)[:0]
        if not _holds(ready, plane):
            pytest.skip(f"{ready.name} has no arrays without elements")
        info = ready.describe(self._made(ready, plane))
        assert (info.pointer, info.shape, info.nbytes) == (0, plane.shape, 0)

    def test_a_description_says_whether_the_array_can_change(self, ready: ArrayAdapter) -> None:
        able = ready.capabilities()
        info = ready.describe(self._made(ready, _plane(ready)))
        assert (info.readonly, info.frozen) == (able.immutable, able.immutable)
        if able.marks_readonly:
            locked = ready.from_host(freeze(_plane(ready)), self._place(ready))
            assert ready.describe(locked).readonly is True
            assert not ready.to_host(locked).flags.writeable

    def test_an_ordinary_array_is_handed_on(self, ready: ArrayAdapter) -> None:
        array = self._made(ready, _plane(ready))
        handed = ready.checked(array)
        assert ready.owns(handed)
        assert ready.describe(handed) == ready.describe(array)

    def test_arrays_that_are_alike_have_the_same_facts(self, ready: ArrayAdapter) -> None:
        first, second = (self._made(ready, _plane(ready)) for _ in range(2))
        keys = [ready.facts(first, located=True)[0], ready.facts(second, located=False)[0]]
        assert keys[0] == keys[1]
        assert len(set(keys)) == 1  # so they can be looked up

    def test_arrays_of_the_same_facts_have_the_same_description(self, ready: ArrayAdapter) -> None:
        known: dict[Any, Any] = {}
        for host in _samples(ready):
            array = self._made(ready, host, copy=None)
            info = ready.describe(array)._replace(pointer=0)
            assert known.setdefault(ready.facts(array, located=False)[0], info) == info

    def test_the_address_is_that_of_the_description(self, ready: ArrayAdapter) -> None:
        array = self._made(ready, _plane(ready))
        pointer = ready.describe(array).pointer
        assert (ready.address(array), ready.facts(array, located=True)[1]) == (pointer, pointer)

    # -- its values -------------------------------------------------------------------------

    @pytest.mark.parametrize("dtype", _DTYPES)
    def test_every_dtype_comes_back_to_the_last_bit(self, ready: ArrayAdapter, dtype: str) -> None:
        host = _extremes(dtype)
        if not _holds(ready, host):
            self._refuses(ready, host)
        else:
            assert same(self._returned(ready, host), host)  # also NaN and the sign of zero

    @pytest.mark.parametrize("layout", _LAYOUTS)
    def test_every_layout_comes_back_with_its_values(
        self, ready: ArrayAdapter, layout: str
    ) -> None:
        host = _LAYOUTS[layout](_plane(ready))
        if not _holds(ready, host):
            self._refuses(ready, host)
            return
        for copy in (True, None):
            back = self._returned(ready, host, copy=copy)
            assert back.dtype in (host.dtype, host.dtype.newbyteorder("="))
            np.testing.assert_array_equal(back, host)
            assert back.shape == host.shape

    def test_what_comes_to_the_host_is_a_plain_array(self, ready: ArrayAdapter) -> None:
        back = self._returned(ready, _plane(ready))
        assert type(back) is np.ndarray
        assert not (back.flags.writeable and ready.capabilities().immutable)

    def test_no_array_changes_when_the_cache_is_freed(self, ready: ArrayAdapter) -> None:
        plane = _plane(ready)
        array = self._made(ready, plane)
        ready.free_cache(self._place(ready))
        assert same(np.array(ready.to_host(array)), plane)

    def test_a_part_is_one_plane_or_some_planes(self, ready: ArrayAdapter) -> None:
        host = _stack(ready)
        array = self._made(ready, host)
        for index in (0, 2, slice(0, 1), slice(1, 3)):
            part = ready.part(array, index)
            assert ready.owns(part)
            assert ready.describe(part).device == self._place(ready)
            assert same(np.array(ready.to_host(part)), np.array(host[index]))

    # -- its memory -------------------------------------------------------------------------

    @pytest.mark.parametrize("sample", [*_LAYOUTS, *_DTYPES])
    def test_memory_that_fits_is_shared(self, ready: ArrayAdapter, sample: str) -> None:
        host = _LAYOUTS[sample](_plane(ready)) if sample in _LAYOUTS else _extremes(sample)
        place = self._place(ready)
        try:
            plan(host, ready.name, device=place, copy=False, writable=False)
        except (CopyRequiredError, *_REFUSALS) as reason:
            pytest.skip(str(reason))
        array = ready.from_host(host, place)
        back = ready.to_host(array)
        pointers = [describe(each).pointer for each in (host, back)]
        assert [ready.describe(array).pointer, *pointers] == [pointers[0]] * 3
        assert same(np.array(back), np.array(host))

    def test_the_address_says_whether_memory_is_shared(self, ready: ArrayAdapter) -> None:
        host, before = _plane(ready), _plane(ready)
        array = self._made(ready, host, copy=None)
        is_shared = ready.describe(array).pointer == describe(host).pointer
        host[...] = 7
        np.testing.assert_array_equal(ready.to_host(array), host if is_shared else before)

    def test_no_write_reaches_memory_that_is_read_only(self, ready: ArrayAdapter) -> None:
        host, before = freeze(_plane(ready)), _plane(ready)
        array = self._made(ready, host, copy=None)
        info = ready.describe(array)
        assert info.readonly or info.pointer != describe(host).pointer
        back = ready.to_host(array)
        if back.flags.writeable:
            back[...] = 7
        np.testing.assert_array_equal(host, before)

    def test_a_copy_has_its_own_memory_and_the_dtype_that_was_asked_for(
        self, ready: ArrayAdapter
    ) -> None:
        plane, place = _plane(ready), self._place(ready)
        array = self._made(ready, plane)
        for dtype in (plane.dtype.name, _other_dtype(ready, plane, place)):
            copy = ready.copied(array, place, dtype)
            assert ready.owns(copy)
            assert (ready.describe(copy).device, ready.describe(copy).dtype) == (place, dtype)
            host = ready.to_host(copy)
            assert same(np.array(host), plane.astype(dtype))
            if host.flags.writeable:
                host[...] = 7
            assert same(np.array(ready.to_host(array)), plane)

    # -- its devices ------------------------------------------------------------------------

    def test_its_usual_device_is_one_that_is_there(self, ready: ArrayAdapter) -> None:
        devices = ready.devices()
        assert isinstance(devices, tuple)
        assert len(set(devices)) == len(devices)
        assert {ready.host_device(), self._place(ready)} <= set(devices)

    def test_a_device_that_is_not_there_is_refused_by_name(self, ready: ArrayAdapter) -> None:
        with pytest.raises(UsageError, match=_NO_DEVICE):
            ready.from_host(_plane(ready), _NO_DEVICE)
        with pytest.raises(UsageError, match=_NO_DEVICE):
            ready.require(_NO_DEVICE)
        assert tuple(map(ready.require, ready.devices())) == ready.devices()

    def test_the_memory_of_a_device_is_known_or_nothing_is_said(self, ready: ArrayAdapter) -> None:
        place = self._place(ready)
        memory = ready.memory(place)
        if memory is None:
            return
        assert isinstance(memory, DeviceMemory)
        assert memory.device == place
        assert [type(size) for size in memory[1:]] == [int, int]
        assert min(memory.used, memory.free) >= 0
        assert memory.total > 0

    def test_computing_on_a_device_changes_no_result(self, ready: ArrayAdapter) -> None:
        plane, place = _plane(ready), self._place(ready)
        with ready.on(place):
            array = self._made(ready, plane)
            with ready.on(place):
                copy = ready.copied(array, place, plane.dtype.name)
        assert same(np.array(ready.to_host(copy)), plane)
        with pytest.raises(LookupError, match="raised within"), ready.on(place):
            raise LookupError("raised within")

    def test_its_namespace_has_what_the_bridge_computes_by(self, ready: ArrayAdapter) -> None:
        plane = _plane(ready)
        array = self._made(ready, plane)
        xp = ready.namespace()
        if xp is None:
            return
        assert [name for name in _COMPUTED_BY if not hasattr(xp, name)] == []
        clipped = xp.clip(xp.astype(array, xp.float32), 3, 7)
        assert ready.owns(clipped)
        np.testing.assert_array_equal(ready.to_host(clipped), plane.clip(3, 7))

    # -- what is built on it ----------------------------------------------------------------

    def test_its_arrays_become_a_stack(self, ready: ArrayAdapter) -> None:
        host, place = _stack(ready), self._place(ready)
        planes = [self._made(ready, plane) for plane in host]
        for arrays in (planes, [planes[0], *host[1:]]):
            whole = stack(arrays, ready.name, device=place)
            assert ready.owns(whole)
            assert ready.describe(whole).device == place
            assert same(np.array(ready.to_host(whole)), np.array(host))

    def test_a_stack_of_its_arrays_comes_apart(self, ready: ArrayAdapter) -> None:
        host, place = _stack(ready), self._place(ready)
        array = self._made(ready, host)
        own = unstack(array, device=place)
        assert [ready.owns(plane) for plane in own] == [True] * 3
        for planes in ([ready.to_host(plane) for plane in own], unstack(array, "numpy")):
            np.testing.assert_array_equal(planes, host, strict=True)

    def test_values_are_rescaled_as_those_of_numpy_are(self, ready: ArrayAdapter) -> None:
        plane, place = _plane(ready), self._place(ready)
        array, dtype = self._made(ready, plane), _other_dtype(ready, plane, place)
        modes: tuple[Any, ...] = ("preserve", "scale")
        for mode in modes:
            result = rescale(array, dtype, mode=mode)
            assert ready.owns(result)
            assert ready.describe(result).device == place
            expected = rescale(plane, dtype, mode=mode)
            np.testing.assert_allclose(ready.to_host(result), expected, rtol=1e-6, strict=True)

    def test_a_decorated_function_takes_its_arrays_and_those_of_numpy(
        self, ready: ArrayAdapter
    ) -> None:
        plane, place = _plane(ready), self._place(ready)
        array, dtype = self._made(ready, plane), _other_dtype(ready, plane, place)
        taken: list[tuple[bool, str]] = []

        @memory_types(input=ready.name, dtype="preserve", device=place)
        def widened(image: Any) -> Any:
            taken.append((ready.owns(image), ready.describe(image).device))
            return ready.copied(image, place, dtype)

        for given in (array, plane, array, plane):
            result = widened(given)
            assert ready.owns(result)
            assert same(np.array(ready.to_host(result)), plane)
        assert taken == [(True, place)] * 4

    def _place(self, adapter: ArrayAdapter) -> str:
        return self.device or adapter.host_device()

    def _made(self, adapter: ArrayAdapter, host: NDArray[Any], *, copy: bool | None = True) -> Any:
        """Return an array of the framework, made as users make it."""
        return convert(host, adapter.name, device=self._place(adapter), copy=copy)

    def _returned(
        self, adapter: ArrayAdapter, host: NDArray[Any], *, copy: bool | None = True
    ) -> NDArray[Any]:
        """Return an array that went to the framework and back; the original is not changed."""
        before = host.copy()
        back = adapter.to_host(self._made(adapter, host, copy=copy))
        assert same(np.array(host), np.array(before))
        return back

    def _refuses(self, adapter: ArrayAdapter, host: NDArray[Any]) -> None:
        with pytest.raises(_REFUSALS, match=adapter.name):
            self._made(adapter, host)


def _plane(adapter: ArrayAdapter) -> NDArray[Any]:
    """Return a plane that any framework can share, of integers where it has them."""
    held = adapter.capabilities().dtypes
    dtype = next(name for name in ("uint16", *reversed(PIXEL_DTYPES)) if name in held)
    plane = empty((6, 8), dtype)
    plane[...] = np.arange(48).reshape(6, 8)
    return plane


def _stack(adapter: ArrayAdapter) -> NDArray[Any]:
    """Return three planes, or three rows where the framework has no more than two axes."""
    plane = _plane(adapter)
    return plane.reshape(3, 2, 8) if adapter.capabilities().ndim[1] > 2 else plane[:3]


def _other_dtype(adapter: ArrayAdapter, plane: NDArray[Any], device: str) -> str:
    """Return another dtype that holds the values of a plane."""
    held = adapter.dtypes_on(device) - {plane.dtype.name, "bool"}
    found = next((name for name in ("float32", *PIXEL_DTYPES) if name in held), None)
    if found is None:
        pytest.skip(f"{adapter.name} has one dtype only")
    return found


def _samples(adapter: ArrayAdapter) -> Iterator[NDArray[Any]]:
    """Yield an array of each layout and of each dtype that the framework holds."""
    hosts = [lay(_plane(adapter)) for lay in _LAYOUTS.values()]
    hosts += [_plane(adapter).astype(name) for name in PIXEL_DTYPES]
    return (host for host in hosts if _holds(adapter, host))


def _extremes(dtype: str) -> NDArray[Any]:
    """Return the values of a dtype that break first, in memory that any framework can share."""
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
        # the largest, the least normal and subnormal; not a number, -infinity, -0
        bits = [[0x7F7F, 0x0080, 0x0001], [0x7FC0, 0xFF80, 0x8000]]
        values = np.array(bits, np.uint16).view(dtype_of(dtype))
    else:
        values = extremes(np.dtype(dtype))
    aligned = empty(values.shape, values.dtype)
    aligned[...] = values
    return aligned


def _holds(adapter: ArrayAdapter, host: NDArray[Any]) -> bool:
    """Return whether the framework says that it has such arrays."""
    able = adapter.capabilities()
    fewest, most = able.ndim
    return (
        host.dtype.name in able.dtypes
        and fewest <= host.ndim <= most
        and (able.empty or host.size > 0)
    )


def _adapter(key: str) -> ArrayAdapter | None:
    """Return another adapter; one that cannot be loaded owns nothing."""
    try:
        return ARRAYS[key]()
    except HcsError:
        return None

"""Hand an array from one framework to another: no copy unasked, no value changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hcs_core.arrays._adapter import ARRAYS, ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._aligned import empty
from hcs_core.arrays._dtypes import Casting, dtype_of
from hcs_core.arrays._layout import fits_memory
from hcs_core.arrays._plan import Route, plan_route
from hcs_core.arrays._recorder import Recorder
from hcs_core.errors import (
    CopyRequiredError,
    FrameworkOrderError,
    PluginConflictError,
    PluginLoadError,
    UnknownPluginError,
    UnsupportedArrayError,
)


def detect(value: object) -> str:
    """Return the name of the framework that owns an array; imports no framework.

    Raises
    ------
    UnsupportedArrayError
        If no installed adapter owns it.
    """
    return _adapter_of(value).name


def describe(array: Any) -> ArrayInfo:
    """Return an array's framework, shape, dtype, device, address and whether it is read-only."""
    adapter = _adapter_of(array)
    return adapter.describe(adapter.checked(array))


def plan(
    array: Any,
    to: str,
    *,
    device: str | None = None,
    copy: bool | None = None,
    dtype: DTypeLike | None = None,
    casting: Casting = "safe",
    writable: bool = True,
) -> Route:
    """Return what `convert` would do with the same arguments; no data is touched.

    Parameters
    ----------
    array : array or ArrayInfo
        An array, or what is known of one that need not exist yet.
    to, device, copy, dtype, casting, writable
        As for `convert`, which raises the same errors.
    """
    info = array if isinstance(array, ArrayInfo) else describe(array)
    return plan_route(
        info,
        _target(to),
        device=device,
        copy=copy,
        dtype=dtype,
        casting=casting,
        writable=writable,
    )


def convert(
    array: Any,
    to: str,
    *,
    device: str | None = None,
    copy: bool | None = None,
    dtype: DTypeLike | None = None,
    casting: Casting = "safe",
    writable: bool = True,
    record: Recorder | None = None,
) -> Any:
    """Return an array in another framework, with exactly the same values.

    Parameters
    ----------
    array : array
        An array of any installed framework, any shape; not modified.
    to : str
        The framework wanted, by its key in ``ARRAYS``.
    device : str, optional
        The device wanted, such as ``"cpu"`` or ``"cuda:1"``. By default the array stays on
        its device within its framework, and goes to the framework's usual one otherwise.
    copy : bool, optional
        None shares the memory where that is possible and safe, True always copies, False
        raises rather than copy. What was shared is checked by address.
    dtype : dtype, optional
        The dtype wanted; the array's own by default.
    casting : {"no", "equiv", "safe", "same_kind", "unsafe"}
        Which change of dtype is allowed, as in NumPy; only that "safe" also refuses
        integers of 64 bits to float64, which does not hold them all. A weaker one than
        "safe" also lets a framework that lacks the dtype have its nearest.
    writable : bool
        Whether the result may be written to. False is your promise not to: read-only
        memory is then shared also with frameworks that cannot mark it as such.
    record : Recorder, optional
        Is told of the conversion.

    Raises
    ------
    LossyConversionError
        If the change of dtype is not allowed by `casting`, or `to` has no such dtype.
    DtypeError
        If `dtype` is not one of numbers or booleans.
    ShapeError
        If `to` holds no arrays of so many axes, or none without elements.
    CopyRequiredError
        If ``copy=False`` and the memory cannot be shared.
    FrameworkUnavailableError
        If `to` has no such device.
    FrameworkOrderError
        If importing `to` now would crash the process.
    UnknownPluginError, UnsupportedArrayError
        If no adapter is called `to`, or none owns the array.
    """
    started = perf_counter()
    source, target = _adapter_of(array), _target(to)
    array = source.checked(array)
    info = source.describe(array)
    route = plan_route(
        info, target, device=device, copy=copy, dtype=dtype, casting=casting, writable=writable
    )
    if route.action == "same":
        result = array
    else:
        result = _carried_out(array, info, source, target, route)
        if copy is False:
            _check_shared(info, target.describe(result), route)
    if record is not None:
        record.add(route, perf_counter() - started)
    return result


def _carried_out(
    array: Any, info: ArrayInfo, source: ArrayAdapter, target: ArrayAdapter, route: Route
) -> Any:
    host = source.to_host(array)
    if route.action == "alias":
        return target.from_host(host, route.device)
    able = target.capabilities()
    if route.dtype != info.dtype or (route.action == "copy") or not host.flags.c_contiguous:
        # An own copy into aligned memory is the one way to copy that is provable, and the
        # fastest: the frameworks' own are 6 to 10 times slower at 256 MB.
        host = _aligned_copy(host, dtype_of(route.dtype))
    can_be_taken = host.flags.writeable and (route.device != "cpu" or _fits(host, able))
    if able.shares_host and not can_be_taken:
        host = _aligned_copy(host, host.dtype)
    return target.from_host(host, route.device)


def _fits(host: NDArray[Any], able: Capabilities) -> bool:
    pointer = host.__array_interface__["data"][0] if host.size else 0
    return fits_memory(host.shape, host.strides, host.itemsize, pointer, able)


def _adapter_of(value: object) -> ArrayAdapter:
    kind = type(value)
    adapter = _ADAPTER_OF_TYPE.get(kind)
    # An adapter may have been replaced since, for a test or by a new installation.
    if adapter is not None and _ADAPTERS.get(adapter.name) is adapter and _is_current(adapter):
        return adapter
    root = kind.__module__.partition(".")[0]
    adapters = list(_usable_adapters())
    # Subclasses live in modules of their own, so every adapter is asked in the end.
    for adapter in sorted(adapters, key=lambda adapter: root not in adapter.module_names):
        if adapter.owns(value):
            _ADAPTER_OF_TYPE[kind] = adapter
            return adapter
    found = f"{kind.__module__}.{kind.__qualname__}"
    raise UnsupportedArrayError(found, tuple(ARRAYS))


_ADAPTERS: dict[str, ArrayAdapter] = {}
_ADAPTER_OF_TYPE: dict[type, ArrayAdapter] = {}


def _is_current(adapter: ArrayAdapter) -> bool:
    try:  # asking whether the name is there first would take thrice as long
        return ARRAYS[adapter.name] is type(adapter)
    except UnknownPluginError:
        return False


def adapter_for(name: str) -> ArrayAdapter:
    """Return the one adapter of a framework."""
    kind = ARRAYS[name]
    adapter = _ADAPTERS.get(name)
    if type(adapter) is not kind:
        adapter = _ADAPTERS[name] = kind()
    assert adapter is not None
    return adapter


def _target(name: str) -> ArrayAdapter:
    """Return the adapter of a framework that can be loaded."""
    adapter = adapter_for(name)
    for other in adapter.import_before:
        if other in sys.modules and not adapter.is_loaded():
            raise FrameworkOrderError(name, other)
    return adapter


def _usable_adapters() -> Iterator[ArrayAdapter]:
    for key in ARRAYS:
        try:
            yield adapter_for(key)
        except (PluginLoadError, PluginConflictError):  # it breaks only itself; `doctor` tells
            continue


def _aligned_copy(host: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    result = empty(host.shape, dtype)
    np.copyto(result, host, casting="unsafe")  # what is allowed has been checked
    return result


def _check_shared(source: ArrayInfo, result: ArrayInfo, route: Route) -> None:
    """Make sure that what was said to be shared is: frameworks' own promises are not kept."""
    if source.nbytes and source.pointer != result.pointer:
        asked = f"{route.target} {route.dtype} on {route.device}"
        reason = "the framework copied where it should not"
        raise CopyRequiredError(f"{source.framework} {source.dtype}", asked, reason)

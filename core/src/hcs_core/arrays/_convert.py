"""Hand an array from one framework to another: no copy unasked, no value changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Any, NamedTuple, get_args

from numpy.typing import DTypeLike

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._adapters import adapter_of, load, loadable_adapter_for
from hcs_core.arrays._carry import carrier
from hcs_core.arrays._dtypes import Casting, number_of
from hcs_core.arrays._plan import Asked, Route, plan_route
from hcs_core.arrays._recorder import Recorder
from hcs_core.errors import (
    CopyRequiredError,
    HcsError,
    ParameterError,
    UnsupportedArrayError,
    listed,
    one_line,
)


def detect(value: object) -> str:
    """Return the name of the framework that owns an array; imports no framework.

    Raises
    ------
    UnsupportedArrayError
        If no installed adapter owns it.
    """
    return adapter_of(value).name


def describe(array: Any) -> ArrayInfo:
    """Return an array's framework, shape, dtype, device, address and whether it is read-only.

    Raises
    ------
    UnsupportedArrayError
        If no adapter owns it, or part of what it means would be lost, such as a mask.
    """
    adapter = adapter_of(array)
    try:
        return adapter.describe(adapter.checked(array))
    except _FOREIGN as cause:  # of arrays without values, such as sparse ones
        _refuse(cause, adapter)
        raise


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

    No framework is imported. So what only a loaded framework knows is not known here: that
    it is not installed, that a device is not there, and which device it has chosen.

    Parameters
    ----------
    array : array or ArrayInfo
        An array, or what is known of one that need not exist yet.
    to, device, copy, dtype, casting, writable
        As for `convert`.

    Raises
    ------
    LossyConversionError, DtypeError, ShapeError, CopyRequiredError, FrameworkOrderError, \
UnknownPluginError, UnsupportedArrayError
        As `convert` does.
    """
    info = array if isinstance(array, ArrayInfo) else describe(array)
    wanted = None if dtype is None else number_of(dtype)
    _check_casting(casting)
    place = device if device is None else str(device)
    asked = Asked(place, None if copy is None else _flag(copy), wanted, casting, writable)
    return plan_route(info, loadable_adapter_for(to), asked)


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
        its device if the framework has it too, and goes to the framework's usual one if not.
    copy : bool, optional
        None shares the memory where that is possible and safe, True always copies, False
        raises rather than copy. What was shared is checked by address. With False it is
        you who promises that nobody writes any more to memory that an array of JAX or
        TensorFlow shares.
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
    DeviceNotFoundError
        If `to` has no such device.
    FrameworkOrderError
        If importing `to` now would crash the process.
    MissingLibraryError
        If the framework is not installed.
    UnknownPluginError, UnsupportedArrayError
        If no adapter is called `to`, or none owns the array.
    """
    started = perf_counter() if record is not None else 0.0
    source, target = adapter_of(array), loadable_adapter_for(to)
    array = source.checked(array)
    able = target.capabilities()
    usual = "" if device or source is target else target.host_device()
    wanted = None if dtype is None else number_of(dtype)
    device = device if device is None else str(device)  # a framework's own object, perhaps
    promise: object = copy
    if promise is not None and type(promise) is not bool:
        copy = _flag(promise)
    try:
        facts, address = source.facts(array, located=able.alignment > 1 or copy is False)
        offset = address % able.period
        key = (source, target, facts, offset, usual, device, copy, wanted, casting, writable)
        known = _PLANNED.get(key)
        if known is None or known.able is not able:
            asked = Asked(device, copy, wanted, casting, writable)
            known = _PLANNED[key] = _planned(array, source, target, able, asked)
        route = known.route
        if route.action == "same":
            result = array
        else:
            result = known.carry(array)
            is_checked = copy is False and known.has_memory
            if is_checked and address != target.address(result):
                raise _not_shared(route)
    except _FOREIGN as cause:  # of arrays without values, such as sparse ones
        _refuse(cause, source, target)
        raise
    if record is not None:
        record.add(route, perf_counter() - started)
    return result


# What frameworks raise of arrays that are not what they seem.
_FOREIGN = (TypeError, ValueError, RuntimeError, BufferError)


class _Planned(NamedTuple):
    """A route, kept for the next array that is alike."""

    route: Route
    carry: Callable[[Any], Any]
    able: Capabilities
    has_memory: bool


# Planes of one size come by the thousand, and planning takes longer than handing one on.
_PLANNED: dict[Hashable, _Planned] = {}
_MOST_PLANNED = 1024


def _planned(
    array: Any, source: ArrayAdapter, target: ArrayAdapter, able: Capabilities, asked: Asked
) -> _Planned:
    """Plan a conversion that is not like any before."""
    _check_casting(asked.casting)
    load(target)  # which is asked, from now on, whether it has the array's device
    if len(_PLANNED) >= _MOST_PLANNED:
        _PLANNED.clear()
    info = source.describe(array)
    route = plan_route(info, target, asked)
    return _Planned(route, carrier(source, target, route), able, info.nbytes > 0)


def _refuse(cause: Exception, *adapters: ArrayAdapter) -> None:
    """Raise a clear line where a framework does not do what it does with other arrays."""
    lacks_memory = any(adapter.is_out_of_memory(cause) for adapter in adapters)
    if lacks_memory or isinstance(cause, HcsError):
        return
    name = adapters[0].name
    reason = f"{one_line(cause)}; make an ordinary array of it first"
    raise UnsupportedArrayError(f"this array of {name}", (name,), reason) from cause


def _flag(copy: object) -> bool:
    """Return True or False, which 0 and 1 mean too: they are the same keys."""
    if copy not in (True, False):
        raise ParameterError("convert", "copy", copy, "None, True or False")
    return bool(copy)


def _check_casting(casting: str) -> None:
    if casting not in get_args(Casting):
        raise ParameterError("convert", "casting", casting, f"one of {listed(get_args(Casting))}")


def _not_shared(route: Route) -> CopyRequiredError:
    """Return the error of memory that is not shared: frameworks' own promises are not kept."""
    asked = f"{route.target} {route.dtype} on {route.device}"
    reason = "the framework copied where it should not"
    return CopyRequiredError(f"{route.source} on {route.origin}", asked, reason)

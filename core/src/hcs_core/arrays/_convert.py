"""Hand an array from one framework to another: no copy unasked, no value changed."""

from __future__ import annotations

from collections.abc import Hashable
from time import perf_counter
from typing import Any, NamedTuple

from numpy.typing import DTypeLike

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._adapters import adapter_of, load, loadable_adapter_for
from hcs_core.arrays._carry import carry_out
from hcs_core.arrays._dtypes import Casting, asked_dtype
from hcs_core.arrays._plan import Asked, Route, plan_route
from hcs_core.arrays._recorder import Recorder
from hcs_core.errors import CopyRequiredError


def detect(value: object) -> str:
    """Return the name of the framework that owns an array; imports no framework.

    Raises
    ------
    UnsupportedArrayError
        If no installed adapter owns it.
    """
    return adapter_of(value).name


def describe(array: Any) -> ArrayInfo:
    """Return an array's framework, shape, dtype, device, address and whether it is read-only."""
    adapter = adapter_of(array)
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
    wanted = None if dtype is None else asked_dtype(dtype)
    return plan_route(
        info, loadable_adapter_for(to), Asked(device, copy, wanted, casting, writable)
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
        its device if the framework has it too, and goes to the framework's usual one if not.
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
    DeviceNotFoundError
        If `to` has no such device.
    FrameworkOrderError
        If importing `to` now would crash the process.
    MissingLibraryError
        If the framework is not installed.
    UnknownPluginError, UnsupportedArrayError
        If no adapter is called `to`, or none owns the array.
    """
    started = perf_counter()
    source, target = adapter_of(array), loadable_adapter_for(to)
    array = source.checked(array)
    able = target.capabilities()
    usual = "" if device or source is target else target.host_device()
    wanted = None if dtype is None else asked_dtype(dtype)
    facts, address = source.facts(array, located=able.alignment > 1 or copy is False)
    offset = address % able.alignment
    key = (source, target, facts, offset, usual, device, copy, wanted, casting, writable)
    known = _PLANNED.get(key)
    if known is None or known.able is not able:
        asked = Asked(device, copy, wanted, casting, writable)
        known = _PLANNED[key] = _planned(array, source, target, able, asked)
    route = known.route
    if route.action == "same":
        result = array
    else:
        result = carry_out(array, source, target, route)
        if copy is False and known.has_memory:
            _check_shared(address, result, target, route)
    if record is not None:
        record.add(route, perf_counter() - started)
    return result


class _Planned(NamedTuple):
    """A route, kept for the next array that is alike."""

    route: Route
    able: Capabilities
    has_memory: bool


# Planes of one size come by the thousand, and planning takes longer than handing one on.
_PLANNED: dict[Hashable, _Planned] = {}
_MOST_PLANNED = 1024


def _planned(
    array: Any, source: ArrayAdapter, target: ArrayAdapter, able: Capabilities, asked: Asked
) -> _Planned:
    """Plan a conversion that is not like any before."""
    load(target)  # which is asked, from now on, whether it has the array's device
    if len(_PLANNED) >= _MOST_PLANNED:
        _PLANNED.clear()
    info = source.describe(array)
    return _Planned(plan_route(info, target, asked), able, info.nbytes > 0)


def _check_shared(address: int, result: Any, target: ArrayAdapter, route: Route) -> None:
    """Make sure that what was said to be shared is: frameworks' own promises are not kept."""
    if address != target.address(result):
        asked = f"{route.target} {route.dtype} on {route.device}"
        reason = "the framework copied where it should not"
        raise CopyRequiredError(f"{route.source} on {route.origin}", asked, reason)

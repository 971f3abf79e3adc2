"""Planes into one stack, and a stack into its planes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._adapters import adapter_of, loadable_adapter_for
from hcs_core.arrays._aligned import empty, freeze, marked_frozen
from hcs_core.arrays._convert import convert, describe
from hcs_core.arrays._dtypes import dtype_of
from hcs_core.arrays._plan import Action, Asked, Route, plan_route
from hcs_core.arrays._recorder import Recorder
from hcs_core.errors import DtypeError, ParameterError, ShapeError, UnsupportedArrayError


def stack(
    arrays: Iterable[Any],
    to: str | None = None,
    *,
    out: Any = None,
    device: str | None = None,
    record: Recorder | None = None,
) -> Any:
    """Return arrays of one shape and dtype as one, along a new first axis.

    On the host the arrays are copied once, into aligned memory, which the framework that
    was asked for takes over as it is.

    Parameters
    ----------
    arrays : iterable of array
        Planes ``(y, x)`` or arrays of any other shape, of any installed frameworks; not
        modified. With `out`, what an iterator yields is let go before the next one is made.
    to : str, optional
        The framework of the result; by default that of the first array.
    out : array, optional
        Where to write the result, shape ``(n, y, x)``: a NumPy array, or one of a framework
        whose arrays can be written to. It is changed, and returned.
    device : str, optional
        The device of the result; by default that of the first array if `to` has it.
    record : Recorder, optional
        Is told of every conversion that was needed.

    Returns
    -------
    array
        Shape ``(n, y, x)`` for planes, in C order.

    Raises
    ------
    ShapeError
        If there are no arrays, their shapes differ, or `out` has another.
    DtypeError
        If their dtypes differ, or `out` has another: nothing is cast here.
    LossyConversionError
        If `to` has no such dtype.
    UnsupportedArrayError
        If one is no array, or `out` cannot be written to.
    ParameterError
        If `out` is given, and `to` or `device` as well.
    DeviceNotFoundError, MissingLibraryError, FrameworkOrderError, UnknownPluginError
        As for `convert`.
    """
    if out is not None:
        _refuse_places("stack", to, device)
        return _filled(arrays, out, record)
    planes = list(arrays)
    if not planes:
        raise ShapeError("at least one array to stack", (0,))
    first = describe(planes[0])
    for plane in planes:
        _check_alike(describe(plane), first)
    target = loadable_adapter_for(to or first.framework)
    whole = first._replace(
        shape=(len(planes), *first.shape), strides=(first.nbytes, *first.strides)
    )
    route = plan_route(whole, target, Asked(device))  # refuses before anything is copied
    if route.device != "cpu" and (xp := target.namespace()) is not None:
        there = [convert(p, target.name, device=route.device, record=record) for p in planes]
        with target.on(route.device):
            return xp.stack(there)
    buffer = empty(whole.shape, dtype_of(route.dtype))
    return handed_over(_filled(planes, buffer, record), target, route.device, record)


def unstack(
    array: Any,
    to: str | None = None,
    *,
    out: Sequence[Any] | None = None,
    device: str | None = None,
    record: Recorder | None = None,
) -> list[Any]:
    """Return the arrays of which a stack consists, along its first axis.

    Parameters
    ----------
    array : array
        A stack, ``(n, y, x)`` or of any other shape with an axis, of any installed
        framework; not modified. Its planes share its memory where `convert` would share it.
    to : str, optional
        The framework of the results; that of `array` by default.
    out : sequence of array, optional
        Where to write the planes, one array for each. They are changed, and returned.
    device : str, optional
        The device of the results, as in `convert`.
    record : Recorder, optional
        Is told of every conversion that was needed.

    Raises
    ------
    ShapeError
        If `array` has no axes, or `out` does not fit.
    DtypeError
        If `out` has another dtype.
    ParameterError
        If `out` is given, and `to` or `device` as well.
    LossyConversionError, DeviceNotFoundError, MissingLibraryError, FrameworkOrderError, \
UnknownPluginError, UnsupportedArrayError
        As for `convert`.
    """
    source = adapter_of(array)
    array = source.checked(array)
    info = source.describe(array)
    if not info.shape:
        raise ShapeError("a stack, which has at least one axis", ())
    if out is not None:
        _refuse_places("unstack", to, device)
        for result in out:
            array = _apart(array, result)
    planes = _planes(array, info, source.capabilities(), source)
    if out is not None:
        return _filled_apart(planes, out, info.shape[0], record)
    name = loadable_adapter_for(to or source.name).name
    return [convert(plane, name, device=device, record=record) for plane in planes]


def _planes(array: Any, info: ArrayInfo, able: Capabilities, source: ArrayAdapter) -> Iterator[Any]:
    """Yield the parts of a stack, as views of its memory where that has an address."""
    if able.immutable and info.device == "cpu":
        host = marked_frozen(source.to_host(array))  # these frameworks copy what is indexed
    elif info.device != "cpu" and not able.dlpack:
        host = source.to_host(array)
    else:
        return (source.part(array, index) for index in range(info.shape[0]))
    return (host[index, ...] for index in range(info.shape[0]))


def handed_over(
    buffer: NDArray[Any], target: ArrayAdapter, device: str, record: Recorder | None = None
) -> Any:
    """Return host memory that nobody else has, as an array of a framework."""
    host = freeze(buffer) if target.capabilities().immutable else buffer
    return convert(host, target.name, device=device, record=record)


def _refuse_places(function: str, to: str | None, device: str | None) -> None:
    """Refuse to be told where the result goes both by `out` and otherwise."""
    for name, value in (("to", to), ("device", device)):
        if value is not None:
            raise ParameterError(function, name, value, "left out where out is given")


def _filled(arrays: Iterable[Any], out: Any, record: Recorder | None) -> Any:
    """Write each array into its part of `out`, and return that."""
    length = _checked_out(out, fewest_axes=1).shape[0]
    if isinstance(arrays, Sequence):
        _check_count(len(arrays), length)
        arrays = [_apart(array, out) for array in arrays]
    count = 0
    for array in arrays:
        if count == length:
            raise ShapeError(f"out for more than {length} arrays", (length,))
        _write(array, adapter_of(out).part(out, count), record)
        count += 1
        del array  # or it would live on while the next one is made
    _check_count(count, length)
    return out


def _check_count(count: int, length: int) -> None:
    if count != length:
        raise ShapeError(f"out for {count} arrays", (length,))


def _apart(array: Any, out: Any) -> Any:
    """Return an array, or a copy where writing into `out` could change it before its turn."""
    source, target = adapter_of(array), adapter_of(out)
    if {source.describe(array).device, target.describe(out).device} != {"cpu"}:
        return array
    is_apart = not np.may_share_memory(source.to_host(array), target.to_host(out))
    return array if is_apart else convert(array, source.name, copy=True)


def _filled_apart(
    planes: Iterator[Any], out: Sequence[Any], length: int, record: Recorder | None
) -> list[Any]:
    """Write each plane into the array that stands for it, and return these."""
    if len(out) != length:
        raise ShapeError(f"out of {length} arrays, one for each plane", (len(out),))
    for plane, result in zip(planes, out, strict=True):
        _checked_out(result)
        _write(plane, result, record)
    return list(out)


def _checked_out(out: Any, *, fewest_axes: int = 0) -> ArrayInfo:
    """Return what is known of an array that is to be written to, or refuse it."""
    adapter = adapter_of(out)
    info = adapter.describe(adapter.checked(out))
    if info.readonly:
        raise UnsupportedArrayError("a read-only array", (adapter.name,), "out is written to")
    if info.device != "cpu" and not adapter.capabilities().dlpack:
        reason = "no part of it can be written to; leave out away"
        raise UnsupportedArrayError(f"an array of {adapter.name} as out", (adapter.name,), reason)
    if info.overlaps():
        raise UnsupportedArrayError("an array as out", (adapter.name,), "its elements overlap")
    if len(info.shape) < fewest_axes:
        raise ShapeError("out with an axis for the arrays", info.shape)
    return info


def _write(array: Any, out: Any, record: Recorder | None) -> None:
    """Write one array into another one of its shape and dtype."""
    started = perf_counter()
    info, place = describe(array), describe(out)
    _check_alike(info, place)
    source, target = adapter_of(array), adapter_of(out)
    if place.device == "cpu":
        np.copyto(target.to_host(out), source.to_host(source.checked(array)))
    else:
        out[...] = convert(array, target.name, device=place.device, writable=False, record=record)
        return
    if record is not None:
        action: Action = "copy" if info.device == place.device else "move"
        ends = (info.framework, place.framework, info.device, place.device)
        reason = "it becomes part of another array"
        route = Route(action, *ends, place.dtype, place.nbytes, "host", reason)
        record.add(route, perf_counter() - started)


def _check_alike(info: ArrayInfo, wanted: ArrayInfo) -> None:
    if info.shape != wanted.shape:
        raise ShapeError(f"arrays of one shape, {wanted.shape}", info.shape)
    if dtype_of(info.dtype).newbyteorder("=") != dtype_of(wanted.dtype).newbyteorder("="):
        raise DtypeError("stacking", info.dtype, f"arrays of one dtype, {wanted.dtype}")

"""What a conversion would do, decided from facts alone: no data is touched."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._adapters import adapter_for
from hcs_core.arrays._dtypes import Casting, dtype_of, is_exact, name_of, nearest
from hcs_core.arrays._layout import fits_memory
from hcs_core.errors import (
    CopyRequiredError,
    DtypeError,
    LossyConversionError,
    ShapeError,
)

Action = Literal["same", "alias", "copy", "move"]
"""What happens to the memory.

``same``
    The array itself is the answer.
``alias``
    Another array over the same memory.
``copy``
    A copy in the memory of the device where the array lies.
``move``
    A copy in the memory of another device.
"""

Way = Literal["", "host", "dlpack", "device"]
"""How it gets there.

``host``
    As a NumPy array in host memory, which each framework shares with it.
``dlpack``
    From framework to framework, on the device where it lies.
``device``
    Within its framework.
"""


class Route(NamedTuple):
    """How an array gets from one framework to another.

    Parameters
    ----------
    action : {"same", "alias", "copy", "move"}
        What happens to the memory.
    source, target : str
        The frameworks.
    origin, device : str
        Where the array lies, and where the result will.
    dtype : str
        The result's dtype.
    nbytes : int
        Bytes that are written: 0 for ``same`` and ``alias``.
    way : {"", "host", "dlpack", "device"}
        How it gets there; empty for ``same``.
    reason : str
        Why memory cannot be shared; empty where it is.
    """

    action: Action
    source: str
    target: str
    origin: str
    device: str
    dtype: str
    nbytes: int
    way: Way
    reason: str = ""


class Asked(NamedTuple):
    """What a caller of `convert` wants; see there."""

    device: str | None = None
    copy: bool | None = None
    dtype: np.dtype[Any] | None = None
    casting: Casting = "safe"
    writable: bool = True


def plan_route(info: ArrayInfo, target: ArrayAdapter, asked: Asked) -> Route:
    """Return what `convert` does with an array of which this is known; see there."""
    able = target.capabilities()
    wanted = _dtype(info, target, able, asked.dtype, asked.casting)
    _check_shape(info, target, able)
    shared = able.dlpack & adapter_for(info.framework).capabilities().dlpack
    place = full_name(asked.device) or _usual_device(info, target, shared)
    reason = _reason(info, target, shared, place, wanted, asked)
    if not reason:
        action: Action = "same" if info.framework == target.name else "alias"
        way = "" if action == "same" else _way(info, target, shared, place, is_alias=True)
        return Route(action, info.framework, target.name, place, place, wanted, 0, way)
    if asked.copy is False:
        wish = f"{target.name} {wanted} on {place}"
        raise CopyRequiredError(f"{info.framework} {info.dtype} on {info.device}", wish, reason)
    size = math.prod(info.shape) * dtype_of(wanted).itemsize
    way = _way(info, target, shared, place, is_alias=False)
    action = "copy" if place == info.device else "move"
    return Route(action, info.framework, target.name, info.device, place, wanted, size, way, reason)


def kind_of(device: str) -> str:
    """Return what kind of device one is: ``"cuda"`` of ``"cuda:1"``."""
    return device.partition(":")[0]


def full_name(device: str | None) -> str | None:
    """Return a device with its index: ``"cuda"`` is ``"cuda:0"``."""
    return f"{device}:0" if device and device != "cpu" and ":" not in device else device


def _usual_device(info: ArrayInfo, target: ArrayAdapter, shared: frozenset[str]) -> str:
    """Return where an array goes that was sent nowhere: it stays where it lies if it can."""
    if info.framework == target.name:
        return info.device
    # What is not loaded is not asked which devices this machine has for it.
    stays = kind_of(info.device) in shared and (
        not target.is_loaded() or info.device in target.devices()
    )
    return info.device if stays else target.host_device()


def _way(
    info: ArrayInfo, target: ArrayAdapter, shared: frozenset[str], place: str, *, is_alias: bool
) -> Way:
    """Return how an array gets to a place in another framework, or in its own."""
    on_host = "cpu" in (info.device, place)
    if info.framework == target.name:
        return "host" if on_host else "device"
    if on_host and not is_alias:
        return "host"  # copies in host memory are made by us
    # NumPy cannot import what it may not write to, and no number of bfloat16.
    has_elements, by_view = info.nbytes > 0, "numpy" in (info.framework, target.name)
    is_taken = kind_of(info.device) == kind_of(place) and kind_of(place) in shared
    return "dlpack" if is_taken and has_elements and not by_view else "host"


def _reason(
    info: ArrayInfo,
    target: ArrayAdapter,
    shared: frozenset[str],
    place: str,
    wanted: str,
    asked: Asked,
) -> str:
    """Return why memory is not shared, or nothing."""
    able, stays = target.capabilities(), info.framework == target.name
    if asked.copy:
        return "a copy was asked for"
    if wanted != info.dtype:
        return "its dtype differs"
    if place != info.device:
        return f"it lies on {info.device}"
    if stays:
        return _reason_of_writing(info, able, asked, stays=True)
    if not (able.shares_host if info.device == "cpu" else kind_of(info.device) in shared):
        return "its memory cannot be shared"
    if info.nbytes == 0:
        return "" if able.empty else "it has no elements"
    itemsize = dtype_of(wanted).itemsize
    if not fits_memory(info.shape, info.strides, itemsize, info.pointer, able):
        return "its layout or alignment differs"
    return _reason_of_writing(info, able, asked, stays=False)


def _reason_of_writing(info: ArrayInfo, able: Capabilities, asked: Asked, *, stays: bool) -> str:
    """Return why a write through one of the two arrays would be wrong, or nothing."""
    if able.immutable:
        # Its arrays must never change, so nobody else may write to their memory.
        safe = stays or info.frozen or asked.copy is False
        return "" if safe else "it can be written to, and the result must never change"
    if stays or not asked.writable:
        return ""
    if info.readonly and not able.marks_readonly:
        return "it is read-only"
    return "several of its elements are one" if info.overlaps() else ""


def _dtype(
    info: ArrayInfo,
    target: ArrayAdapter,
    able: Capabilities,
    wanted: np.dtype[Any] | None,
    casting: Casting,
) -> str:
    """Return the dtype of the result, if `casting` allows it and the framework holds it."""
    if wanted is None and info.dtype in able.dtypes:
        return info.dtype
    source = dtype_of(info.dtype)
    native = source if source.isnative or able.byte_orders else source.newbyteorder("=")
    if wanted is not None:
        if wanted.kind not in "biufcV" or wanted.hasobject:
            raise DtypeError("convert", str(wanted), "dtypes of numbers and booleans")
    elif native.name in able.dtypes or casting in ("no", "equiv", "safe"):
        wanted = native
    else:
        wanted = nearest(native, able.dtypes)
    allowed = (
        is_exact(native, wanted) if casting == "safe" else np.can_cast(native, wanted, casting)
    )
    if not allowed:
        raise LossyConversionError(name_of(native), name_of(wanted))
    if wanted.name not in able.dtypes:
        close = name_of(nearest(wanted, able.dtypes))
        lacks = f"{close}, which {target.name} has in its place"
        raise LossyConversionError(name_of(wanted), lacks)
    return name_of(wanted)


def _check_shape(info: ArrayInfo, target: ArrayAdapter, able: Capabilities) -> None:
    """Refuse an array of more or fewer axes than the framework holds."""
    fewest, most = able.ndim
    if not fewest <= len(info.shape) <= most:
        raise ShapeError(f"{target.name}: {fewest} to {most} axes", info.shape)
    if info.nbytes == 0 and not able.empty:
        raise ShapeError(f"{target.name}: at least one element", info.shape)

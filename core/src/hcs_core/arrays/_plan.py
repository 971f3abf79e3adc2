"""What a conversion would do, decided from facts alone: no data is touched."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._adapters import adapter_for
from hcs_core.arrays._device_names import full_name, kind_of
from hcs_core.arrays._dtypes import Casting, dtype_of, is_exact, name_of, nearest, number_of
from hcs_core.arrays._layout import fits_memory
from hcs_core.errors import (
    CopyRequiredError,
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
    shared = able.dlpack & adapter_for(info.framework).capabilities().dlpack
    place = full_name(asked.device) or _usual_device(info, target, shared)
    if _is_there(info, target, place, asked):
        return Route("same", info.framework, target.name, place, place, info.dtype, 0, "")
    wanted = _dtype(info, target, place, asked.dtype, asked.casting)
    _check_shape(info, target, able)
    reason = _reason(info, target, shared, place, wanted, asked)
    if not reason:
        way = _way(info, target, shared, place, is_alias=True)
        return Route("alias", info.framework, target.name, place, place, wanted, 0, way)
    if asked.copy is False:
        wish = f"{target.name} {wanted} on {place}"
        raise CopyRequiredError(f"{info.framework} {info.dtype} on {info.device}", wish, reason)
    size = math.prod(info.shape) * dtype_of(wanted).itemsize
    way = _way(info, target, shared, place, is_alias=False)
    action: Action = "copy" if place == info.device else "move"
    return Route(action, info.framework, target.name, info.device, place, wanted, size, way, reason)


def _is_there(info: ArrayInfo, target: ArrayAdapter, place: str, asked: Asked) -> bool:
    """Return whether the array itself is what was asked for, whatever its dtype may be."""
    is_right = asked.dtype is None or name_of(asked.dtype) == info.dtype
    stays = info.framework == target.name and place == info.device
    return stays and is_right and not asked.copy


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
    kind = kind_of(place)
    is_taken = kind == kind_of(info.device) and kind in shared and info.nbytes > 0
    # A view that NumPy may write to is imported more quickly than what it is a view of.
    is_viewed = kind == "cpu" and not info.readonly and info.dtype != "bfloat16"
    return "dlpack" if is_taken and not is_viewed else "host"


def _reason(
    info: ArrayInfo,
    target: ArrayAdapter,
    shared: frozenset[str],
    place: str,
    wanted: str,
    asked: Asked,
) -> str:
    """Return why memory is not shared, or nothing."""
    able = target.capabilities()
    if asked.copy:
        return "a copy was asked for"
    if wanted != info.dtype:
        return "its dtype differs"
    if place != info.device:
        return f"it lies on {info.device}"
    if not (able.shares_host if info.device == "cpu" else kind_of(info.device) in shared):
        return "its memory cannot be shared"
    if info.nbytes == 0:
        return "" if able.empty else "it has no elements"
    itemsize = dtype_of(wanted).itemsize
    if not fits_memory(info.shape, info.strides, itemsize, info.pointer, able):
        return "its layout or alignment differs"
    return _reason_of_writing(info, able, asked)


def _reason_of_writing(info: ArrayInfo, able: Capabilities, asked: Asked) -> str:
    """Return why a write through one of the two arrays would be wrong, or nothing."""
    if able.immutable:
        # Its arrays must never change, so nobody else may write to their memory.
        safe = info.frozen or asked.copy is False
        return "" if safe else "it can be written to, and the result must never change"
    if not asked.writable:
        return ""
    if info.readonly and not able.marks_readonly:
        return "it is read-only"
    return "several of its elements are one" if info.overlaps() else ""


def _dtype(
    info: ArrayInfo,
    target: ArrayAdapter,
    place: str,
    wanted: np.dtype[Any] | None,
    casting: Casting,
) -> str:
    """Return the dtype of the result, if `casting` allows it and the framework holds it there."""
    held = target.dtypes_on(place)
    if wanted is None and info.dtype in held:
        return info.dtype
    keeps_order = target.capabilities().byte_orders
    source = number_of(info.dtype)
    native = source if keeps_order else source.newbyteorder("=")
    if wanted is not None:
        wanted = wanted if keeps_order else wanted.newbyteorder("=")
    elif native.name in held or casting in ("no", "equiv", "safe"):
        wanted = native
    else:
        wanted = nearest(native, held)
    allowed = (
        is_exact(native, wanted) if casting == "safe" else np.can_cast(native, wanted, casting)
    )
    if not allowed:
        raise LossyConversionError(name_of(native), name_of(wanted))
    if wanted.name not in held:
        close = name_of(nearest(wanted, held))
        lacks = f"{close}, which {target.name} has in its place,"
        raise LossyConversionError(name_of(wanted), lacks)
    return name_of(wanted)


def _check_shape(info: ArrayInfo, target: ArrayAdapter, able: Capabilities) -> None:
    """Refuse an array of more or fewer axes than the framework holds."""
    fewest, most = able.ndim
    if not fewest <= len(info.shape) <= most:
        raise ShapeError(f"{target.name}: {fewest} to {most} axes", info.shape)
    if info.nbytes == 0 and not able.empty:
        raise ShapeError(f"{target.name}: at least one element", info.shape)

"""What a conversion would do, decided from facts alone: no data is touched."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
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
    A copy in host memory.
``move``
    A copy from or to a device's memory.
"""


class Route(NamedTuple):
    """How an array gets from one framework to another.

    Parameters
    ----------
    action : {"same", "alias", "copy", "move"}
        What happens to the memory.
    source, target : str
        The frameworks.
    device : str
        Where the result lies.
    dtype : str
        The result's dtype.
    nbytes : int
        Bytes that are written: 0 for ``same`` and ``alias``.
    reason : str
        Why memory cannot be shared; empty where it is.
    """

    action: Action
    source: str
    target: str
    device: str
    dtype: str
    nbytes: int
    reason: str = ""


def plan_route(
    info: ArrayInfo,
    target: ArrayAdapter,
    *,
    device: str | None,
    copy: bool | None,
    dtype: DTypeLike | None,
    casting: Casting,
    writable: bool,
) -> Route:
    """Return what `convert` does with an array of which this is known; see there."""
    able = target.capabilities()
    wanted = _dtype(info, target, able, dtype, casting)
    _check_shape(info, target, able)
    stays = info.framework == target.name
    place = device or (info.device if stays else target.host_device())
    reason = _reason(info, able, place, wanted, stays=stays, copy=copy, writable=writable)
    if not reason:
        action: Action = "same" if stays else "alias"
        return Route(action, info.framework, target.name, place, wanted, 0)
    if copy is False:
        asked = f"{target.name} {wanted} on {place}"
        raise CopyRequiredError(f"{info.framework} {info.dtype} on {info.device}", asked, reason)
    on_host = place == info.device == "cpu" and able.shares_host
    size = math.prod(info.shape) * dtype_of(wanted).itemsize
    action = "copy" if on_host else "move"
    return Route(action, info.framework, target.name, place, wanted, size, reason)


def _reason(
    info: ArrayInfo,
    able: Capabilities,
    place: str,
    wanted: str,
    *,
    stays: bool,
    copy: bool | None,
    writable: bool,
) -> str:
    """Return why memory is not shared, or nothing."""
    if copy:
        return "a copy was asked for"
    if wanted != info.dtype:
        return "its dtype differs"
    if place != info.device:
        return f"it lies on {info.device}"
    if stays:
        return _reason_of_writing(info, able, stays=True, copy=copy, writable=writable)
    if not able.shares_host or info.device != "cpu":
        return "its memory cannot be shared"
    if info.nbytes == 0:
        return "" if able.empty else "it has no elements"
    itemsize = dtype_of(wanted).itemsize
    if not fits_memory(info.shape, info.strides, itemsize, info.pointer, able):
        return "its layout or alignment differs"
    return _reason_of_writing(info, able, stays=False, copy=copy, writable=writable)


def _reason_of_writing(
    info: ArrayInfo, able: Capabilities, *, stays: bool, copy: bool | None, writable: bool
) -> str:
    """Return why a write through one of the two arrays would be wrong, or nothing."""
    if able.immutable:
        # Its arrays must never change, so nobody else may write to their memory.
        safe = stays or info.frozen or copy is False
        return "" if safe else "it can be written to, and the result must never change"
    if stays or not writable:
        return ""
    if info.readonly and not able.marks_readonly:
        return "it is read-only"
    return "several of its elements are one" if info.overlaps() else ""


def _dtype(
    info: ArrayInfo,
    target: ArrayAdapter,
    able: Capabilities,
    dtype: DTypeLike | None,
    casting: Casting,
) -> str:
    """Return the dtype of the result, if `casting` allows it and the framework holds it."""
    if dtype is None and info.dtype in able.dtypes:
        return info.dtype
    source = dtype_of(info.dtype)
    native = source if source.isnative or able.byte_orders else source.newbyteorder("=")
    if dtype is not None:
        wanted = dtype_of(dtype) if dtype == "bfloat16" else np.dtype(dtype)
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

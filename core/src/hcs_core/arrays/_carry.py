"""Carry out what was planned."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, Capabilities
from hcs_core.arrays._aligned import address_of, empty
from hcs_core.arrays._dtypes import dtype_of
from hcs_core.arrays._layout import fits_memory
from hcs_core.arrays._plan import Route


def carrier(source: ArrayAdapter, target: ArrayAdapter, route: Route) -> Callable[[Any], Any]:
    """Return what takes arrays of `source` to `target` by a route.

    It is kept with the route, so that handing on the next array asks nothing again.
    """
    if route.action == "alias" and route.way == "host":
        to_host, from_host, device = source.to_host, target.from_host, route.device
        return lambda array: from_host(to_host(array), device)
    if route.action == "alias" and not _must_finish(target, route.origin):
        return target.from_dlpack
    return partial(_carried, source, target, route)


def _carried(source: ArrayAdapter, target: ArrayAdapter, route: Route, array: Any) -> Any:
    """Return an array that was copied on its way, or waited for."""
    if route.way == "host":
        host = _own(source.to_host(array), target.capabilities(), route)
        return target.from_host(host, route.device)
    if route.way == "device":
        return source.copied(array, route.device, route.dtype)
    if route.action == "alias":
        return _taken_over(array, source, target, route.origin)
    # The source casts: it has its own dtype for sure, which the target may not have.
    copy = source.copied(array, route.origin, route.dtype)
    result = _taken_over(copy, source, target, route.origin)
    moves = route.device != route.origin
    return target.copied(result, route.device, route.dtype) if moves else result


def aligned_copy(host: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a copy in C order that every framework can take over.

    The frameworks' own copies are 6 to 10 times slower at 256 MB, and not all of them are
    copies.
    """
    result = empty(host.shape, dtype)
    np.copyto(result, host, casting="unsafe")  # what is allowed has been checked
    return result


def _taken_over(array: Any, source: ArrayAdapter, target: ArrayAdapter, device: str) -> Any:
    if _must_finish(target, device):
        source.finish(array)
    return target.from_dlpack(array)


def _must_finish(target: ArrayAdapter, device: str) -> bool:
    """Return whether an array must be computed before its memory is taken over."""
    return target.takes_capsules and device != "cpu"


def _own(host: NDArray[Any], able: Capabilities, route: Route) -> NDArray[Any]:
    """Return host memory that the target may have: a copy, unless it is one already."""
    is_view, stays = route.origin == "cpu", route.device == "cpu"
    wanted = dtype_of(route.dtype)
    if host.dtype != wanted or not host.flags.c_contiguous or (is_view and stays):
        return aligned_copy(host, wanted)
    # It came from a device, and is handed over as it is where that is safe.
    is_right = host.flags.writeable and _fits(host, able)
    return aligned_copy(host, wanted) if stays and not is_right else host


def _fits(host: NDArray[Any], able: Capabilities) -> bool:
    return fits_memory(host.shape, host.strides, host.itemsize, address_of(host), able)

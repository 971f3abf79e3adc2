"""Carry out what was planned for one array."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, Capabilities
from hcs_core.arrays._aligned import empty
from hcs_core.arrays._dtypes import dtype_of
from hcs_core.arrays._layout import fits_memory
from hcs_core.arrays._plan import Route


def carry_out(array: Any, source: ArrayAdapter, target: ArrayAdapter, route: Route) -> Any:
    """Return an array as its route says; its framework is `source`'s, the result's `target`'s."""
    if route.way == "host":
        host = source.to_host(array)
        if route.action != "alias":
            host = _own(host, target.capabilities(), route)
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
    if target.takes_capsules and device != "cpu":
        source.finish(array)
    return target.from_dlpack(array)


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
    pointer = host.__array_interface__["data"][0] if host.size else 0
    return fits_memory(host.shape, host.strides, host.itemsize, pointer, able)

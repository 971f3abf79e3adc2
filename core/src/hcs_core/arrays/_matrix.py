"""Which array frameworks are here, and what each conversion between them does and takes.

Loading all of them takes seconds, and some cannot be loaded in every order: measure in a
process of its own, as ``hcs arrays matrix`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import count, permutations
from math import inf
from time import perf_counter
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ARRAYS, ArrayAdapter, ArrayInfo
from hcs_core.arrays._adapters import adapter_for, loaded_adapter
from hcs_core.arrays._aligned import empty, freeze
from hcs_core.arrays._convert import convert, describe, plan
from hcs_core.arrays._device_names import kind_of
from hcs_core.arrays._plan import Action, Route, Way
from hcs_core.errors import (
    FrameworkOrderError,
    HcsError,
    MissingLibraryError,
    PluginConflictError,
    PluginLoadError,
    one_line,
)

SHAPE, DTYPE = (1024, 1024), "uint16"
"""The plane that is converted, of 2 MiB."""

State = Literal["ready", "missing", "no device", "broken"]
"""``missing`` is not installed, ``no device`` has none here, ``broken`` cannot be loaded."""

Memory = Literal["writable", "frozen"]
"""What is promised of the plane.

``writable``
    It may change, and the result may be written to: what `convert` does by itself.
``frozen``
    It was frozen, and ``writable=False`` promises that nobody writes to the result.
"""

Tell = Callable[[str, str], object]
"""Is told, before each thing that could end the process, of which framework, and what."""

_LEAST_CALLS = 3
_MEASURED_S = 0.02


class Framework(NamedTuple):
    """One array framework, as it is here.

    Parameters
    ----------
    name : str
        Its key in ``ARRAYS``.
    state : {"ready", "missing", "no device", "broken"}
        Whether it can be used.
    devices : tuple of str
        The devices that it has here.
    reason : str
        Why it cannot be used.
    """

    name: str
    state: State
    devices: tuple[str, ...] = ()
    reason: str = ""


class Crossing(NamedTuple):
    """One conversion of a plane, as it went.

    Parameters
    ----------
    source, source_device, target, target_device : str
        From where to where.
    memory : {"writable", "frozen"}
        What was promised of the plane.
    action : {"alias", "copy", "move"} or None
        What happens to its memory; None if it was refused or failed.
    way : {"host", "dlpack", "device"} or None
        How it gets there, as in `Route`.
    shared : bool
        Whether both arrays have one address.
    microseconds : float or None
        The best of several calls; a device may still be at work when a call returns.
    reason : str
        Why memory is not shared, or why the conversion is refused.
    fault : str
        What went otherwise than it must; empty where all is well.
    """

    source: str
    source_device: str
    target: str
    target_device: str
    memory: Memory
    action: Action | None = None
    way: Way | None = None
    shared: bool = False
    microseconds: float | None = None
    reason: str = ""
    fault: str = ""


class _Place(NamedTuple):
    framework: str
    device: str


def _silent(framework: str, doing: str) -> None:
    """Tell nobody."""


def load_frameworks(
    *, without: Collection[str] = (), tell: Tell = _silent
) -> tuple[Framework, ...]:
    """Import every array framework, in an order that all of them survive.

    Parameters
    ----------
    without : collection of str
        Frameworks that are left out.
    tell : callable
        Is called before each import.

    Returns
    -------
    tuple of Framework
        All of them, by name; those that cannot be used with the reason.
    """
    adapters: list[ArrayAdapter] = []
    found: list[Framework] = []
    for name in sorted(set(ARRAYS) - set(without)):
        try:
            adapters.append(adapter_for(name))
        except (PluginLoadError, PluginConflictError) as cause:
            found.append(Framework(name, "broken", reason=str(cause)))
    for adapter in in_safe_order(adapters):
        tell(adapter.name, f"loading {adapter.name}")
        found.append(_loaded(adapter))
    return tuple(sorted(found))


def in_safe_order(adapters: Iterable[ArrayAdapter]) -> tuple[ArrayAdapter, ...]:
    """Return adapters so that each comes before those after which it cannot be loaded."""
    known = {adapter.name: adapter for adapter in adapters}
    earlier: dict[str, set[str]] = {name: set() for name in known}
    for name, adapter in known.items():
        for other in known.values():
            if not set(other.module_names).isdisjoint(adapter.import_before):
                earlier[other.name].add(name)
    try:
        return tuple(known[name] for name in TopologicalSorter(earlier).static_order())
    except CycleError:  # they exclude each other: those that come too late are told of
        return tuple(known.values())


def measure(frameworks: Sequence[Framework], *, tell: Tell = _silent) -> tuple[Crossing, ...]:
    """Convert a plane between each two of the frameworks that are ready.

    A framework stands for one device of each kind that it has. Whether memory is shared is
    found by address, not believed.

    Parameters
    ----------
    frameworks : sequence of Framework
        What `load_frameworks` has returned.
    tell : callable
        Is called before each conversion.
    """
    crossings = []
    for source, target in permutations(_places(frameworks), 2):
        for memory in get_args(Memory):
            tell(target.framework, f"converting {source.framework} to {target.framework}")
            crossings.append(_crossing(source, target, memory))
    return tuple(crossings)


def _loaded(adapter: ArrayAdapter) -> Framework:
    try:
        devices = loaded_adapter(adapter.name).devices()
    except MissingLibraryError as cause:
        return Framework(adapter.name, "missing", reason=str(cause))
    except FrameworkOrderError as cause:
        return Framework(adapter.name, "broken", reason=str(cause))
    except Exception as cause:  # noqa: BLE001 - foreign code; what it raises is the result
        return Framework(adapter.name, "broken", reason=one_line(cause))
    if not devices:
        return Framework(adapter.name, "no device", reason="this machine has no device for it")
    return Framework(adapter.name, "ready", devices)


def _places(frameworks: Sequence[Framework]) -> list[_Place]:
    places = []
    for framework in frameworks:
        if framework.state == "ready":
            kinds: dict[str, str] = {}
            for device in framework.devices:
                kinds.setdefault(kind_of(device), device)
            places += [_Place(framework.name, device) for device in kinds.values()]
    return places


def _crossing(source: _Place, target: _Place, memory: Memory) -> Crossing:
    named = Crossing(*source, *target, memory)
    host = _plane(memory)
    options: dict[str, Any] = {"device": target.device, "writable": memory == "writable"}
    try:
        array = convert(host, source.framework, device=source.device, writable=options["writable"])
        route = plan(array, target.framework, **options)
        result = convert(array, target.framework, **options)
        shared = _are_one(describe(array), describe(result), route)
        best_us = _best_us(lambda: convert(array, target.framework, **options))
        fault = _fault(route, host, result, shared=shared)
    except HcsError as cause:  # refused: it holds no such plane
        return named._replace(reason=str(cause))
    except Exception as cause:  # noqa: BLE001 - foreign code; all other pairs are measured
        return named._replace(fault=one_line(cause))
    return named._replace(
        action=route.action,
        way=route.way,
        shared=shared,
        microseconds=round(best_us, 1),
        reason=route.reason,
        fault=fault,
    )


def _plane(memory: Memory) -> NDArray[Any]:
    plane = empty(SHAPE, DTYPE)
    plane[...] = np.arange(plane.size, dtype=DTYPE).reshape(SHAPE)
    return freeze(plane) if memory == "frozen" else plane


def _are_one(before: ArrayInfo, after: ArrayInfo, route: Route) -> bool:
    if before.pointer and after.pointer:
        return before.pointer == after.pointer
    return route.action == "alias"  # one of them has no address to compare


def _fault(route: Route, host: NDArray[Any], result: Any, *, shared: bool) -> str:
    if shared is not (route.action == "alias"):
        return f"{route.action} was planned, but memory is {'shared' if shared else 'not shared'}"
    is_same = np.array_equal(convert(result, "numpy", device="cpu"), host)
    return "" if is_same else "the values differ"


def _best_us(call: Callable[[], object]) -> float:
    best_s, ends = inf, perf_counter() + _MEASURED_S
    for number in count(1):
        started = perf_counter()
        result = call()
        ended = perf_counter()
        del result  # giving its memory back is no part of the conversion
        best_s = min(best_s, ended - started)
        if number >= _LEAST_CALLS and ended > ends:
            break
    return best_s * 1e6

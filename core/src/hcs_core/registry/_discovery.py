"""What is declared in this environment, found once for all registries of the process.

The result is one immutable value, assigned whole: two threads may both look and come to
the same, and a fork inherits no lock.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter, time_ns

from hcs_core.registry._scanner import (
    OUR_PREFIX,
    Distribution,
    distributions_elsewhere,
    distributions_in,
    distributions_of_finders,
)
from hcs_core.registry._settings import index_mode, is_selecting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol, TypeAlias

    from hcs_core.registry._index import Index
    from hcs_core.registry._scanner import Line
    from hcs_core.registry._selection import Selection

    Stamp: TypeAlias = tuple[int, int, int, int, int]

    class Source(Protocol):
        """Who declares a plugin: a distribution, or an application's own package."""

        @property
        def name(self) -> str: ...
        @property
        def version(self) -> str: ...
        @property
        def folder(self) -> str: ...

    Claim: TypeAlias = tuple[str, str, Source, int]
    """One declaration of a kind: key, value, who makes it, and the API major."""

# A stamp this young may not change with what it stands for: clocks tick (git's rule too).
RACY_NS = 2_000_000_000
_WORTH_AN_INDEX_S = 0.005


class Place:
    """One entry of `sys.path` as it was found.

    Attributes
    ----------
    stamp : tuple of int
        Changes when something is installed there.
    from_index : bool
        Whether the persistent index knew it, so that nothing was read.
    """

    __slots__ = ("distributions", "from_index", "is_folder", "path", "stamp")

    def __init__(
        self,
        path: str,
        stamp: Stamp,
        distributions: list[Distribution],
        *,
        is_folder: bool = True,
        from_index: bool = False,
    ) -> None:
        self.path = path
        self.stamp = stamp
        self.distributions = distributions
        self.is_folder = is_folder
        self.from_index = from_index


class Discovery:
    """The declarations of all distributions, and how they were found.

    Parameters
    ----------
    prefixes : tuple of str
        What the groups begin with.
    with_index : bool
        Whether the persistent index may be used, where the user has it on.
    path : list of str, optional
        Where to look, in the place of `sys.path`.

    Attributes
    ----------
    claims : dict of str to list of (key, value, Distribution, API major)
        What counts, by kind.
    shadowed : dict of the same
        What is hidden because a distribution of the same name comes first.
    selection : Selection or None
        The user's choice, None where there is none.
    index : Index or None
        The persistent index, None where it is off.
    is_live : bool
        Whether everything was read from the distributions themselves.
    seconds : float
        What finding it took.
    """

    __slots__ = (
        *("claims", "index", "is_live", "path", "places", "prefixes"),
        *("seconds", "selection", "shadowed", "started_ns"),
    )

    def __init__(
        self, prefixes: tuple[str, ...], *, with_index: bool, path: list[str] | None = None
    ) -> None:
        started = perf_counter()
        self.started_ns = time_ns()
        self.path = list(sys.path if path is None else path)
        self.prefixes = prefixes
        mode = index_mode() if with_index else "off"
        self.index = _index(prefixes) if mode != "off" else None
        self.selection = _selection()
        self.places = _places(self.path, prefixes, self.index)
        self.is_live = not any(place.from_index for place in self.places)
        self.claims, self.shadowed = _resolved(
            [*(place.distributions for place in self.places), distributions_of_finders(prefixes)]
        )
        self.seconds = perf_counter() - started
        if self.index is not None and (mode == "on" or self._is_worth_an_index()):
            self.index.store(self.places, self.started_ns)

    def covers(self, prefix: str) -> bool:
        """Return whether groups of this prefix were looked for, on the path as it is now."""
        return prefix.startswith(self.prefixes) and self.path == sys.path

    def may_have_changed(self) -> bool:
        """Return whether something may have been installed since: one stat a directory."""
        if self.path != sys.path:
            return True
        now = [(path, stamp_of(state)) for path, state in _entries(self.path)]
        then = [(place.path, place.stamp) for place in self.places]
        newest = max((max(stamp[:2]) for _, stamp in then), default=0)
        return now != then or newest > self.started_ns - RACY_NS

    def _is_worth_an_index(self) -> bool:
        return self.is_live and self.seconds > _WORTH_AN_INDEX_S


_current: Discovery | None = None  # the only state of the process, assigned whole


def current(prefix: str = OUR_PREFIX, *, live: bool = False) -> Discovery:
    """Return what is declared, as it was found last."""
    found = _current
    if found is None or not found.covers(prefix) or (live and not found.is_live):
        return discover(prefix, with_index=not live)
    return found


def discover(prefix: str = OUR_PREFIX, *, with_index: bool = False) -> Discovery:
    """Look again, and let every registry see it."""
    global _current  # noqa: PLW0603 - one value for all registries, assigned whole
    known = (OUR_PREFIX,) if _current is None else _current.prefixes
    prefixes = known if prefix.startswith(known) else (*known, prefix)
    _current = found = Discovery(prefixes, with_index=with_index)
    return found


def stamp_of(state: os.stat_result) -> Stamp:
    """Return what changes when a file or a directory does.

    The change time and the inode tell where an installer or an image put old times back.
    """
    return (
        *(state.st_mtime_ns, state.st_ctime_ns, state.st_ino),
        *(state.st_size, state.st_nlink),
    )


def _index(prefixes: tuple[str, ...]) -> Index:
    from hcs_core.registry._index import Index

    return Index(prefixes)


def _selection() -> Selection | None:
    if not is_selecting():
        return None
    from hcs_core.registry._selection import read_selection

    return read_selection()


def _places(path: list[str], prefixes: tuple[str, ...], index: Index | None) -> list[Place]:
    """Return each entry of the path with the distributions that it holds."""
    found = []
    for entry, state in _entries(path):
        stamp = stamp_of(state)
        known = index.get(entry, stamp) if index is not None else None
        if known is not None:
            place = Place(entry, stamp, known, from_index=True)
        elif _is_folder(state):
            place = Place(entry, stamp, distributions_in(entry, prefixes))
        else:
            place = Place(entry, stamp, distributions_elsewhere(entry, prefixes), is_folder=False)
        found.append(place)
    return found


def _entries(path: Iterable[object]) -> list[tuple[str, os.stat_result]]:
    """Return the entries that are there, each once, also under two names (lib64 -> lib)."""
    found = []
    seen: set[object] = set()
    for entry in path:
        if not isinstance(entry, str):  # imports skip it too
            continue
        try:
            place = entry if entry[:1] == os.sep else os.path.abspath(entry)
            state = os.stat(place)
        except (OSError, ValueError):  # not there; the working directory is gone; a zero byte
            continue
        identity = (state.st_dev, state.st_ino) if state.st_ino else place
        if identity not in seen:
            seen.add(identity)
            found.append((place, state))
    return found


def _is_folder(state: os.stat_result) -> bool:
    return state.st_mode & 0o170000 == 0o040000


def split_group(group: str) -> tuple[str, int]:
    """Return kind and API major of a group name: ``hcs.storage.v1`` -> hcs.storage, 1."""
    kind, _, major = group.rpartition(".v")
    return (kind, int(major)) if kind and major.isdecimal() else (group, 0)


def _resolved(
    found: list[list[Distribution]],
) -> tuple[dict[str, list[Claim]], dict[str, list[Claim]]]:
    """Return the declarations by kind: those that count, and those that are hidden."""
    winners: dict[str, Distribution] = {}
    losers: list[Distribution] = []
    for distributions in found:
        for distribution in distributions:
            other = winners.setdefault(distribution.alias, distribution)
            if other is not distribution and (distribution.lines or other.lines):
                if _is_better(distribution, other):
                    winners[distribution.alias] = distribution
                    distribution, other = other, distribution
                losers.append(distribution)
    hidden = []
    for distribution in losers:
        counting = winners[distribution.alias].lines
        lines = [line for line in distribution.lines if line not in counting]
        hidden.append((distribution, lines))  # an editable install may lie there twice
    return _by_kind([(d, d.lines) for d in winners.values()]), _by_kind(hidden)


def _by_kind(found: Iterable[tuple[Distribution, Iterable[Line]]]) -> dict[str, list[Claim]]:
    claims: dict[str, list[Claim]] = {}
    groups: dict[str, tuple[list[Claim], int]] = {}
    for distribution, lines in found:
        for group, key, value in lines:
            if group not in groups:
                kind, api = split_group(group)
                groups[group] = claims.setdefault(kind, []), api
            rows, api = groups[group]
            rows.append((key, value, distribution, api))
    return claims


def _is_better(found: Distribution, other: Distribution) -> bool:
    """Return whether a second distribution of one name is the one that is installed.

    Uninstalling may leave a metadata folder without metadata behind, and it must not hide
    the real one. Of two complete ones in one directory the younger was installed last.
    """
    time, other_time = found.metadata_time(), other.metadata_time()
    if time is None or other_time is None:
        return time is not None
    return found.place == other.place and time > other_time

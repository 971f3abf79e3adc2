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
    Claims,
    Found,
    alias_of,
    scan_finders,
    scan_folder,
    scan_other,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from hcs_core.registry._index import Index
    from hcs_core.registry._info import PluginInfo, State
    from hcs_core.registry._scanner import Claim
    from hcs_core.registry._selection import Selection

    Stamp: TypeAlias = tuple[int, int, int, int, int]


# What the user may set; read when plugins are first looked for, and by `Registry.refresh`.
CONFIG = "HCS_CONFIG"
INDEX = "HCS_PLUGIN_INDEX"
DISABLE, ONLY, PREFER = "HCS_PLUGINS_DISABLE", "HCS_PLUGINS_ONLY", "HCS_PLUGINS_PREFER"
SELECTING = (DISABLE, ONLY, PREFER)

HIDDEN = ("disabled", "shadowed")
"""States of what a listing shows only when it is asked for all."""

# A stamp this young may not change with what it stands for: clocks tick (git's rule too).
RACY_NS = 2_000_000_000
WORTH_AN_INDEX_S = 0.005


class Place:
    """One entry of `sys.path` as it was found.

    Attributes
    ----------
    stamp : tuple of int
        Changes when something is installed there.
    from_index : bool
        Whether the persistent index knew it, so that nothing was read.
    """

    __slots__ = ("found", "from_index", "is_folder", "path", "stamp")

    def __init__(
        self,
        path: str,
        stamp: Stamp,
        found: Found,
        *,
        is_folder: bool = True,
        from_index: bool = False,
    ) -> None:
        self.path = path
        self.stamp = stamp
        self.found = found
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
    claims : dict of str to Claims
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
        mode = _index_mode() if with_index else "off"
        self.index = _index(prefixes) if mode != "off" else None
        self.selection = _selection()
        self.places = _places(self.path, prefixes, self.index)
        self.is_live = not any(place.from_index for place in self.places)
        found = [(place.path if place.is_folder else "", place.found) for place in self.places]
        self.claims, self.shadowed = _resolved([*found, ("", scan_finders(prefixes))])
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
        return self.seconds > WORTH_AN_INDEX_S  # also where only one folder has changed


_current: Discovery | None = None  # the only state of the process, assigned whole
_prefixes: tuple[str, ...] = (OUR_PREFIX,)


def current(prefix: str = OUR_PREFIX, *, live: bool = False) -> Discovery:
    """Return what is declared, as it was found last."""
    found = _current
    if found is None or not found.covers(prefix) or (live and not found.is_live):
        return discover(prefix, with_index=not live)
    return found


def discover(prefix: str = OUR_PREFIX, *, with_index: bool = False) -> Discovery:
    """Look again, and let every registry see it."""
    global _current  # noqa: PLW0603 - one value for all registries, assigned whole
    look_for(prefix)
    _current = found = Discovery(_prefixes, with_index=with_index)
    return found


def look_for(prefix: str) -> None:
    """Let the next look find groups of this prefix too: one look serves all registries."""
    global _prefixes  # noqa: PLW0603 - only ever grows, assigned whole
    if not prefix.startswith(_prefixes):
        _prefixes = (*(known for known in _prefixes if not known.startswith(prefix)), prefix)


def stamp_of(state: os.stat_result) -> Stamp:
    """Return what changes when a file or a directory does.

    The change time and the inode tell where an installer or an image put old times back.
    """
    return (
        *(state.st_mtime_ns, state.st_ctime_ns, state.st_ino),
        *(state.st_size, state.st_nlink),
    )


def stamp_text(stamp: Stamp) -> str:
    """Return a stamp as it stands in the index; texts are compared faster than numbers read."""
    return " ".join(map(str, stamp))


def _index_mode() -> str:
    if INDEX not in os.environ:
        return "off"
    from hcs_core.registry._settings import index_mode

    return index_mode()


def _index(prefixes: tuple[str, ...]) -> Index:
    from hcs_core.registry._index import Index

    return Index(prefixes)


def _selection() -> Selection | None:
    told = any(map(os.environ.get, (CONFIG, *SELECTING)))
    if not told and not os.path.exists(config_file()):
        return None
    from hcs_core.registry._selection import read_selection

    return read_selection()


def config_file() -> str:
    """Return the path of the user's configuration file, which need not be there."""
    told = os.environ.get(CONFIG)
    if told:
        return told
    folder = folder_of_user("XDG_CONFIG_HOME", ".config", "Library/Application Support")
    if not folder:
        from hcs_core.registry._settings import folder_of_platformdirs

        folder = folder_of_platformdirs("config")
    return os.path.join(folder, "config.toml")


def folder_of_user(variable: str, on_linux: str, on_macos: str) -> str:
    """Return our folder where platformdirs has it, nothing where it must be asked.

    Its import costs more than a scan, and in the plain case the answer is plain.
    """
    told, home = os.environ.get(variable), os.environ.get("HOME", "")
    if sys.platform == "linux" and "ANDROID_ROOT" not in os.environ:
        folder = told or os.path.join(home, on_linux)
    elif sys.platform == "darwin" and not told:
        folder = os.path.join(home, on_macos)
    else:
        return ""
    return os.path.join(folder, "hcs") if folder[0] == "/" else ""


def _places(path: list[str], prefixes: tuple[str, ...], index: Index | None) -> list[Place]:
    """Return each entry of the path with the distributions that it holds."""
    found = []
    for entry, state in _entries(path):
        stamp = stamp_of(state)
        known = index.get(entry, stamp) if index is not None else None
        if known is not None:
            place = Place(entry, stamp, known, from_index=True)
        elif _is_folder(state) and not entry.endswith(".egg"):
            place = Place(entry, stamp, scan_folder(entry, prefixes))
        else:
            place = Place(entry, stamp, scan_other(entry, prefixes), is_folder=False)
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


def _resolved(found: list[tuple[str, Found]]) -> tuple[dict[str, Claims], dict[str, Claims]]:
    """Return the declarations by kind: those that count, and those that are hidden."""
    aliases = [alias_of(entry) for _, here in found for entry in here.entries]
    hidden: dict[str, Claims] = {}
    if len(set(aliases)) < len(aliases):
        from hcs_core.registry._shadows import part_hidden

        hidden = part_hidden(found)
    claims: dict[str, Claims] = {}
    for _, here in found:
        for kind, rows in here.claims.items():
            merge(claims, kind, rows)
    return claims, hidden


def merge(claims: dict[str, Claims], kind: str, rows: Claims) -> None:
    """Add rows to those of a kind; the rows of one place are taken as they are."""
    if kind in claims:
        merged = Claims()
        merged.extend(claims[kind])
        merged.extend(rows)
        rows = merged
    claims[kind] = rows


class Table:
    """The plugins of one kind, made once for each discovery.

    Attributes
    ----------
    claims : Claims
        All declarations of the kind.
    usable : dict of str to int
        The position of the one claim of each key that can be used; see `claim`.
    conflicts : dict of str to list of PluginInfo
        The claims of each key that several distributions have.
    names : tuple of str
        The keys of both, sorted when they are first asked for.
    others : list of PluginInfo
        What cannot be used for another reason.
    """

    __slots__ = (
        *("claims", "conflicts", "discovery", "is_secondary"),
        *("kind", "names", "others", "usable"),
    )

    def __init__(
        self,
        kind: str,
        apis: tuple[int, ...] | None,
        discovery: Discovery,
        *,
        is_secondary: bool = False,
    ) -> None:
        self.kind = kind
        self.is_secondary = is_secondary
        self.discovery = discovery
        self.names: tuple[str, ...] = ()
        self.conflicts: dict[str, list[PluginInfo]] = {}
        self.others: list[PluginInfo] = []
        self.claims = claims = discovery.claims.get(kind) or Claims()
        self.usable = dict(zip(claims.keys, range(len(claims)), strict=True))
        is_plain = discovery.selection is None and len(self.usable) == len(claims)
        if not is_plain or (apis is not None and not set(claims.apis).issubset(apis)):
            from hcs_core.registry._judging import sort_out

            sort_out(self, apis)
        for claim in discovery.shadowed.get(kind) or ():
            info = self.info(claim, "shadowed")
            info.error = f"another {info.distribution} comes first on the path"
            self.others.append(info)

    def claim(self, key: str) -> Claim | None:
        """Return what a key stands for, None where nothing of it can be used."""
        position = self.usable.get(key)
        return None if position is None else self.claims[position]

    def info(self, claim: Claim, state: State = "declared", error: str | None = None) -> PluginInfo:
        """Return a claim as a plugin, which nothing is wrong with where nothing is said."""
        from hcs_core.registry._info import PluginInfo  # not needed for names alone
        from hcs_core.registry._metadata import name_of, version_of

        key, value, folder, api = claim
        return PluginInfo(
            *(self.kind, key, value, name_of(folder), version_of(folder), api),
            state=state,
            error=error,
            location=folder if "/" in folder else "",
        )

    def infos(self, *, all: bool = False) -> list[PluginInfo]:
        """Return every claim, sorted; with `all` also those that are hidden."""
        rows = [self.info(self.claims[position]) for position in self.usable.values()]
        rows += [info.copy() for claims in self.conflicts.values() for info in claims]
        rows += [info.copy() for info in self.others if all or info.state not in HIDDEN]
        return sorted(rows, key=lambda info: (info.key, info.distribution))

    def others_of(self, key: str) -> list[PluginInfo]:
        """Return what is declared under a key and cannot be used."""
        return [info for info in self.others if info.key == key]

    def reject(self, claim: Claim, state: State, reason: str) -> None:
        """Note what cannot be used, and why."""
        self.others.append(self.info(claim, state, reason))

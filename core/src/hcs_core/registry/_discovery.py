"""What is declared in this environment, found once for all registries of the process.

The result is one immutable value, assigned whole: two threads may both look and come to
the same, and a fork inherits no lock.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter, time_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    from hcs_core.registry._index import Index
    from hcs_core.registry._selection import Selection

    Stamp: TypeAlias = tuple[int, int, int, int, int]
    Claim: TypeAlias = tuple[str, str, str, int]
    """One declaration of a kind: key, value, metadata folder of who makes it, API major."""

# What the user may set; read when plugins are first looked for, and by `Registry.refresh`.
CONFIG = "HCS_CONFIG"
INDEX = "HCS_PLUGIN_INDEX"
DISABLE, ONLY, PREFER = "HCS_PLUGINS_DISABLE", "HCS_PLUGINS_ONLY", "HCS_PLUGINS_PREFER"
SELECTING = (DISABLE, ONLY, PREFER)

OUR_PREFIX = "hcs."
METADATA_FOLDERS = (".dist-info", ".egg-info")
# Larger than any entry_points.txt but few; a larger buffer costs more than the reading.
_USUAL_BYTES = 1 << 14
_NEWLINE, _BRACKET = b"\n]"
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)
# A stamp this young may not change with what it stands for: clocks tick (git's rule too).
RACY_NS = 2_000_000_000
_WORTH_AN_INDEX_S = 0.005


class Claims:
    """Declarations of one kind, as columns: an object for each costs more than reading it.

    Attributes
    ----------
    keys, values : list of str
        What is declared.
    folders : list of str
        The metadata folder of who declares it.
    apis : list of int
        The API major.
    """

    __slots__ = ("apis", "folders", "keys", "values")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.values: list[str] = []
        self.folders: list[str] = []
        self.apis: list[int] = []

    def __getitem__(self, position: int) -> Claim:
        return (
            *(self.keys[position], self.values[position]),
            *(self.folders[position], self.apis[position]),
        )

    def __iter__(self) -> Iterator[Claim]:
        return zip(self.keys, self.values, self.folders, self.apis, strict=True)

    def __len__(self) -> int:
        return len(self.keys)

    def add(self, claim: Claim) -> None:
        """Add a row."""
        key, value, folder, api = claim
        self.keys.append(key)
        self.values.append(value)
        self.folders.append(folder)
        self.apis.append(api)

    def extend(self, other: Claims) -> None:
        """Add all rows of another."""
        for name in self.__slots__:
            getattr(self, name).extend(getattr(other, name))


class Found:
    """The distributions of one place, and what they declare.

    Attributes
    ----------
    entries : list of str
        Their metadata folders, such as ``acme_tools-2.5.dist-info``.
    claims : dict of str to Claims
        What they declare, by kind.
    groups : dict of str to (Claims, int)
        The rows that belong to an entry-point group's kind, and its API major.
    """

    __slots__ = ("claims", "entries", "groups")

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self.entries = list(entries)
        self.claims: dict[str, Claims] = {}
        self.groups: dict[str, tuple[Claims, int]] = {}

    def rows_of(self, group: str) -> tuple[Claims, int]:
        """Return the rows of an entry-point group's kind, and its API major."""
        kind, api = split_group(group)
        if kind not in self.claims:
            self.claims[kind] = Claims()
        self.groups[group] = rows = self.claims[kind], api
        return rows


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
        return self.seconds > _WORTH_AN_INDEX_S  # also where only one folder has changed


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
        _prefixes = (*_prefixes, prefix)


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


def scan_folder(folder: str, prefixes: tuple[str, ...]) -> Found:
    """Return the distributions whose metadata lie in a directory.

    Costs one listing, and three calls for each distribution.
    """
    try:
        names = os.listdir(folder)
    except OSError:  # an unreadable path entry is no place of plugins, as for imports
        return Found()
    # pip renames to "~..." what it is about to remove; it may stay.
    found = Found([name for name in names if name.endswith(METADATA_FOLDERS) and name[0] != "~"])
    marks = [f"[{prefix}".encode() for prefix in prefixes]
    for entry in found.entries:
        about = f"{folder}/{entry}"
        content = read_bytes(f"{about}/entry_points.txt")
        for mark in marks:
            if mark in content:
                read_lines(found, about, content, prefixes)
                break
    return found


def scan_other(entry: str, prefixes: tuple[str, ...]) -> Found:
    """Return the same for a path entry that is no directory: a zip file, an egg."""
    from hcs_core.registry._metadata import in_archive

    return in_archive(entry, prefixes)


def scan_finders(prefixes: tuple[str, ...]) -> Found:
    """Return the distributions that finders on `sys.meta_path` know beside the path."""
    finders = [finder for finder in sys.meta_path if _is_foreign(finder)]
    if not finders:
        return Found()
    from hcs_core.registry._metadata import of_finders

    return of_finders(finders, prefixes)


def _is_foreign(finder: object) -> bool:
    """Return whether a finder knows distributions that are found in no other way."""
    owner = finder if isinstance(finder, type) else type(finder)
    reads_the_path = ("_frozen_importlib_external", "importlib_metadata")
    return hasattr(finder, "find_distributions") and owner.__module__ not in reads_the_path


def read_lines(found: Found, about: str, content: bytes, prefixes: tuple[str, ...]) -> None:
    """Add the lines of an `entry_points.txt` whose group begins with a prefix.

    Only our groups are looked at, where nothing in the file is odd: half the time.
    """
    sections: list[tuple[str, str]] = []
    for prefix in prefixes:
        if not _add_sections(sections, content, f"[{prefix}".encode()):
            from hcs_core.registry._metadata import read_with_care

            return read_with_care(found, about, content.decode("utf-8", "replace"), prefixes)
    for group, body in sections:
        claims, api = found.groups.get(group) or found.rows_of(group)
        for line in body.splitlines():
            key, equals, value = line.partition("=")
            key = key.strip()
            if equals and key[:1] not in "#;":
                value = value.strip()
                claims.keys.append(key)
                claims.values.append(value if " " not in value else target_of(value))
                claims.folders.append(about)
                claims.apis.append(api)
    return None


def _add_sections(sections: list[tuple[str, str]], content: bytes, mark: bytes) -> bool:
    """Add the marked groups and their lines; False where the file needs a closer look."""
    start = content.find(mark)
    while start >= 0:
        if start and content[start - 1] != _NEWLINE:
            return False
        end = content.find(b"\n[", start)
        if end >= 0 and content[content.find(b"\n", end + 1) - 1] != _BRACKET:
            return False  # no header, but a line of ours
        section = content[start + 1 : end] if end >= 0 else content[start + 1 :]
        group, closed, body = section.decode("utf-8", "replace").partition("]\n")
        if not closed or "[" in body or "\t" in body or "]" in group or "\n" in group:
            return False
        sections.append((group, body))
        start = content.find(mark, end) if end >= 0 else -1
    return True


def split_group(group: str) -> tuple[str, int]:
    """Return kind and API major of a group name: ``hcs.storage.v1`` -> hcs.storage, 1."""
    kind, _, major = group.rpartition(".v")
    is_number = major.isdecimal() and len(major) < 10  # a longer one is none, or no int
    return (kind, int(major)) if kind and is_number else (group, 0)


def alias_of(entry: str) -> str:
    """Return a distribution's name, out of its folder's, as names are compared (PEP 503)."""
    alias = entry.partition("-")[0].lower()
    if alias[-4:] == ".egg" and len(alias) + 5 == len(entry):  # "acme.egg-info", no version
        alias = alias[:-4]
    if "." in alias:
        alias = alias.replace(".", "_")
    if "__" in alias or alias[:1] == "_" or alias[-1:] == "_":
        return "_".join(filter(None, alias.split("_")))
    return alias


def read_bytes(path: str) -> bytes:
    """Return what is in a file, nothing where there is none."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:  # most distributions have no entry points
        return b""
    try:
        content = os.read(descriptor, _USUAL_BYTES)
        while len(content) >= _USUAL_BYTES and (more := os.read(descriptor, _USUAL_BYTES)):
            content += more
        return content
    except OSError:  # a directory of this name, a damaged disk: no plugins from there
        return b""
    finally:
        os.close(descriptor)


def target_of(value: str) -> str:
    """Return ``module:attribute`` of a value; extras behind it are history."""
    value = value.strip()
    if "[" in value or " " in value or "\t" in value:
        value = ":".join(part.strip() for part in value.partition("[")[0].split(":"))
    return value

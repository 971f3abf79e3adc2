"""Find declared plugins by reading `entry_points.txt` files, importing nothing.

The scan reads the same files as importlib.metadata, which costs 27 to 41 ms to import
alone. Only `sys.path` entries that are no directory (a zip file, say) are left to it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP_PREFIX = "hcs."
_MARK = b"[" + GROUP_PREFIX.encode()
_METADATA_FOLDERS = (".dist-info", ".egg-info")
_BINARY = getattr(os, "O_BINARY", 0)


class Declaration:
    """One line of an `entry_points.txt` in one of our groups."""

    __slots__ = ("distribution", "group", "key", "value", "version")

    def __init__(self, group: str, key: str, value: str, distribution: str, version: str) -> None:
        self.group = group
        self.key = key
        self.value = value
        self.distribution = distribution
        self.version = version


class _Found:
    """One distribution on the path; `folder` is empty where it lies in no directory."""

    __slots__ = ("folder", "name", "text", "version")

    def __init__(self, name: str, version: str, text: str, folder: str) -> None:
        self.name = name
        self.version = version
        self.text = text
        self.folder = folder

    def metadata_time(self) -> float | None:
        """Return when the distribution's metadata was written, None where there is none."""
        for name in ("METADATA", "PKG-INFO"):
            try:
                return os.stat(f"{self.folder}/{name}").st_mtime
            except OSError:  # the other name, or a remnant of an installation
                continue
        return None


def scan(path: list[str] | None = None) -> tuple[Declaration, ...]:
    """Return every declaration in our groups that `path` (default `sys.path`) holds.

    The first distribution of a name wins, as it does for imports; a directory that is
    reached under two names (``lib64 -> lib``) is read once.
    """
    winners: dict[str, _Found] = {}
    seen: set[str] = set()
    for entry in sys.path if path is None else path:
        place = _real(entry)
        if place is None or place in seen:
            continue
        seen.add(place)
        for found in _in_folder(place) if os.path.isdir(place) else _in_other(place):
            other = winners.get(found.name)
            if other is None or _is_better(found, other):
                winners[found.name] = found
    return tuple(line for found in winners.values() for line in _parse(found))


def _real(entry: object) -> str | None:
    """Return a path entry in its one spelling, or None for what imports skip as well."""
    if not isinstance(entry, str):
        return None
    try:
        return os.path.realpath(entry or os.curdir)
    except (OSError, ValueError):  # the working directory is gone; a zero byte
        return None


def _is_better(found: _Found, other: _Found) -> bool:
    """Return whether a second distribution of one name is the one that is installed.

    Uninstalling may leave a metadata folder without metadata behind, and it must not hide
    the real one. Of two complete ones in one directory the younger was installed last.
    """
    time, other_time = found.metadata_time(), other.metadata_time()
    if time is None or other_time is None:
        return time is not None
    same_directory = os.path.dirname(found.folder) == os.path.dirname(other.folder)
    return same_directory and time > other_time


def _in_folder(folder: str) -> Iterator[_Found]:
    """Yield each distribution that a directory holds."""
    try:
        names = os.listdir(folder)
    except OSError:  # an unreadable path entry is no place of plugins, as for imports
        return
    for name in sorted(names):
        # pip renames what it is about to remove to "~..."; it may stay behind.
        if not name.endswith(_METADATA_FOLDERS) or name[0] == "~":
            continue
        content = _read_bytes(f"{folder}/{name}/entry_points.txt")
        distribution, _, version = name.rpartition(".")[0].partition("-")
        text = content.decode("utf-8", "replace") if _MARK in content else ""
        version = version.partition("-py")[0]
        yield _Found(normalised(distribution), version, text, f"{folder}/{name}")


def _in_other(entry: str) -> Iterator[_Found]:
    """Yield the same for a path entry that only an import hook can read."""
    if not os.path.exists(entry):
        return
    from importlib_metadata import distributions  # 30 ms, and rarely needed

    for distribution in distributions(path=[entry]):
        try:
            name, version = distribution.name, distribution.version
            text = distribution.read_text("entry_points.txt") or ""
        except Exception:  # noqa: BLE001 - foreign metadata: damaged, it hides only itself
            continue
        if name:
            yield _Found(normalised(name), version, text, "")


def _read_bytes(path: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | _BINARY)
    except OSError:  # most distributions have no entry points
        return b""
    try:
        return os.read(descriptor, 1 << 22)
    except OSError:  # a directory of this name, a damaged disk: no plugins from there
        return b""
    finally:
        os.close(descriptor)


def _parse(found: _Found) -> Iterator[Declaration]:
    """Yield the declarations of our groups from one distribution's `entry_points.txt`."""
    group = ""
    for line in map(str.strip, found.text.splitlines()):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            group = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        if equals and group.startswith(GROUP_PREFIX):
            target = value.partition("[")[0]  # extras after a value are history
            value = ":".join(part.strip() for part in target.split(":"))
            yield Declaration(group, key.strip(), value, found.name, found.version)


def normalised(name: str) -> str:
    """Return a distribution's name in the form in which names are compared (PEP 503)."""
    parts = name.replace("_", "-").replace(".", "-").lower().split("-")
    return "-".join(part for part in parts if part)

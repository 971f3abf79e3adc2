"""Read the `entry_points.txt` of installed distributions, importing nothing.

The scan reads the same files as importlib.metadata, which costs 27 to 41 ms to import
alone. Only what is no directory (a zip file, an egg) is left to it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, TypeAlias

    Line: TypeAlias = tuple[str, str, str]
    """One line of an `entry_points.txt`: group, key and value."""

OUR_PREFIX = "hcs."
_METADATA_FOLDERS = (".dist-info", ".egg-info")
_NEWLINE, _BRACKET = b"\n]"
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)
# Larger than any entry_points.txt but few; a larger buffer costs more than the reading.
_USUAL_BYTES = 1 << 14


class Distribution:
    """One installed distribution, and the lines of its that are in our groups.

    Attributes
    ----------
    alias : str
        Its name in the form in which names are compared.
    place : str
        The directory that holds its metadata; empty where they lie in none.
    entry : str
        The name of its metadata folder there, such as ``acme_tools-2.5.dist-info``.
    lines : tuple of (group, key, value)
        What it declares.
    """

    __slots__ = ("alias", "entry", "lines", "place")

    def __init__(self, place: str, entry: str, lines: tuple[Line, ...]) -> None:
        stem = entry.partition("-")[0]  # of "acme.egg-info", without a version, "acme.egg"
        self.alias = alias_of(stem[:-4] if len(stem) + 5 == len(entry) else stem)
        self.place = place
        self.entry = entry
        self.lines = lines

    @property
    def folder(self) -> str:
        """The folder of its metadata; empty where they lie in none."""
        return f"{self.place}/{self.entry}" if self.place else ""

    @property
    def name(self) -> str:
        """The name of the distribution, normalised (PEP 503)."""
        return self.alias.replace("_", "-")

    @property
    def version(self) -> str:
        """The version that the metadata folder is named by, or that it holds."""
        stem = self.entry.rpartition(".")[0]
        return stem.partition("-")[2].partition("-py")[0] or self._version_inside()

    def _version_inside(self) -> str:
        """Return the version of a source tree, whose folder is named without one."""
        content = b""
        for name in ("METADATA", "PKG-INFO"):
            content = content or read_bytes(f"{self.folder}/{name}")
        for line in content.decode("utf-8", "replace").splitlines():
            if line.startswith("Version:"):
                return line[8:].strip()
            if not line:  # the description begins
                break
        return ""

    def metadata_time(self) -> float | None:
        """Return when the metadata were written, None where there are none."""
        for name in ("METADATA", "PKG-INFO"):
            try:
                return os.stat(f"{self.folder}/{name}").st_mtime
            except OSError:  # the other name, or a remnant of an installation
                continue
        return None


def distributions_in(folder: str, prefixes: tuple[str, ...]) -> list[Distribution]:
    """Return each distribution whose metadata lie in a directory.

    Costs one listing, and three calls for each distribution.
    """
    try:
        names = os.listdir(folder)
    except OSError:  # an unreadable path entry is no place of plugins, as for imports
        return []
    names = [name for name in names if name.endswith(_METADATA_FOLDERS)]
    names.sort()
    marks = [f"[{prefix}".encode() for prefix in prefixes]
    found = []
    for name in names:
        if name[0] == "~":  # pip renames to this what it is about to remove; it may stay
            continue
        content = read_bytes(f"{folder}/{name}/entry_points.txt")
        lines: tuple[Line, ...] = ()
        for mark in marks:
            if mark in content:
                lines = lines_of(content, prefixes)
                break
        found.append(Distribution(folder, name, lines))
    return found


def distributions_elsewhere(entry: str, prefixes: tuple[str, ...]) -> list[Distribution]:
    """Return the same for a path entry that only an import hook can read."""
    if not os.path.exists(entry):
        return []
    from importlib_metadata import distributions  # 30 ms, and rarely needed

    return list(_converted(distributions(path=[entry]), prefixes))


def distributions_of_finders(prefixes: tuple[str, ...]) -> list[Distribution]:
    """Return the distributions that finders on `sys.meta_path` know beside the path."""
    finders = [finder for finder in sys.meta_path if _is_foreign(finder)]
    if not finders:
        return []
    from importlib_metadata import DistributionFinder

    found: list[Distribution] = []
    for finder in finders:
        try:
            context = DistributionFinder.Context(path=sys.path)  # type: ignore[no-untyped-call]
            theirs = list(finder.find_distributions(context))  # type: ignore[attr-defined]
        except Exception:  # noqa: BLE001 - a foreign finder that fails has no plugins of ours
            continue
        found += _converted(theirs, prefixes)
    return found


def lines_of(content: bytes, prefixes: tuple[str, ...]) -> tuple[Line, ...]:
    """Return the lines of an `entry_points.txt` whose group begins with a prefix."""
    lines: list[Line] = []
    for prefix in prefixes:
        if not _add_plain(lines, content, f"[{prefix}".encode()):
            return _lines_with_care(content.decode("utf-8", "replace"), prefixes)
    return tuple(lines)


def _add_plain(lines: list[Line], content: bytes, mark: bytes) -> bool:
    """Add the lines of the marked groups; False where the file needs a closer look.

    Only our groups are looked at, which takes half the time.
    """
    start = content.find(mark)
    while start >= 0:
        if start and content[start - 1] != _NEWLINE:
            return False
        end = content.find(b"\n[", start)
        if end >= 0 and content[content.find(b"\n", end + 1) - 1] != _BRACKET:
            return False  # no header, but a line of ours
        section = content[start + 1 : end] if end >= 0 else content[start + 1 :]
        group, _, body = section.decode("utf-8", "replace").partition("]")
        if "[" in body or body[:1] not in ("", "\n"):
            return False
        for line in body.splitlines():
            key, equals, value = line.partition("=")
            key = key.strip()
            if equals and key[:1] not in "#;":
                lines.append((group, key, _target(value)))
        start = content.find(mark, end) if end >= 0 else -1
    return True


def _lines_with_care(text: str, prefixes: tuple[str, ...]) -> tuple[Line, ...]:
    """Return the same of a file that no build tool writes, as importlib.metadata does."""
    found = []
    group = ""
    for line in map(str.strip, text.splitlines()):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            group = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        if equals and group.startswith(prefixes):
            found.append((group, key.strip(), _target(value)))
    return tuple(found)


def alias_of(name: str) -> str:
    """Return a distribution's name in the form in which names are compared (PEP 503)."""
    alias = name.lower()
    if "-" in alias or "." in alias:
        alias = alias.replace("-", "_").replace(".", "_")
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


def _target(value: str) -> str:
    """Return ``module:attribute`` of a value; extras behind it are history."""
    value = value.strip()
    if "[" in value or " " in value or "\t" in value:
        value = ":".join(part.strip() for part in value.partition("[")[0].split(":"))
    return value


def _is_foreign(finder: object) -> bool:
    """Return whether a finder knows distributions that are found in no other way."""
    owner = finder if isinstance(finder, type) else type(finder)
    reads_the_path = ("_frozen_importlib_external", "importlib_metadata")
    return hasattr(finder, "find_distributions") and owner.__module__ not in reads_the_path


def _converted(theirs: Iterable[Any], prefixes: tuple[str, ...]) -> Iterator[Distribution]:
    for distribution in theirs:
        try:
            name, version = distribution.name, distribution.version
            text = distribution.read_text("entry_points.txt") or ""
        except Exception:  # noqa: BLE001 - foreign metadata: damaged, it hides only itself
            continue
        if name:
            entry = f"{alias_of(name)}-{version}.dist-info"
            yield Distribution("", entry, lines_of(text.encode(), prefixes))

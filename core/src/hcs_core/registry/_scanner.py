"""Read the `entry_points.txt` of installed distributions, importing nothing.

The scan reads the same files as importlib.metadata, which costs 27 to 41 ms to import
alone. What is out of the ordinary is left to `_metadata`, which is imported for it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TypeAlias

    Claim: TypeAlias = tuple[str, str, str, int]
    """One declaration of a kind: key, value, metadata folder of who makes it, API major."""

OUR_PREFIX = "hcs."
METADATA_FOLDERS = (".dist-info", ".egg-info")
SITE_FOLDERS = ("site-packages", "dist-packages")
# Larger than any entry_points.txt but few; a larger buffer costs more than the reading.
_USUAL_BYTES = 1 << 14
_NEWLINE, _BRACKET = b"\n]"
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)


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
    marks = marks_of(prefixes)
    for entry in found.entries:
        about = f"{folder}/{entry}"
        content = read_bytes(f"{about}/entry_points.txt")
        for mark in marks:
            if mark in content:
                read_lines(found, about, content, marks)
                break
    return found


def marks_of(prefixes: Iterable[str]) -> tuple[bytes, ...]:
    """Return how the headers of groups with these prefixes begin in a file."""
    return tuple(f"[{prefix}".encode() for prefix in prefixes)


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


def read_lines(found: Found, about: str, content: bytes, marks: tuple[bytes, ...]) -> None:
    """Add the lines of an `entry_points.txt` whose group begins as marked.

    Only our groups are looked at, where nothing in the file is odd: half the time.
    """
    sections: list[tuple[str, str]] = []
    for mark in marks:
        if not _add_sections(sections, content, mark):
            from hcs_core.registry._metadata import read_with_care

            prefixes = tuple(mark[1:].decode() for mark in marks)
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

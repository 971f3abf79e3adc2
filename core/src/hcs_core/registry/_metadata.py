"""What is asked of distributions when somebody wants to know, or something is odd.

Names and versions for people; an `entry_points.txt` that no build tool writes; and what is
no folder: zip files, eggs and the finders of others, which are left to importlib-metadata.
"""

from __future__ import annotations

import sys

from hcs_core.registry._scanner import METADATA_FOLDERS, Found, alias_of, read_bytes, target_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def name_of(where: str) -> str:
    """Return the name (PEP 503) of the distribution with a metadata folder, or nothing."""
    entry = where.rpartition("/")[2]
    return normalised(alias_of(entry)) if entry.endswith(METADATA_FOLDERS) else ""


def version_of(where: str) -> str:
    """Return the version that a metadata folder is named by, or that it holds."""
    entry = where.rpartition("/")[2]
    if not entry.endswith(METADATA_FOLDERS):
        return ""
    named = entry.rpartition(".")[0].partition("-")[2].partition("-py")[0]
    return named or _version_inside(where)


def normalised(name: str) -> str:
    """Return a distribution's name in the form in which names are compared (PEP 503)."""
    return alias_of(name.strip().replace("-", "_")).replace("_", "-")


def in_archive(entry: str, prefixes: tuple[str, ...]) -> Found:
    """Return the distributions of a path entry that only an import hook can read."""
    from importlib_metadata import distributions  # 30 ms, and rarely needed

    return _converted(distributions(path=[entry]), prefixes)


def of_finders(finders: Iterable[Any], prefixes: tuple[str, ...]) -> Found:
    """Return the distributions that finders know beside the path."""
    from importlib_metadata import DistributionFinder

    theirs: list[Any] = []
    for finder in finders:
        try:
            context = DistributionFinder.Context(path=sys.path)  # type: ignore[no-untyped-call]
            theirs += finder.find_distributions(context)
        except Exception:  # noqa: BLE001 - a foreign finder that fails has no plugins of ours
            continue
    return _converted(theirs, prefixes)


def read_with_care(found: Found, about: str, text: str, prefixes: tuple[str, ...]) -> None:
    """Add the same of a file that no build tool writes, as importlib.metadata reads it."""
    group = ""
    for line in map(str.strip, text.splitlines()):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[" and line[-1] == "]":
            group = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        key = key.strip()
        if key and equals and group.startswith(prefixes):
            claims, api = found.groups.get(group) or found.rows_of(group)
            claims.add((key, target_of(value), about, api))


def _converted(theirs: Iterable[Any], prefixes: tuple[str, ...]) -> Found:
    found = Found()
    for distribution in theirs:
        try:
            name, version = distribution.name, distribution.version
            text = distribution.read_text("entry_points.txt") or ""
        except Exception:  # noqa: BLE001 - foreign metadata: damaged, it hides only itself
            continue
        if name:
            entry = f"{name.replace('-', '_')}-{version}.dist-info"
            found.entries.append(entry)
            read_with_care(found, entry, text, prefixes)
    return found


def _version_inside(where: str) -> str:
    """Return the version of a source tree, whose folder is named without one."""
    content = read_bytes(f"{where}/METADATA") or read_bytes(f"{where}/PKG-INFO")
    for line in content.decode("utf-8", "replace").splitlines():
        if line.startswith("Version:"):
            return line[8:].strip()
        if not line:  # the description begins
            break
    return ""

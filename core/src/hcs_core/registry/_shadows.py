"""Which of several distributions of one name is the one that is installed."""

from __future__ import annotations

import os

from hcs_core.registry._discovery import merge
from hcs_core.registry._metadata import name_of, version_of
from hcs_core.registry._scanner import Claims, Found, alias_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Places: TypeAlias = list[tuple[str, Found]]


def part_hidden(found: Places) -> dict[str, Claims]:
    """Take the rows of hidden distributions out of what was found, and return them by kind.

    What was found is changed: it keeps the rows that count.
    """
    hidden = _hidden(found)
    taken: dict[str, Claims] = {}
    for position, (folder, here) in enumerate(found):
        left = Found(here.entries)
        for kind, rows in here.claims.items():
            left.claims[kind], others = _parted(rows, hidden)
            merge(taken, kind, others)
        found[position] = folder, left
    for kind, rows in taken.items():
        counting = Claims()
        for _, here in found:
            counting.extend(here.claims.get(kind, Claims()))
        taken[kind] = _without_copies(rows, counting)
    return taken


def _hidden(found: list[tuple[str, Found]]) -> set[str]:
    """Return the metadata folders of distributions that another of their name hides."""
    first: dict[str, str] = {}
    doubled: dict[str, list[str]] = {}
    for folder, here in found:
        for entry in here.entries:
            alias = alias_of(entry)
            where = f"{folder}/{entry}" if folder else entry
            if alias in first:
                doubled.setdefault(alias, [first[alias]]).append(where)
            else:
                first[alias] = where
    hidden: set[str] = set()
    for places in doubled.values():
        winner = _installed(places)
        hidden.update(where for where in places if where != winner)
    return hidden


def _parted(rows: Claims, hidden: set[str]) -> tuple[Claims, Claims]:
    """Return the rows that count, and those of hidden distributions."""
    counting, others = Claims(), Claims()
    for position, folder in enumerate(rows.folders):
        (others if folder in hidden else counting).add(rows[position])
    return counting, others


def _without_copies(rows: Claims, counting: Claims) -> Claims:
    """Return the rows that do not say the same again, as an editable install of a version may."""
    owners = {folder: (name_of(folder), version_of(folder)) for folder in rows.folders}
    names = {name for name, _ in owners.values()}
    for folder in counting.folders:
        if folder not in owners and name_of(folder) in names:  # some versions are in a file
            owners[folder] = name_of(folder), version_of(folder)
    told = {(key, value, owners.get(folder)) for key, value, folder, _ in counting}
    left = Claims()
    for claim in rows:
        if (*claim[:2], owners[claim[2]]) not in told:
            left.add(claim)
    return left


def _installed(places: list[str]) -> str:
    """Return which of several distributions of one name is the one that is installed.

    The first on the path, as for imports. But uninstalling may leave a metadata folder
    without metadata behind, which must not hide the real one; and of two complete ones in
    one directory the younger was installed last.
    """
    times = {where: _metadata_time(where) for where in places}
    whole = [where for where in places if times[where] is not None]
    if not whole:
        return places[0]
    folder = whole[0].rpartition("/")[0]
    beside = [where for where in whole if where.rpartition("/")[0] == folder]
    return max(beside, key=lambda where: (times[where] or 0.0, where))


def _metadata_time(where: str) -> float | None:
    """Return when a distribution's metadata were written, None where there are none."""
    for name in ("METADATA", "PKG-INFO"):
        try:
            return os.stat(f"{where}/{name}").st_mtime
        except OSError:  # the other name, or a remnant of an installation
            continue
    return None

"""Order names as people do: 2 before 10."""

from __future__ import annotations

import re
from collections.abc import Iterable

_DIGITS = re.compile(r"(\d+)")


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key by which digits compare as numbers and text without case.

    Names that differ only in case or in leading zeros keep a fixed order: the name
    itself is the last part of the key. A name sorts before the names that it begins.
    """
    parts = (
        (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold())
        for part in _DIGITS.split(name)
        if part
    )
    return (*parts, (-1, 0, name))


def natural_sort(names: Iterable[str]) -> list[str]:
    """Return the names in natural order: ``w2`` before ``w10``."""
    return sorted(names, key=natural_key)

"""The components that tell one plane of a plate from another, and the names of wells."""

from __future__ import annotations

import re
from typing import Literal, get_args

Component = Literal["well", "site", "channel", "z_index", "timepoint"]
COMPONENTS: tuple[Component, ...] = get_args(Component)
"""Every component, in the order in which planes of an index are sorted by."""

_WELL = re.compile(r"([A-Za-z]{1,2})0*([1-9]\d?)")
_LETTERS = 26


def well_name(row: int, column: int) -> str:
    """Return the name of a well: row 0, column 0 is ``A01``; row 26 is ``AA``.

    Parameters
    ----------
    row, column : int
        Zero-based, as on the physical plate.
    """
    letters = chr(ord("A") + row % _LETTERS)
    if row >= _LETTERS:
        letters = chr(ord("A") + row // _LETTERS - 1) + letters
    return f"{letters}{column + 1:02d}"


def _split(well: str) -> tuple[int, int]:
    match = _WELL.fullmatch(well)
    if match is None:
        raise ValueError(f"{well!r} names no well: it needs row letters and a column, as B02")
    row = 0
    for letter in match[1].upper():
        row = row * _LETTERS + ord(letter) - ord("A") + 1
    return row - 1, int(match[2]) - 1


def row_of_well(well: str) -> int:
    """Return the zero-based row of a well: ``B02`` is in row 1."""
    return _split(well)[0]


def column_of_well(well: str) -> int:
    """Return the zero-based column of a well: ``B02`` is in column 1."""
    return _split(well)[1]


def normal_well(well: str) -> str:
    """Return a well in our spelling: ``b2`` and ``B2`` are ``B02``."""
    return well_name(*_split(well))

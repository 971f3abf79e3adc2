"""The components that tell one plane of a plate from another, and the names of wells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

Component = Literal["well", "site", "channel", "z_index", "timepoint"]
COMPONENTS: tuple[Component, ...] = get_args(Component)
"""Every component, in the order in which planes of an index are sorted by."""

_WELL = re.compile(r"([A-Za-z]{1,2})0*([1-9]\d?)")
_LETTERS = 26
# Rows and columns of the plates of 6 to 1536 wells (ANSI/SLAS 4-2004 names 96, 384, 1536).
_PLATE_SHAPES = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))


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


def plate_shape(wells: Iterable[str]) -> tuple[int, int] | None:
    """Return rows and columns of the smallest plate in use that has these wells.

    Parameters
    ----------
    wells : iterable of str
        Names of wells, at least one.

    Returns
    -------
    tuple of int, or None
        None where not even a plate of 1536 wells has them.
    """
    places = [_split(well) for well in wells]
    rows = 1 + max(row for row, _ in places)
    columns = 1 + max(column for _, column in places)
    fitting = (shape for shape in _PLATE_SHAPES if rows <= shape[0] and columns <= shape[1])
    return next(fitting, None)

"""Where the fields of a plate lie in the plate that a run writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hcs_core.plates import (
    Channel,
    Plate,
    PlateIndex,
    column_of_well,
    plate_shape,
    row_of_well,
    well_name,
)


def field_numbers(index: PlateIndex) -> dict[tuple[int, int], int]:
    """Return the number of each (well, site) in its well: 0, 1, ... in order of sites.

    Sites are numbered well by well, because readers in use look for field 0.
    """
    numbers: dict[tuple[int, int], int] = {}
    used: dict[int, int] = {}
    pairs = np.unique(np.stack([index.well, index.site], axis=1), axis=0)
    for well, site in pairs.tolist():
        numbers[well, site] = used.setdefault(well, 0)
        used[well] += 1
    return numbers


def channel_titles(channels: Sequence[Channel]) -> tuple[str, ...]:
    """Return what each channel is called in columns and names of labels.

    Its name, or else its label; also its label where two names would be one in a path.
    """
    words = [path_word(channel.title) for channel in channels]
    return tuple(
        channel.title if words.count(word) == 1 else channel.label
        for word, channel in zip(words, channels, strict=True)
    )


def path_word(title: str) -> str:
    """Return a title as it can stand in a path on every system."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in title)


def well_path(well: str) -> str:
    """Return a well's group: ``A02`` lies at ``A/02``."""
    letters = well.rstrip("0123456789")
    return f"{letters}/{well[len(letters) :]}"


def row_names(count: int) -> list[str]:
    """Return the letters of the first `count` rows."""
    return [well_path(well_name(row, 0)).partition("/")[0] for row in range(count)]


def column_names(count: int) -> list[str]:
    """Return the two-digit numbers of the first `count` columns."""
    return [f"{column + 1:02d}" for column in range(count)]


def plate_size(plate: Plate) -> tuple[int, int]:
    """Return rows and columns of the physical plate: as stated, or the smallest that fits."""
    needed = (max(map(row_of_well, plate.wells)) + 1, max(map(column_of_well, plate.wells)) + 1)
    stated = (plate.metadata.rows, plate.metadata.columns)
    if stated[0] is None or stated[1] is None:
        return plate_shape(plate.wells) or needed
    return max(stated[0], needed[0]), max(stated[1], needed[1])

"""From what the steps measured to rows: one per object, one per image.

A table with a column ``label`` describes objects, any other describes its image. What
several steps, or one step in several channels, measure of the same objects stands side
by side in one row; columns that depend on the pixels end in ``_intensity`` and get the
channel's name behind it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.errors import HcsError
from hcs_core.plates import PlateIndex
from hcs_pipeline._fields import channel_titles, well_path
from hcs_pipeline._plan import Plan, PlannedUnit
from hcs_pipeline._values import Key, Table, TablePart

PER_CHANNEL = "_intensity"
LABEL = "label"

_OURS = frozenset({"well", "site", "timepoint", "z_index", "path", "labels"})

Columns = dict[str, NDArray[Any]]


class MeasureError(HcsError, ValueError):
    """A table does not fit to those of other steps, or is none of an image."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(step, reason)
        self.step, self.reason = step, reason

    def __str__(self) -> str:
        return f"step {self.step!r}: {self.reason}"


@dataclass(frozen=True, slots=True)
class UnitTables:
    """The rows of one unit; None where the pipeline makes no such rows."""

    objects: Columns | None
    images: Columns


def unit_tables(
    plan: Plan,
    unit: PlannedUnit,
    parts: Sequence[TablePart],
    fields: Iterable[tuple[Key, str]],
    index: PlateIndex,
) -> UnitTables:
    """Return the rows of one unit.

    Parameters
    ----------
    plan, unit : Plan, PlannedUnit
        What was run.
    parts : sequence of TablePart
        What the steps measured.
    fields : iterable of (Key, str)
        The images of the unit, by site and timepoint, and their group in the plate.
    index : PlateIndex
        The plate.
    """
    for part in parts:
        _check(part)
    names = _Names(plan, index)
    objects = [part for part in parts if LABEL in part.table]
    images = [part for part in parts if LABEL not in part.table]
    return UnitTables(
        _object_rows(names, unit, objects) if objects else None,
        _image_rows(names, unit, images, list(fields)),
    )


def _check(part: TablePart) -> None:
    """Refuse a table that has columns of ours, or is of an image and has several rows."""
    count = len(next(iter(part.table.values())))
    if LABEL not in part.table and count != 1:
        reason = f"its table has {count} rows: one is of an image, objects have a column label"
        raise MeasureError(part.step, reason)
    taken = sorted(_OURS.intersection(part.table))
    if taken:
        reason = f"its table has columns of ours ({', '.join(taken)}); give them other names"
        raise MeasureError(part.step, reason)


class _Names:
    """What values are called in the tables."""

    def __init__(self, plan: Plan, index: PlateIndex) -> None:
        self._index = index
        self._channels = channel_titles(index.channels)
        self._composite = plan.image is not None and plan.image.channels == ("composite",)
        self._labels = {step.name: dict(step.label_names) for step in plan.steps}
        self.has_timepoints = len(index.timepoints) > 1
        self.has_z = plan.has_z

    def site(self, key: Key) -> str:
        return self._index.sites[key.site]

    def channel(self, key: Key) -> str:
        if self._composite:
            return "composite"
        return self._channels[key.channel]

    def source(self, part: TablePart) -> str:
        """Return what the objects of a table are called: as their labels in the plate."""
        return self._labels[part.source].get(part.source_channel, part.source)

    def z_index(self, key: Key) -> str:
        return self._index.z_indexes[key.z_index]

    def place(self, unit: PlannedUnit, key: Key, *, count: int, with_z: bool) -> Columns:
        """Return the columns that say where rows come from, `count` times."""
        words = {"well": unit.well, "site": self.site(key)}
        if self.has_timepoints:
            words["timepoint"] = self._index.timepoints[key.timepoint]
        if with_z and self.has_z:
            words["z_index"] = self.z_index(key)
        return {name: np.full(count, word) for name, word in words.items()}


def _object_rows(names: _Names, unit: PlannedUnit, parts: Sequence[TablePart]) -> Columns:
    groups: dict[tuple[Key, str], list[TablePart]] = {}
    for part in parts:
        place = part.key._replace(channel=0)
        groups.setdefault((place, names.source(part)), []).append(part)
    blocks = []
    for (place, source), together in sorted(groups.items(), key=_row_order):
        measured = _side_by_side(names, together)
        count = len(measured[LABEL])
        columns = names.place(unit, place, count=count, with_z=True)
        columns[LABEL] = measured.pop(LABEL)
        columns["labels"] = np.full(count, source)
        blocks.append({**columns, **measured})
    return stacked(blocks)


def _row_order(item: tuple[tuple[Key, str], list[TablePart]]) -> tuple[int, int, int, str]:
    place, source = item[0]
    return place.site, place.timepoint, place.z_index, source


def _side_by_side(names: _Names, parts: Sequence[TablePart]) -> Columns:
    """Return one row per object with the columns of all parts, sorted by label."""
    rows: Columns = {}
    for part in parts:
        order = np.argsort(part.table[LABEL], kind="stable")
        labels = part.table[LABEL][order]
        if LABEL in rows and not np.array_equal(rows[LABEL], labels):
            raise MeasureError(part.step, "it measured other objects than the steps before it")
        for name, column in part.table.items():
            title = f"{name}_{names.channel(part.key)}" if name.endswith(PER_CHANNEL) else name
            rows.setdefault(title, column[order])
    return rows


def _image_rows(
    names: _Names,
    unit: PlannedUnit,
    parts: Sequence[TablePart],
    fields: Sequence[tuple[Key, str]],
) -> Columns:
    titles = _image_titles(names, parts)
    blocks = []
    for key, path in fields:
        columns = names.place(unit, key, count=1, with_z=False)
        columns["path"] = np.full(1, path)
        for part, suffix in zip(parts, titles, strict=True):
            if (part.key.site, part.key.timepoint) == (key.site, key.timepoint):
                columns |= {f"{name}{suffix}": column for name, column in part.table.items()}
        blocks.append(columns)
    return stacked(blocks)


def _image_titles(names: _Names, parts: Sequence[TablePart]) -> list[str]:
    """Return what tells apart columns of one name: nothing, the labels, or also the channel."""
    images = Counter((part.key.site, part.key.timepoint) for part in parts)
    if max(images.values(), default=0) <= 1:
        return [""] * len(parts)
    sources = {part.source for part in parts}
    per_source = Counter((part.source, part.key.site, part.key.timepoint) for part in parts)
    titles = []
    for part in parts:
        source = part.source
        title = f"_{source}" if len(sources) > 1 else ""
        if max(n for (name, *_), n in per_source.items() if name == source) > 1:
            title += f"_{names.channel(part.key)}"
            title += f"_z{names.z_index(part.key)}" if names.has_z else ""
        titles.append(title)
    return titles


def stacked(blocks: Sequence[Table]) -> Columns:
    """Return tables below each other; a column that one lacks is empty there.

    Empty is NaN among numbers, and the empty text among words.
    """
    names = list(dict.fromkeys(name for block in blocks for name in block))
    return {
        name: np.concatenate([_column(block, name, blocks) for block in blocks]) for name in names
    }


def _column(block: Table, name: str, blocks: Sequence[Table]) -> NDArray[Any]:
    if name in block:
        return block[name]
    count = len(next(iter(block.values())))
    kind = next(other[name].dtype.kind for other in blocks if name in other)
    return np.full(count, "") if kind == "U" else np.full(count, np.nan)


def group_path(well: str, number: int) -> str:
    """Return the group of a field: ``A/02/0``."""
    return f"{well_path(well)}/{number}"

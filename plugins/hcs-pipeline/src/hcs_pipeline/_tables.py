"""From what the steps measured to rows: one per object, one per image.

A table with a column ``label`` describes objects, any other describes its image. What
several steps, or one step in several channels, measure of the same objects stands side
by side in one row; columns that depend on the pixels end in ``_intensity`` and get the
channel's name behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.errors import HcsError
from hcs_core.kernels import PER_CHANNEL_SUFFIX
from hcs_core.plates import PlateIndex
from hcs_pipeline._fields import well_path
from hcs_pipeline._groups import NO_Z, Key
from hcs_pipeline._plan import Plan, PlannedTable, PlannedUnit
from hcs_pipeline._values import Table, TablePart

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
    fields: Mapping[tuple[int, int], str],
    index: PlateIndex,
) -> UnitTables:
    """Return the rows of one unit.

    Parameters
    ----------
    plan, unit : Plan, PlannedUnit
        What was run.
    parts : sequence of TablePart
        What the steps measured.
    fields : Mapping of (site, timepoint) to str
        The images of the unit, and their group in the plate; empty where none is written.
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
        _image_rows(names, unit, images, fields),
    )


def _check(part: TablePart) -> None:
    """Refuse a table that has columns of ours, or is of an image and has several rows."""
    count = len(next(iter(part.table.values())))
    if LABEL not in part.table and count != 1:
        reason = f"its table has {count} rows: one is of an image, objects have a column label"
        raise MeasureError(part.step, reason)
    if LABEL in part.table and part.table[LABEL].dtype.kind not in "iu" and count:
        raise MeasureError(part.step, "the labels of its table are not integers")
    taken = sorted(_OURS.intersection(part.table))
    if taken:
        reason = f"its table has columns of ours ({', '.join(taken)}); give them other names"
        raise MeasureError(part.step, reason)
    odd = [name for name in part.table if not name.isprintable() or not name]
    if odd:
        raise MeasureError(part.step, f"{odd[0]!r} cannot be a column's name")


class _Names:
    """What values are called in the tables; the plan decides, the same for all units."""

    def __init__(self, plan: Plan, index: PlateIndex) -> None:
        self._index = index
        self._labels = {step.name: dict(step.label_names) for step in plan.steps}
        self._tables = {(t.step, t.function, t.source): t for t in plan.tables}
        self.has_timepoints = len(index.timepoints) > 1
        self.has_z = any(table.z_count > 1 for table in plan.tables)

    def place(self, unit: PlannedUnit, key: Key, *, count: int) -> Columns:
        """Return the columns that say where rows come from, `count` times."""
        words = {"well": unit.well, "site": self._index.sites[key.site]}
        if self.has_timepoints:
            words["timepoint"] = self._index.timepoints[key.timepoint]
        return {name: np.full(count, word) for name, word in words.items()}

    def z_index(self, part: TablePart) -> str:
        """Return the z plane that a table was made of; empty after a projection."""
        if self._table(part).is_projected or part.key.z_index == NO_Z:
            return ""
        return self._index.z_indexes[part.key.z_index]

    def objects(self, part: TablePart) -> str:
        """Return what the objects of a table are called: as their labels in the plate."""
        named = self._labels[part.source].get(part.source_channel)
        if named is not None:
            return named
        several = len(self._table(part).channels) > 1
        return f"{part.source}_{self._channel(part)}" if several else part.source

    def object_column(self, part: TablePart, name: str) -> str:
        """Return the name of a column of objects."""
        if not name.endswith(PER_CHANNEL_SUFFIX):
            return name
        table = self._table(part)
        again = [t for t in self._alike(table) if t.source == table.source]
        step = f"_{part.step}" if len(again) > 1 else ""
        return f"{name}_{self._channel(part)}{step}"

    def image_column(self, part: TablePart, name: str) -> str:
        """Return the name of a column of images: with as much as tells it from others."""
        table = self._table(part)
        alike = self._alike(table)
        if len(alike) > 1:
            sources = [other.source for other in alike]
            name += f"_{table.source if len(set(sources)) == len(sources) else table.step}"
        if len(table.channels) > 1:
            name += f"_{self._channel(part)}"
        return f"{name}_z{self.z_index(part)}" if table.z_count > 1 else name

    def _alike(self, table: PlannedTable) -> list[PlannedTable]:
        return [other for other in self._tables.values() if other.function == table.function]

    def _channel(self, part: TablePart) -> str:
        return dict(self._table(part).channels)[part.key.channel]

    def _table(self, part: TablePart) -> PlannedTable:
        return self._tables[part.step, part.function, part.source]


def _object_rows(names: _Names, unit: PlannedUnit, parts: Sequence[TablePart]) -> Columns:
    groups: dict[tuple[Key, str], list[TablePart]] = {}
    for part in parts:
        place = part.key._replace(channel=0)
        groups.setdefault((place, names.objects(part)), []).append(part)
    blocks = []
    for (place, objects), together in sorted(groups.items(), key=_row_order):
        measured = _side_by_side(names, together)
        count = len(measured[LABEL])
        columns = names.place(unit, place, count=count)
        if names.has_z:
            columns["z_index"] = np.full(count, names.z_index(together[0]))
        columns[LABEL] = measured.pop(LABEL)
        columns["labels"] = np.full(count, objects)
        blocks.append({**columns, **measured})
    return stacked(blocks)


def _row_order(item: tuple[tuple[Key, str], list[TablePart]]) -> tuple[int, int, int, str]:
    place, objects = item[0]
    return place.site, place.timepoint, place.z_index, objects


def _side_by_side(names: _Names, parts: Sequence[TablePart]) -> Columns:
    """Return one row per object with the columns of all parts, sorted by label."""
    rows: Columns = {}
    for part in parts:
        order = np.argsort(part.table[LABEL], kind="stable")
        if LABEL in rows and not np.array_equal(rows[LABEL], part.table[LABEL][order]):
            raise MeasureError(part.step, "it measured other objects than the steps before it")
        for name, column in part.table.items():
            # The shape of an object is the same in every channel that it is measured in.
            is_shape = not name.endswith(PER_CHANNEL_SUFFIX)
            title = names.object_column(part, name)
            _put(rows, part, title, column[order], may_repeat=is_shape)
    return rows


def _put(
    rows: Columns, part: TablePart, name: str, column: NDArray[Any], *, may_repeat: bool
) -> None:
    """Put a column beside others; one of the same name is refused, or must say the same."""
    known = rows.setdefault(name, column)
    if known is not column and not (may_repeat and _same(known, column)):
        reason = (
            f"there is a column {name!r} of another function already; a column of one channel "
            f"ends in {PER_CHANNEL_SUFFIX!r}, others need their own name"
        )
        raise MeasureError(part.step, reason)


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    numbers = one.dtype.kind == "f" and other.dtype.kind == "f"
    return bool(np.array_equal(one, other, equal_nan=numbers))


def _image_rows(
    names: _Names,
    unit: PlannedUnit,
    parts: Sequence[TablePart],
    fields: Mapping[tuple[int, int], str],
) -> Columns:
    blocks = []
    for (site, timepoint), path in sorted(fields.items()):
        key = Key(site=site, channel=0, z_index=0, timepoint=timepoint)
        columns = names.place(unit, key, count=1)
        columns["path"] = np.full(1, path)
        for part in parts:
            if (part.key.site, part.key.timepoint) == (site, timepoint):
                for name, column in part.table.items():
                    title = names.image_column(part, name)
                    _put(columns, part, title, column, may_repeat=False)
        blocks.append(columns)
    return stacked(blocks)


def stacked(blocks: Sequence[Table]) -> Columns:
    """Return tables below each other; a column that one lacks is empty there.

    Empty is NaN among floats. Integers become words there, with the empty text for none:
    as floats they would lose digits.
    """
    names = list(dict.fromkeys(name for block in blocks for name in block))
    return {name: np.concatenate(_columns(name, blocks)) for name in names}


def _columns(name: str, blocks: Sequence[Table]) -> list[NDArray[Any]]:
    """Return one column of all tables."""
    found = [block.get(name) for block in blocks]
    there = [column for column in found if column is not None]
    if len(there) == len(found):
        return there
    counts = [len(next(iter(block.values()))) for block in blocks]
    if all(column.dtype.kind == "f" for column in there):
        return [
            np.full(count, np.nan) if column is None else column
            for count, column in zip(counts, found, strict=True)
        ]
    return [
        np.full(count, "") if column is None else column.astype(np.str_)
        for count, column in zip(counts, found, strict=True)
    ]


def group_path(well: str, number: int) -> str:
    """Return the group of a field: ``A/02/0``."""
    return f"{well_path(well)}/{number}"

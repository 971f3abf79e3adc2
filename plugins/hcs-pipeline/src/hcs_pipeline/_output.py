"""What a run leaves: the plate with images and labels, and the tables."""

from __future__ import annotations

import csv
import io
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays import is_exact
from hcs_core.plates import Plate
from hcs_core.storage import (
    ChannelStyle,
    FieldMetadata,
    OmeZarrPlate,
    atomic_write,
    natural_key,
)
from hcs_pipeline._fields import column_names, field_numbers, plate_size, row_names, well_path
from hcs_pipeline._groups import Key
from hcs_pipeline._ledger import Ledger, UnitState
from hcs_pipeline._plan import Plan, PlannedUnit, SavedImage, UnitRows
from hcs_pipeline._tables import group_path
from hcs_pipeline._values import UnitValues

PLATE = "plate.zarr"
TABLES = "tables"
_ROW_ORDER = ("well", "site", "timepoint")


@dataclass(frozen=True, slots=True)
class Field:
    """One (well, site) of the plate that is written."""

    well: str
    site: str
    number: int

    @property
    def path(self) -> str:
        """Its group in the plate."""
        return group_path(self.well, self.number)


class PlateOutput:
    """Writes the fields of a run.

    Chunks are written by units; the JSON that makes a field visible is written when all
    of the field's units have ended, and the plate's own at the end.

    Parameters
    ----------
    plan : Plan
        The plan.
    plate : Plate
        The plate that is read.
    """

    def __init__(self, plan: Plan, plate: Plate) -> None:
        self._plan = plan
        self._plate = plate
        self._store = OmeZarrPlate(Path(plan.output) / PLATE, name=plate.metadata.name)
        self._rows = UnitRows(plan.unit_by, plate.index)
        index = plate.index
        self._fields = {
            (index.wells[well], site): Field(index.wells[well], index.sites[site], number)
            for (well, site), number in field_numbers(index).items()
        }
        self._published: dict[str, set[int]] = defaultdict(set)

    def fields_of(self, unit: PlannedUnit) -> dict[int, Field]:
        """Return the fields that a unit writes to, by the site's dense number."""
        sites = np.unique(self._plate.index.site[self._rows[unit]]).tolist()
        return {site: self._fields[unit.well, site] for site in sites}

    def images_of(
        self, unit: PlannedUnit, values: UnitValues, written: Collection[str]
    ) -> dict[tuple[int, int], str]:
        """Return the group of each (site, timepoint) image; empty where none is written.

        A projection over sites or timepoints leaves one image of several; those that were
        measured before it have rows nevertheless.
        """
        keys = [*values.images, *(part.key for part in values.tables)]
        paths = {key.site: self._fields[unit.well, key.site].path for key in keys}
        return {
            (key.site, key.timepoint): paths[key.site] if paths[key.site] in written else ""
            for key in keys
        }

    def write(self, unit: PlannedUnit, values: UnitValues) -> dict[str, dict[str, Any]]:
        """Write a unit's image and labels; return what was written, by field group."""
        image = self._plan.image
        if image is None:
            return {}
        written: dict[str, dict[str, Any]] = {}
        for site, field in self.fields_of(unit).items():
            planes = {
                key: values.plane(value, self._plate)
                for key, value in values.saved.items()
                if key.site == site
            }
            if planes:
                written[field.path] = self._write_image(field, planes, image)
                written[field.path]["labels"] = self._write_labels(field, site, values)
        return written

    def publish(self, field: Field, states: Iterable[UnitState]) -> None:
        """Make a field visible: everything that its units wrote is there."""
        parts = [state.fields[field.path] for state in states if field.path in state.fields]
        if not parts or self._plan.image is None:
            return
        image = self._plan.image
        ranges = np.array([part["ranges"] for part in parts], dtype=float)
        windows = zip(ranges[..., 0].min(axis=0), ranges[..., 1].max(axis=0), strict=True)
        channels = tuple(
            ChannelStyle(title, (float(low), float(high)))
            for title, (low, high) in zip(image.channels, windows, strict=True)
        )
        metadata = FieldMetadata(
            name=f"{field.well} site {field.site}",
            channels=channels,
            dtype=np.dtype(parts[0]["dtype"]),
            pixel_size_um=self._plate.metadata.pixel_size_um,
        )
        there = {(t, c, z) for part in parts for t, c, z in part["planes"]}
        missing = [
            (t, c, z)
            for t, c, z in itertools.product(*map(range, image.size))
            if (t, c, z) not in there
        ]
        labels = self._missing_labels(parts)
        self._store.publish_field(field.path, metadata, labels=labels, missing=missing)
        self._published[well_path(field.well)].add(field.number)

    def _missing_labels(
        self, parts: Sequence[Mapping[str, Any]]
    ) -> dict[str, list[tuple[int, int]]]:
        """Return the planes that each of a field's labels has not, by name."""
        there: dict[str, set[tuple[int, int]]] = defaultdict(set)
        for part in parts:
            for name, planes in part["labels"].items():
                there[name].update((t, z) for t, z in planes)
        sizes = {name: step.label_size for step in self._plan.steps for _, name in step.label_names}
        return {
            name: [
                (t, z)
                for t, z in itertools.product(*map(range, sizes[name]))
                if (t, z) not in planes
            ]
            for name, planes in there.items()
        }

    def finish(self) -> None:
        """Make the plate visible with the fields that are."""
        if not self._published:
            return
        rows, columns = plate_size(self._plate)
        fields = {path: sorted(numbers) for path, numbers in self._published.items()}
        self._store.publish_plate(fields, rows=row_names(rows), columns=column_names(columns))

    def _write_image(
        self, field: Field, planes: Mapping[Key, NDArray[Any]], image: SavedImage
    ) -> dict[str, Any]:
        # Channels may differ in dtype; the array takes one that holds all of them exactly.
        dtype = np.result_type(*(plane.dtype for plane in planes.values()))
        rounded = sorted({p.dtype.name for p in planes.values() if not is_exact(p.dtype, dtype)})
        if rounded:
            kinds = ", ".join(sorted({plane.dtype.name for plane in planes.values()}))
            raise TypeError(f"no dtype holds the channels exactly: they are {kinds}")
        placed = {
            (key.timepoint, image.numbers.index(key.channel), _z(key)): plane.astype(
                dtype, copy=False
            )
            for key, plane in planes.items()
        }
        self._store.write_image(field.path, placed, size=image.size)
        return {
            "dtype": dtype.name,
            "planes": sorted(placed),
            "ranges": _ranges(placed, channels=len(image.numbers)),
        }

    def _write_labels(
        self, field: Field, site: int, values: UnitValues
    ) -> dict[str, list[tuple[int, int]]]:
        """Write a site's labels; return the (t, z) planes of each, by name."""
        written: dict[str, list[tuple[int, int]]] = {}
        for step in self._plan.steps:
            names = dict(step.label_names) if step.saves_labels else {}
            by_name: dict[str, dict[tuple[int, int], NDArray[Any]]] = defaultdict(dict)
            for key, plane in values.labels.get(step.name, {}).items():
                if key.site == site and key.channel in names:
                    by_name[names[key.channel]][key.timepoint, _z(key)] = plane
            for name, planes in by_name.items():
                self._store.write_labels(field.path, name, planes, size=step.label_size)
                written[name] = sorted(planes)
        return written


def _z(key: Key) -> int:
    """Return where a plane lies along z: the instrument's projection is the one plane there is."""
    return max(key.z_index, 0)


def _ranges(
    planes: Mapping[tuple[int, int, int], NDArray[Any]], *, channels: int
) -> list[list[float]]:
    """Return the lowest and highest finite value of each channel, for viewers."""
    found: list[list[float]] = []
    for channel in range(channels):
        own = [_finite(plane) for (_, c, _), plane in planes.items() if c == channel]
        own = [values for values in own if values.size]
        low = min((float(values.min()) for values in own), default=0.0)
        high = max((float(values.max()) for values in own), default=0.0)
        found.append([low, high])
    return found


def _finite(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the values that a viewer can show; integers all are."""
    return plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane


def fold_tables(plan: Plan, ledger: Ledger, done: Collection[int]) -> None:
    """Put the rows of all units that are done into the tables of the run.

    Parameters
    ----------
    plan : Plan
        The plan, whose order of wells is the order of rows.
    ledger : Ledger
        Where the units' rows are.
    done : collection of int
        Numbers of the units that are done.
    """
    in_order = plan.unit_by == _ROW_ORDER[: len(plan.unit_by)]
    folder = Path(plan.output) / TABLES
    folder.mkdir(exist_ok=True)
    units = [unit for unit in plan.units if unit.number in done]
    empty = {"images": "well,site,path\n", "objects": "well,site,label\n"}
    measured = any(ledger.part(unit.number, "objects").is_file() for unit in units)
    if not plan.tables or (units and not measured):
        del empty["objects"]  # nothing describes objects
    for name, header in empty.items():
        wells: dict[str, list[Path]] = defaultdict(list)
        for unit in units:
            part = ledger.part(unit.number, name)
            if part.is_file():
                wells[unit.well].append(part)
        with atomic_write(folder / f"{name}.csv") as file:
            for block in _folded(list(wells.values()), in_order) if wells else [header.encode()]:
                file.write(block)


def _folded(wells: Sequence[Sequence[Path]], in_order: bool) -> Iterator[bytes]:
    """Yield the text of all parts under one header, well by well.

    Units of one plan write the same columns, so their lines can stand below each other as
    they are. They are taken apart only where columns depend on what a kernel saw, or where
    units that span sites but not timepoints have left a well's rows in another order.
    """
    headers = list(dict.fromkeys(_header(path) for parts in wells for path in parts))
    if in_order and len(headers) == 1:
        yield headers[0]
        for parts in wells:
            for path in parts:
                yield path.read_bytes().partition(b"\n")[2]
        return
    names = list(dict.fromkeys(name for header in headers for name in _names(header)))
    yield _csv(names, [dict(zip(names, names, strict=True))])
    for parts in wells:
        rows = [row for path in parts for row in _rows(path)]
        yield _csv(names, rows if in_order else sorted(rows, key=_place))


def _csv(names: Sequence[str], rows: Sequence[Mapping[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.DictWriter(text, names, restval="", lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _names(header: bytes) -> list[str]:
    return next(csv.reader([header.decode("utf-8")]))


def _place(row: Mapping[str, str]) -> tuple[Any, ...]:
    return natural_key(row["site"]), natural_key(row.get("timepoint", ""))


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline()


def _rows(path: Path) -> csv.DictReader[str]:
    return csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""))

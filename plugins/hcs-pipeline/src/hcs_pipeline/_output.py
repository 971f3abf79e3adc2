"""What a run leaves: the plate with images and labels, and the tables."""

from __future__ import annotations

import csv
import io
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.plates import Plate
from hcs_core.storage import (
    ChannelStyle,
    FieldMetadata,
    OmeZarrPlate,
    atomic_write,
    natural_key,
)
from hcs_pipeline._fields import column_names, field_numbers, plate_size, row_names, well_path
from hcs_pipeline._ledger import Ledger, UnitState
from hcs_pipeline._plan import Plan, PlannedUnit, SavedImage, UnitRows
from hcs_pipeline._tables import group_path
from hcs_pipeline._values import Key, UnitValues

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
        self._rows = UnitRows.of_plan(plan, plate.index)
        self._numbers = field_numbers(plate.index)
        self._published: dict[str, set[int]] = defaultdict(set)

    def field(self, well: str, site: int) -> Field:
        """Return the field of a well's site, by the site's dense number."""
        index = self._plate.index
        number = self._numbers[index.wells.index(well), site]
        return Field(well, index.sites[site], number)

    def fields_of(self, unit: PlannedUnit) -> dict[int, Field]:
        """Return the fields that a unit writes to, by the site's dense number."""
        sites = np.unique(self._plate.index.site[self._rows[unit]])
        return {int(site): self.field(unit.well, int(site)) for site in sites}

    def images_of(self, unit: PlannedUnit, values: UnitValues) -> Iterator[tuple[Key, str]]:
        """Yield the (site, timepoint) images of a unit and their group in the plate.

        A projection over sites or timepoints has left one image of several.
        """
        for site, timepoint in sorted({(key.site, key.timepoint) for key in values.images}):
            key = Key(site=site, channel=0, z_index=0, timepoint=timepoint)
            yield key, self.field(unit.well, site).path

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
                if key.site == site and key.channel in image.numbers
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
        labels = sorted({name for part in parts for name in part["labels"]})
        there = {tuple(plane) for part in parts for plane in part["planes"]}
        missing = [
            (t, c, z)
            for t, c, z in itertools.product(*map(range, image.size))
            if (t, c, z) not in there
        ]
        self._store.publish_field(field.path, metadata, labels=labels, missing=missing)
        self._published[well_path(field.well)].add(field.number)

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
        placed = {
            (key.timepoint, image.numbers.index(key.channel), key.z_index): plane.astype(
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

    def _write_labels(self, field: Field, site: int, values: UnitValues) -> list[str]:
        names = []
        for step in self._plan.steps:
            label_names = dict(step.label_names) if step.saves_labels else {}
            by_channel: dict[int, dict[tuple[int, int], NDArray[Any]]] = defaultdict(dict)
            for key, plane in values.labels.get(step.name, {}).items():
                if key.site == site and key.channel in label_names:
                    by_channel[key.channel][key.timepoint, key.z_index] = plane
            for channel, planes in by_channel.items():
                name = label_names[channel]
                self._store.write_labels(field.path, name, planes, size=step.label_size)
                names.append(name)
        return names


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


def fold_tables(plan: Plan, ledger: Ledger, done: Sequence[int]) -> None:
    """Put the rows of all units that are done into the tables of the run.

    Parameters
    ----------
    plan : Plan
        The plan, whose order of units is the order of rows.
    ledger : Ledger
        Where the units' rows are.
    done : sequence of int
        Numbers of the units that are done, ascending.
    """
    in_order = plan.unit_by == _ROW_ORDER[: len(plan.unit_by)]
    folder = Path(plan.output) / TABLES
    folder.mkdir(exist_ok=True)
    empty = {"images": "well,site,path\n", "objects": "well,site,label\n"}
    if not plan.measures:
        del empty["objects"]
    for name, header in empty.items():
        parts = [path for unit in done if (path := ledger.part(unit, name)).is_file()]
        with atomic_write(folder / f"{name}.csv") as file:
            for block in _folded(parts, in_order=in_order) if parts else [header.encode()]:
                file.write(block)


def _folded(parts: Sequence[Path], *, in_order: bool) -> Iterator[bytes]:
    """Yield the text of all parts under one header.

    Units of one plan write the same columns, so their lines can stand below each other as
    they are. They are taken apart only where columns depend on what a kernel saw, or where
    units that span sites but not timepoints have left the rows in another order.
    """
    headers = {_header(path) for path in parts}
    if in_order and len(headers) == 1:
        yield headers.pop()
        for path in parts:
            yield path.read_bytes().partition(b"\n")[2]
        return
    rows = [row for path in parts for row in _rows(path)]
    wells = {well: i for i, well in enumerate(dict.fromkeys(row["well"] for row in rows))}
    rows.sort(key=lambda row: (wells[row["well"]], *_place(row)))
    text = io.StringIO(newline="")
    names = list(dict.fromkeys(name for path in parts for name in _rows(path).fieldnames or ()))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    yield text.getvalue().encode()


def _place(row: Mapping[str, str]) -> tuple[Any, ...]:
    return natural_key(row["site"]), natural_key(row.get("timepoint", ""))


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline()


def _rows(path: Path) -> csv.DictReader[str]:
    return csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""))

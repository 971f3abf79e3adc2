"""Nothing is lost: what the functions of a pipeline made is found in the output.

Every table value and every labelled plane is caught as the functions return them, and
looked for in the tables and the plate. Reads and writes are counted against the plan.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pipeline_toys.plates import ToyPlate

from hcs_core.plates import Plate
from hcs_core.storage import FileManager, OmeZarrPlate
from hcs_pipeline import FunctionStep, Pipeline, compile_report, execute
from hcs_pipeline._chain import ChainRun

Make = Callable[..., ToyPlate]


def step(func: Any, name: str, **options: Any) -> FunctionStep:
    return FunctionStep(func, name=name, **options)


def by_channel(func: Any, name: str, **options: Any) -> FunctionStep:
    return FunctionStep(func, name=name, group_by="channel", **options)


HALVES = step("toy:halves", "H", save=["labels"])
OF_H = {"labels": "H.labels"}
PIPELINES: dict[str, list[FunctionStep]] = {
    "measure and count": [
        HALVES,
        step("toy:measure", "M", inputs=OF_H),
        step("toy:count", "C", inputs=OF_H),
    ],
    "labels of one channel, measured in all": [
        by_channel({"DAPI": "toy:halves"}, "H", save=["labels"]),
        step("toy:measure", "M", inputs=OF_H),
    ],
    "measured before and after a correction": [
        HALVES,
        step("toy:measure", "Before", inputs=OF_H),
        step(("toy:add", {"amount": 9}), "Correct"),
        step("toy:measure", "After", inputs=OF_H),
    ],
    "measured, then joined to a composite that is saved": [
        by_channel({"DAPI": "toy:halves"}, "H"),
        step("toy:measure", "M", inputs=OF_H),
        step("toy:brightest", "Composite", variable_components=["channel"], save=["image"]),
    ],
    "a composite, measured": [
        step("toy:brightest", "Composite", variable_components=["channel"]),
        step("toy:halves", "H", save=["labels"]),
        step("toy:measure", "M", inputs=OF_H),
    ],
    "projected, then measured": [
        step("toy:brightest", "Flatten", variable_components=["z_index"]),
        HALVES,
        step("toy:measure", "M", inputs=OF_H),
    ],
    "counted, then projected over time": [
        step("toy:halves", "H"),
        step("toy:count", "C", inputs=OF_H),
        step("toy:brightest", "Last", variable_components=["timepoint"], save=["image"]),
    ],
    "counted, then projected over sites": [
        step("toy:halves", "H"),
        step("toy:count", "C", inputs=OF_H),
        step("toy:brightest", "All", variable_components=["site"], save=["image"]),
    ],
    "two kinds of objects": [
        step("toy:halves", "Nuclei", save=["labels"]),
        step("toy:halves", "Cells", save=["labels"]),
        step("toy:measure", "M1", inputs={"labels": "Nuclei.labels"}),
        step("toy:measure", "M2", inputs={"labels": "Cells.labels"}),
        step("toy:count", "C1", inputs={"labels": "Nuclei.labels"}),
        step("toy:count", "C2", inputs={"labels": "Cells.labels"}),
    ],
    "counted twice": [
        HALVES,
        step("toy:count", "C1", inputs=OF_H),
        step("toy:count", "C2", inputs=OF_H),
    ],
    "a chain that goes on after its projection": [
        step(["toy:brightest", "toy:add"], "Flat", variable_components=["z_index"]),
        HALVES,
        step("toy:count", "C", inputs=OF_H),
    ],
    "labels of one z plane": [
        step({"1": "toy:halves"}, "H", group_by="z_index", save=["labels"]),
        step("toy:count", "C", inputs=OF_H),
    ],
    "the raw image is saved": [step({"w1": "toy:add"}, "A", group_by="channel", save=["image"])],
    "a stack over sites": [
        step("toy:minus_stack_minimum", "S", variable_components=["site"], save=["image"]),
        step("toy:halves", "H"),
        step("toy:measure", "M", inputs=OF_H),
    ],
    "labels of labels": [
        by_channel({"DAPI": "toy:halves"}, "H"),
        step("toy:grow", "G", inputs=OF_H, save=["labels"]),
        step("toy:measure", "M", inputs={"labels": "G.labels"}),
        step("toy:count", "C", inputs={"labels": "G.labels"}),
    ],
    "labels of labels, after a composite": [
        step("toy:halves", "H"),
        step("toy:brightest", "Composite", variable_components=["channel"]),
        step("toy:grow", "G", inputs=OF_H, save=["labels"]),
        step("toy:count", "C", inputs={"labels": "G.labels"}),
    ],
    "labels of labels, after a projection": [
        step("toy:halves", "H"),
        step("toy:brightest", "Flat", variable_components=["z_index"]),
        step("toy:grow", "G", inputs=OF_H, save=["labels"]),
    ],
    "labels at sites that are joined": [
        HALVES,
        step("toy:brightest", "All", variable_components=["site"], save=["image"]),
    ],
    "some channels projected, then joined": [
        by_channel({"DAPI": "toy:brightest"}, "P", variable_components=["z_index"]),
        step("toy:brightest", "Composite", variable_components=["channel"], save=["image"]),
    ],
    "channels apart": [
        by_channel({"DAPI": "toy:halves", "GFP": "toy:halves"}, "H", save=["labels"]),
        by_channel({"GFP": "toy:measure"}, "M", inputs=OF_H),
    ],
}

PLATES: dict[str, dict[str, Any]] = {
    "one plane": {},
    "dense": {"sites": 2, "channels": 2, "z_indexes": 2, "timepoints": 2},
    "two channels": {"channels": 2},
    "projections": {"channels": 2, "z_indexes": 2, "projections": {"w2"}},
    "first well smaller": {"sites": 2, "leave_out_sites": {("A01", 2)}},
    "sparse": {"sites": 2, "channels": 2, "leave_out": {("B02", "w2")}},
}


@pytest.fixture
def caught(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Collect every table and label plane that the functions of a run return."""
    made: dict[str, list[Any]] = {"values": [], "labels": [], "read": [], "written": []}
    take_table, take_labels = ChainRun._take_table, ChainRun._take_labels
    read_stack = Plate.read_stack
    write_image, write_labels = OmeZarrPlate.write_image, OmeZarrPlate.write_labels

    def table(self: Any, loaded: Any, table: Any, group: Any) -> None:
        take_table(self, loaded, table, group)
        for name, column in table.items():
            if name != "label":
                made["values"] += [(name, f"{float(value):.9g}") for value in column]

    def labels(self: Any, loaded: Any, labels: Any, first: Any, group: Any) -> None:
        take_labels(self, loaded, labels, first, group)
        if self._step.saves_labels:
            made["labels"] += list(labels.reshape(-1, *labels.shape[-2:]))

    def read(self: Plate, rows: Any) -> NDArray[Any]:
        made["read"] += [int(row) for row in rows]
        return read_stack(self, rows)

    def image_written(self: Any, field: str, planes: Any, **size: Any) -> None:
        made["written"] += [("image", field, plane) for plane in planes]
        write_image(self, field, planes, **size)

    def labels_written(self: Any, field: str, name: str, planes: Any, **size: Any) -> None:
        made["written"] += [("labels", field, name, plane) for plane in planes]
        write_labels(self, field, name, planes, **size)

    monkeypatch.setattr(ChainRun, "_take_table", table)
    monkeypatch.setattr(ChainRun, "_take_labels", labels)
    monkeypatch.setattr(Plate, "read_stack", read)
    monkeypatch.setattr(OmeZarrPlate, "write_image", image_written)
    monkeypatch.setattr(OmeZarrPlate, "write_labels", labels_written)
    return made


def values_in_tables(out: Path) -> Counter[str]:
    """Return how often each number stands in the tables."""
    found: Counter[str] = Counter()
    for name in ("objects", "images"):
        table = out / "tables" / f"{name}.csv"
        if table.is_file():
            with table.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    for column, text in row.items():
                        if column.startswith(("area", "mean", "count")) and text:
                            found[f"{float(text):.9g}"] += 1
    return found


@pytest.mark.parametrize("size", PLATES)
@pytest.mark.parametrize("steps", PIPELINES)
def test_what_was_made_is_in_the_output_or_compiling_refused(
    make_toy_plate: Make, tmp_path: Path, caught: dict[str, list[Any]], steps: str, size: str
):
    plate = make_toy_plate(**PLATES[size])
    out = tmp_path / "out"
    report = compile_report(Pipeline(PIPELINES[steps]), plate.root, out)
    if report.plan is None:
        assert any(problem.severity == "fatal" for problem in report.problems)
        return
    summary = execute(report.plan, report=False).summary
    expected_to_fail = sum(problem.severity == "unit" for problem in report.problems)
    assert summary.failed == expected_to_fail, summary.failures
    if summary.failed:
        return
    assert len(caught["read"]) == report.plan.reads
    assert len(set(caught["read"])) == len(caught["read"]), "a plane was read twice"
    assert len(caught["written"]) == report.plan.writes
    assert len(set(caught["written"])) == len(caught["written"]), "a plane was written twice"
    found = values_in_tables(out)
    # A shape is the same in every channel and stands once; pixels' values stand as measured.
    for value in {value for name, value in caught["values"] if not name.startswith("mean")}:
        assert found[value], value
    means = Counter(value for name, value in caught["values"] if name.startswith("mean"))
    assert not means - found, "measured and not in the tables"
    files = FileManager(out / "plate.zarr")
    labelled = [key for key in files.list_files("", "zarr", recursive=True) if "labels" in key]
    planes = [p for key in labelled for p in files.load(key, "zarr").reshape(-1, 6, 8) if p.any()]
    assert len(planes) == sum(bool(np.any(plane)) for plane in caught["labels"])


def test_most_pipelines_are_not_refused(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(**PLATES["dense"])
    refused = {
        name
        for name, steps in PIPELINES.items()
        if compile_report(Pipeline(steps), plate.root, tmp_path / "out").plan is None
    }
    assert refused == {"labels at sites that are joined", "some channels projected, then joined"}

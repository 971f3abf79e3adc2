"""What a run does to pixels, and what it leaves."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from pipeline_toys.plates import SHAPE, ToyPlate, plane

from hcs_core.arrays import numpy
from hcs_core.plates import Plate
from hcs_core.storage import FileManager
from hcs_pipeline import FunctionStep, Pipeline, RunResult, compile, execute
from hcs_pipeline.errors import OutputError, PlanStaleError

Make = Callable[..., ToyPlate]
Steps = list[FunctionStep]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., RunResult]:
    """Return a function that compiles and runs steps into ``tmp_path / "out"``."""

    def do(plate: ToyPlate, steps: Steps, **more: Any) -> RunResult:
        return execute(compile(Pipeline(steps), plate.root, tmp_path / "out", **more), report=False)

    return do


def image(out: Path, field: str) -> NDArray[Any]:
    """Return a field's image, shape (t, c, z, y, x)."""
    pixels: NDArray[Any] = FileManager(out / "plate.zarr").load(f"{field}/0", "zarr")
    return pixels


def labels(out: Path, field: str, name: str) -> NDArray[Any]:
    """Return a field's labels, shape (t, z, y, x)."""
    pixels: NDArray[Any] = FileManager(out / "plate.zarr").load(f"{field}/labels/{name}/0", "zarr")
    return pixels


def attributes(out: Path, group: str) -> dict[str, Any]:
    document = json.loads((out / "plate.zarr" / group / "zarr.json").read_text())
    found: dict[str, Any] = document["attributes"]
    return found


def rows(out: Path, table: str) -> list[dict[str, str]]:
    with (out / "tables" / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_plane_is_given_to_the_function_by_itself(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    plate = make_toy_plate(sites=2, channels=2, z_indexes=2)
    result = run(plate, [FunctionStep(("toy:add", {"amount": 7}))])
    assert result.summary.status == "done"
    found = image(tmp_path / "out", "B/02/1")
    assert found.shape == (1, 2, 2, *SHAPE)
    assert found.dtype == np.uint16
    for channel, z in np.ndindex(2, 2):
        np.testing.assert_array_equal(
            found[0, channel, z], plane("B02", 2, channel + 1, z + 1, 1) + 7
        )


def test_a_chain_hands_its_image_on(make_toy_plate: Make, tmp_path: Path, run: Any):
    run(make_toy_plate(), [FunctionStep([("toy:add", {"amount": 2}), ("toy:add", {"amount": 3})])])
    np.testing.assert_array_equal(
        image(tmp_path / "out", "A/01/0")[0, 0, 0], plane("A01", 1, 1, 1, 1) + 5
    )


def test_a_projection_leaves_one_plane(make_toy_plate: Make, tmp_path: Path, run: Any):
    plate = make_toy_plate(z_indexes=3, channels=2)
    run(plate, [FunctionStep("toy:brightest", variable_components=["z_index"])])
    found = image(tmp_path / "out", "A/01/0")
    assert found.shape == (1, 2, 1, *SHAPE)
    np.testing.assert_array_equal(found[0, 1, 0], plane("A01", 1, 2, 3, 1))  # z 3 is brightest


def test_a_stack_over_sites_sees_all_sites_of_the_well(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    plate = make_toy_plate(sites=3)
    result = run(plate, [FunctionStep("toy:minus_stack_minimum", variable_components=["site"])])
    assert result.summary.done == 2  # one unit per well
    lowest = plane("B02", 1, 1, 1, 1).min()
    for site in (1, 2, 3):
        found = image(tmp_path / "out", f"B/02/{site - 1}")[0, 0, 0]
        np.testing.assert_array_equal(found, plane("B02", site, 1, 1, 1) - lowest)


def test_a_composite_joins_channels_into_one(make_toy_plate: Make, tmp_path: Path, run: Any):
    plate = make_toy_plate(channels=3)
    run(plate, [FunctionStep("toy:brightest", variable_components=["channel"])])
    found = image(tmp_path / "out", "A/01/0")
    assert found.shape == (1, 1, 1, *SHAPE)
    np.testing.assert_array_equal(found[0, 0, 0], plane("A01", 1, 3, 1, 1))
    channels = attributes(tmp_path / "out", "A/01/0")["ome"]["omero"]["channels"]
    assert [channel["label"] for channel in channels] == ["composite"]


@pytest.mark.parametrize("key", ["DAPI", "w1"])
def test_a_dict_calls_by_channel_and_lets_others_pass(
    make_toy_plate: Make, tmp_path: Path, run: Any, key: str
):
    plate = make_toy_plate(channels=2)
    run(plate, [FunctionStep({key: "toy:add"}, group_by="channel", save=["image"])])
    found = image(tmp_path / "out", "A/01/0")
    np.testing.assert_array_equal(found[0, 0, 0], plane("A01", 1, 1, 1, 1) + 1)
    np.testing.assert_array_equal(found[0, 1, 0], plane("A01", 1, 2, 1, 1))


def test_a_later_step_gets_what_an_earlier_one_made(make_toy_plate: Make, tmp_path: Path, run: Any):
    steps = [
        FunctionStep("toy:brightest", variable_components=["z_index"]),
        FunctionStep("toy:minus_stack_minimum", variable_components=["site"]),
    ]
    run(make_toy_plate(sites=2, z_indexes=2), steps)
    lowest = plane("A01", 1, 1, 2, 1).min()
    found = image(tmp_path / "out", "A/01/1")[0, 0, 0]
    np.testing.assert_array_equal(found, plane("A01", 2, 1, 2, 1) - lowest)


MEASURE: Steps = [
    FunctionStep({"DAPI": "toy:halves"}, name="Halves", group_by="channel", save=["labels"]),
    FunctionStep("toy:measure", name="Measure", inputs={"labels": "Halves.labels"}),
    FunctionStep("toy:count", name="Count", inputs={"labels": "Halves.labels"}),
]


def test_objects_are_measured_in_every_channel_in_one_row(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    run(make_toy_plate(sites=2, channels=2), MEASURE)
    found = rows(tmp_path / "out", "objects")
    assert list(found[0]) == [
        "well",
        "site",
        "label",
        "labels",
        "area_px",
        "area_um2",
        "mean_intensity_DAPI",
        "mean_intensity_GFP",
    ]
    assert [(row["well"], row["site"], row["label"]) for row in found] == [
        (well, site, label) for well in ("A01", "B02") for site in "12" for label in "12"
    ]
    last = found[-1]
    right = (slice(None), slice(SHAPE[1] // 2, None))
    assert last["labels"] == "Halves"
    assert int(last["area_px"]) == 24
    assert float(last["area_um2"]) == 24 * 0.5 * 0.25
    assert float(last["mean_intensity_DAPI"]) == plane("B02", 2, 1, 1, 1)[right].mean()
    assert float(last["mean_intensity_GFP"]) == plane("B02", 2, 2, 1, 1)[right].mean()


def test_images_have_one_row_with_their_group_and_count(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    run(make_toy_plate(sites=2, channels=2), MEASURE)
    assert rows(tmp_path / "out", "images") == [
        {"well": "A01", "site": "1", "path": "A/01/0", "count": "2"},
        {"well": "A01", "site": "2", "path": "A/01/1", "count": "2"},
        {"well": "B02", "site": "1", "path": "B/02/0", "count": "2"},
        {"well": "B02", "site": "2", "path": "B/02/1", "count": "2"},
    ]


def test_labels_are_saved_with_the_image_that_they_were_drawn_on(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    run(make_toy_plate(channels=2), MEASURE)
    out = tmp_path / "out"
    drawn = labels(out, "A/01/0", "Halves")
    assert drawn.shape == (1, 1, *SHAPE)
    assert drawn.dtype == np.int32
    assert (drawn[..., :4] == 1).all()
    assert (drawn[..., 4:] == 2).all()
    np.testing.assert_array_equal(image(out, "A/01/0")[0, 1, 0], plane("A01", 1, 2, 1, 1))
    assert attributes(out, "A/01/0/labels")["ome"]["labels"] == ["Halves"]


def test_labels_of_several_channels_are_told_apart(make_toy_plate: Make, tmp_path: Path, run: Any):
    steps = [
        FunctionStep("toy:halves", name="H", save=["labels"]),
        FunctionStep("toy:count", inputs={"labels": "H.labels"}),
    ]
    run(make_toy_plate(channels=2), steps)
    out = tmp_path / "out"
    assert attributes(out, "A/01/0/labels")["ome"]["labels"] == ["H_DAPI", "H_GFP"]
    assert list(rows(out, "images")[0]) == ["well", "site", "path", "count_DAPI", "count_GFP"]


def test_objects_of_several_channels_are_never_put_in_one_row(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    steps = [
        FunctionStep("toy:halves", name="H"),
        FunctionStep("toy:measure", inputs={"labels": "H.labels"}),
    ]
    run(make_toy_plate(wells=("A01",), channels=2), steps)
    found = rows(tmp_path / "out", "objects")
    assert [(row["label"], row["labels"]) for row in found] == [
        ("1", "H_DAPI"),
        ("2", "H_DAPI"),
        ("1", "H_GFP"),
        ("2", "H_GFP"),
    ]
    left = plane("A01", 1, 2, 1, 1)[:, : SHAPE[1] // 2].mean()
    assert float(found[2]["mean_intensity_GFP"]) == left
    assert found[2]["mean_intensity_DAPI"] == ""


def test_rows_after_a_projection_have_no_z(make_toy_plate: Make, tmp_path: Path, run: Any):
    steps = [
        FunctionStep("toy:brightest", variable_components=["z_index"]),
        FunctionStep("toy:halves", name="H"),
        FunctionStep("toy:measure", inputs={"labels": "H.labels"}),
    ]
    run(make_toy_plate(z_indexes=3), steps)
    assert "z_index" not in rows(tmp_path / "out", "objects")[0]


def test_rows_of_several_z_planes_say_in_which_they_lie(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    steps = [
        FunctionStep("toy:halves", name="H", save=["labels"]),
        FunctionStep("toy:measure", inputs={"labels": "H.labels"}),
    ]
    run(make_toy_plate(wells=("A01",), z_indexes=2), steps)
    found = rows(tmp_path / "out", "objects")
    assert [(row["z_index"], row["label"]) for row in found] == [
        ("1", "1"),
        ("1", "2"),
        ("2", "1"),
        ("2", "2"),
    ]
    assert labels(tmp_path / "out", "A/01/0", "H").shape == (1, 2, *SHAPE)


def test_a_missing_plane_without_a_name_has_no_file(make_toy_plate: Make, run: Any):
    plate = make_toy_plate(z_indexes=2)
    plate.file("A01", z=2).unlink()
    result = run(plate, [FunctionStep("toy:add")])
    (failure,) = result.summary.failures
    assert failure.file is None
    assert "z 2" in str(failure.error)


def test_two_kinds_of_objects_have_rows_of_their_own(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    steps = [
        FunctionStep("toy:halves", name="Nuclei", save=["labels"]),
        FunctionStep("toy:halves", name="Cells"),
        FunctionStep("toy:measure", name="M1", inputs={"labels": "Nuclei.labels"}),
        FunctionStep("toy:measure", name="M2", inputs={"labels": "Cells.labels"}),
        FunctionStep("toy:count", name="C1", inputs={"labels": "Nuclei.labels"}),
        FunctionStep("toy:count", name="C2", inputs={"labels": "Cells.labels"}),
    ]
    run(make_toy_plate(wells=("A01",)), steps)
    found = [(row["label"], row["labels"]) for row in rows(tmp_path / "out", "objects")]
    assert found == [("1", "Cells"), ("2", "Cells"), ("1", "Nuclei"), ("2", "Nuclei")]
    assert rows(tmp_path / "out", "images")[0] == {
        "well": "A01",
        "site": "1",
        "path": "A/01/0",
        "count_Nuclei": "2",
        "count_Cells": "2",
    }


def test_segment_and_measure_may_stand_in_one_chain(make_toy_plate: Make, tmp_path: Path, run: Any):
    run(make_toy_plate(), [FunctionStep(["toy:halves", "toy:measure"], name="Both")])
    assert [row["labels"] for row in rows(tmp_path / "out", "objects")] == ["Both"] * 4


def test_timepoints_are_units_and_columns(make_toy_plate: Make, tmp_path: Path, run: Any):
    result = run(make_toy_plate(wells=("A01",), timepoints=3), MEASURE)
    out = tmp_path / "out"
    assert result.summary.done == 3
    assert [row["timepoint"] for row in rows(out, "images")] == ["1", "2", "3"]
    assert image(out, "A/01/0").shape == (3, 1, 1, *SHAPE)
    np.testing.assert_array_equal(image(out, "A/01/0")[2, 0, 0], plane("A01", 1, 1, 1, 3))


def test_rows_are_sorted_also_where_units_run_in_another_order(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    steps = [
        FunctionStep("toy:minus_stack_minimum", variable_components=["site"]),
        FunctionStep("toy:halves", name="H"),
        FunctionStep("toy:measure", inputs={"labels": "H.labels"}),
    ]
    run(make_toy_plate(sites=2, timepoints=2), steps)
    for table in ("images", "objects"):
        found = [(r["well"], r["site"], r["timepoint"]) for r in rows(tmp_path / "out", table)]
        assert found == sorted(found), table


def test_a_plane_is_read_once_for_all_steps(
    make_toy_plate: Make, run: Any, monkeypatch: pytest.MonkeyPatch
):
    read: list[int] = []
    original = Plate.read_stack

    def counted(self: Plate, asked: Any) -> Any:
        read.extend(int(row) for row in asked)
        return original(self, asked)

    monkeypatch.setattr(Plate, "read_stack", counted)
    run(make_toy_plate(sites=2, channels=2), MEASURE)
    assert sorted(read) == list(range(8))  # each of 2 wells x 2 sites x 2 channels, once


def test_a_damaged_file_costs_its_unit_only(make_toy_plate: Make, tmp_path: Path, run: Any):
    plate = make_toy_plate(sites=2)
    file = plate.file("A01", site=2)
    file.write_bytes(file.read_bytes()[:40])
    result = run(plate, MEASURE)
    assert (result.summary.status, result.summary.exit_code) == ("partial", 3)
    assert (result.summary.done, result.summary.failed) == (3, 1)
    (failure,) = result.summary.failures
    assert (failure.well, failure.site, failure.step) == ("A01", "2", "Halves")
    assert failure.file == file.name
    assert [row["path"] for row in rows(tmp_path / "out", "images")] == [
        "A/01/0",
        "B/02/0",
        "B/02/1",
    ]
    assert result.wells["A01"].failed == 1
    assert result.wells["B02"].ok


def test_a_failed_field_is_not_shown_as_if_it_were_there(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    plate = make_toy_plate(wells=("A01",), sites=2)
    plate.file("A01", site=2).write_bytes(b"II*\0")
    run(plate, MEASURE)
    images = attributes(tmp_path / "out", "A/01")["ome"]["well"]["images"]
    assert [entry["path"] for entry in images] == ["0"]


def test_planes_of_a_failed_timepoint_are_listed_as_missing(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    plate = make_toy_plate(wells=("A01",), timepoints=3)
    plate.file("A01", t=2).write_bytes(b"II*\0")
    result = run(plate, MEASURE)
    assert result.summary.failed == 1
    found = attributes(tmp_path / "out", "A/01/0")
    assert found["hcs"]["missing_planes"] == [[1, 0, 0]]


def test_a_plane_of_another_shape_costs_its_unit_only(make_toy_plate: Make, run: Any):
    plate = make_toy_plate(z_indexes=2)
    tifffile.imwrite(plate.file("A01", z=2), np.zeros((3, 3), np.uint16))
    steps = [FunctionStep("toy:brightest", variable_components=["z_index"])]
    result = run(plate, steps)
    assert result.summary.failed == 1
    assert "(3, 3)" in str(result.summary.failures[0].error)
    assert result.summary.failures[0].file == "A01_s1_cw1_z2_t1.tif"


def test_when_every_unit_fails_the_run_says_so(make_toy_plate: Make, tmp_path: Path, run: Any):
    plate = make_toy_plate()
    for file in plate.root.iterdir():
        file.write_bytes(b"II*\0")
    result = run(plate, MEASURE)
    assert (result.summary.status, result.summary.exit_code) == ("failed", 4)
    assert rows(tmp_path / "out", "images") == []
    assert not (tmp_path / "out" / "plate.zarr" / "zarr.json").exists()


@numpy
def doubled(image: NDArray[Any], by: int = 2) -> NDArray[Any]:
    return image * np.uint16(by)


def test_a_users_function_is_a_step(make_toy_plate: Make, tmp_path: Path, run: Any):
    run(make_toy_plate(), [FunctionStep((doubled, {"by": 3}))])
    found = image(tmp_path / "out", "A/01/0")[0, 0, 0]
    np.testing.assert_array_equal(found, plane("A01", 1, 1, 1, 1) * 3)


def test_a_function_of_the_test_itself_runs_in_this_process(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    @numpy(stack="across", outputs=("image",))
    def last(stack: NDArray[Any]) -> NDArray[Any]:
        plane_: NDArray[Any] = stack[-1]
        return plane_

    run(make_toy_plate(z_indexes=2), [FunctionStep(last, variable_components=["z_index"])])
    np.testing.assert_array_equal(
        image(tmp_path / "out", "A/01/0")[0, 0, 0], plane("A01", 1, 1, 2, 1)
    )


def test_labels_may_stand_anywhere_among_a_functions_arguments(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    @numpy(outputs=("table",))
    def areas(image: NDArray[Any], least: int = 1, labels: Any = None) -> dict[str, Any]:
        return {"count": [int((labels >= least).sum())]}

    steps = [
        FunctionStep("toy:halves", name="H"),
        FunctionStep((areas, {"least": 2}), inputs={"labels": "H.labels"}),
    ]
    assert run(make_toy_plate(), steps).summary.status == "done"
    assert [row["count"] for row in rows(tmp_path / "out", "images")] == ["24", "24"]


def test_lists_reach_a_function_as_lists(make_toy_plate: Make, run: Any):
    seen: list[Any] = []

    @numpy
    def mine(image: NDArray[Any], limits: Any = None) -> NDArray[Any]:
        seen.append(limits)
        return image

    run(make_toy_plate(wells=("A01",)), [FunctionStep((mine, {"limits": [1, [2, 3]]}))])
    assert seen == [[1, [2, 3]]]


def test_a_function_cannot_write_into_labels_of_an_earlier_step(make_toy_plate: Make, run: Any):
    @numpy(outputs=("table",))
    def erase(image: NDArray[Any], labels: Any = None) -> dict[str, Any]:
        labels[...] = 0
        return {"count": [0]}

    steps = [
        FunctionStep("toy:halves", name="H", save=["labels"]),
        FunctionStep(erase, inputs={"labels": "H.labels"}),
    ]
    result = run(make_toy_plate(), steps)
    assert result.summary.failed == 2
    assert "read-only" in str(result.summary.failures[0].error)


@pytest.mark.parametrize("shape", [(2, 2), (8,), (2, *SHAPE)])
def test_labels_of_another_shape_than_the_image_are_refused(
    make_toy_plate: Make, run: Any, shape: tuple[int, ...]
):
    @numpy(outputs=("labels",))
    def small(image: NDArray[Any]) -> NDArray[Any]:
        return np.ones(shape, np.int32)

    result = run(make_toy_plate(), [FunctionStep(small, save=["labels"])])
    assert result.summary.failed == 2
    assert "returned" in str(result.summary.failures[0].error)
    assert "shape" in str(result.summary.failures[0].error)


def test_columns_that_contradict_each_other_fail_the_unit_with_what_to_do(
    make_toy_plate: Make, run: Any
):
    @numpy(outputs=("table",))
    def texture(image: NDArray[Any], labels: Any = None) -> dict[str, Any]:
        return {"label": [1], "texture": [float(image.mean())]}

    steps = [
        FunctionStep({"DAPI": "toy:halves"}, name="H", group_by="channel"),
        FunctionStep(texture, inputs={"labels": "H.labels"}),
    ]
    result = run(make_toy_plate(channels=2), steps)
    assert result.summary.failed == 2
    assert "'_intensity'" in str(result.summary.failures[0].error)


def test_a_detector_has_objects_of_its_own_in_each_channel(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    @numpy(outputs=("table",))
    def spots(image: NDArray[Any]) -> dict[str, Any]:
        return {"label": [1], "mean_intensity": [float(image.mean())]}

    run(make_toy_plate(wells=("A01",), channels=2), [FunctionStep(spots, name="Spots")])
    found = [row["labels"] for row in rows(tmp_path / "out", "objects")]
    assert found == ["Spots_DAPI", "Spots_GFP"]


def test_a_full_disk_says_so_and_not_something_else(
    make_toy_plate: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from hcs_core.errors import StoreAccessError
    from hcs_pipeline import Ledger

    def full(self: Any, state: Any) -> None:
        raise StoreAccessError(28, "No space left on device", "units/00000.json")

    monkeypatch.setattr(Ledger, "record", full)
    plan = compile(Pipeline(MEASURE), make_toy_plate().root, tmp_path / "out")
    with pytest.raises(StoreAccessError, match="No space left"):
        execute(plan)


def test_a_run_that_was_killed_at_its_very_end_is_not_done(make_toy_plate: Make, tmp_path: Path):
    from hcs_pipeline import Ledger

    plan = compile(Pipeline(MEASURE), make_toy_plate().root, tmp_path / "out")
    execute(plan, report=False)
    done = subprocess.run(
        [sys.executable, "-c", "from hcs_core.storage import process_name; print(process_name())"],
        capture_output=True,
        text=True,
        check=True,
    )
    document = {"started": 1.0, "ended": None, "process": done.stdout.strip()}
    (tmp_path / "out" / "run" / "run.json").write_text(json.dumps(document))
    assert Ledger(tmp_path / "out").summary().status == "interrupted"


def test_labels_list_the_planes_that_they_have_not(make_toy_plate: Make, tmp_path: Path, run: Any):
    step = FunctionStep({"2": "toy:halves"}, name="H", group_by="z_index", save=["labels"])
    run(make_toy_plate(wells=("A01",), z_indexes=3), [step])
    found = attributes(tmp_path / "out", "A/01/0/labels/H")
    assert found["hcs"]["missing_planes"] == [[0, 0], [0, 2]]


def test_the_log_says_where_a_function_failed(make_toy_plate: Make, tmp_path: Path, run: Any):
    @numpy
    def fails(image: NDArray[Any]) -> NDArray[Any]:
        raise RuntimeError("boom")

    run(make_toy_plate(), [FunctionStep(fails)])
    log = (tmp_path / "out" / "run" / "log.txt").read_text(encoding="utf-8")
    assert 'raise RuntimeError("boom")' in log


@pytest.mark.parametrize(
    ("file", "content"),
    [("plan.json", "{}"), ("plan.json", '{"plan_format": 99}'), ("units/00000.json", "{}")],
)
def test_a_run_of_another_version_or_damaged_is_said_to_be_so(
    make_toy_plate: Make, tmp_path: Path, run: Any, file: str, content: str
):
    from hcs_pipeline import Ledger
    from hcs_pipeline.errors import NotARunError

    run(make_toy_plate(), [FunctionStep("toy:add")])
    (tmp_path / "out" / "run" / file).write_text(content)
    with pytest.raises(NotARunError, match=r"another version|damaged"):
        Ledger(tmp_path / "out").summary()


def broken(kind: str) -> Callable[..., Any]:
    @numpy(dtype="preserve")
    def function(image: NDArray[Any]) -> Any:
        if kind == "raises":
            raise RuntimeError("boom")
        if kind == "dtype":
            return image.astype(np.float64)
        if kind == "writes":
            image[...] = 0
        return {"none": None, "shape": image[0], "text": "x"}.get(kind, image)

    return function


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("raises", "RuntimeError: boom"),
        ("none", "returned nothing, not an image"),
        ("text", "returned a str, not an image"),
        ("shape", "returned shape"),
        ("writes", "read-only"),
    ],
)
def test_a_function_that_breaks_its_contract_fails_its_unit_with_the_reason(
    make_toy_plate: Make, run: Any, kind: str, wanted: str
):
    result = run(make_toy_plate(), [FunctionStep(broken(kind), name="Broken")])
    assert result.summary.failed == 2
    assert wanted in str(result.summary.failures[0].error)
    assert result.summary.failures[0].step == "Broken"


def test_a_function_with_several_outputs_gives_each_its_place(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    @numpy(outputs=("image", "labels", "table"))
    def all_three(image: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int32], dict[str, Any]]:
        drawn = np.ones(image.shape, np.int32)
        return image + np.uint16(1), drawn, {"label": [1], "mean_intensity": [image.mean()]}

    run(make_toy_plate(), [FunctionStep(all_three, name="All", save=["image", "labels"])])
    out = tmp_path / "out"
    np.testing.assert_array_equal(image(out, "A/01/0")[0, 0, 0], plane("A01", 1, 1, 1, 1) + 1)
    assert (labels(out, "A/01/0", "All") == 1).all()
    assert float(rows(out, "objects")[0]["mean_intensity_DAPI"]) == plane("A01", 1, 1, 1, 1).mean()


def test_channels_of_different_dtypes_share_one_that_holds_both(
    make_toy_plate: Make, tmp_path: Path, run: Any
):
    @numpy
    def as_float(image: NDArray[Any]) -> NDArray[np.float32]:
        return image.astype(np.float32) / np.float32(2)

    plate = make_toy_plate(channels=2)
    run(plate, [FunctionStep({"DAPI": as_float}, group_by="channel", save=["image"])])
    found = image(tmp_path / "out", "A/01/0")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0, 0, 0], plane("A01", 1, 1, 1, 1) / 2)
    np.testing.assert_array_equal(found[0, 1, 0], plane("A01", 1, 2, 1, 1))


def test_pixel_size_reaches_the_plate(make_toy_plate: Make, tmp_path: Path, run: Any):
    run(make_toy_plate(), [FunctionStep("toy:add")])
    ome = attributes(tmp_path / "out", "A/01/0")["ome"]
    (level,) = ome["multiscales"][0]["datasets"]
    assert level["coordinateTransformations"][0]["scale"] == [1.0, 1.0, 1.0, 0.5, 0.25]


def test_nothing_is_written_into_the_plate(make_toy_plate: Make, run: Any):
    plate = make_toy_plate()
    before = {path: path.read_bytes() for path in plate.root.rglob("*")}
    run(plate, MEASURE)
    assert {path: path.read_bytes() for path in plate.root.rglob("*")} == before


def test_a_plate_that_changed_since_the_plan_is_refused(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(sites=2)
    plan = compile(Pipeline([FunctionStep("toy:add")]), plate.root, tmp_path / "out")
    plate.file("A01", site=2).unlink()
    with pytest.raises(PlanStaleError, match="compile it again"):
        execute(plan)
    assert not (tmp_path / "out").exists()


def test_an_output_is_used_once(make_toy_plate: Make, tmp_path: Path):
    plan = compile(Pipeline([FunctionStep("toy:add")]), make_toy_plate().root, tmp_path / "out")
    execute(plan, report=False)
    before = (tmp_path / "out" / "run" / "run.json").read_bytes()
    with pytest.raises(OutputError, match="holds a run already"):
        execute(plan, report=False)
    assert (tmp_path / "out" / "run" / "run.json").read_bytes() == before


def test_ctrl_c_leaves_what_is_done(make_toy_plate: Make, tmp_path: Path):
    plan = compile(
        Pipeline(MEASURE), make_toy_plate(wells=("A01", "B02", "C03")).root, tmp_path / "out"
    )

    def stop(state: Any) -> None:
        if state.unit == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(plan, observer=stop)
    out = tmp_path / "out"
    assert [row["well"] for row in rows(out, "images")] == ["A01", "B02"]
    wells = attributes(out, "")["ome"]["plate"]["wells"]
    assert [well["path"] for well in wells] == ["A/01", "B/02"]
    from hcs_pipeline import Ledger

    summary = Ledger(out).summary()
    assert (summary.status, summary.done, summary.pending) == ("interrupted", 2, 1)
    assert json.loads((out / "report.json").read_text())["status"] == "interrupted"


def test_the_report_needs_nothing_else_and_names_the_failure(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate()
    plate.file("B02").write_bytes(b"II*\0")
    plan = compile(Pipeline(MEASURE, name="<b>toys</b>"), plate.root, tmp_path / "out")
    execute(plan)
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "B02_s1_cw1_z1_t1.tif" in html
    assert "&lt;b&gt;toys&lt;/b&gt;" in html
    assert "<svg" in html
    for outside in ("<script", "<link", 'src="http', "url(http", "@import"):
        assert outside not in html
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert document["units"] == {"done": 1, "failed": 1, "pending": 0}
    assert document["failures"][0]["file"] == "B02_s1_cw1_z1_t1.tif"
    assert document["wells"] == {"A01": {"count": 2.0}}

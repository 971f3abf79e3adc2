"""The main job on a real plate: 40 fields of BBBC039, as an ImageXpress wrote them."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tensorstore
import tifffile

from hcs_pipeline import PipelineOrchestrator, load_pipeline

NAME = re.compile(r"IXMtest_([A-P]\d\d)_s(\d)_w1[0-9A-F-]{36}\.tif")
TRUNCATED = "F12"
RUN_KEYS = {"status", "units", "failures", "plan_hash", "seconds", "out"}
FAILURE_KEYS = {"unit", "well", "site", "step", "file", "error"}


@pytest.fixture(scope="module")
def images(shared: Path) -> Path:
    return shared / "data" / "bbbc039" / "images"


@pytest.fixture(scope="module")
def files(images: Path) -> dict[tuple[str, str], Path]:
    """The files by (well, site): here every well has one field."""
    found = {match.groups(): path for path in images.iterdir() if (match := _named(path))}
    assert len(found) == 40
    return found  # type: ignore[return-value]


@pytest.fixture(scope="module")
def pipeline(root: Path) -> Path:
    return root / "demo" / "nuclei.toml"


@pytest.fixture(scope="module")
def full(hcs: Any, left: Any, snapshot: Any, pipeline: Path, images: Path, tmp_path_factory: Any):
    """One run over all fields; the plate is compared before and after."""
    out = tmp_path_factory.mktemp("real") / "out"
    before = snapshot(images)
    outcome = hcs("run", pipeline, images, out, "--json")
    return outcome, left(out), before == snapshot(images)


@pytest.fixture(scope="module")
def broken(hcs: Any, left: Any, pipeline: Path, images: Path, tmp_path_factory: Any):
    """One run over a copy of the plate in which one file is half as long."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(images, folder / "plate")
    file = next(path for path in (folder / "plate").iterdir() if f"_{TRUNCATED}_" in path.name)
    os.truncate(file, file.stat().st_size // 2)
    outcome = hcs("run", pipeline, folder / "plate", folder / "out", "--json")
    return outcome, left(folder / "out"), file.name


def test_all_fields_are_done(full: Any):
    outcome, out, _ = full
    assert outcome.code == 0, outcome.err
    assert outcome.json.keys() >= RUN_KEYS
    assert outcome.json["status"] == "done"
    assert outcome.json["units"] == {"done": 40, "failed": 0, "pending": 0}
    assert outcome.json["failures"] == []
    assert re.fullmatch("[0-9a-f]{64}", outcome.json["plan_hash"])
    assert outcome.json["seconds"] > 0
    assert Path(outcome.json["out"]) == out.path


def test_a_json_run_says_nothing_but_its_document(full: Any):
    outcome, _, _ = full
    assert outcome.err == ""


def test_the_output_holds_what_is_promised(full: Any):
    _, out, _ = full
    names = {path.name for path in out.path.iterdir()}
    assert names == {"plate.zarr", "tables", "report.html", "report.json", "run"}


def test_the_source_plate_is_untouched(full: Any):
    _, _, is_same = full
    assert is_same


def test_images_csv_has_a_row_per_field_in_plate_order(full: Any, files: Any):
    rows = full[1].rows("images")
    assert [(row["well"], row["site"]) for row in rows] == sorted(files)
    assert {row["path"] for row in rows} == {f"{w[0]}/{w[1:]}/0" for w, _ in files}
    assert list(rows[0]) == ["well", "site", "path", "count"]


def test_objects_csv_has_as_many_rows_as_were_counted(full: Any):
    out = full[1]
    rows = [(row["well"], row["site"], int(row["label"])) for row in out.rows("objects")]
    expected = [
        (*place, label) for place, n in sorted(out.counts().items()) for label in range(1, n + 1)
    ]
    assert rows == expected


def test_labels_are_as_many_as_were_counted_and_without_gaps(full: Any):
    out = full[1]
    for place, field in out.paths().items():
        labels = out.labels(field, "Nuclei")
        assert labels.dtype == np.int32
        present = np.unique(labels)
        assert present[present > 0].tolist() == list(range(1, out.counts()[place] + 1))


def test_two_libraries_read_the_same_labels(full: Any):
    out = full[1]
    path = out.path / "plate.zarr" / "A/02/0/labels/Nuclei/0"
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
    opened = tensorstore.open(spec, read=True).result()
    assert np.array_equal(opened.read().result(), out.labels("A/02/0", "Nuclei"))


def test_images_are_what_the_files_hold(full: Any, files: Any):
    out = full[1]
    for place, field in out.paths().items():
        written = out.array(f"{field}/0")
        assert written.shape == (1, 1, 1, 520, 696)
        assert written.dtype == np.uint16
        assert np.array_equal(written[0, 0, 0], tifffile.imread(files[place]))


def test_labels_lie_on_their_image(full: Any):
    out = full[1]
    image = out.attributes("A/02/0")["multiscales"][0]
    labels = out.attributes("A/02/0/labels/Nuclei")["multiscales"][0]
    assert [axis["name"] for axis in image["axes"]] == list("tczyx")
    assert [axis["name"] for axis in labels["axes"]] == list("tzyx")
    assert out.labels("A/02/0", "Nuclei").shape == (1, 1, 520, 696)


def test_the_pixel_size_of_the_files_is_in_image_and_labels(full: Any, files: Any):
    out = full[1]
    with tifffile.TiffFile(files["A02", "1"]) as tiff:  # MetaMorph keeps it in a tag of its own
        calibration = tiff.pages[0].tags["UIC1tag"].value  # type: ignore[union-attr]
    sizes = [calibration["YCalibration"], calibration["XCalibration"]]
    for group in ("A/02/0", "A/02/0/labels/Nuclei"):
        multiscales = out.attributes(group)["multiscales"][0]
        (scale,) = multiscales["datasets"][0]["coordinateTransformations"]
        assert scale["type"] == "scale"
        assert scale["scale"][-2:] == pytest.approx(sizes)
        assert [axis.get("unit") for axis in multiscales["axes"]][-2:] == ["micrometer"] * 2


def test_the_plate_lists_every_well_and_field(full: Any, files: Any):
    plate = full[1].attributes()["plate"]
    assert {well["path"] for well in plate["wells"]} == {f"{w[0]}/{w[1:]}" for w, _ in files}
    for well in plate["wells"]:
        (image,) = full[1].attributes(well["path"])["well"]["images"]
        assert image["path"] == "0"


def test_the_field_without_nuclei_has_none(full: Any, shared: Path):
    masks = (shared / "data" / "bbbc039" / "masks").glob("*.png")
    empty = [path for path in masks if not imagecodecs.imread(path)[..., 0].any()]
    places = [_named(path.with_suffix(".tif")).groups() for path in empty]  # type: ignore[union-attr]
    assert len(places) == 1, "the annotators left one of the 40 fields empty"
    assert [full[1].counts()[place] for place in places] == [0]


def test_status_says_the_same_as_the_run(full: Any, hcs: Any):
    outcome, out, _ = full
    status = hcs("status", out.path, "--json")
    assert status.code == 0
    assert status.json == outcome.json


def test_report_json_says_the_same_as_the_run(full: Any):
    outcome, out, _ = full
    report = json.loads((out.path / "report.json").read_text("utf-8"))
    assert {key: report[key] for key in RUN_KEYS} == outcome.json
    assert report["wells"]["A02"]["count"] == out.counts()["A02", "1"]


def test_the_report_needs_nothing_else(full: Any):
    html = (full[1].path / "report.html").read_text("utf-8")
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", html) == []
    assert not re.search(r"@import|<script|url\((?!#)", html)


def test_no_temporary_file_stays_behind(full: Any):
    assert [path for path in full[1].path.rglob("*") if "tmp" in path.name] == []


def test_a_second_run_gives_the_same_plan_tables_and_pixels(
    full: Any, images: Path, pipeline: Path, tmp_path: Path
):
    outcome, out, _ = full
    orchestrator = PipelineOrchestrator(images, output=tmp_path / "again").initialize()
    plan = orchestrator.compile_pipelines(load_pipeline(pipeline))
    assert plan.plan_hash == outcome.json["plan_hash"]
    results = orchestrator.execute_compiled_plate(plan)
    assert all(result.ok for result in results.values())
    for part in ("tables", "plate.zarr"):
        assert dict(_contents(tmp_path / "again" / part)) == dict(_contents(out.path / part))


def test_compiling_gives_the_hash_of_the_run_and_writes_nothing(
    hcs: Any, full: Any, images: Path, pipeline: Path, tmp_path: Path
):
    document = hcs("compile", pipeline, images, tmp_path / "out", "--json")
    assert document.code == 0
    assert document.json["plan_hash"] == full[0].json["plan_hash"]
    assert document.json["units"] == document.json["reads"] == 40
    assert document.json["writes"] == 80, "an image and its labels per field"
    assert document.json["problems"] == []
    assert list(tmp_path.iterdir()) == [], "compile writes nothing"


def test_a_truncated_file_costs_its_own_field(broken: Any):
    outcome, _, _ = broken
    assert outcome.code == 3
    assert outcome.json["status"] == "partial"
    assert outcome.json["units"] == {"done": 39, "failed": 1, "pending": 0}


def test_all_other_fields_are_as_in_the_full_run(broken: Any, full: Any):
    for table in ("images", "objects"):
        expected = [row for row in full[1].rows(table) if row["well"] != TRUNCATED]
        assert broken[1].rows(table) == expected
    damaged = f"{TRUNCATED[0]}/{TRUNCATED[1:]}/"
    for folder in ("A/02/0", "G/06/0", "L/10/0"):
        assert dict(_contents(broken[1].path / "plate.zarr" / folder)) == dict(
            _contents(full[1].path / "plate.zarr" / folder)
        )
    fields = set(broken[1].paths().values())
    assert len(fields) == 39
    assert not any(field.startswith(damaged) for field in fields)
    for field in fields:
        assert np.array_equal(broken[1].labels(field, "Nuclei"), full[1].labels(field, "Nuclei"))


def test_the_damaged_field_is_not_in_the_plate(broken: Any):
    paths = {well["path"] for well in broken[1].attributes()["plate"]["wells"]}
    assert len(paths) == 39
    assert f"{TRUNCATED[0]}/{TRUNCATED[1:]}" not in paths


def test_the_failure_is_named_wherever_the_run_is_told(broken: Any, hcs: Any):
    outcome, out, name = broken
    (failure,) = outcome.json["failures"]
    assert failure.keys() >= FAILURE_KEYS
    assert (failure["well"], failure["step"]) == (TRUNCATED, "Nuclei")
    assert failure["file"] == name
    assert name in failure["error"]
    status = hcs("status", out.path, "--json")
    assert status.json["failures"] == [failure]
    assert name in hcs("status", out.path).out
    assert json.loads((out.path / "report.json").read_text("utf-8"))["failures"] == [failure]
    assert name in (out.path / "report.html").read_text("utf-8")
    assert name in (out.path / "run" / "log.txt").read_text("utf-8")


def test_a_file_cut_within_its_pixels_is_no_image(
    hcs: Any, left: Any, files: Any, full: Any, pipeline: Path, tmp_path: Path
):
    # Here the directory comes first and survives; what is left of the pixels must not be
    # padded with zeros.
    plate = tmp_path / "plate"
    plate.mkdir()
    whole, cut = files["A02", "1"], files["B05", "5"]
    shutil.copy(whole, plate)
    tifffile.imwrite(plate / cut.name, tifffile.imread(cut), rowsperstrip=5, metadata=None)
    with tifffile.TiffFile(plate / cut.name) as tiff:
        page = tiff.pages[0]
        assert page.offset < page.dataoffsets[0]
    os.truncate(plate / cut.name, (plate / cut.name).stat().st_size // 2)
    outcome = hcs("run", pipeline, plate, tmp_path / "out", "--json")
    assert outcome.code == 3
    assert [failure["file"] for failure in outcome.json["failures"]] == [cut.name]
    assert left(tmp_path / "out").counts() == {("A02", "1"): full[1].counts()["A02", "1"]}


def test_a_plate_that_may_not_be_written_to_runs(
    hcs: Any, files: Any, snapshot: Any, pipeline: Path, tmp_path: Path
):
    plate = tmp_path / "plate"
    plate.mkdir()
    shutil.copy(files["A02", "1"], plate)
    for path in plate.iterdir():
        path.chmod(0o444)
    plate.chmod(0o555)
    before = snapshot(plate)
    try:
        outcome = hcs("run", pipeline, plate, tmp_path / "out", "--json")
    finally:
        plate.chmod(0o755)
    assert outcome.code == 0, outcome.out
    assert snapshot(plate) == before


def _named(path: Path) -> re.Match[str] | None:
    return NAME.fullmatch(path.name)


def _contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()

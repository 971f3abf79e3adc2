"""Ctrl-C and kill -9 in the middle of a run: what is done stays, complete, and is known."""

from __future__ import annotations

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcs_core.testing import PlateTruth, SyntheticPlate, make_plate

PLATE = SyntheticPlate(
    wells=("A01", "B02", "C03"),
    sites=2,
    z_indexes=1,
    channels=("DAPI",),
    shape=(128, 128),
    cells_per_site=3,
)
# The third field of the plate ends the process that works on it.
MODULE = """
import os
from hcs_core.kernels import Kernel, KernelLibrary, Parameter

calls = 0


def stop(image, signal=0):
    global calls
    calls += 1
    if signal and calls == 3:
        os.kill(os.getpid(), signal)
    return image


LIBRARY = KernelLibrary(
    "stop",
    (
        Kernel(
            name="stop",
            category="tests",
            doc="the image",
            parameters=(Parameter(name="signal", type=int, default=0, doc="which"),),
            implementations={"numpy": "stop_hcs:stop"},
        ),
    ),
)
"""
PIPELINE = """
[[steps]]
name = "Stop"
func = ["stop:stop", {signal = SIGNAL}]
[[steps]]
name = "Nuclei"
func = ["segment_nuclei", {diameter_px = 15}]
save = ["labels"]
[[steps]]
name = "Measure"
func = "measure_objects"
inputs = {labels = "Nuclei.labels"}
[[steps]]
name = "Count"
func = "count_objects"
inputs = {labels = "Nuclei.labels"}
"""
Run = Callable[..., Any]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are others there")


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> PlateTruth:
    return make_plate(tmp_path_factory.mktemp("plate") / "plate", PLATE)


@pytest.fixture(scope="module")
def run(hcs: Run, plate: PlateTruth, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the pipeline with a signal in it."""
    site = tmp_path_factory.mktemp("site")
    info = site / "stop_hcs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stop-hcs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[hcs.kernels.v1]\nstop = stop_hcs:LIBRARY\n")
    (site / "stop_hcs.py").write_text(MODULE)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH")]))

    def call(out: Path, number: int, *options: str) -> Any:
        file = out.with_suffix(".toml")
        file.write_text(PIPELINE.replace("SIGNAL", str(number)))
        return hcs("run", file, plate.path, out, *options, env={"PYTHONPATH": path})

    return call


@pytest.fixture(scope="module")
def whole(run: Run, left: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the same pipeline leaves when nothing stops it."""
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run(out, 0, "--json").code == 0
    return left(out)


def check_done_units(out: Any, whole: Any) -> None:
    """Check that the two fields of the first well are as in a run that was not stopped."""
    for field in ("A/01/0", "A/01/1"):
        assert np.array_equal(out.labels(field, "Nuclei"), whole.labels(field, "Nuclei"))
        assert np.array_equal(out.array(f"{field}/0"), whole.array(f"{field}/0"))


def check_no_file_is_torn(folder: Path) -> None:
    for path in folder.rglob("*.json"):
        assert json.loads(path.read_text("utf-8")), path
    for path in folder.rglob("*.csv"):
        rows = list(csv.reader(path.read_text("utf-8").splitlines()))
        assert len({len(row) for row in rows}) == 1, path


def test_ctrl_c_leaves_complete_tables_of_what_is_done(
    run: Run, hcs: Run, left: Any, whole: Any, tmp_path: Path
):
    ended = run(tmp_path / "out", signal.SIGINT, "--json")
    assert ended.code == 130
    assert ended.json["status"] == "interrupted"
    assert ended.json["units"] == {"done": 2, "failed": 0, "pending": 4}
    out = left(tmp_path / "out")
    for table in ("images", "objects"):
        assert out.rows(table) == [r for r in whole.rows(table) if r["well"] == "A01"]
    check_done_units(out, whole)
    check_no_file_is_torn(out.path)
    assert [well["path"] for well in out.attributes()["plate"]["wells"]] == ["A/01"]
    status = hcs("status", out.path, "--json")
    assert status.json == ended.json
    assert "interrupted" in hcs("status", out.path).out


def test_ctrl_c_says_one_word_to_people(run: Run, tmp_path: Path):
    ended = run(tmp_path / "out", signal.SIGINT)
    assert ended.code == 130
    assert ended.errors == ["interrupted"]


def test_kill_9_leaves_whole_files_and_a_run_that_is_known_to_be_interrupted(
    run: Run, hcs: Run, left: Any, whole: Any, tmp_path: Path
):
    ended = run(tmp_path / "out", signal.SIGKILL, "--json")
    assert ended.code == -signal.SIGKILL
    status = hcs("status", tmp_path / "out", "--json")
    assert status.json["status"] == "interrupted"
    assert status.json["units"] == {"done": 2, "failed": 0, "pending": 4}
    assert status.json["seconds"] is None
    out = left(tmp_path / "out")
    check_done_units(out, whole)
    check_no_file_is_torn(out.path)
    assert not (out.path / "plate.zarr" / "zarr.json").exists(), "no plate without its wells"


def test_an_interrupted_run_is_not_written_over(run: Run, tmp_path: Path):
    run(tmp_path / "out", signal.SIGKILL)
    again = run(tmp_path / "out", 0)
    assert again.code == 2
    assert "holds a run" in again.err

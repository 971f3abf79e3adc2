"""Bad input: one line that says what was asked, what there is, what to do; and nothing happens.

The plate has no pixels at all: its image files are empty. Whatever is found here is found
before any pixel is read.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hcs_core.testing import Fault, Plane, SyntheticPlate, make_plate

USAGE, DATA = 2, 65

PROJECT = """
[[steps]]
name = "Flatten"
func = "max_projection"
variable = ["z_index"]
"""
NUCLEI = """
[[steps]]
name = "Nuclei"
func = "segment_nuclei"
"""


def step(text: str) -> str:
    return f'[[steps]]\nname = "Step"\n{text}\n'


@dataclass(frozen=True)
class Bad:
    """A pipeline that is wrong, and what its one line must say."""

    pipeline: str
    says: tuple[str, ...]


PIPELINES = {
    "a kernel that does not exist": Bad(
        step('func = "max_projectoin"'),
        ("'Step'", "max_projectoin", "did you mean 'max_projection'?", "available: count_objects"),
    ),
    "a library that does not exist": Bad(
        step('func = "skimmage:otsu"'), ("'Step'", "skimmage", "available: hcs", "install")
    ),
    "an argument that does not exist": Bad(
        step('func = ["gaussian_blur", {sigma = 2}]'),
        ("'Step'", "no argument 'sigma'", "did you mean 'sigma_px'?", "available: sigma_px"),
    ),
    "an argument of another type": Bad(
        step('func = ["gaussian_blur", {sigma_px = "2"}]'),
        ("'Step'", "sigma_px must be float, got str '2'"),
    ),
    "a float where a whole number is wanted": Bad(
        step('func = ["tophat", {radius_px = 2.5}]'), ("radius_px must be int, got float 2.5",)
    ),
    "true where a number is wanted": Bad(
        step('func = ["tophat", {radius_px = true}]'), ("radius_px must be int, got bool True",)
    ),
    "an argument out of range": Bad(
        step('func = ["gaussian_blur", {sigma_px = -1}]'),
        ("sigma_px must be between 0 and 1000, got -1",),
    ),
    "an argument that is not a number": Bad(
        step('func = ["gaussian_blur", {sigma_px = nan}]'),
        ("sigma_px must be a finite number, got nan",),
    ),
    "a word that is no choice": Bad(
        step('func = ["tophat", {shape = "disc"}]'), ("shape must be one of disk, square", "'disc'")
    ),
    "a channel that does not exist": Bad(
        step('func = {DAPPI = "gaussian_blur"}\ngroup_by = "channel"'),
        ("no channel 'DAPPI'", "did you mean 'DAPI'?", "available: w1 (DAPI), w2 (GFP)"),
    ),
    "a z that does not exist": Bad(
        step('func = {"7" = "gaussian_blur"}\ngroup_by = "z_index"'),
        ("no z_index '7'", "available: 1, 2"),
    ),
    "a framework that the kernel does not run on": Bad(
        step('func = "gaussian_blur"\nframework = "abacus"'), ("'abacus'", "available: numpy")
    ),
    "an input of a step that does not exist": Bad(
        NUCLEI + step('func = "count_objects"\ninputs = {labels = "Nucleus.labels"}'),
        ("'Nucleus.labels'", "did you mean 'Nuclei.labels'?", "available: Nuclei.labels"),
    ),
    "an input of a later step": Bad(
        step('func = "count_objects"\ninputs = {labels = "Nuclei.labels"}') + NUCLEI,
        ("'Nuclei.labels'", "no earlier step", "available: none"),
    ),
    "an input without its output": Bad(
        NUCLEI + step('func = "count_objects"\ninputs = {labels = "Nuclei"}'),
        ("'Nuclei'", "did you mean 'Nuclei.labels'?"),
    ),
    "an input that is missing": Bad(
        NUCLEI + step('func = "count_objects"'),
        ("needs labels", 'inputs = {labels = "Step.labels"}', "available: Nuclei.labels"),
    ),
    "an input that no function takes": Bad(
        NUCLEI + step('func = "gaussian_blur"\ninputs = {labels = "Nuclei.labels"}'),
        ("input 'labels'", "gaussian_blur"),
    ),
    "an input that is no text": Bad(
        NUCLEI + step('func = "count_objects"\ninputs = {labels = 3}'), ("labels", "3")
    ),
    "saving what the step does not make": Bad(
        step('func = "segment_nuclei"\nsave = ["image"]'), ("cannot save 'image'", "makes labels")
    ),
    "saving a word that is no output": Bad(
        step('func = "segment_nuclei"\nsave = ["lables"]'), ("cannot save 'lables'", "makes labels")
    ),
    "two steps of one name": Bad(
        step('func = "gaussian_blur"') + step('func = "tophat"'),
        ("'Step'", "two steps have this name", "give each its own"),
    ),
    "no steps": Bad('name = "empty"', ("no steps", "[[steps]]")),
    "steps that are no tables": Bad("steps = 3", ("steps must be tables", "[[steps]]")),
    "text that is not TOML": Bad("[[steps]\n", ("pipeline.toml", "not TOML", "line 1")),
    "a key that does not exist": Bad(
        'nmae = "x"\n' + PROJECT, ("'nmae'", "available: name, description, steps")
    ),
    "a key of a step that does not exist": Bad(
        step('func = "tophat"\nvarable = ["z_index"]'),
        ("step 1 (Step)", "'varable'", "available: name, func, variable"),
    ),
    "a step without func": Bad(step(""), ("step 1 (Step)", "func is missing")),
    "an empty chain": Bad(step("func = []"), ("step 1 (Step)", "func must be")),
    "a number for a function": Bad(step("func = 3"), ("step 1 (Step)", "func must be", "3")),
    "a chain with a number": Bad(
        step('func = ["tophat", 3]'), ("step 1 (Step)", "func must be", "3")
    ),
    "a dict without group_by": Bad(
        step('func = {DAPI = "tophat"}'), ("step 1 (Step)", "DAPI", "group_by = 'channel'")
    ),
    "an empty dict": Bad(step('func = {}\ngroup_by = "channel"'), ("step 1 (Step)", "empty dict")),
    "a component that does not exist": Bad(
        step('func = "max_projection"\nvariable = ["z"]'),
        ("step 1 (Step)", "'z'", "available: site, channel, z_index, timepoint"),
    ),
    "a component that is stacked and grouped by": Bad(
        step('func = {"1" = "tophat"}\nvariable = ["z_index"]\ngroup_by = "z_index"'),
        ("z_index", "stacked and grouped"),
    ),
    "a word where a list is wanted": Bad(
        step('func = "max_projection"\nvariable = "z_index"'), ("variable must be a list",)
    ),
    "a name that cannot be part of a path": Bad(
        step('func = "tophat"').replace('"Step"', '"../Step"'), ("'../Step'", "paths")
    ),
}


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plate of two wells without a single pixel."""
    path = tmp_path_factory.mktemp("hollow") / "plate"
    make_plate(path, tiny())
    for file in path.rglob("*.TIF"):
        file.write_bytes(b"")
    return path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A pipeline with nothing wrong."""
    return write(tmp_path, PROJECT)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def tiny(**options: Any) -> SyntheticPlate:
    values: dict[str, Any] = {
        "wells": ("A01", "B02"),
        "sites": 1,
        "z_indexes": 2,
        "shape": (48, 48),
    }
    values |= {"cells_per_site": 1, "radius_px": (4.0, 6.0)}
    return SyntheticPlate(**values | options)


def write(folder: Path, pipeline: str) -> Path:
    file = folder / "pipeline.toml"
    file.write_text(pipeline, "utf-8")
    return file


def check_refused(outcome: Any, code: int, says: tuple[str, ...]) -> None:
    """Check that a command told one problem, in one line, and nothing else."""
    assert outcome.code == code, outcome.err
    assert outcome.out == ""
    assert len(outcome.errors) == 1, outcome.err
    assert outcome.errors[0].startswith("error: ")
    assert [text for text in says if text not in outcome.err] == []


def test_the_plate_and_the_pipeline_are_good(hcs_here: Any, good: Path, plate: Path, out: Path):
    assert hcs_here("compile", good, plate, out).code == 0


@pytest.mark.parametrize("what", PIPELINES)
def test_a_wrong_pipeline_is_refused_in_one_line(
    what: str, hcs_here: Any, plate: Path, tmp_path: Path, out: Path, snapshot: Any
):
    bad = PIPELINES[what]
    pipeline = write(tmp_path, bad.pipeline)
    before = snapshot(plate)
    check_refused(hcs_here("run", pipeline, plate, out), USAGE, bad.says)
    document = hcs_here("compile", pipeline, plate, out, "--json")
    assert document.code == document.json["exit_code"] == USAGE
    assert [text for text in bad.says if text not in document.json["error"]] == []
    assert not out.exists()
    assert snapshot(plate) == before


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "no steps"), (b"\xff\xfe\x00", "not TOML"), (None, "No such file")]
)
def test_a_pipeline_file_that_cannot_be_read_is_named(
    content: bytes | None, says: str, hcs_here: Any, plate: Path, tmp_path: Path, out: Path
):
    file = tmp_path / "pipeline.toml"
    if content is not None:
        file.write_bytes(content)
    check_refused(hcs_here("run", file, plate, out), USAGE, (says,))
    assert not out.exists()


def test_a_folder_is_no_pipeline(hcs_here: Any, plate: Path, tmp_path: Path, out: Path):
    check_refused(hcs_here("run", tmp_path, plate, out), USAGE, (str(tmp_path), "directory"))


def test_every_problem_is_told_at_once(hcs_here: Any, tmp_path: Path, plate: Path):
    pipeline = write(
        tmp_path,
        step('func = ["gaussian_blur", {sigma_px = -1, sgima_px = 3}]')
        + '[[steps]]\nname = "Other"\nfunc = "gaussian_blor"\n',
    )
    outcome = hcs_here("run", pipeline, tmp_path / "nowhere", plate / "TimePoint_1" / "x" / "y")
    assert outcome.code == USAGE
    assert len(outcome.errors) == 4
    for text in ("got -1", "'sgima_px'", "'gaussian_blor'", "nowhere"):
        assert text in outcome.err


@pytest.mark.parametrize(
    "func",
    ['["segment_nuclei", {diameter_px = -5}]', '{DAPPI = "segment_nuclei"}\ngroup_by = "channel"'],
)
def test_a_wrong_step_is_not_told_again_for_those_that_use_it(
    func: str, hcs_here: Any, plate: Path, tmp_path: Path, out: Path
):
    text = NUCLEI.replace('"segment_nuclei"', func)
    pipeline = write(
        tmp_path, text + step('func = "count_objects"\ninputs = {labels = "Nuclei.labels"}')
    )
    check_refused(hcs_here("run", pipeline, plate, out), USAGE, ("'Nuclei'",))


def test_an_empty_folder_is_no_plate(hcs_here: Any, good: Path, tmp_path: Path, out: Path):
    folder = tmp_path / "empty"
    folder.mkdir()
    says = (str(folder), "no files", "imagexpress", "Check the folder")
    check_refused(hcs_here("run", good, folder, out), DATA, says)
    check_refused(hcs_here("plate", "show", folder), DATA, says)
    assert list(folder.iterdir()) == []
    assert not out.exists()


def test_a_folder_of_other_files_is_no_plate(hcs_here: Any, good: Path, tmp_path: Path, out: Path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "notes.txt").write_text("hello")
    (folder / "cat.tif").write_bytes(b"")
    says = (str(folder), "2 files", "notes.txt", "imagexpress", "Check the folder")
    check_refused(hcs_here("run", good, folder, out), DATA, says)
    assert not out.exists()


def test_a_plate_that_is_not_there_is_refused(hcs_here: Any, good: Path, tmp_path: Path, out: Path):
    says = (str(tmp_path / "nowhere"), "no such folder", "give the folder that holds the images")
    check_refused(hcs_here("run", good, tmp_path / "nowhere", out), DATA, says)
    check_refused(hcs_here("plate", "show", tmp_path / "nowhere"), DATA, says)
    assert not out.exists()


def test_a_file_is_no_plate(hcs_here: Any, good: Path, out: Path):
    says = (str(good), "a file, not a folder", "give the folder that holds the images")
    check_refused(hcs_here("run", good, good, out), DATA, says)
    assert not out.exists()


def test_two_files_for_one_plane_are_both_named(
    hcs_here: Any, good: Path, tmp_path: Path, out: Path
):
    fault = Fault("duplicate", Plane("B02", z_index="2"))
    truth = make_plate(tmp_path / "plate", tiny(faults=(fault,)))
    first, second = truth.files[fault.plane], truth.faults[fault]
    assert first != second
    outcome = hcs_here("run", good, truth.path, out)
    check_refused(outcome, DATA, ("two files for one plane", first, second, "remove or move"))
    document = hcs_here("compile", good, truth.path, out, "--json").json
    (problem,) = document["problems"]
    assert problem["severity"] == "fatal"
    assert problem["file"] in (first, second)
    assert not out.exists()


def test_wells_that_are_not_there_are_refused(hcs_here: Any, good: Path, plate: Path, out: Path):
    outcome = hcs_here("run", good, plate, out, "--wells", "A01,P24")
    check_refused(outcome, USAGE, ("P24", "available: A01, B02"))
    check_refused(hcs_here("run", good, plate, out, "--wells", " ,"), USAGE, ("--wells", "A01"))
    assert not out.exists()


def test_a_run_is_never_written_over(hcs_here: Any, good: Path, plate: Path, out: Path):
    assert hcs_here("run", good, plate, out).code == 4  # no pixels, so every unit fails
    before = sorted(out.rglob("*"))
    check_refused(hcs_here("run", good, plate, out), USAGE, (str(out), "holds a run", "new"))
    check_refused(hcs_here("compile", good, plate, out), USAGE, (str(out), "holds a run", "new"))
    assert sorted(out.rglob("*")) == before


def test_a_folder_with_files_is_no_output(hcs_here: Any, good: Path, plate: Path, tmp_path: Path):
    check_refused(hcs_here("run", good, plate, tmp_path), USAGE, ("is not empty", "new or empty"))
    assert list(tmp_path.iterdir()) == [good]


def test_an_empty_folder_is_an_output(hcs_here: Any, good: Path, plate: Path, out: Path):
    out.mkdir()
    assert hcs_here("compile", good, plate, out).code == 0


def test_no_output_goes_into_the_plate(
    hcs_here: Any, good: Path, plate: Path, tmp_path: Path, snapshot: Any
):
    before = snapshot(plate)
    insides = [plate, plate / "out", plate / "a" / ".." / "b"]
    if os.name != "nt":  # where not everybody may make links
        (tmp_path / "link").symlink_to(plate, target_is_directory=True)
        insides.append(tmp_path / "link" / "out")
    for inside in insides:
        says = (str(inside), "inside the plate", "choose a folder outside")
        check_refused(hcs_here("run", good, plate, inside), USAGE, says)
    assert snapshot(plate) == before


def test_no_output_goes_below_a_file(hcs_here: Any, good: Path, plate: Path):
    for below in (good, good / "out", good / "a" / "b"):
        check_refused(hcs_here("run", good, plate, below), USAGE, (str(below), "is a file"))


@pytest.mark.skipif(os.name == "nt", reason="other names are refused there, in other words")
def test_a_name_that_the_system_refuses_is_told(
    hcs_here: Any, good: Path, plate: Path, tmp_path: Path
):
    long = tmp_path / ("x" * 300)
    check_refused(hcs_here("run", good, plate, long), USAGE, ("xxx", "too long"))
    check_refused(hcs_here("run", good, long, tmp_path / "out"), DATA, ("xxx", "too long"))
    check_refused(hcs_here("status", long), USAGE, ("xxx",))


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions work otherwise there")
def test_a_folder_that_cannot_be_written_to_is_no_output(
    hcs_here: Any, good: Path, plate: Path, tmp_path: Path
):
    if os.geteuid() == 0:  # whom no mode stops, but a file system without files does
        closed = Path("/proc/self")
        if not closed.is_dir():
            pytest.skip("needs a user who is not root, or /proc")
    else:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o555)
    check_refused(hcs_here("run", good, plate, closed / "out"), USAGE, (str(closed / "out"),))


@pytest.mark.parametrize("arguments", [("status", "."), ("status", "nowhere")])
def test_status_of_what_is_no_run_is_refused(
    arguments: tuple[str, ...], hcs_here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    check_refused(
        hcs_here(*arguments), USAGE, (arguments[1], "holds no run", "the OUT folder of `hcs run`")
    )
    assert list(tmp_path.iterdir()) == []


def test_status_of_a_damaged_run_is_told_in_one_line(
    hcs_here: Any, good: Path, plate: Path, out: Path
):
    hcs_here("run", good, plate, out)
    for name in ("run/units/00000.json", "run/run.json", "run/plan.json"):
        (out / name).write_text("{")
        outcome = hcs_here("status", out)
        assert outcome.code in (USAGE, DATA), outcome.err
        check_refused(outcome, outcome.code, (Path(name).name,))


def test_a_demo_is_made_in_a_new_folder_only(hcs_here: Any, plate: Path, snapshot: Any):
    before = snapshot(plate)
    check_refused(hcs_here("demo", plate), USAGE, (str(plate), "is not empty", "new"))
    assert snapshot(plate) == before


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("run",),
        ("run", "a"),
        ("run", "a", "b", "c", "d"),
        ("run", "a", "b", "c", "--no-such-option"),
        ("no-such-command",),
        ("run", "nowhere.toml", "nowhere", "out"),
        ("compile", "nowhere.toml", "nowhere", "out"),
        ("status", "nowhere"),
        ("plate", "show", "nowhere"),
        ("plate", "show"),
        ("plate", "show", ".", "--format", "no-such-format"),
    ],
)
def test_a_failure_is_one_json_document_too(
    arguments: tuple[str, ...], hcs_here: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    outcome = hcs_here(*arguments, "--json")
    assert outcome.code in (USAGE, DATA)
    assert outcome.json["exit_code"] == outcome.code
    assert outcome.json["error"]
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_traceback_and_json_stays_one_document(
    hcs_here: Any, good: Path, tmp_path: Path
):
    arguments = ("run", good, tmp_path / "nowhere", tmp_path / "out")
    assert "Traceback" not in hcs_here(*arguments).err
    told = hcs_here("status", tmp_path, "--json", "--debug")
    assert "Traceback" in told.err
    assert told.json["exit_code"] == USAGE


def test_compiling_opens_one_image_per_channel_at_most(
    good: Path, plate: Path, out: Path, tmp_path: Path
):
    code = f"""
import sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
from contextlib import suppress
from hcs_core.cli import main
with suppress(SystemExit):
    main(["compile", {str(good)!r}, {str(plate)!r}, {str(out)!r}, "--json"])
print(*(name for name in opened if name.endswith(".TIF")), sep="\\n", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len(set(done.stderr.split())) <= 2

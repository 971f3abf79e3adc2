"""Plates whose every cell is known, through a z projection and steps per channel."""

from __future__ import annotations

import os
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcs_core.arrays import numpy as on_numpy
from hcs_core.testing import Fault, Plane, PlateTruth, SyntheticPlate, make_plate
from hcs_pipeline import (
    FunctionStep,
    GroupBy,
    Pipeline,
    PipelineOrchestrator,
    VariableComponents,
    compile,
    execute,
    parse_pipeline,
)
from hcs_pipeline.errors import CompileError

LARGE = SyntheticPlate(
    wells=("A01", "B02", "C03", "H12"),
    sites=4,
    channels=("DAPI", "GFP"),
    z_indexes=3,
    cells_per_site=(3, 14),
    empty_fields=(("C03", "2"),),
    guids=True,
    thumbnails=True,
    seed=11,
)
SMALL = SyntheticPlate(
    wells=("A01", "B02"), sites=2, z_indexes=2, shape=(128, 128), cells_per_site=3, seed=7
)
TOML = """
name = "two channels"
[[steps]]
name = "Flatten"
func = "max_projection"
variable = ["z_index"]
save = ["image"]
[[steps]]
name = "Smooth"
group_by = "channel"
[steps.func]
DAPI = ["percentile_normalize", ["gaussian_blur", {sigma_px = 1}]]
w2 = ["tophat", {radius_px = 12}]
[[steps]]
name = "Nuclei"
func = {DAPI = ["segment_nuclei", {diameter_px = 15}]}
group_by = "channel"
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
COUNT = """
[[steps]]
name = "Flatten"
func = "max_projection"
variable = ["z_index"]
[[steps]]
name = "Nuclei"
func = {DAPI = ["segment_nuclei", {diameter_px = 15}]}
group_by = "channel"
save = ["labels"]
[[steps]]
name = "Count"
func = "count_objects"
inputs = {labels = "Nuclei.labels"}
"""


@on_numpy
def brighter(image: Any, by: int = 100) -> Any:
    """Return the image, brighter by some counts."""
    return image + np.uint16(by)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> PlateTruth:
    return make_plate(tmp_path_factory.mktemp("large") / "plate", LARGE)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> PlateTruth:
    return make_plate(tmp_path_factory.mktemp("small") / "plate", SMALL)


@pytest.fixture(scope="module")
def run(large: PlateTruth, hcs: Any, left: Any, tmp_path_factory: pytest.TempPathFactory):
    """The pipeline of this file over the large plate, from the command line."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "two.toml").write_text(TOML, "utf-8")
    outcome = hcs("run", folder / "two.toml", large.path, folder / "out", "--json")
    return outcome, left(folder / "out")


def toml(folder: Path, text: str) -> Path:
    (folder / "pipeline.toml").write_text(text, "utf-8")
    return folder / "pipeline.toml"


def steps(text: str) -> Pipeline:
    return parse_pipeline(tomllib.loads(text))


def pixels(truth: PlateTruth, well: str, site: str, channel: str) -> np.ndarray[Any, Any]:
    """Return the planes of a field along z, read by tifffile."""
    import tifffile

    zs = range(1, truth.plate.z_indexes + 1)
    files = [truth.files[Plane(well, site, channel, str(z))] for z in zs]
    return np.stack([tifffile.imread(truth.path / file) for file in files])


class TestTheWholePlate:
    def test_every_field_is_done(self, run: Any):
        outcome, _ = run
        assert outcome.code == 0, outcome.err + outcome.out
        assert outcome.json["units"] == {"done": 16, "failed": 0, "pending": 0}

    def test_the_cells_are_counted_exactly(self, run: Any, large: PlateTruth):
        _, out = run
        assert out.counts() == large.counts
        assert out.counts()["C03", "2"] == 0

    def test_every_known_centre_lies_in_its_own_object(self, run: Any, large: PlateTruth):
        _, out = run
        for place, field in out.paths().items():
            labels = out.labels(field, "Nuclei")[0, 0]
            centres = np.rint(large.centers[place]).astype(int)
            found = labels[centres[:, 0], centres[:, 1]]
            assert sorted(found) == list(range(1, len(centres) + 1))

    def test_measured_places_are_the_known_centres(self, run: Any, large: PlateTruth):
        _, out = run
        for place, centres in large.centers.items():
            rows = [r for r in out.rows("objects") if (r["well"], r["site"]) == place]
            measured = np.array(
                [[float(r["centroid_y_px"]), float(r["centroid_x_px"])] for r in rows]
            ).reshape(-1, 2)
            distances = np.hypot(*(measured[:, None] - centres[None]).transpose(2, 0, 1))
            assert len(measured) == len(centres)
            if len(centres):
                assert distances.min(axis=1).max() < 2

    def test_the_saved_image_is_the_projection_of_the_files(self, run: Any, large: PlateTruth):
        _, out = run
        image = out.array("B/02/2/0")
        assert image.shape == (1, 2, 1, *LARGE.shape)
        for number, channel in enumerate(("w1", "w2")):
            expected = pixels(large, "B02", "3", channel).max(axis=0)
            assert np.array_equal(image[0, number, 0], expected)

    def test_both_channels_are_measured_on_the_same_objects(self, run: Any):
        _, out = run
        names = set(out.rows("objects")[0])
        assert {"mean_intensity_DAPI", "mean_intensity_GFP"} <= names
        assert "mean_intensity" not in names

    def test_the_rows_are_in_plate_order(self, run: Any):
        _, out = run
        places = [(row["well"], row["site"]) for row in out.rows("images")]
        assert places == [(w, str(s)) for w in LARGE.wells for s in range(1, 5)]
        objects = [(r["well"], int(r["site"]), int(r["label"])) for r in out.rows("objects")]
        assert objects == sorted(objects)

    def test_fields_are_numbered_from_0_in_the_order_of_sites(self, run: Any):
        _, out = run
        assert [out.paths()["H12", str(site)] for site in (1, 2, 3, 4)] == [
            f"H/12/{number}" for number in range(4)
        ]
        well = out.attributes("H/12")["well"]
        assert [image["path"] for image in well["images"]] == ["0", "1", "2", "3"]

    def test_channels_keep_their_names(self, run: Any):
        _, out = run
        channels = out.attributes("A/01/0")["omero"]["channels"]
        assert [channel["label"] for channel in channels] == ["DAPI", "GFP"]

    def test_only_dapi_has_labels(self, run: Any):
        _, out = run
        assert out.attributes("A/01/0/labels")["labels"] == ["Nuclei"]


class TestTheSameInPython:
    def test_toml_and_python_make_the_same_plan_and_results(
        self, run: Any, large: PlateTruth, tmp_path: Path
    ):
        outcome, out = run
        pipeline = Pipeline(
            [
                FunctionStep(
                    func="max_projection",
                    name="Flatten",
                    variable_components=[VariableComponents.Z_INDEX],
                    save=["image"],
                ),
                FunctionStep(
                    func={
                        "DAPI": ["percentile_normalize", ("gaussian_blur", {"sigma_px": 1})],
                        "w2": ("hcs:tophat", {"radius_px": 12}),
                    },
                    name="Smooth",
                    group_by=GroupBy.CHANNEL,
                ),
                FunctionStep(
                    func={"DAPI": ("segment_nuclei", {"diameter_px": 15})},
                    name="Nuclei",
                    group_by=GroupBy.CHANNEL,
                    save=["labels"],
                ),
                FunctionStep("measure_objects", "Measure", inputs={"labels": "Nuclei.labels"}),
                FunctionStep("count_objects", name="Count", inputs={"labels": "Nuclei.labels"}),
            ],
            name="two channels",
        )
        orchestrator = PipelineOrchestrator(large.path, output=tmp_path / "out").initialize()
        plan = orchestrator.compile_pipelines(pipeline)
        assert plan.plan_hash == outcome.json["plan_hash"]
        results = orchestrator.execute_compiled_plate(plan, max_workers=1)
        assert {well: (r.ok, r.done) for well, r in results.items()} == dict.fromkeys(
            LARGE.wells, (True, 4)
        )
        for name in ("images", "objects"):
            file = f"tables/{name}.csv"
            assert (tmp_path / "out" / file).read_bytes() == (out.path / file).read_bytes()

    def test_the_four_patterns_mean_what_they_say(
        self, small: PlateTruth, left: Any, tmp_path: Path
    ):
        @on_numpy
        def doubled(image: Any) -> Any:  # lives in this function only
            return image * np.uint16(2)

        patterns: dict[str, Any] = {
            "one": brighter,
            "arguments": (brighter, {"by": 5}),
            "chain": [doubled, (brighter, {"by": 5}), brighter],
            "keys": {"DAPI": (brighter, {"by": 5}), "GFP": [doubled, brighter]},
        }
        raw = {c: pixels(small, "B02", "2", c)[1].astype(int) for c in ("w1", "w2")}
        expected = {
            "one": (raw["w1"] + 100, raw["w2"] + 100),
            "arguments": (raw["w1"] + 5, raw["w2"] + 5),
            "chain": (raw["w1"] * 2 + 105, raw["w2"] * 2 + 105),
            "keys": (raw["w1"] + 5, raw["w2"] * 2 + 100),
        }
        for name, pattern in patterns.items():
            group_by = GroupBy.CHANNEL if name == "keys" else None
            step = FunctionStep(pattern, name=name, group_by=group_by, save=["image"])
            plan = compile(Pipeline([step]), small.path, tmp_path / name, wells=["B02"])
            assert execute(plan).summary.status == "done"
            image = left(tmp_path / name).array("B/02/1/0")
            assert image.shape == (1, 2, 2, 128, 128)
            assert np.array_equal(image[0, 0, 1], expected[name][0]), name
            assert np.array_equal(image[0, 1, 1], expected[name][1]), name

    def test_channels_that_are_not_named_pass_by(
        self, small: PlateTruth, left: Any, tmp_path: Path
    ):
        step = FunctionStep({"GFP": brighter}, group_by="channel", save=["image"])
        execute(compile(Pipeline([step]), small.path, tmp_path / "out", wells=["A01"]))
        image = left(tmp_path / "out").array("A/01/0/0")
        assert np.array_equal(image[0, 0], pixels(small, "A01", "1", "w1"))
        assert np.array_equal(image[0, 1], pixels(small, "A01", "1", "w2") + 100)

    def test_words_and_what_is_no_number_may_stand_in_a_table(
        self, small: PlateTruth, left: Any, tmp_path: Path
    ):
        @on_numpy(outputs=("table",))
        def note(image: Any) -> Any:
            return {
                "note": np.array(['a, b\n"c"']),
                "nothing": np.array([np.nan]),
                "much": np.array([np.inf]),
                "large": np.array([2**60]),
            }

        pipeline = steps(COUNT)
        del pipeline[1:]
        pipeline.append(FunctionStep({"DAPI": note}, group_by="channel"))
        result = execute(compile(pipeline, small.path, tmp_path / "out", wells=["A01"]))
        assert result.summary.status == "done"
        row = left(tmp_path / "out").rows("images")[0]
        assert (row["note"], row["large"]) == ('a, b\n"c"', str(2**60))
        assert (tmp_path / "out" / "report.html").exists()

    def test_labels_of_any_integers_are_kept_as_int32(
        self, small: PlateTruth, left: Any, tmp_path: Path
    ):
        @on_numpy(outputs=("labels",))
        def label(image: Any) -> Any:
            return np.arange(image.size, dtype=np.uint64).reshape(image.shape)

        pipeline = Pipeline(
            [FunctionStep({"GFP": label}, name="L", group_by="channel", save=["labels"])]
        )
        execute(compile(pipeline, small.path, tmp_path / "out", wells=["A01"]))
        labels = left(tmp_path / "out").labels("A/01/0", "L")
        assert labels.dtype == np.int32
        assert np.array_equal(labels[0, 0].ravel(), np.arange(128 * 128))

    def test_channels_of_one_name_are_told_apart_by_their_labels(self, left: Any, tmp_path: Path):
        plate = replace(SMALL, wells=("A01",), sites=1, z_indexes=1, channels=("a/b", "a b"))
        truth = make_plate(tmp_path / "plate", plate)
        pipeline = steps(COUNT[COUNT.index("[[steps]]", 10) :])
        pipeline[0] = FunctionStep(
            ("segment_nuclei", {"diameter_px": 15}), name="Nuclei", save=["labels"]
        )
        pipeline.append(FunctionStep("measure_objects", "M", inputs={"labels": "Nuclei.labels"}))
        assert execute(compile(pipeline, truth.path, tmp_path / "out")).summary.status == "done"
        out = left(tmp_path / "out")
        assert out.attributes("A/01/0/labels")["labels"] == ["Nuclei_w1", "Nuclei_w2"]
        (row,) = out.rows("images")
        assert {"count_w1", "count_w2"} <= set(row)

    def test_a_compiled_pipeline_can_be_compiled_again(self, small: PlateTruth, tmp_path: Path):
        pipeline = steps(COUNT)
        first = compile(pipeline, small.path, tmp_path / "out")
        second = compile(pipeline, small.path, tmp_path / "other")
        assert first.plan_hash == second.plan_hash

    def test_two_functions_of_one_name_are_told_apart_or_refused(
        self, small: PlateTruth, tmp_path: Path
    ):
        def adding(number: int) -> Any:
            @on_numpy
            def add(image: Any) -> Any:
                return image + np.uint16(number)

            return add

        pipeline = Pipeline([FunctionStep(adding(1), name="a"), FunctionStep(adding(2), name="b")])
        with pytest.raises(CompileError, match="give each its own name"):
            compile(pipeline, small.path, tmp_path / "out")
        same = adding(1)
        compile(
            Pipeline([FunctionStep(same, name="a"), FunctionStep(same, name="b")]),
            small.path,
            tmp_path / "out",
        )

    def test_a_function_without_a_decorator_is_refused(self, small: PlateTruth, tmp_path: Path):
        def plain(image: Any) -> Any:
            return image

        with pytest.raises(CompileError, match=r"plain has no contract; decorate it"):
            compile(Pipeline([FunctionStep(plain)]), small.path, tmp_path / "out")

    def test_a_plan_cannot_be_changed(self, small: PlateTruth, tmp_path: Path):
        plan = compile(steps(COUNT), small.path, tmp_path / "out")
        with pytest.raises(AttributeError):
            plan.output = "elsewhere"  # type: ignore[misc]
        with pytest.raises(AttributeError):
            plan.units[0].well = "P24"  # type: ignore[misc]
        with pytest.raises(TypeError):
            plan.steps[1].chains[0].calls[0].arguments["diameter_px"] = 3  # type: ignore[index]


class TestFaults:
    def test_a_missing_plane_is_named_before_the_run_and_costs_its_unit(
        self, hcs_here: Any, left: Any, tmp_path: Path
    ):
        lost = Plane("B02", "2", "w1", "2")
        truth = make_plate(tmp_path / "plate", replace(SMALL, faults=(Fault("missing", lost),)))
        pipeline = toml(tmp_path, COUNT)
        told = hcs_here("compile", pipeline, truth.path, tmp_path / "out", "--json")
        assert told.code == 1
        (problem,) = told.json["problems"]
        assert problem.keys() == {"severity", "step", "file", "message"}
        assert problem["severity"] == "unit"
        for word in ("B02", "site 2", "w1", "z 2"):
            assert word in problem["message"]
        assert told.json["units"] == 4
        strict = hcs_here("run", pipeline, truth.path, tmp_path / "out", "--strict", "--json")
        assert strict.code == 65
        assert [p["severity"] for p in strict.json["problems"]] == ["fatal"]
        assert not (tmp_path / "out").exists()
        outcome = hcs_here("run", pipeline, truth.path, tmp_path / "out", "--json")
        assert outcome.code == 3
        assert outcome.json["units"] == {"done": 3, "failed": 1, "pending": 0}
        (failure,) = outcome.json["failures"]
        assert (failure["well"], failure["site"], failure["step"]) == ("B02", "2", "Flatten")
        assert "missing" in failure["error"]
        assert set(left(tmp_path / "out").counts()) == {("A01", "1"), ("A01", "2"), ("B02", "1")}

    def test_a_missing_plane_of_a_channel_that_is_not_used_costs_nothing(
        self, hcs_here: Any, tmp_path: Path
    ):
        lost = Plane("B02", "2", "w2", "2")
        truth = make_plate(tmp_path / "plate", replace(SMALL, faults=(Fault("missing", lost),)))
        only = COUNT.replace(
            'func = "max_projection"', 'func = {DAPI = "max_projection"}\ngroup_by = "channel"'
        )
        outcome = hcs_here("run", toml(tmp_path, only), truth.path, tmp_path / "out", "--json")
        assert outcome.code == 0, outcome.out

    @pytest.mark.parametrize("kind", ["truncated", "shape"])
    def test_a_damaged_plane_costs_its_unit_and_is_named(
        self, kind: Any, small: PlateTruth, hcs_here: Any, left: Any, tmp_path: Path
    ):
        fault = Fault(kind, Plane("A01", "2", "w1", "2"))
        truth = make_plate(tmp_path / "plate", replace(SMALL, faults=(fault,)))
        outcome = hcs_here("run", toml(tmp_path, COUNT), truth.path, tmp_path / "out", "--json")
        assert outcome.code == 3
        (failure,) = outcome.json["failures"]
        assert (failure["well"], failure["site"]) == ("A01", "2")
        assert failure["file"] == truth.faults[fault]
        assert failure["file"] in failure["error"]
        expected = {place: n for place, n in small.counts.items() if place != ("A01", "2")}
        assert left(tmp_path / "out").counts() == expected

    def test_when_every_unit_fails_there_is_still_a_report(
        self, small: PlateTruth, hcs_here: Any, left: Any, tmp_path: Path
    ):
        plate = tmp_path / "plate"
        shutil.copytree(small.path, plate)
        for file in plate.rglob("*.TIF"):
            file.write_bytes(file.read_bytes()[:200])
        outcome = hcs_here("run", toml(tmp_path, COUNT), plate, tmp_path / "out", "--json")
        assert outcome.code == 4
        assert outcome.json["status"] == "failed"
        assert outcome.json["units"] == {"done": 0, "failed": 4, "pending": 0}
        html = (tmp_path / "out" / "report.html").read_text("utf-8")
        assert all(failure["file"] in html for failure in outcome.json["failures"])
        out = left(tmp_path / "out")
        assert out.rows("images") == out.rows("objects") == []
        assert not (out.path / "plate.zarr" / "zarr.json").exists(), "an empty plate is none"
        assert hcs_here("status", out.path, "--json").json == outcome.json

    def test_a_function_that_fails_on_one_field_costs_that_field(
        self, small: PlateTruth, left: Any, tmp_path: Path
    ):
        victim = int(pixels(small, "B02", "1", "w1")[0, 0, :8].sum())

        @on_numpy
        def picky(image: Any) -> Any:
            if int(image[0, :8].sum()) == victim:
                raise ZeroDivisionError("not this one")
            return image

        pipeline = Pipeline([FunctionStep(picky, name="Picky", save=["image"])])
        result = execute(compile(pipeline, small.path, tmp_path / "out"))
        assert result.summary.exit_code == 3
        (failure,) = result.summary.failures
        assert (failure.well, failure.site, failure.step) == ("B02", "1", "Picky")
        assert failure.error == "ZeroDivisionError: not this one"
        assert result.wells["A01"].ok
        assert not result.wells["B02"].ok
        assert set(left(tmp_path / "out").paths()) == {("A01", "1"), ("A01", "2"), ("B02", "2")}

    @pytest.mark.parametrize(
        ("result", "says"),
        [
            (None, "returned nothing, not an image"),
            (np.zeros((3, 3, 3, 3)), "returned shape (3, 3, 3, 3)"),
            ("text", "returned a str, not an image"),
        ],
    )
    def test_a_function_that_breaks_its_contract_is_told_so(
        self, result: Any, says: str, small: PlateTruth, tmp_path: Path
    ):
        @on_numpy
        def wrong(image: Any) -> Any:
            return result

        pipeline = Pipeline([FunctionStep(wrong, save=["image"])])
        summary = execute(compile(pipeline, small.path, tmp_path / "out", wells=["A01"])).summary
        assert summary.exit_code == 4
        assert all(says in str(failure.error) for failure in summary.failures)

    def test_a_function_that_ends_the_process_ends_its_units_only(
        self, small: PlateTruth, tmp_path: Path
    ):
        @on_numpy
        def quits(image: Any) -> Any:
            raise SystemExit("enough")

        pipeline = Pipeline([FunctionStep(quits, save=["image"])])
        summary = execute(compile(pipeline, small.path, tmp_path / "out", wells=["A01"])).summary
        assert [failure.error for failure in summary.failures] == ["SystemExit: enough"] * 2

    def test_columns_that_say_where_a_row_comes_from_are_ours(
        self, small: PlateTruth, tmp_path: Path
    ):
        @on_numpy(outputs=("table",))
        def measure(image: Any) -> Any:
            return {"well": np.array(["Z99"]), "mean": np.array([image.mean()])}

        pipeline = Pipeline([FunctionStep(measure, name="Mine")])
        summary = execute(compile(pipeline, small.path, tmp_path / "out", wells=["A01"])).summary
        assert summary.exit_code == 4
        assert summary.failures[0].step == "Mine"
        for text in ("well", "give them other names"):
            assert text in str(summary.failures[0].error)

    @pytest.mark.parametrize("value", [-1, 2**31])
    def test_labels_that_int32_cannot_hold_are_refused(
        self, value: int, small: PlateTruth, tmp_path: Path
    ):
        @on_numpy(outputs=("labels",))
        def label(image: Any) -> Any:
            return np.full(image.shape, value, np.int64)

        pipeline = Pipeline([FunctionStep(label, save=["labels"])])
        summary = execute(compile(pipeline, small.path, tmp_path / "out", wells=["A01"])).summary
        assert summary.exit_code == 4
        assert str(value) in str(summary.failures[0].error)

    def test_a_function_cannot_write_into_its_input(self, small: PlateTruth, tmp_path: Path):
        @on_numpy
        def careless(image: Any) -> Any:
            image += 1
            return image

        pipeline = Pipeline([FunctionStep(careless, save=["image"])])
        summary = execute(compile(pipeline, small.path, tmp_path / "out", wells=["A01"])).summary
        assert summary.exit_code == 4
        assert "read-only" in str(summary.failures[0].error)


class TestChoices:
    def test_only_the_wells_that_were_asked_for_run(
        self, small: PlateTruth, hcs_here: Any, left: Any, tmp_path: Path
    ):
        pipeline = toml(tmp_path, COUNT)
        arguments = (pipeline, small.path, tmp_path / "out", "--wells", "b2, ")
        outcome = hcs_here("run", *arguments, "--json")
        assert outcome.code == 0, outcome.err
        assert set(left(tmp_path / "out").counts()) == {("B02", "1"), ("B02", "2")}
        plate = left(tmp_path / "out").attributes()["plate"]
        assert [well["path"] for well in plate["wells"]] == ["B/02"]

    @pytest.mark.skipif(os.name == "nt", reason="not everybody may make links there")
    def test_relative_paths_with_dots_spaces_and_umlauts_run(
        self,
        small: PlateTruth,
        hcs_here: Any,
        left: Any,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ):
        (tmp_path / "here").mkdir()
        (tmp_path / "Müller's plates").mkdir()
        (tmp_path / "Müller's plates" / "plate 1").symlink_to(small.path, target_is_directory=True)
        toml(tmp_path, COUNT)
        monkeypatch.chdir(tmp_path / "here")
        plate, out = "../Müller's plates/plate 1", "../out µm/1"
        outcome = hcs_here("run", "../pipeline.toml", plate, out, "--json")
        assert outcome.code == 0, outcome.out
        assert Path(outcome.json["out"]).resolve() == tmp_path / "out µm" / "1"
        assert left(tmp_path / "out µm" / "1").counts() == small.counts
        assert hcs_here("status", out, "--json").json["status"] == "done"

    def test_a_plate_of_the_database_layout_runs_too(
        self, hcs_here: Any, left: Any, tmp_path: Path
    ):
        plate = replace(SMALL, layout="database", wells=("A01",))
        truth = make_plate(tmp_path / "plate", plate)
        outcome = hcs_here(
            "run",
            toml(tmp_path, COUNT.replace("DAPI", "w1")),
            truth.path,
            tmp_path / "out",
            "--json",
        )
        assert outcome.code == 0, outcome.out
        assert left(tmp_path / "out").counts() == truth.counts

    def test_a_projection_over_sites_and_timepoints_leaves_one_row_and_one_field(
        self, left: Any, tmp_path: Path
    ):
        plate = replace(SMALL, wells=("A01",), timepoints=2, z_indexes=1, channels=("DAPI",))
        truth = make_plate(tmp_path / "plate", plate)
        pipeline = steps(COUNT.replace('["z_index"]', '["site", "timepoint"]'))
        summary = execute(compile(pipeline, truth.path, tmp_path / "out")).summary
        assert (summary.status, summary.done) == ("done", 1)
        out = left(tmp_path / "out")
        (row,) = out.rows("images")
        assert (row["path"], row["count"]) == ("A/01/0", str(out.labels("A/01/0", "Nuclei").max()))
        (image,) = out.attributes("A/01")["well"]["images"]
        assert image["path"] == "0"

    def test_what_was_counted_in_every_z_is_named_by_the_label_of_the_z(
        self, left: Any, tmp_path: Path
    ):
        truth = make_plate(tmp_path / "plate", replace(SMALL, wells=("A01",), sites=1))
        pipeline = steps(COUNT[COUNT.index("[[steps]]", 10) :])
        assert execute(compile(pipeline, truth.path, tmp_path / "out")).summary.status == "done"
        (row,) = left(tmp_path / "out").rows("images")
        assert {name for name in row if name.startswith("count")} == {
            "count_z1",
            "count_z2",
        }

"""What compiling finds, and what a plan is."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipeline_toys.plates import ToyPlate, ToyReader

from hcs_core.arrays import Value, numpy
from hcs_core.plates import IndexBuilder, Listing, Plate, well_name
from hcs_pipeline import FunctionStep, Pipeline, compile, compile_report
from hcs_pipeline.errors import CompileError

Make = Callable[..., ToyPlate]


def problems(pipeline: Pipeline, plate: Path, out: Path, **more: Any) -> list[tuple[str, str]]:
    report = compile_report(pipeline, plate, out, **more)
    return [(problem.severity, str(problem)) for problem in report.problems]


def only_fatal(pipeline: Pipeline, plate: ToyPlate, out: Path) -> str:
    found = problems(pipeline, plate.root, out)
    assert [severity for severity, _ in found] == ["fatal"]
    return found[0][1]


@pytest.mark.parametrize(
    ("steps", "unit_by", "units"),
    [
        ([FunctionStep("toy:add")], ("well", "site", "timepoint"), 2 * 3 * 2),
        (
            [FunctionStep("toy:brightest", variable_components=["z_index"])],
            ("well", "site", "timepoint"),
            2 * 3 * 2,
        ),
        (
            [FunctionStep("toy:minus_stack_minimum", variable_components=["site"])],
            ("well", "timepoint"),
            2 * 2,
        ),
        (
            [FunctionStep("toy:minus_stack_minimum", variable_components=["timepoint"])],
            ("well", "site"),
            2 * 3,
        ),
        ([FunctionStep({"1": "toy:add"}, group_by="site")], ("well", "timepoint"), 2 * 2),
        (
            [FunctionStep("toy:minus_stack_minimum", variable_components=["site", "timepoint"])],
            ("well",),
            2,
        ),
    ],
)
def test_units_are_the_combinations_of_what_no_step_joins(
    make_toy_plate: Make, tmp_path: Path, steps: list[FunctionStep], unit_by: Any, units: int
):
    plate = make_toy_plate(sites=3, channels=2, z_indexes=2, timepoints=2)
    plan = compile(Pipeline(steps), plate.root, tmp_path / "out")
    assert plan.unit_by == unit_by
    assert len(plan.units) == units


def test_reads_and_writes_are_counted_in_planes(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(sites=2, channels=2, z_indexes=3)
    pipeline = Pipeline(
        [
            FunctionStep("toy:brightest", variable_components=["z_index"], save=["image"]),
            FunctionStep({"DAPI": "toy:halves"}, group_by="channel", save=["labels"]),
        ]
    )
    plan = compile(pipeline, plate.root, tmp_path / "out")
    assert plan.reads == 2 * 2 * 2 * 3
    assert plan.writes == 2 * 2 * (2 + 1)  # two channels and one label plane per field


def test_channels_that_no_step_takes_are_not_read(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(channels=2)
    pipeline = Pipeline(
        [
            FunctionStep({"GFP": "toy:halves"}, name="H", group_by="channel"),
            FunctionStep("toy:count", inputs={"labels": "H.labels"}),
        ]
    )
    assert compile(pipeline, plate.root, tmp_path / "out").reads == 2


def test_compiling_twice_gives_the_same_hash(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate()
    pipeline = Pipeline([FunctionStep(("toy:add", {"amount": 2}))])
    first = compile(pipeline, plate.root, tmp_path / "one")
    second = compile(pipeline, plate.root, tmp_path / "two")
    assert first.plan_hash == second.plan_hash


@pytest.mark.parametrize(
    "other",
    [
        Pipeline([FunctionStep(("toy:add", {"amount": 3}))], name="p", description="d"),
        Pipeline([FunctionStep(("toy:add", {"amount": 2}), name="x")], name="p", description="d"),
        Pipeline([FunctionStep(("toy:add", {"amount": 2}))], name="q", description="d"),
        Pipeline([FunctionStep(("toy:add", {"amount": 2}))], name="p", description="e"),
    ],
)
def test_what_is_done_and_its_name_are_in_the_hash(
    make_toy_plate: Make, tmp_path: Path, other: Pipeline
):
    plate = make_toy_plate()
    pipeline = Pipeline([FunctionStep(("toy:add", {"amount": 2}))], name="p", description="d")
    mine = compile(pipeline, plate.root, tmp_path / "out").plan_hash
    assert compile(other, plate.root, tmp_path / "out").plan_hash != mine


def test_a_file_more_or_less_changes_the_hash(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(sites=2)
    pipeline = Pipeline([FunctionStep("toy:add")])
    before = compile(pipeline, plate.root, tmp_path / "out").plan_hash
    plate.file("B02", site=2).unlink()
    assert compile(pipeline, plate.root, tmp_path / "out").plan_hash != before


def test_a_plan_cannot_be_changed(make_toy_plate: Make, tmp_path: Path):
    plan = compile(Pipeline([FunctionStep("toy:add")]), make_toy_plate().root, tmp_path / "out")
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.output = "elsewhere"  # type: ignore[misc]
    with pytest.raises(TypeError):
        plan.steps[0].chains[0].calls[0].arguments["amount"] = 9  # type: ignore[index]
    with pytest.raises(TypeError):
        plan.steps[0] = plan.steps[0]  # type: ignore[index]


def test_a_plan_survives_pickling_without_the_plate(make_toy_plate: Make, tmp_path: Path):
    plan = compile(Pipeline([FunctionStep("toy:add")]), make_toy_plate().root, tmp_path / "out")
    assert pickle.loads(pickle.dumps(plan)) == plan  # noqa: S301  our own bytes


def test_a_plan_is_json(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(channels=2)
    step = FunctionStep({"DAPI": "toy:halves"}, name="H", group_by="channel", save=["labels"])
    document = compile(Pipeline([step]), plate.root, tmp_path / "out").to_json()
    assert json.loads(json.dumps(document)) == document


def test_compiling_does_not_change_the_steps(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate()
    pipeline = Pipeline([FunctionStep(("toy:add", {"amount": 2}))])
    before = repr(pipeline)
    compile(pipeline, plate.root, tmp_path / "out")
    assert repr(pipeline) == before
    assert compile(pipeline, plate.root, tmp_path / "out").steps[0].name == "add"


def test_a_large_plate_has_a_small_plan(toy_plugins: None, tmp_path: Path):
    (tmp_path / "plate").mkdir()
    plate = imagined_plate(tmp_path / "plate")
    plan = compile(Pipeline([FunctionStep("toy:add")]), plate, tmp_path / "out")
    assert len(plan.units) == 384 * 9
    assert len(json.dumps(plan.to_json())) < 384 * 5_000
    assert len(pickle.dumps(plan)) < 384 * 5_000


def imagined_plate(root: Path) -> Plate:
    """Return a plate of 384 wells, 9 sites and 4 channels that has no files."""
    builder = IndexBuilder(str(root))
    wells = [well_name(row, column) for row in range(16) for column in range(24)]
    for well in wells:
        for site, channel in np.ndindex(9, 4):
            builder.extend(
                names=[f"{well}_{site}_{channel}.tif"],
                folder="",
                well=well,
                site=str(site),
                channel=f"w{channel}",
                z_index="1",
                timepoint="1",
            )
    return Plate(ToyReader(Listing.scan(root)), builder.build())


def test_a_missing_plane_costs_its_unit_and_is_named(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(sites=2, z_indexes=3)
    plate.file("B02", site=2, z=2).unlink()
    pipeline = Pipeline([FunctionStep("toy:brightest", variable_components=["z_index"])])
    report = compile_report(pipeline, plate.root, tmp_path / "out")
    (problem,) = report.problems
    assert report.plan is not None
    assert problem.severity == "unit"
    assert "B02, site 2, channel w1, z 2" in problem.message


def test_a_missing_plane_that_no_step_reads_is_no_problem(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(sites=2, channels=2)
    plate.file("B02", site=2, channel=2).unlink()
    step = FunctionStep({"DAPI": "toy:halves"}, name="H", group_by="channel")
    measure = FunctionStep(
        {"DAPI": "toy:measure"}, group_by="channel", inputs={"labels": "H.labels"}
    )
    assert problems(Pipeline([step, measure]), plate.root, tmp_path / "out") == []


def test_strict_makes_a_missing_plane_fatal(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(sites=2, z_indexes=2)
    plate.file("B02", site=2, z=1).unlink()
    pipeline = Pipeline([FunctionStep("toy:add")])
    with pytest.raises(CompileError, match="B02, site 2") as caught:
        compile(pipeline, plate.root, tmp_path / "out", strict=True)
    assert caught.value.exit_code == 65


def test_every_problem_is_told_at_once(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(channels=2)
    pipeline = Pipeline(
        [
            FunctionStep("toy:ad", name="A"),
            FunctionStep(("toy:add", {"amout": 1}), name="B"),
            FunctionStep(("toy:add", {"amount": "2"}), name="C"),
            FunctionStep({"DAPY": "toy:add"}, name="D", group_by="channel"),
            FunctionStep("toy:count", name="E", inputs={"labels": "Z.labels"}),
        ]
    )
    found = problems(pipeline, plate.root, plate.root / "out")
    assert {severity for severity, _ in found} == {"fatal"}
    text = "\n".join(message for _, message in found)
    for wanted in (
        "step 'A': library 'toy' has no kernel 'ad'; did you mean 'add'?",
        "step 'B': add has no argument 'amout'; did you mean 'amount'? (available: amount)",
        "step 'C': add: amount must be int, got str '2'",
        "step 'D': the plate has no channel 'DAPY'; did you mean 'DAPI'? "
        "(available: w1 (DAPI), w2 (GFP))",
        "step 'E': input labels = 'Z.labels' is made by no earlier step",
        "lies inside the plate",
    ):
        assert wanted in text, wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (101, "between 0 and 100, got 101"),
        (-1, "between 0 and 100, got -1"),
        (1.5, "must be int, got float 1.5"),
        (True, "must be int, got bool True"),
    ],
)
def test_an_argument_out_of_its_range_or_type_is_refused(
    make_toy_plate: Make, tmp_path: Path, value: Any, wanted: str
):
    pipeline = Pipeline([FunctionStep(("toy:add", {"amount": value}))])
    assert wanted in only_fatal(pipeline, make_toy_plate(), tmp_path / "out")


def test_a_kernel_on_a_framework_that_it_lacks_is_refused(make_toy_plate: Make, tmp_path: Path):
    pipeline = Pipeline([FunctionStep("toy:add", framework="cupy")])
    message = only_fatal(pipeline, make_toy_plate(), tmp_path / "out")
    assert "does not run on 'cupy' (available: numpy)" in message


def test_a_library_that_is_not_installed_says_how_to_get_it(make_toy_plate: Make, tmp_path: Path):
    message = only_fatal(Pipeline([FunctionStep("nolib:f")]), make_toy_plate(), tmp_path / "out")
    assert "no plugin 'nolib'" in message


def test_a_function_without_a_contract_is_refused_with_the_decorator(
    make_toy_plate: Make, tmp_path: Path
):
    pipeline = Pipeline([FunctionStep(np.sqrt, name="Root")])
    assert "@hcs_core.arrays.numpy" in only_fatal(pipeline, make_toy_plate(), tmp_path / "out")


def test_two_steps_of_one_name_are_refused(make_toy_plate: Make, tmp_path: Path):
    pipeline = Pipeline([FunctionStep("toy:add"), FunctionStep("toy:add")])
    assert "two steps have this name" in only_fatal(pipeline, make_toy_plate(), tmp_path / "out")


def test_no_steps_are_refused(make_toy_plate: Make, tmp_path: Path):
    assert "has no steps" in only_fatal(Pipeline(), make_toy_plate(), tmp_path / "out")


def test_a_projection_that_stacks_nothing_is_told(make_toy_plate: Make, tmp_path: Path):
    found = problems(
        Pipeline([FunctionStep("toy:brightest")]), make_toy_plate().root, tmp_path / "o"
    )
    assert [severity for severity, _ in found] == ["warning"]
    assert 'variable = ["z_index"]' in found[0][1]


def test_labels_without_a_source_are_refused(make_toy_plate: Make, tmp_path: Path):
    pipeline = Pipeline([FunctionStep("toy:halves", name="H"), FunctionStep("toy:count")])
    message = only_fatal(pipeline, make_toy_plate(), tmp_path / "out")
    assert 'inputs = {labels = "Step.labels"}' in message
    assert "H.labels" in message


def test_labels_of_another_projection_than_the_image_are_refused(
    make_toy_plate: Make, tmp_path: Path
):
    pipeline = Pipeline(
        [
            FunctionStep("toy:halves", name="H"),
            FunctionStep("toy:brightest", variable_components=["z_index"]),
            FunctionStep("toy:measure", inputs={"labels": "H.labels"}),
        ]
    )
    message = only_fatal(pipeline, make_toy_plate(z_indexes=2), tmp_path / "out")
    assert "put the projection before both" in message


def test_a_projection_inside_a_step_that_ends_in_labels_is_refused(
    make_toy_plate: Make, tmp_path: Path
):
    step = FunctionStep(["toy:brightest", "toy:halves"], variable_components=["z_index"])
    message = only_fatal(Pipeline([step]), make_toy_plate(z_indexes=2), tmp_path / "out")
    assert "a step of its own" in message


def test_measuring_a_stack_is_refused(make_toy_plate: Make, tmp_path: Path):
    step = FunctionStep(["toy:halves", "toy:measure"], variable_components=["z_index"])
    message = only_fatal(Pipeline([step]), make_toy_plate(z_indexes=2), tmp_path / "out")
    assert "measures one plane a call" in message


def test_saving_what_a_step_does_not_make_is_refused(make_toy_plate: Make, tmp_path: Path):
    pipeline = Pipeline([FunctionStep("toy:add", save=["labels"])])
    assert "cannot save 'labels'" in only_fatal(pipeline, make_toy_plate(), tmp_path / "out")


def test_two_saved_images_are_refused(make_toy_plate: Make, tmp_path: Path):
    pipeline = Pipeline(
        [
            FunctionStep("toy:add", name="A", save=["image"]),
            FunctionStep("toy:add", name="B", save=["image"]),
        ]
    )
    assert "several steps save an image (A, B)" in only_fatal(
        pipeline, make_toy_plate(), tmp_path / "out"
    )


def test_an_image_whose_channels_have_different_planes_is_refused(
    make_toy_plate: Make, tmp_path: Path
):
    step = FunctionStep(
        {"DAPI": "toy:brightest"},
        group_by="channel",
        variable_components=["z_index"],
        save=["image"],
    )
    message = only_fatal(Pipeline([step]), make_toy_plate(channels=2, z_indexes=2), tmp_path / "o")
    assert "cannot be saved" in message


def test_grouping_by_what_is_stacked_is_refused(make_toy_plate: Make, tmp_path: Path):
    step = FunctionStep({"w1": "toy:add"}, group_by="channel", variable_components=["channel"])
    assert "both stacked and grouped" in only_fatal(
        Pipeline([step]), make_toy_plate(), tmp_path / "out"
    )


def test_wells_can_be_chosen(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(wells=("A01", "B02", "C03"))
    plan = compile(Pipeline([FunctionStep("toy:add")]), plate.root, tmp_path / "o", wells=["C03"])
    assert [unit.well for unit in plan.units] == ["C03"]


def test_a_well_that_is_not_there_is_refused(make_toy_plate: Make, tmp_path: Path):
    found = problems(
        Pipeline([FunctionStep("toy:add")]), make_toy_plate().root, tmp_path / "o", wells=["H12"]
    )
    assert "no well H12 (available: A01, B02)" in found[0][1]


@pytest.mark.parametrize("content", ["run/plan.json", "something.txt"])
def test_an_output_that_holds_something_is_refused(
    make_toy_plate: Make, tmp_path: Path, content: str
):
    file = tmp_path / "out" / content
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    message = only_fatal(Pipeline([FunctionStep("toy:add")]), make_toy_plate(), tmp_path / "out")
    assert "give a new or empty folder" in message
    assert file.read_text() == "{}"


def test_compiling_writes_nothing(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate()
    before = sorted(path.name for path in plate.root.iterdir())
    compile(Pipeline([FunctionStep("toy:add")]), plate.root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in plate.root.iterdir()) == before


def test_compiling_reads_no_pixel(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate()
    for file in plate.root.iterdir():
        file.write_bytes(b"no image at all")  # any attempt to read one would fail
    assert problems(Pipeline([FunctionStep("toy:add")]), plate.root, tmp_path / "out") == []


def test_the_reader_can_be_named(make_toy_plate: Make, tmp_path: Path):
    plate, pipeline = make_toy_plate(), Pipeline([FunctionStep("toy:add")])
    assert compile(pipeline, plate.root, tmp_path / "out", format="toy").format == "toy"
    ((severity, message),) = problems(pipeline, plate.root, tmp_path / "out", format="toi")
    assert severity == "fatal"
    assert "did you mean 'toy'?" in message


def test_two_keys_of_one_channel_are_refused(make_toy_plate: Make, tmp_path: Path):
    step = FunctionStep({"DAPI": "toy:add", "w1": "toy:add"}, group_by="channel")
    message = only_fatal(Pipeline([step]), make_toy_plate(channels=2), tmp_path / "out")
    assert "'DAPI' and 'w1' mean the same" in message


def test_a_function_of_two_images_is_refused(make_toy_plate: Make, tmp_path: Path):
    @numpy
    def difference(image: Any, reference: Any) -> Any:
        return image - reference

    contract = dataclasses.replace(
        difference.__hcs_contract__,  # type: ignore[attr-defined]
        inputs=(Value("image", "image"), Value("reference", "image")),
    )
    difference.__hcs_contract__ = contract  # type: ignore[attr-defined]
    message = only_fatal(Pipeline([FunctionStep(difference)]), make_toy_plate(), tmp_path / "out")
    assert "several images" in message


def test_labels_that_would_lie_in_one_folder_are_refused(make_toy_plate: Make, tmp_path: Path):
    pipeline = Pipeline(
        [
            FunctionStep("toy:halves", name="nuclei", save=["labels"]),
            FunctionStep("toy:halves", name="Nuclei", save=["labels"]),
        ]
    )
    message = only_fatal(pipeline, make_toy_plate(), tmp_path / "out")
    assert "called as those of step 'nuclei'" in message


def test_a_channel_that_no_chosen_well_has_is_refused(make_toy_plate: Make, tmp_path: Path):
    plate = make_toy_plate(channels=2, leave_out={("B02", "w2")})
    step = FunctionStep({"GFP": "toy:halves"}, group_by="channel", save=["labels"])
    found = problems(Pipeline([step]), plate.root, tmp_path / "out", wells=["B02"])
    assert [severity for severity, _ in found] == ["fatal"]
    assert "finds no plane to run on in the chosen wells" in found[0][1]


def test_labels_of_some_z_planes_measured_on_all_are_refused(make_toy_plate: Make, tmp_path: Path):
    pipeline = Pipeline(
        [
            FunctionStep({"1": "toy:halves"}, name="H", group_by="z_index"),
            FunctionStep("toy:measure", inputs={"labels": "H.labels"}),
        ]
    )
    message = only_fatal(pipeline, make_toy_plate(z_indexes=2), tmp_path / "out")
    assert "for which H makes no labels" in message


def test_the_instruments_projection_is_the_plane_of_a_channel_without_others(
    make_toy_plate: Make, tmp_path: Path
):
    plate = make_toy_plate(channels=2, z_indexes=3, projections={"w2"})
    step = FunctionStep({"GFP": "toy:halves"}, group_by="channel", save=["labels"])
    plan = compile(Pipeline([step]), plate.root, tmp_path / "out")
    assert plan.image is not None
    assert plan.reads == 2 * 4  # three z planes of one channel, one projection of the other


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ({"a": 1}, "is a dict"),
        ((1, 2), "is a tuple"),
        (float("inf"), "finite"),
        (np.int64(3), "int64"),
    ],
)
def test_an_argument_that_a_plan_cannot_hold_is_refused(
    make_toy_plate: Make, tmp_path: Path, value: Any, wanted: str
):
    @numpy
    def mine(image: Any, option: Any = None) -> Any:
        return image

    pipeline = Pipeline([FunctionStep((mine, {"option": value}))])
    assert wanted in only_fatal(pipeline, make_toy_plate(), tmp_path / "out")


def test_the_order_of_arguments_does_not_change_the_hash(make_toy_plate: Make, tmp_path: Path):
    @numpy
    def mine(image: Any, a: int = 0, b: int = 0) -> Any:
        return image

    plate = make_toy_plate()
    hashes = {
        compile(Pipeline([FunctionStep((mine, arguments))]), plate.root, tmp_path / "o").plan_hash
        for arguments in ({"a": 1, "b": 2}, {"b": 2, "a": 1})
    }
    assert len(hashes) == 1

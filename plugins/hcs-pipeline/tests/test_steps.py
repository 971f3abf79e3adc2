"""The four patterns, in Python and in TOML."""

from __future__ import annotations

import copy
import dataclasses
import functools
import pickle
from pathlib import Path
from typing import Any

import pytest

from hcs_pipeline import FunctionStep, GroupBy, Pipeline, VariableComponents, load_pipeline
from hcs_pipeline.errors import PipelineError


def called(step: FunctionStep) -> dict[str | None, list[tuple[Any, dict[str, Any]]]]:
    return {
        key: [(call.function, dict(call.arguments)) for call in chain]
        for key, chain in step.patterns.items()
    }


def test_a_function_alone_is_a_chain_of_one():
    assert called(FunctionStep("blur")) == {None: [("blur", {})]}


def test_a_function_with_arguments_is_a_chain_of_one():
    assert called(FunctionStep(("blur", {"sigma_px": 2}))) == {None: [("blur", {"sigma_px": 2})]}


def test_a_list_is_a_chain_in_its_order():
    step = FunctionStep(["tophat", ("blur", {"sigma_px": 2})])
    assert called(step) == {None: [("tophat", {}), ("blur", {"sigma_px": 2})]}


def test_a_dict_has_a_chain_for_each_key():
    step = FunctionStep({"DAPI": "blur", "w2": ["tophat", "blur"]}, group_by=GroupBy.CHANNEL)
    assert called(step) == {"DAPI": [("blur", {})], "w2": [("tophat", {}), ("blur", {})]}
    assert step.group_by == "channel"


def test_a_python_function_is_a_function():
    def mine(image: Any) -> Any:
        return image

    step = FunctionStep([mine, (mine, {"a": 1})])
    assert called(step) == {None: [(mine, {}), (mine, {"a": 1})]}


def test_a_step_is_called_like_its_last_function_unless_it_has_a_name():
    assert FunctionStep(["tophat", "mylib:blur"]).name == "blur"
    assert FunctionStep("blur", name="Smooth").name == "Smooth"


@pytest.mark.parametrize("pattern", [[], {}, None, 3, [["a", "b"]], "", ["a", 3], {"w1": []}])
def test_a_pattern_that_is_none_of_the_four_is_refused(pattern: Any):
    with pytest.raises(PipelineError, match="step 'S'"):
        FunctionStep(pattern, name="S", group_by="channel")


def test_keys_without_group_by_are_refused_with_what_to_add():
    with pytest.raises(PipelineError, match="group_by = 'channel'"):
        FunctionStep({"DAPI": "blur"})


@pytest.mark.parametrize("name", ["", ".", "a/b", "a.b", " a", 'a"', "a\0"])
def test_a_name_that_could_not_stand_in_a_path_is_refused(name: str):
    if name:
        with pytest.raises(PipelineError, match="cannot be a step's name"):
            FunctionStep("blur", name=name)


def test_an_unknown_component_is_refused_with_those_there_are():
    with pytest.raises(PipelineError, match="site, channel, z_index, timepoint"):
        FunctionStep("blur", variable_components=["z"])


def test_components_may_be_words_or_members():
    as_words = FunctionStep("m", variable_components=["z_index", "site"])
    members = [VariableComponents.Z_INDEX, VariableComponents.SITE]
    assert as_words.variable_components == ("z_index", "site")
    assert FunctionStep("m", variable_components=members).variable_components == ("z_index", "site")


def test_a_step_cannot_be_changed():
    step = FunctionStep("blur")
    with pytest.raises(dataclasses.FrozenInstanceError):
        step.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        step.patterns[None] = ()  # type: ignore[index]


def test_a_pipeline_is_a_list_with_a_name():
    pipeline = Pipeline([FunctionStep("blur")], name="mine")
    pipeline.append(FunctionStep("tophat"))
    assert [step.name for step in pipeline] == ["blur", "tophat"]
    assert pipeline.name == "mine"


EXAMPLE = """
name = "nuclei"
[[steps]]
name = "Flatten"
func = "max_projection"
variable = ["z_index"]
[[steps]]
name = "Smooth"
func = [["tophat", {radius_px = 25}], "gaussian_blur"]
framework = "torch"
[[steps]]
name = "Nuclei"
func = {DAPI = "segment_nuclei"}
group_by = "channel"
save = ["labels"]
[[steps]]
name = "Measure"
func = "measure_objects"
inputs = {labels = "Nuclei.labels"}
"""


def test_toml_says_the_same_as_python(tmp_path: Path):
    (tmp_path / "p.toml").write_text(EXAMPLE, encoding="utf-8")
    read = load_pipeline(tmp_path / "p.toml")
    written = [
        FunctionStep("max_projection", name="Flatten", variable_components=["z_index"]),
        FunctionStep(
            [("tophat", {"radius_px": 25}), "gaussian_blur"], name="Smooth", framework="torch"
        ),
        FunctionStep(
            {"DAPI": "segment_nuclei"}, name="Nuclei", group_by="channel", save=["labels"]
        ),
        FunctionStep("measure_objects", name="Measure", inputs={"labels": "Nuclei.labels"}),
    ]
    assert read.name == "nuclei"
    for mine, theirs in zip(read, written, strict=True):
        assert called(mine) == called(theirs)
        for option in ("name", "variable_components", "group_by", "inputs", "save", "framework"):
            assert getattr(mine, option) == getattr(theirs, option)


def test_a_pair_of_name_and_table_is_a_call_and_not_a_chain(tmp_path: Path):
    text = '[[steps]]\nfunc = ["tophat", {radius_px = 3}]\n'
    (tmp_path / "p.toml").write_text(text, encoding="utf-8")
    assert called(load_pipeline(tmp_path / "p.toml")[0]) == {None: [("tophat", {"radius_px": 3})]}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("steps = [", "not TOML"),
        ("step = []", "'step' is not a key here.*name, description, steps"),
        ("steps = 3", r"\[\[steps\]\]"),
        ("[[steps]]\nname = 'A'", r"step 1 \(A\): func is missing"),
        ("[[steps]]\nfunc = 'f'\nvariables = []", "'variables' is not a key here.*variable"),
        ("[[steps]]\nfunc = 'f'\nvariable = 'z_index'", "variable must be a list"),
        ("[[steps]]\nfunc = 'f'\n[[steps]]\nfunc = 3", "step 2.*got 3"),
        ("name = 3", "name must be text"),
    ],
)
def test_a_file_that_is_no_pipeline_says_where_and_why(tmp_path: Path, text: str, wanted: str):
    (tmp_path / "bad.toml").write_text(text, encoding="utf-8")
    with pytest.raises(PipelineError, match=wanted) as caught:
        load_pipeline(tmp_path / "bad.toml")
    assert "bad.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(PipelineError, match=r"none\.toml: No such file"):
        load_pipeline(tmp_path / "none.toml")


@pytest.mark.parametrize("option", [{"save": "labels"}, {"variable_components": "z_index"}])
def test_a_word_where_a_list_belongs_is_refused(option: dict[str, Any]):
    with pytest.raises(PipelineError, match="must be a list"):
        FunctionStep("blur", **option)


def test_a_step_can_be_copied_and_pickled():
    step = FunctionStep(
        {"DAPI": ["a", ("b", {"c": 1})]},
        name="S",
        group_by="channel",
        inputs={"labels": "H.labels"},
    )
    for copy_of in (copy.deepcopy(step), pickle.loads(pickle.dumps(step))):  # noqa: S301
        assert called(copy_of) == called(step)
        assert copy_of == step


def test_a_callable_without_a_name_is_a_function_too():
    assert called(FunctionStep(functools.partial(max, 1), name="S"))[None][0][1] == {}


@pytest.mark.parametrize(
    "options",
    [{"name": 3}, {"name": "a" * 101}, {"name": "a\nb"}, {"save": [["image"]]}, {"inputs": ["x"]}],
)
def test_an_option_of_another_kind_is_refused_in_one_line(options: dict[str, Any]):
    with pytest.raises(PipelineError) as caught:
        FunctionStep("blur", **options)
    assert "\n" not in str(caught.value)


def test_a_pipeline_of_something_else_is_refused():
    with pytest.raises(PipelineError, match="FunctionSteps"):
        Pipeline("blur")  # type: ignore[arg-type]


def test_a_file_nested_too_deeply_is_no_pipeline(tmp_path: Path):
    (tmp_path / "deep.toml").write_text("steps = " + "[" * 2000 + "]" * 2000)
    with pytest.raises(PipelineError, match="not TOML"):
        load_pipeline(tmp_path / "deep.toml")

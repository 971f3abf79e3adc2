"""Check a pipeline against a plate, and plan the run; no pixel is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from hcs_core.errors import HcsError, listed, near
from hcs_core.plates import Plate, PlateIndex, normal_well, open_plate
from hcs_pipeline._flow import Chains, Flow
from hcs_pipeline._folder import output_problems
from hcs_pipeline._hooks import PLAN_COMPILED
from hcs_pipeline._outcome import (
    choose_image,
    name_problems,
    plan_steps,
    plan_tables,
    save_problems,
)
from hcs_pipeline._plan import Plan, UnitRows
from hcs_pipeline._problems import Problem
from hcs_pipeline._resolve import Resolved, resolve
from hcs_pipeline._steps import FunctionStep, Pipeline
from hcs_pipeline._units import Work, WorkPlanner, make_units, unit_components
from hcs_pipeline.errors import CompileError


@dataclass(frozen=True, slots=True)
class CompileReport:
    """What compiling found.

    Parameters
    ----------
    plan : Plan, optional
        The plan; None when a problem is fatal.
    problems : tuple of Problem
        Everything that was found, fatal ones first.
    plate : Plate, optional
        The opened plate; None when it cannot be opened.
    """

    plan: Plan | None
    problems: tuple[Problem, ...]
    plate: Plate | None


def compile(
    pipeline: Pipeline,
    plate: Plate | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    format: str = "auto",
    wells: Sequence[str] | None = None,
    strict: bool = False,
) -> Plan:
    """Return the plan of a run.

    Parameters
    ----------
    pipeline : Pipeline
        The steps.
    plate : Plate or path
        The plate, or its folder.
    output : path
        The folder that the run will write to: new or empty, and not inside the plate.
    format : str
        The reader of the plate's folder, by its key; ``"auto"`` finds it.
    wells : sequence of str, optional
        Only these wells.
    strict : bool
        Whether problems that would cost single units are fatal.

    Raises
    ------
    CompileError
        If anything is fatal; it holds every problem that was found.
    """
    report = compile_report(pipeline, plate, output, format=format, wells=wells, strict=strict)
    if report.plan is None:
        raise CompileError(report.problems)
    return report.plan


def compile_report(
    pipeline: Pipeline,
    plate: Plate | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    format: str = "auto",
    wells: Sequence[str] | None = None,
    strict: bool = False,
) -> CompileReport:
    """Return the plan and every problem, as `compile`, without raising."""
    report = _report(pipeline, plate, output, format, wells, strict=strict)
    PLAN_COMPILED(plan=report.plan, problems=report.problems)
    return report


def _report(
    pipeline: Pipeline,
    plate: Plate | str | os.PathLike[str],
    output: str | os.PathLike[str],
    format: str,
    wells: Sequence[str] | None,
    *,
    strict: bool,
) -> CompileReport:
    problems: list[Problem] = []
    steps = list(_resolved_steps(pipeline, problems))
    opened = _open(plate, format, problems)
    root = opened.root if opened is not None else Path(cast("str", plate))
    problems += output_problems(Path(output), root)
    if opened is None or not steps:
        return CompileReport(None, _sorted(problems), opened)
    plan = _plan(pipeline, opened, Path(output), steps, wells, problems)
    if strict:
        problems = [
            replace(p, severity="fatal", exit_code=65) if p.severity == "unit" else p
            for p in problems
        ]
    if any(problem.severity == "fatal" for problem in problems):
        return CompileReport(None, _sorted(problems), opened)
    ordered = _sorted(problems)
    return CompileReport(replace(plan, problems=ordered), ordered, opened)


def _resolved_steps(
    pipeline: Pipeline, problems: list[Problem]
) -> Iterator[tuple[FunctionStep, Chains]]:
    """Yield the steps whose functions and arguments are right; note what is wrong."""
    if not pipeline:
        problems.append(Problem("fatal", "the pipeline has no steps; add one under [[steps]]"))
    names: set[str] = set()
    for step in pipeline:
        if step.name in names:
            message = "two steps have this name; give each its own"
            problems.append(Problem("fatal", message, step=step.name))
        names.add(step.name)
        chains, wrong = _resolved_chains(step)
        wrong += _step_problems(step)
        if not wrong:
            wrong += _unknown_inputs(step, chains)
        problems += [Problem("fatal", message, step=step.name) for message in wrong]
        if not wrong:
            yield step, chains


def _resolved_chains(step: FunctionStep) -> tuple[Chains, list[str]]:
    chains: Chains = {}
    wrong: list[str] = []
    for key, calls in step.patterns.items():
        resolved: list[Resolved] = []
        for call in calls:
            found, reasons = resolve(call, step.framework)
            wrong += reasons
            resolved += [found] if found else []
        chains[key] = tuple(resolved)
    return chains, wrong


def _step_problems(step: FunctionStep) -> list[str]:
    wrong = []
    if step.group_by in step.variable_components:
        wrong.append(f"{step.group_by} is both stacked and grouped by; it can be one of the two")
    taken = {name for chain in step.patterns.values() for call in chain for name in call.arguments}
    wrong += [f"{name} is both an input and an argument" for name in step.inputs if name in taken]
    return wrong


def _unknown_inputs(step: FunctionStep, chains: Chains) -> list[str]:
    """Return what is wrong with inputs that no function of the step takes."""
    calls = [resolved for chain in chains.values() for resolved in chain]
    known = tuple(
        dict.fromkeys(v.name for r in calls for v in r.contract.inputs if v.kind != "image")
    )
    functions = listed(list(dict.fromkeys(resolved.call.function for resolved in calls)))
    return [
        f"input {name!r} is taken by no function of the step, {functions}{near(name, known)} "
        f"(available: {listed(known)})"
        for name in step.inputs
        if name not in known
    ]


def _open(
    plate: Plate | str | os.PathLike[str], format: str, problems: list[Problem]
) -> Plate | None:
    if isinstance(plate, Plate):
        return plate
    try:
        return open_plate(plate, format)
    except HcsError as cause:
        file = getattr(cause, "files", (None,))[0]
        code = cause.exit_code
        problems.append(Problem("fatal", str(cause), file=file, exit_code=code))
    except OSError as cause:  # a name that the system does not take
        message = f"no plate at {os.fspath(plate)}: {cause.strerror or cause}"
        problems.append(Problem("fatal", message, exit_code=65))
    return None


def _plan(
    pipeline: Pipeline,
    plate: Plate,
    output: Path,
    resolved: Sequence[tuple[FunctionStep, Chains]],
    wells: Sequence[str] | None,
    problems: list[Problem],
) -> Plan:
    index = plate.index
    flow = Flow(index, {step.name for step in pipeline} - {step.name for step, _ in resolved})
    steps = [(step, flow.walk(step, chains)) for step, chains in resolved]
    image, image_problems = choose_image(steps, flow, index)
    planned = plan_steps(steps, flow, index, image)
    problems += [
        *flow.problems,
        *save_problems(steps, flow.broken),
        *name_problems(planned),
        *image_problems,
    ]
    unit_by = unit_components([step for step, _ in steps])
    rows = UnitRows(unit_by, index)
    units = make_units(index, unit_by, rows, _chosen_wells(index, wells, problems))
    work = Work()
    if not any(problem.severity == "fatal" for problem in problems):
        shapes = [walked.shapes for _, walked in steps]
        work = WorkPlanner(planned, shapes, image, index).work(units, unit_by, rows)
        problems += work.problems
    return Plan(
        name=pipeline.name,
        description=pipeline.description,
        plate=str(plate.root),
        format=plate.format,
        fingerprint=index.fingerprint(),
        output=str(output.resolve()),  # another process may start elsewhere
        steps=planned,
        unit_by=unit_by,
        units=units,
        image=image,
        tables=plan_tables(steps, flow, work.tables),
        reads=work.reads,
        writes=work.writes,
        functions=_user_functions(resolved, problems),
    )


def _user_functions(
    steps: Sequence[tuple[FunctionStep, Chains]], problems: list[Problem]
) -> dict[str, Callable[..., Any]]:
    """Return the user's functions by their name in the plan, which must be one function's."""
    found: dict[str, Callable[..., Any]] = {}
    for step, chains in steps:
        for resolved in (resolved for chain in chains.values() for resolved in chain):
            function, name = resolved.user_function, resolved.call.function
            if function is not None and found.setdefault(name, function) is not function:
                message = f"another function is called {name} too; give each its own name"
                problems.append(Problem("fatal", message, step=step.name))
    return found


def _chosen_wells(
    index: PlateIndex, wells: Sequence[str] | None, problems: list[Problem]
) -> frozenset[int]:
    """Return the dense numbers of the wells to run."""
    if wells is None:
        return frozenset(range(len(index.wells)))
    if isinstance(wells, str):
        wells = [wells]  # "A01" is one well, not three letters
    number = {well: i for i, well in enumerate(index.wells)}
    wells = [_our_spelling(well) for well in wells]
    unknown = [well for well in wells if well not in number]
    if unknown:
        message = f"the plate has no well {listed(unknown)} (available: {listed(index.wells)})"
        problems.append(Problem("fatal", message))
    if not wells:
        problems.append(Problem("fatal", "no wells are chosen"))
    return frozenset(number[well] for well in wells if well in number)


def _our_spelling(well: str) -> str:
    """Return ``B02`` for ``b2``, and what names no well as it is."""
    try:
        return normal_well(well)
    except ValueError:
        return well


def _sorted(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    order = ("fatal", "unit", "warning")
    return tuple(sorted(problems, key=lambda problem: order.index(problem.severity)))

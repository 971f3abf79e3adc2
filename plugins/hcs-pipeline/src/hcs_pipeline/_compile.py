"""Check a pipeline against a plate, and plan the run; no pixel is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hcs_core.errors import HcsError, listed, near
from hcs_core.plates import (
    STATUSES,
    Component,
    Plate,
    PlateIndex,
    column_of_well,
    open_plate,
    row_of_well,
    well_name,
)
from hcs_pipeline._flow import Chains, Flow
from hcs_pipeline._outcome import choose_image, has_z, plan_steps, save_problems
from hcs_pipeline._plan import Plan, PlannedUnit, UnitRows
from hcs_pipeline._problems import Problem
from hcs_pipeline._resolve import Resolved, resolve
from hcs_pipeline._steps import FunctionStep, Pipeline
from hcs_pipeline.errors import CompileError

# A field's channels and z planes share one image and one row of measurements, so they stay
# together; wells always run apart, sites and timepoints where no step joins them.
_SEPARABLE: tuple[Component, ...] = ("site", "timepoint")
_MISSING = STATUSES.index("missing")


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
    wells : sequence of str, optional
        Only these wells.
    strict : bool
        Whether problems that would cost single units are fatal.

    Raises
    ------
    CompileError
        If anything is fatal; it holds every problem that was found.
    """
    report = compile_report(pipeline, plate, output, wells=wells, strict=strict)
    if report.plan is None:
        raise CompileError(report.problems)
    return report.plan


def compile_report(
    pipeline: Pipeline,
    plate: Plate | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    wells: Sequence[str] | None = None,
    strict: bool = False,
) -> CompileReport:
    """Return the plan and every problem, as `compile`, without raising."""
    problems: list[Problem] = []
    steps = list(_resolved_steps(pipeline, problems))
    opened = _open(plate, problems)
    root = opened.root if opened is not None else Path(cast("str", plate))
    problems += _output_problems(Path(output), root)
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


def _open(plate: Plate | str | os.PathLike[str], problems: list[Problem]) -> Plate | None:
    if isinstance(plate, Plate):
        return plate
    try:
        return open_plate(plate)
    except HcsError as cause:
        file = getattr(cause, "files", (None,))[0]
        code = cause.exit_code
        problems.append(Problem("fatal", str(cause), file=file, exit_code=code))
    except OSError as cause:  # a name that the system does not take
        message = f"no plate at {os.fspath(plate)}: {cause.strerror or cause}"
        problems.append(Problem("fatal", message, exit_code=65))
    return None


def _output_problems(output: Path, plate: Path) -> Iterator[Problem]:
    """Yield why the output folder cannot be used."""
    try:
        yield from _folder_problems(output, plate)
    except OSError as cause:  # a name that the system does not take, a folder it does not list
        yield Problem("fatal", f"output {output} cannot be used: {cause.strerror or cause}")


def _folder_problems(output: Path, plate: Path) -> Iterator[Problem]:
    real, source = output.resolve(), plate.resolve()
    if real == source or source in real.parents:
        message = f"output {output} lies inside the plate {plate}, where nothing is ever written"
        yield Problem("fatal", f"{message}; choose a folder outside")
        return
    if output.is_dir() and any(output.iterdir()):
        held = "holds a run" if (output / "run" / "plan.json").exists() else "is not empty"
        yield Problem("fatal", f"output {output} {held}; give a new or empty folder")
        return
    ancestor = next(path for path in (real, *real.parents) if path.exists())
    if not ancestor.is_dir():
        yield Problem("fatal", f"output {output} cannot be made: {ancestor} is a file")
    elif not os.access(ancestor, os.W_OK | os.X_OK):
        yield Problem("fatal", f"output {output} cannot be made: {ancestor} is not writable")


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
    problems += [*flow.problems, *save_problems(steps), *image_problems]
    if image is not None:
        flow.read_channels |= set(image.numbers)
    unit_by = _unit_components([step for step, _ in steps])
    projections = bool(index.projection.all())
    rows = UnitRows(unit_by, index, projections=projections)
    units = _units(index, unit_by, rows, _chosen_wells(index, wells, problems))
    plan = Plan(
        name=pipeline.name,
        description=pipeline.description,
        plate=str(plate.root),
        format=plate.format,
        fingerprint=index.fingerprint(),
        output=str(output.resolve()),  # another process may start elsewhere
        steps=plan_steps(steps, flow, index, image),
        unit_by=unit_by,
        uses_projections=projections,
        units=units,
        image=image,
        has_z=has_z(steps, flow, index),
        measures=any("table" in walked.outputs for _, walked in steps),
        reads=0,
        writes=0,
        functions=_user_functions(resolved, problems),
    )
    return _with_counts(plan, index, rows, flow.read_channels, problems)


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


def _unit_components(steps: Sequence[FunctionStep]) -> tuple[Component, ...]:
    joined = {str(c) for step in steps for c in (*step.variable_components, step.group_by)}
    return ("well", *(component for component in _SEPARABLE if component not in joined))


def _chosen_wells(
    index: PlateIndex, wells: Sequence[str] | None, problems: list[Problem]
) -> frozenset[int]:
    """Return the dense numbers of the wells to run."""
    if wells is None:
        return frozenset(range(len(index.wells)))
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
        return well_name(row_of_well(well), column_of_well(well))
    except ValueError:
        return well


def _units(
    index: PlateIndex,
    unit_by: tuple[Component, ...],
    rows: UnitRows,
    wells: frozenset[int],
) -> tuple[PlannedUnit, ...]:
    """Return the runs of rows that agree in the components that units are made by."""
    keys = np.stack([index.column(component)[rows.order] for component in unit_by], axis=1)
    starts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)])
    stops = np.r_[starts[1:], len(rows.order)]
    has_timepoints = len(index.timepoints) > 1
    units: list[PlannedUnit] = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        key = dict(zip(unit_by, keys[start].tolist(), strict=True))
        unit = PlannedUnit(
            len(units),
            index.wells[key["well"]],
            index.sites[key["site"]] if "site" in key else None,
            index.timepoints[key["timepoint"]] if has_timepoints and "timepoint" in key else None,
            start,
            stop,
        )
        if key["well"] in wells and len(rows[unit]):
            units.append(unit)
    return tuple(units)


def _with_counts(
    plan: Plan, index: PlateIndex, rows: UnitRows, channels: set[int], problems: list[Problem]
) -> Plan:
    """Return the plan with its numbers of planes, and note the planes that are missing."""
    is_read = np.isin(index.channel, sorted(channels))
    reads = 0
    for unit in plan.units:
        needed = rows[unit][is_read[rows[unit]]]
        reads += len(needed)
        problems += _missing_planes(index, unit, needed)
    image = 0 if plan.image is None else int(np.prod(plan.image.size))
    labelled = sum(
        len(step.label_names) * int(np.prod(step.label_size))
        for step in plan.steps
        if step.saves_labels
    )
    return replace(plan, reads=reads, writes=_field_count(plan, index) * (image + labelled))


def _field_count(plan: Plan, index: PlateIndex) -> int:
    wells = np.isin(index.well, [index.wells.index(u.well) for u in plan.units])
    pairs = np.stack([index.well, index.site], axis=1)[wells]
    return len(np.unique(pairs, axis=0))


def _missing_planes(
    index: PlateIndex, unit: PlannedUnit, rows: NDArray[np.intp]
) -> Iterator[Problem]:
    bad = rows[index.status[rows] == _MISSING]
    if bad.size:
        more = f" and {bad.size - 1} more planes" if bad.size > 1 else ""
        message = f"plane {index.describe(int(bad[0]))}{more} missing; the unit will fail"
        yield Problem("unit", f"{unit.title}: {message}", file=index.file(int(bad[0])) or None)


def _sorted(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    order = ("fatal", "unit", "warning")
    return tuple(sorted(problems, key=lambda problem: order.index(problem.severity)))

"""`hcs compile`: the plan and every problem, before any pixel is read."""

from __future__ import annotations

import click

from hcs_core.cli import common_options, print_json, stdout
from hcs_pipeline._compile import CompileReport
from hcs_pipeline._plan import Plan
from hcs_pipeline.cli._common import (
    compile_call,
    plate_arguments,
    stop_if_fatal,
    tell_problems,
)

_FOUND_SOMETHING = 1


@click.command("compile")
@plate_arguments
@common_options
def compile_(
    pipeline: str,
    plate: str,
    out: str,
    format_: str,
    wells: str | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Check PIPELINE against PLATE and show the plan; nothing is written to OUT.

    For example: hcs compile demo/nuclei.toml PLATE OUT

    Exit codes: 0 nothing found, 1 some units will fail, 2 the call is wrong, 65 the plate
    cannot be read.
    """
    report = compile_call(pipeline, plate, out, format_, wells, strict)
    nothing = dict.fromkeys(("plan_hash", "units", "reads", "writes", "conversions"))
    plan = stop_if_fatal(report, as_json=as_json, document=nothing)
    if as_json:
        print_json(_document(plan, report))
    else:
        _print(plan)
        tell_problems(report.problems)
    if any(problem.severity == "unit" for problem in report.problems):
        click.get_current_context().exit(_FOUND_SOMETHING)


def _document(plan: Plan, report: CompileReport) -> dict[str, object]:
    return {
        "plan_hash": plan.plan_hash,
        "units": len(plan.units),
        "reads": plan.reads,
        "writes": plan.writes,
        "conversions": 0,  # every kernel of this version runs on NumPy, as planes are read
        "problems": [problem.as_dict() for problem in report.problems],
    }


def _print(plan: Plan) -> None:
    from rich.table import Table

    console = stdout()
    console.print(plan.name, style="bold", end="")
    console.print(f" on {plan.plate} ({plan.format})", soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("step", "calls", "stacked", "leaves"):
        table.add_column(title, overflow="fold")
    for position, step in enumerate(plan.steps):
        calls = ["; ".join(call.function for call in chain.calls) for chain in step.chains]
        leaves = [name for _, name in step.label_names if step.saves_labels]
        if plan.image is not None and max(plan.image.after, 0) == position:
            leaves.append("image")
        table.add_row(step.name, " | ".join(calls), ", ".join(step.variable), ", ".join(leaves))
    console.print(table)
    per_unit = ", ".join(plan.unit_by)
    console.print(
        f"{len(plan.units)} units (one per {per_unit}), {plan.reads} planes to read, "
        f"{plan.writes} to write; plan {plan.plan_hash[:12]}"
    )

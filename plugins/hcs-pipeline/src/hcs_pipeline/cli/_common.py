"""What the commands share: compile, tell the problems, run with a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from hcs_core.cli import fail_json, print_json, stderr, stdout
from hcs_core.errors import UsageError
from hcs_pipeline._compile import CompileReport, compile_report
from hcs_pipeline._execute import Observer, execute
from hcs_pipeline._ledger import Ledger, RunSummary, UnitState
from hcs_pipeline._plan import Plan
from hcs_pipeline._problems import Problem
from hcs_pipeline._toml import load_pipeline
from hcs_pipeline.errors import CompileError

F = TypeVar("F", bound=Callable[..., Any])

_STYLES = {"fatal": "red", "unit": "yellow", "warning": "cyan"}
_MOST_PROBLEMS = 20


def plate_arguments(command: F) -> F:
    """Add what `hcs run` and `hcs compile` are told: PIPELINE, PLATE, OUT, and how to take them."""
    for add in (
        click.option("--strict", is_flag=True, help="Run nothing when a unit is known to fail."),
        click.option("--wells", help="Only these wells: A01,B02."),
        click.option("--format", "format_", default="auto", help="The reader; found by itself."),
        click.argument("out", type=click.Path()),
        click.argument("plate", type=click.Path()),
        click.argument("pipeline", type=click.Path()),
    ):
        command = add(command)
    return command


def compile_call(
    pipeline: str, plate: str, out: str, format_: str, wells: str | None, strict: bool
) -> CompileReport:
    """Compile what `plate_arguments` were given."""
    steps = load_pipeline(pipeline)
    chosen = split_wells(wells)
    return compile_report(steps, plate, out, format=format_, wells=chosen, strict=strict)


def split_wells(text: str | None) -> list[str] | None:
    """Return the wells of ``--wells A01,B02``."""
    if text is None:
        return None
    wells = [word.strip().upper() for word in text.split(",") if word.strip()]
    if not wells:
        raise UsageError("--wells names no well; give them with commas between: A01,B02")
    return wells


def stop_if_fatal(report: CompileReport, *, as_json: bool, document: Mapping[str, Any]) -> Plan:
    """Return the plan; where there is none, tell every problem and end the command.

    Parameters
    ----------
    report : CompileReport
        What compiling found.
    as_json : bool
        Whether to print a document.
    document : Mapping
        What the command's document has besides the error and the problems.
    """
    if report.plan is not None:
        return report.plan
    error = CompileError(report.problems)
    if as_json:
        problems = [problem.as_dict() for problem in report.problems]
        fail_json(str(error), error.exit_code, **document, problems=problems)
    tell_problems(report.problems)
    raise click.exceptions.Exit(error.exit_code)


def tell_problems(problems: Sequence[Problem]) -> None:
    """Print problems on standard error, one line each."""
    console = stderr()
    for problem in problems[:_MOST_PROBLEMS]:
        word = "error" if problem.severity == "fatal" else problem.severity
        console.print(f"{word}: ", style=_STYLES[problem.severity], end="")
        console.print(str(problem), soft_wrap=True)
    hidden = len(problems) - _MOST_PROBLEMS
    if hidden > 0:
        console.print(f"and {hidden} more; --json lists them all")


def nothing_run(out: str) -> dict[str, Any]:
    """Return the document of a run that did not begin."""
    return {
        "status": "failed",
        "units": {"done": 0, "failed": 0, "pending": 0},
        "failures": [],
        "plan_hash": None,
        "seconds": None,
        "out": out,
    }


def run_plan(plan: Plan, report: CompileReport, *, as_json: bool) -> None:
    """Run a plan, tell how it ended, and end the command with the run's exit code."""
    if not as_json:
        tell_problems(report.problems)
    try:
        with _progress(len(plan.units), hidden=as_json) as observer:
            summary = execute(plan, report.plate, observer=observer).summary
    except KeyboardInterrupt:
        if not as_json:
            raise
        summary = Ledger(plan.output).summary()
    if as_json:
        print_json(summary.as_dict())
    else:
        tell_summary(summary)
    click.get_current_context().exit(summary.exit_code)


def tell_summary(summary: RunSummary) -> None:
    """Print where a run stands, for people."""
    console = stdout()
    counts = f"{summary.done} done, {summary.failed} failed, {summary.pending} pending"
    took = "" if summary.seconds is None else f" in {summary.seconds:.1f} s"
    console.print(summary.status, style="bold", end="")
    console.print(f": {counts}{took}")
    for state in summary.failures[:_MOST_PROBLEMS]:
        line = f"  unit {state.unit} ({state.title}): {state.error}"
        console.print(line, soft_wrap=True)
    hidden = len(summary.failures) - _MOST_PROBLEMS
    if hidden > 0:
        console.print(f"  and {hidden} more; --json lists them all")
    report = Path(summary.out) / "report.html"
    if report.exists():
        console.print(f"report: {report}", soft_wrap=True)


@contextmanager
def _progress(total: int, *, hidden: bool) -> Iterator[Observer | None]:
    """Show a bar on a terminal while units end; nothing where nobody looks."""
    if hidden or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    with Progress(*columns, console=stderr()) as progress:
        task = progress.add_task("units", total=total, failed="")
        failures = 0

        def observe(state: UnitState) -> None:
            nonlocal failures
            failures += state.status == "failed"
            text = f"[red]{failures} failed" if failures else ""
            progress.update(task, advance=1, failed=text)

        yield observe

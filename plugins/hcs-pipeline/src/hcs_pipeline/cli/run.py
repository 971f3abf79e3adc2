"""`hcs run`: compile and execute."""

from __future__ import annotations

import click

from hcs_core.cli import common_options
from hcs_pipeline.cli._common import (
    compile_call,
    nothing_run,
    plate_arguments,
    run_plan,
    stop_if_fatal,
)


@click.command()
@plate_arguments
@common_options
def run(
    pipeline: str,
    plate: str,
    out: str,
    format_: str,
    wells: str | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Run PIPELINE over PLATE and write images, tables and a report to OUT.

    For example: hcs run demo/nuclei.toml PLATE OUT

    A unit that fails does not stop the others. Exit codes: 0 all done, 3 some units
    failed, 4 every unit failed, 2 the call is wrong, 65 the plate cannot be read, 75 OUT
    cannot be written, 130 interrupted.
    """
    report = compile_call(pipeline, plate, out, format_, wells, strict)
    plan = stop_if_fatal(report, as_json=as_json, document=nothing_run(out))
    run_plan(plan, report, as_json=as_json)

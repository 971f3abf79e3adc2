"""`hcs run`: compile and execute."""

from __future__ import annotations

import click

from hcs_core.cli import common_options
from hcs_pipeline._compile import compile_report
from hcs_pipeline._toml import load_pipeline
from hcs_pipeline.cli._common import nothing_run, run_plan, split_wells, stop_if_fatal


@click.command()
@click.argument("pipeline", type=click.Path())
@click.argument("plate", type=click.Path())
@click.argument("out", type=click.Path())
@click.option("--wells", help="Only these wells: A01,B02.")
@click.option("--strict", is_flag=True, help="Run nothing when a unit is known to fail.")
@common_options
def run(
    pipeline: str, plate: str, out: str, wells: str | None, strict: bool, as_json: bool
) -> None:
    """Run PIPELINE over PLATE and write images, tables and a report to OUT.

    A unit that fails does not stop the others. Exit codes: 0 all done, 3 some units
    failed, 4 every unit failed, 2 the call is wrong, 65 the plate cannot be read.
    """
    report = compile_report(
        load_pipeline(pipeline), plate, out, wells=split_wells(wells), strict=strict
    )
    plan = stop_if_fatal(report, as_json=as_json, document=nothing_run(out))
    run_plan(plan, report, as_json=as_json)

"""`hcs status`: where a run stands."""

from __future__ import annotations

import click

from hcs_core.cli import common_options, print_json
from hcs_pipeline._ledger import Ledger
from hcs_pipeline.cli._common import tell_summary


@click.command()
@click.argument("out", type=click.Path())
@common_options
def status(out: str, as_json: bool) -> None:
    """Show the units of the run in OUT that are done, failed and pending, and why."""
    summary = Ledger(out).summary()
    if as_json:
        print_json(summary.as_dict())
    else:
        tell_summary(summary)

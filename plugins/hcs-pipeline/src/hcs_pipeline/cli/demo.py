"""`hcs demo`: a synthetic plate and a run over it, to see everything work."""

from __future__ import annotations

from importlib.resources import as_file, files
from itertools import count
from pathlib import Path

import click

from hcs_core.cli import common_options, stdout
from hcs_core.testing import SyntheticPlate, make_plate
from hcs_pipeline._compile import compile_report
from hcs_pipeline._toml import load_pipeline
from hcs_pipeline.cli._common import nothing_run, run_plan, stop_if_fatal
from hcs_pipeline.errors import OutputError

_WELLS = tuple(f"{row}{column:02d}" for row in "BCD" for column in range(2, 6))


@click.command()
@click.argument("out", type=click.Path(), required=False)
@common_options
def demo(out: str | None, as_json: bool) -> None:
    """Make a synthetic plate in OUT/plate and run a pipeline over it into OUT/result.

    OUT is a new folder: hcs-demo by default, or hcs-demo-2 and so on where that exists.
    """
    folder = Path(out) if out is not None else _free_folder()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(str(folder), "it is not empty; give a new folder")
    plate = SyntheticPlate(
        wells=_WELLS, sites=4, z_indexes=3, channels=("DAPI", "GFP"), cells_per_site=(5, 40)
    )
    if not as_json:
        stdout().print(f"making a synthetic plate in {folder / 'plate'}")
    make_plate(folder / "plate", plate)
    with as_file(files("hcs_pipeline").joinpath("demo.toml")) as pipeline:
        steps = load_pipeline(pipeline)
    report = compile_report(steps, folder / "plate", folder / "result")
    plan = stop_if_fatal(report, as_json=as_json, document=nothing_run(str(folder / "result")))
    run_plan(plan, report, as_json=as_json)


def _free_folder() -> Path:
    names = (Path("hcs-demo" if number == 1 else f"hcs-demo-{number}") for number in count(1))
    return next(name for name in names if not name.exists())

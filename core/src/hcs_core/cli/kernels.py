"""`hcs kernels`: the catalogues of the installed kernel libraries."""

from __future__ import annotations

from typing import Any

import click

from hcs_core.cli._group import Group
from hcs_core.cli._output import common_options, print_json, stderr, stdout
from hcs_core.cli._plugin_claims import switched_off
from hcs_core.errors import PluginConflictError, PluginLoadError
from hcs_core.kernels import KERNELS


@click.group(cls=Group)
def kernels() -> None:
    """The image-processing kernels that are installed."""


@kernels.command("list")
@common_options
def list_(as_json: bool) -> None:
    """List every kernel and the array frameworks it runs on; no framework is imported."""
    rows = _rows()
    if as_json:
        print_json([{key: row[key] for key in _JSON_KEYS} for row in rows])
        return
    if not rows:
        click.echo(_why_none())
        return
    _print_table(rows)


_JSON_KEYS = ("library", "name", "category", "frameworks", "doc")
# Names are typed by users, so they stay whole on any terminal; what a kernel gives is left
# out where it has too few columns to be read.
_GAP = 2
_LEAST_DOC = 16


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for library in KERNELS:
        try:
            catalogue = KERNELS[library].kernels
        except (
            PluginLoadError,
            PluginConflictError,
        ) as cause:  # a broken library hides only its own kernels
            console = stderr()
            console.print("warning: ", style="yellow", end="")
            console.print(str(cause), soft_wrap=True)
            continue
        rows += [
            {
                "library": library,
                "name": kernel.name,
                "category": kernel.category,
                "frameworks": list(kernel.frameworks),
                "doc": kernel.doc,
            }
            for kernel in sorted(catalogue, key=lambda kernel: (kernel.category, kernel.name))
        ]
    return rows


def _why_none() -> str:
    infos = KERNELS.infos(all=True)
    off = switched_off(infos)
    if off:
        return f"no kernels: what is installed is switched off: {off}"
    if infos:
        return "no kernels: no library that is installed has any, or can be used"
    return "no kernels are installed; hcs-gpu-kernels brings the library hcs"


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    frameworks = list(dict.fromkeys(name for row in rows for name in row["frameworks"]))
    columns = {
        "library": [row["library"] for row in rows],
        "category": [row["category"] for row in rows],
        "kernel": [row["name"] for row in rows],
    } | {name: ["yes" if name in row["frameworks"] else "-" for row in rows] for name in frameworks}
    widths = {title: max(map(len, (title, *cells))) for title, cells in columns.items()}
    needed = sum(widths.values()) + _GAP * len(widths)
    console = stdout()
    has_doc = console.width - needed >= _LEAST_DOC
    console.width = max(console.width, needed)  # lines run over the edge, rich cuts no name
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in columns:
        table.add_column(title, no_wrap=True)
    if has_doc:
        table.add_column("gives")
        columns["gives"] = [row["doc"] for row in rows]
    for line in zip(*columns.values(), strict=True):
        table.add_row(*line)
    console.print(table)

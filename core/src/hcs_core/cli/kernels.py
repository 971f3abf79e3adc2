"""`hcs kernels`: the catalogues of the installed kernel libraries."""

from __future__ import annotations

from typing import Any

import click

from hcs_core.cli._output import common_options, print_json, stderr, stdout
from hcs_core.errors import PluginLoadError
from hcs_core.kernels import KERNELS


@click.group()
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
        click.echo("no kernels are installed; hcs-gpu-kernels brings the library hcs")
        return
    _print_table(rows)


_JSON_KEYS = ("library", "name", "category", "frameworks", "doc")


def _rows() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for library in KERNELS:
        try:
            catalogue = KERNELS[library].kernels
        except PluginLoadError as cause:  # a broken library hides only its own kernels
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


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    frameworks = list(dict.fromkeys(name for row in rows for name in row["frameworks"]))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("library", "category", "kernel", *frameworks, "gives"):
        table.add_column(title)
    for row in rows:
        marks = ["yes" if name in row["frameworks"] else "-" for name in frameworks]
        table.add_row(row["library"], row["category"], row["name"], *marks, row["doc"])
    stdout().print(table)

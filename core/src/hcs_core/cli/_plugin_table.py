"""Tables of names, for people and for pipes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

_STYLES = {
    **dict.fromkeys(("loaded", "ok"), "green"),
    **dict.fromkeys(("broken", "conflict", "error"), "red"),
    **dict.fromkeys(("incompatible", "warning"), "yellow"),
    **dict.fromkeys(("disabled", "shadowed"), "dim"),
}
_GAP = 2


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; no name in it is cut, and without titles it has no head.

    Into a pipe, which has no width to fold names into, it goes without rich, whose import
    takes longer than finding all plugins.
    """
    if sys.stdout.isatty():
        _print_rich(titles, rows)
    else:
        click.echo("\n".join(_plain(titles, rows)))


def _plain(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [*[tuple(titles)] * any(titles), *map(tuple, rows)]
    widths = [max(map(len, column)) + _GAP for column in zip(*lines, strict=True)]
    return [
        "".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def _print_rich(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from hcs_core.cli._output import stdout

    table = Table(box=None, header_style="bold", pad_edge=False, show_header=any(titles))
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, _STYLES.get(cell.partition(":")[0], "")) for cell in row))
    stdout().print(table)

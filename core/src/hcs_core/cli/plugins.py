"""`hcs plugins`: what is installed, found without importing it."""

from __future__ import annotations

import click

from hcs_core.cli._output import common_options, print_json, stdout
from hcs_core.errors import UsageError, listed, near
from hcs_core.registry import PluginInfo, all_infos
from hcs_core.registry._known import API_OF

_STYLES = {"loaded": "green", "broken": "red", "conflict": "red", "incompatible": "yellow"}


@click.group()
def plugins() -> None:
    """What is installed, what is broken and why."""


@plugins.command("list")
@click.option("--kind", help="Only this kind, such as storage or hcs.storage.")
@common_options
def list_(kind: str | None, as_json: bool) -> None:
    """List every plugin; none is imported."""
    infos = all_infos()
    kinds = sorted({info.kind for info in infos} | {*API_OF})
    if kind is not None and not any(_is_kind(name, kind) for name in kinds):
        raise UsageError(
            f"there is no kind of plugins {kind!r}{near(kind, tuple(kinds))} "
            f"(available: {listed(kinds)}); pick one of these"
        )
    found = [info for info in infos if kind is None or _is_kind(info.kind, kind)]
    if as_json:
        print_json([info.as_dict() for info in found])
    elif not found:
        click.echo(f"no plugin of the kind {kind} is installed")
    else:
        _print_table(found)


def _is_kind(name: str, asked: str) -> bool:
    return asked in (name, name.removeprefix("hcs."))


def _print_table(found: list[PluginInfo]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("kind", "key", "distribution", "version", "state", "value"):
        table.add_column(title, overflow="fold")
    for info in found:
        state = f"{info.state}: {info.error}" if info.error else info.state
        table.add_row(
            info.kind,
            info.key,
            info.distribution,
            info.version,
            Text(state, _STYLES.get(info.state, "")),
            info.value,
        )
    stdout().print(table)

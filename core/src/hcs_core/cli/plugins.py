"""`hcs plugins`: what is installed, found without importing it."""

from __future__ import annotations

import click

from hcs_core.cli._output import common_options, print_json, stdout
from hcs_core.registry import PluginInfo, all_infos

_STYLES = {"loaded": "green", "broken": "red", "conflict": "red", "incompatible": "yellow"}


@click.group()
def plugins() -> None:
    """What is installed, what is broken and why."""


@plugins.command("list")
@click.option("--kind", help="Only this kind, such as storage or hcs.storage.")
@common_options
def list_(kind: str | None, as_json: bool) -> None:
    """List every plugin; none is imported."""
    found = [info for info in all_infos() if _is_kind(info, kind)]
    if as_json:
        print_json([info.as_dict() for info in found])
        return
    if not found:
        known = ", ".join(sorted({info.kind for info in all_infos()}))
        click.echo(f"no plugin of kind {kind!r}; kinds: {known}")
        return
    _print_table(found)


def _is_kind(info: PluginInfo, kind: str | None) -> bool:
    return kind is None or kind in (info.kind, info.kind.removeprefix("hcs."))


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

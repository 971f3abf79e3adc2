"""`hcs plugins`: what is installed, found without importing it."""

from __future__ import annotations

import click

from hcs_core.cli._group import Group
from hcs_core.cli._output import common_options, print_json
from hcs_core.cli._plugin_list import documents, listed_infos
from hcs_core.registry import PluginInfo


@click.group(cls=Group)
def plugins() -> None:
    """What is installed, what is broken and why."""


@plugins.command("list")
@click.option("--kind", help="Only this kind, such as storage or hcs.storage.")
@click.option("--all", "with_hidden", is_flag=True, help="Also what is switched off or hidden.")
@common_options
def list_(kind: str | None, with_hidden: bool, as_json: bool) -> None:
    """List every plugin; none is imported."""
    name = None if kind is None else _kind_named(kind)
    if as_json:
        print_json(documents(name, with_hidden=with_hidden))
        return
    shown, hidden = listed_infos(name, with_hidden=with_hidden)
    if shown:
        _print_table(shown)
    elif not hidden:
        click.echo(f"no plugin of the kind {kind} is installed")
    if hidden and shown:
        click.echo(f"{hidden} more are switched off or hidden; --all lists them", err=True)
    elif hidden:
        click.echo(f"all of the kind {kind} are switched off or hidden; --all lists them")


@plugins.command()
@click.argument("key")
@common_options
def show(key: str, as_json: bool) -> None:
    """Show all that is known of the plugins under KEY, or under kind:KEY; none is imported."""
    from hcs_core.cli._plugin_details import show_plugins

    show_plugins(key, as_json=as_json)


@plugins.command()
@click.argument("key")
@common_options
def which(key: str, as_json: bool) -> None:
    """Print the file that provides the plugin under KEY; it is not imported."""
    from hcs_core.cli._plugin_details import print_files

    print_files(key, as_json=as_json)


@plugins.command()
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--kind", help="Only this kind, such as storage or hcs.storage.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True, max=86_400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long one import may take.",
)
@common_options
def doctor(keys: tuple[str, ...], kind: str | None, timeout_s: float, as_json: bool) -> None:
    """Import each plugin in a process of its own, and tell all that is wrong."""
    from hcs_core.cli._plugin_doctor import examine

    if timeout_s != timeout_s:  # NaN, which no range refuses
        raise click.BadParameter("nan is no number of seconds", param_hint="--timeout")
    examine(keys, kind, timeout_s=timeout_s, as_json=as_json)


@plugins.command()
@common_options
def refresh(as_json: bool) -> None:
    """Read the environment again, and write the index anew where it is on."""
    from hcs_core.cli._plugin_refresh import refresh_plugins

    refresh_plugins(as_json=as_json)


def _kind_named(asked: str) -> str:
    from hcs_core.cli._plugin_claims import kind_named  # 1 ms, which a plain list does not need

    return kind_named(asked)


def _print_table(found: list[PluginInfo]) -> None:
    from hcs_core.cli._plugin_table import print_table

    rows = [
        (
            *(info.kind, info.key, info.distribution, info.version),
            f"{info.state}: {info.error}" if info.error else info.state,
            info.value,
        )
        for info in found
    ]
    titles = ("kind", "key", "distribution", "version", "state", "value")
    print_table(titles, rows, text="state", spare=("value",))


@plugins.command()
@click.argument("name")
@click.option("--kind", help="What it is to be, such as microscope; without it all are named.")
@click.option("--folder", default=".", help="Where to make its folder; here if not given.")
@common_options
def new(name: str, kind: str | None, folder: str, as_json: bool) -> None:
    """Start a plugin: write the package NAME, whose tests pass, to be changed."""
    from hcs_core.cli._scaffold import new_package

    new_package(name, kind, folder, as_json=as_json)

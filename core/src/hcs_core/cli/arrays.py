"""`hcs arrays`: the array frameworks of this machine, loaded and measured."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import click

from hcs_core.cli._group import Group
from hcs_core.cli._output import common_options, print_json

F = TypeVar("F", bound=Callable[..., Any])

# "missing" and "no device" are no faults: nobody has every framework.
_FAULTY = "broken"


def _timeout_option(command: F) -> F:
    return click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0, min_open=True, max=86_400),
        default=120.0,
        show_default=True,
        metavar="SECONDS",
        help="How long the frameworks may take.",
    )(command)


@click.group(cls=Group)
def arrays() -> None:
    """The array frameworks that are installed, and how memory goes between them."""


@arrays.command()
@_timeout_option
@common_options
def matrix(timeout_s: float, as_json: bool) -> None:
    """Convert a plane between each two frameworks: what is shared, what is copied, how fast."""
    from hcs_core.cli._array_tables import print_frameworks, print_matrix

    found = _asked("matrix", timeout_s)
    is_well = _is_well(found) and not any(pair["fault"] for pair in found["pairs"])
    if as_json:
        print_json(found | {"ok": is_well})
    else:
        print_frameworks(found["frameworks"])
        print_matrix(found)
    _end(is_well)


@arrays.command()
@_timeout_option
@common_options
def devices(timeout_s: float, as_json: bool) -> None:
    """List the devices of each framework, and how full their memory is."""
    from hcs_core.cli._array_tables import print_devices

    found = _asked("devices", timeout_s)
    if as_json:
        print_json(found | {"ok": _is_well(found)})
    else:
        print_devices(found["frameworks"])
    _end(_is_well(found))


def _asked(what: Literal["matrix", "devices"], timeout_s: float) -> dict[str, Any]:
    from hcs_core.cli._array_process import ask

    if timeout_s != timeout_s:  # NaN, which no range refuses
        raise click.BadParameter("nan is no number of seconds", param_hint="--timeout")
    with _waiting():
        return ask(what, timeout_s=timeout_s)


def _is_well(found: dict[str, Any]) -> bool:
    return all(framework["state"] != _FAULTY for framework in found["frameworks"])


def _end(is_well: bool) -> None:
    if not is_well:
        click.get_current_context().exit(1)


@contextmanager
def _waiting() -> Iterator[None]:
    """Say on a terminal why nothing is seen for some seconds."""
    if not sys.stderr.isatty():
        yield
        return
    click.echo("loading the array frameworks ...", err=True, nl=False)
    try:
        yield
    finally:
        click.echo("\r\x1b[K", err=True, nl=False)

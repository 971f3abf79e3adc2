"""What every command has in common: `--json`, `--debug`, and where it prints."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from rich.console import Console

F = TypeVar("F", bound=Callable[..., Any])

DEBUG = "hcs_core.cli.debug"
JSON = "hcs_core.cli.json"


def common_options(command: F) -> F:
    """Add ``--json`` (the argument `as_json`) and ``--debug`` to a command."""
    command = click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_remember(DEBUG),
        help="Show the traceback of an error.",
    )(command)
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=_remember(JSON),
        help="Print one JSON document.",
    )(command)


_documents: IO[str] | None = None  # where documents go while nothing else may


@contextmanager
def only_documents() -> Iterator[None]:
    """Let nothing but documents get on standard output.

    What a plugin prints when it is imported, and a kernel when it runs, goes to standard
    error.
    """
    global _documents
    before, _documents, sys.stdout = (_documents, sys.stdout), sys.stdout, sys.stderr
    try:
        yield
    finally:
        _documents, sys.stdout = before


def print_json(document: Any) -> None:
    """Print one JSON document on standard output, in ASCII.

    A file name need not be Unicode, nor a terminal able to show what it is written in;
    escapes are read back as they were.
    """
    click.echo(json.dumps(document, allow_nan=False, indent=2), file=_documents)


def fail_json(message: str, exit_code: int, **more: Any) -> None:
    """Print the document of a command that could not do its work."""
    print_json({"error": message, "exit_code": exit_code, **more})


def stdout() -> Console:
    """Return a console for people on standard output; brackets in a text are no markup."""
    # 60 ms, which `--json` does not need.
    from hcs_core.cli._console import PipeConsole, TrimmedFile

    if sys.stdout.isatty():
        return PipeConsole(highlight=False, markup=False)
    # A pipe has no width; 80 columns would cut file names.
    file = cast("IO[str]", TrimmedFile(sys.stdout))
    return PipeConsole(file=file, width=160, highlight=False, markup=False)


def stderr() -> Console:
    """Return a console for people on standard error; brackets in a text are no markup."""
    from hcs_core.cli._console import PipeConsole

    return PipeConsole(stderr=True, highlight=False, markup=False)


def _remember(key: str) -> Callable[[click.Context, click.Parameter, bool], bool]:
    def note(context: click.Context, _: click.Parameter, value: bool) -> bool:
        # `meta` is shared by all contexts of one call, so `main` sees it.
        context.meta[key] = context.meta.get(key, False) or value
        return value

    return note

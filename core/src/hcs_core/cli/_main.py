"""Find the subcommand, run it, and turn errors into one line and an exit code."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import NoReturn

import click

from hcs_core._version import __version__
from hcs_core.cli._output import DEBUG, JSON, fail_json, only_documents
from hcs_core.errors import HcsError, PluginConflictError, SettingError
from hcs_core.registry import Registry, _discovery
from hcs_core.registry._discovery import ONLY

COMMANDS: Registry[click.Command] = Registry("hcs.cli", api=1, doc="commands")
COMMANDS.expect(click.Command, instances=True)

_TEMPORARY = 75
_INTERRUPTED = 130

# What our own commands do, for `hcs --help`, which imports no command.
_SUMMARIES = {
    "arrays": "Array frameworks: which are here, what they share.",
    "compile": "Check a pipeline against a plate and plan the run.",
    "demo": "Make a synthetic plate and run a pipeline over it.",
    "kernels": "The image-processing kernels that are installed.",
    "plate": "What a plate holds.",
    "plugins": "What is installed, what is broken and why.",
    "run": "Run a pipeline over a plate.",
    "status": "Units of a run that are done, failed and pending.",
}


class _Commands(click.Group):
    """The subcommands, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        try:
            return COMMANDS[cmd_name]  # UnknownPluginError says what to install
        except (SettingError, PluginConflictError):
            if cmd_name != "plugins":
                raise
            # `hcs plugins doctor` must be there to tell of it, and of all else.
            from hcs_core.cli.plugins import plugins

            return plugins

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        try:
            rows = _command_rows()
        except SettingError as cause:  # no reason to say nothing of the commands
            _tell(f"warning: {cause}")
            rows = _command_rows_without_faults()
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _command_rows() -> list[tuple[str, str]]:
    """Return the names of the commands, and what each does."""
    return [
        (name, _SUMMARIES.get(name, f"from {COMMANDS.info(name).distribution}"))
        for name in COMMANDS
    ]


def _command_rows_without_faults() -> list[tuple[str, str]]:
    """Return the same, with the settings put aside that cannot be read."""
    from hcs_core.cli._plugin_settings import readable_settings

    before = _discovery._current
    try:
        with readable_settings():
            return _command_rows()
    finally:
        _discovery._current = before


def _without_plugins(_: click.Context, __: click.Parameter, value: bool) -> None:
    """Switch off what is not the core's own, here and in the processes that this one starts."""
    if value:
        os.environ[ONLY] = "dist:hcs-core"
        _discovery._current = None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hcs")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.option(
    "--no-plugins",
    is_flag=True,
    is_eager=True,  # the help that follows it names the core's commands only
    expose_value=False,
    callback=_without_plugins,
    help="Use the core's own plugins only.",
)
def hcs() -> None:
    """Turn plates from high-content screening microscopes into images, objects and tables."""


def run(arguments: list[str]) -> NoReturn:
    """Run the command line and end the process with its exit code."""
    _prepare_streams()
    with ExitStack() as stack:
        stack.enter_context(_one_line_warnings())
        stack.enter_context(_plugins_as_before())
        if "--json" in arguments:
            stack.enter_context(only_documents())
        code = _run(arguments)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    # Shared by all contexts of this call, also when parsing fails half way.
    flags = {DEBUG: "--debug" in arguments, JSON: "--json" in arguments}
    try:
        with hcs.make_context("hcs", arguments) as context:
            hcs.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as cause:
        _show_usage(cause)
        if flags[JSON]:
            fail_json(cause.format_message(), cause.exit_code)
        return cause.exit_code
    except (KeyboardInterrupt, click.Abort):
        _tell("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; the rest is not wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except HcsError as cause:
        return _report(cause, cause.exit_code, debug=flags[DEBUG], as_json=flags[JSON])
    except OSError as cause:  # in the system's own words: a full disk, a name that is too long
        return _report(cause, _TEMPORARY, debug=flags[DEBUG], as_json=flags[JSON])
    return 0


def _report(cause: Exception, exit_code: int, *, debug: bool, as_json: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(cause)
    _tell(f"error: {cause}")
    if as_json:
        with suppress(OSError):  # standard output may be what failed
            fail_json(str(cause), exit_code)
    return exit_code


def _prepare_streams() -> None:
    """Make sure that saying how it went can never fail after the work is done."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller, as `>&-` does: nobody wants to read it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            # An ASCII terminal shows what it cannot spell as \xe9.
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Show warnings to people: without file and line, which say nothing of their data."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        _tell(f"warning: {' '.join(str(message).split())}")

    # Not catch_warnings(), which would forget filters that a plugin sets.
    before = warnings.showwarning
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


@contextmanager
def _plugins_as_before() -> Iterator[None]:
    """Take back what ``--no-plugins`` has done, however the call ends."""
    only, found = os.environ.get(ONLY), _discovery._current
    try:
        yield
    finally:
        if os.environ.get(ONLY) != only:
            os.environ.pop(ONLY, None)
            if only is not None:
                os.environ[ONLY] = only
            _discovery._current = found


def _show_usage(cause: click.ClickException) -> None:
    """Print what click found wrong in one line; `hcs` alone is answered with its help."""
    if isinstance(cause, click.exceptions.NoArgsIsHelpError):
        cause.show()
        return
    message = " ".join(cause.format_message().split())
    context = getattr(cause, "ctx", None)
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    _tell(f"error: {message.removesuffix('.')}{hint}")


def _tell(line: str) -> None:
    # Not click.echo: it takes an ASCII stream for a mistake, and writes UTF-8 into it.
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()

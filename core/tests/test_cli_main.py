"""The command line itself: finding commands, errors in one line, exit codes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import pytest

from hcs_core import __version__
from hcs_core.cli import COMMANDS, common_options, main, print_json
from hcs_core.errors import HcsError, PlateNotFoundError, UsageError
from hcs_core.registry import _discovery
from hcs_core.testing import isolated_registry

Hcs = Callable[..., Any]


@pytest.fixture
def alone() -> Iterator[None]:
    """As if the core were installed without any addon."""
    with isolated_registry():
        yield


@pytest.fixture
def failing() -> Iterator[Callable[[BaseException], None]]:
    """A function: the command `hcs fail` raises this."""
    with ExitStack() as stack:

        def install(error: BaseException) -> None:
            @click.command("fail")
            @common_options
            def fail(as_json: bool) -> None:
                raise error

            stack.enter_context(COMMANDS.overrides(fail=fail))

        yield install


def test_without_arguments_it_says_what_there_is(hcs: Hcs):
    ended = hcs()
    assert ended.code == 2
    for text in ("Usage: hcs", "plugins", "plate", "kernels"):
        assert text in ended.err


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_names_the_commands(option: str, hcs: Hcs):
    ended = hcs(option)
    assert ended.code == 0
    assert "What is installed, what is broken and why." in ended.out
    assert hcs("plugins", option).code == 0
    assert "--json" in hcs("plugins", "list", option).out


@pytest.mark.parametrize("arguments", [("--help",), ()])
def test_a_setting_that_cannot_be_read_does_not_take_the_help_away(
    arguments: tuple[str, ...], hcs: Hcs, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", "cli:plate")
    monkeypatch.setenv("HCS_PLUGINS_PREFER", "zarr")
    monkeypatch.setattr(_discovery, "_current", None)
    ended = hcs(*arguments)
    assert ended.code == (0 if arguments else 2)
    shown = ended.out + ended.err
    assert "What is installed, what is broken and why." in shown
    assert "What a plate holds." not in shown, "the other settings hold"
    assert "warning: the environment variable HCS_PLUGINS_PREFER is 'zarr'" in ended.err
    assert hcs("plugins", "list").code == 2, "all else tells of it"


def test_it_says_its_version(hcs: Hcs):
    ended = hcs("--version")
    assert (ended.code, ended.out) == (0, f"hcs, version {__version__}\n")


def test_an_unknown_command_says_what_there_is(hcs: Hcs):
    ended = hcs("plugin")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert "did you mean 'plugins'?" in ended.err


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("command", ["run", "compile", "status", "demo"])
def test_a_command_of_an_addon_says_what_to_install(command: str, hcs: Hcs):
    ended = hcs(command, "nuclei.toml", "plate", "out")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    for text in (repr(command), "hcs-pipeline", "pip install ./core ./plugins/hcs-pipeline"):
        assert text in ended.err
    assert hcs(command, "--json").json["exit_code"] == 2


@pytest.mark.usefixtures("alone")
def test_help_of_the_core_alone_names_its_own_commands_only(hcs: Hcs):
    out = hcs("--help").out
    assert "plugins" in out
    assert "run " not in out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HcsError("something"), 1),
        (UsageError("something"), 2),
        (PlateNotFoundError("something", "is wrong"), 65),
        (OSError(errno.ENOSPC, "No space left on device", "something"), 75),
        (click.UsageError("something"), 2),
        (click.exceptions.Exit(3), 3),
    ],
)
def test_an_error_is_a_line_and_an_exit_code(
    error: Exception, code: int, hcs: Hcs, failing: Callable[[BaseException], None]
):
    failing(error)
    ended = hcs("fail")
    assert (ended.code, ended.out) == (code, "")
    assert "Traceback" not in ended.err
    if code == 3:
        return
    assert "something" in ended.err
    ended = hcs("fail", "--json")
    assert (ended.code, ended.json["exit_code"]) == (code, code)
    assert "something" in ended.json["error"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_has_an_exit_code_of_its_own(
    error: BaseException, hcs: Hcs, failing: Callable[[BaseException], None]
):
    failing(error)
    ended = hcs("fail")
    assert (ended.code, ended.out, ended.err) == (130, "", "interrupted\n")


def test_a_bug_is_not_hidden(hcs: Hcs, failing: Callable[[BaseException], None]):
    failing(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        main(["fail"])


@pytest.mark.parametrize("arguments", [("--debug", "fail"), ("fail", "--debug")])
def test_debug_shows_where_an_error_comes_from(
    arguments: tuple[str, ...], hcs: Hcs, failing: Callable[[BaseException], None]
):
    failing(UsageError("something"))
    ended = hcs(*arguments)
    assert ended.code == 2
    assert "Traceback (most recent call last)" in ended.err
    assert "error: something" in ended.err


def test_json_is_ascii_that_reads_back_also_a_name_that_is_not_unicode(
    capsys: pytest.CaptureFixture[str],
):
    document = {"plate": "Müller µm \udcff"}
    print_json(document)
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == document


def test_json_has_no_nan():
    with pytest.raises(ValueError, match="JSON"):
        print_json({"x": float("nan")})


@pytest.mark.parametrize("arguments", [("plate", "show"), ("plate", "show", "a", "--nope")])
def test_a_usage_error_is_one_line_with_the_help_to_ask_for(arguments: tuple[str, ...], hcs: Hcs):
    ended = hcs(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert ended.err.startswith("error: ")
    assert ended.err.endswith(" (see hcs plate show --help)\n")


def test_a_choice_of_many_lines_becomes_one(hcs: Hcs, failing: Callable[[BaseException], None]):
    failing(click.UsageError("Missing argument. Choose from:\n\tone,\n\ttwo"))
    assert hcs("fail").err == (
        "error: Missing argument. Choose from: one, two (see hcs fail --help)\n"
    )


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line_without_the_place_in_the_code(hcs: Hcs):
    @click.command("warn")
    def warn() -> None:
        warnings.warn("the plate\nis odd", RuntimeWarning, stacklevel=1)

    before = warnings.showwarning
    with COMMANDS.overrides(warn=warn):
        ended = hcs("warn")
    assert (ended.code, ended.out, ended.err) == (0, "", "warning: the plate is odd\n")
    assert warnings.showwarning is before


def run(command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run `hcs` through a shell, which can close a stream before it starts."""
    code = "from hcs_core.cli import main; main()"
    return subprocess.run(
        ["sh", "-c", command, sys.executable, "-c", code, *arguments],
        capture_output=True,
        check=False,
        env=os.environ | environment,
    )


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_an_ascii_terminal_shows_what_it_cannot_spell_as_escapes(tmp_path: Path):
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = run('"$0" "$@"', "plate", "show", str(tmp_path / "µ"), **ascii_only)
    assert done.returncode == 65
    assert done.stderr.startswith(b"error: no plate at ")
    assert b"\\" in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("closing", [">&-", "2>&-", ">&- 2>&-"])
@pytest.mark.parametrize("arguments", [("plugins", "list"), ("plugins", "list", "--json")])
def test_a_stream_that_is_closed_from_the_start_is_nothing_to_write_to(
    closing: str, arguments: tuple[str, ...]
):
    done = run(f'"$0" "$@" {closing}', *arguments)
    assert (done.returncode, done.stderr) == (0, b"")
    assert bool(done.stdout) == (closing == "2>&-")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [("plugins", "list"), ("plugins", "list", "--json")])
def test_a_full_disk_is_one_line(arguments: tuple[str, ...]):
    done = run('"$0" "$@" >/dev/full', *arguments)
    assert done.returncode == 75
    assert done.stderr == b"error: [Errno 28] No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="pipes break otherwise there")
@pytest.mark.parametrize("arguments", [["plugins", "list"], ["plugins", "list", "--json"]])
def test_a_reader_that_went_away_is_no_error(arguments: list[str]):
    reading, writing = os.pipe()
    os.close(reading)
    code = f"from hcs_core.cli import main; main({arguments!r})"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")

"""What every command must hold: inherit `CommandTests`, give it a command and its name."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import click
import pytest

from hcs_core.cli import COMMANDS, main
from hcs_core.testing._samples import is_one_line

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_NO_OPTION = "--no-such-option"


class Ended(NamedTuple):
    """What a command printed, and its exit code."""

    code: object
    out: str
    err: str


class CommandTests:
    """Tests that a subcommand of `hcs` passes; nothing of what it does is run.

    Subclass it in a test module, and give it `command` and `name`: the object and the key
    of its entry point. Of a group, every command in it is tested.

    Examples
    --------
    >>> class TestMyCommand(CommandTests):
    ...     command = my_command
    ...     name = "my-command"
    """

    command: ClassVar[click.Command]
    name: ClassVar[str]

    @pytest.fixture
    def hcs(self, capsys: pytest.CaptureFixture[str]) -> Hcs:
        """Return `hcs` of this process, with the command in it."""
        return Hcs(self, capsys)

    def test_its_name_is_its_key(self) -> None:
        assert isinstance(self.command, click.Command)
        assert self.command.name == self.name
        for path, _ in self._commands():
            assert all(map(_NAME.fullmatch, path)), path

    def test_its_help_says_what_it_does_in_one_line(self) -> None:
        for path, command in self._commands():
            assert is_one_line(_first_line(command)), path

    @pytest.mark.parametrize("option", ["--help", "-h"])
    def test_help_shows_that_line_and_runs_nothing(self, hcs: Hcs, option: str) -> None:
        for path, command in self._commands():
            ended = hcs(*path, option)
            assert (ended.code, ended.err) == (0, ""), path
            assert " ".join(_first_line(command).split()) in " ".join(ended.out.split())

    def test_it_takes_json_and_debug(self, hcs: Hcs) -> None:
        for path in self._leaves():
            ended = hcs(*path, "--json", "--debug", "--help")
            assert ended.code == 0, ended.err

    def test_every_option_says_what_it_does(self) -> None:
        for path, command in self._commands():
            options = [each for each in command.params if isinstance(each, click.Option)]
            silent = [each.name for each in options if not each.hidden and not each.help]
            assert silent == [], path

    def test_an_unknown_option_is_one_line(self, hcs: Hcs) -> None:
        for path, _ in self._commands():
            ended = hcs(*path, _NO_OPTION)
            assert (ended.code, ended.out) == (2, ""), path
            assert ended.err.count("\n") == 1, ended.err
            assert _NO_OPTION in ended.err
            assert "Traceback" not in ended.err

    def test_a_failure_with_json_is_one_document(self, hcs: Hcs) -> None:
        for path in self._leaves():
            ended = hcs(*path, "--json", _NO_OPTION)
            document = json.loads(ended.out)
            assert (ended.code, document["exit_code"]) == (2, 2)
            assert _NO_OPTION in document["error"]

    def _commands(self) -> Iterator[tuple[tuple[str, ...], click.Command]]:
        """Yield what a user types, and the command; of a group first itself."""
        yield from _walk((self.name,), self.command)

    def _leaves(self) -> list[tuple[str, ...]]:
        return [path for path, command in self._commands() if not isinstance(command, click.Group)]


class Hcs:
    """Calls `hcs` in this process, with a command in it."""

    def __init__(self, suite: CommandTests, capsys: pytest.CaptureFixture[str]) -> None:
        self._suite = suite
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ended:
        """Return what `hcs` did with these arguments."""
        self._capsys.readouterr()
        with (
            COMMANDS.overrides(**{self._suite.name: self._suite.command}),
            pytest.raises(SystemExit) as ended,
        ):
            main(arguments)
        printed = self._capsys.readouterr()
        return Ended(ended.value.code, printed.out, printed.err)


def _walk(
    path: tuple[str, ...], command: click.Command
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _walk((*path, name), below)


def _first_line(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").partition("\n")[0]

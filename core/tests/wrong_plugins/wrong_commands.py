"""Commands that hold their contract, and commands that each break one promise."""

from __future__ import annotations

from typing import ClassVar

import click

from hcs_core.cli import common_options, print_json
from hcs_core.testing import CommandTests


@click.group()
def toy() -> None:
    """What a toy does."""


@toy.command()
@click.option("--loud", is_flag=True, help="So that all hear it.")
@common_options
def play(loud: bool, as_json: bool) -> None:
    """Play with it, as long as it takes for this line not to fit into the width of a terminal."""
    raise AssertionError("a test of a command runs nothing")


class ToyCommandTests(CommandTests):
    name = "toy"
    caught_by: ClassVar[tuple[str, ...]] = ()


class TestRight(ToyCommandTests):
    command = toy


class TestOtherName(ToyCommandTests):
    command = play
    caught_by = ("test_its_name_is_its_key",)


@click.command("toy")
@click.option("--loud", is_flag=True)
def silent(loud: bool) -> None:
    print_json({"loud": loud})


class TestSilent(ToyCommandTests):
    command = silent
    caught_by = (
        "test_its_help_says_what_it_does_in_one_line",
        "test_it_takes_json_and_debug",
        "test_every_option_says_what_it_does",
    )


@click.command("toy", add_help_option=False)
@common_options
def helpless(as_json: bool) -> None:
    """Do something."""


class TestHelpless(ToyCommandTests):
    command = helpless
    caught_by = ("test_help_shows_that_line_and_runs_nothing",)


@click.command("toy", context_settings={"ignore_unknown_options": True})
@click.argument("anything", nargs=-1)
@common_options
def takes_anything(anything: tuple[str, ...], as_json: bool) -> None:
    """Do something."""


class TestTakesAnything(ToyCommandTests):
    command = takes_anything
    caught_by = (
        "test_an_unknown_option_is_one_line",
        "test_a_failure_with_json_is_one_document",
    )

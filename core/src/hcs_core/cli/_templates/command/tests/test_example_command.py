"""The command holds the contract of all commands, and counts what is in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hcs_core.cli import COMMANDS
from hcs_core.testing import CommandTests, assert_listing_imports_nothing
from hcs_core.testing.commands import Hcs

from example_command.command import command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three images, one of them in a folder below, and one log."""
    (tmp_path / "day 2").mkdir()
    for name in ("a.tif", "b.TIF", "day 2/c.tif", "scan.log"):
        (tmp_path / name).touch()
    return tmp_path


class TestExampleCommand(CommandTests):
    command = command
    name = "example-command"

    def test_files_are_counted_by_extension(self, hcs: Hcs, folder: Path) -> None:
        ended = hcs(self.name, str(folder), "--json")
        assert ended.code == 0, ended.err
        assert json.loads(ended.out) == {".tif": 3, ".log": 1}

    def test_rare_extensions_are_left_out(self, hcs: Hcs, folder: Path) -> None:
        ended = hcs(self.name, str(folder), "--json", "--least", "2")
        assert json.loads(ended.out) == {".tif": 3}

    def test_people_get_a_table(self, hcs: Hcs, folder: Path) -> None:
        ended = hcs(self.name, str(folder))
        rows = [line.split() for line in ended.out.splitlines()]
        assert rows == [["extension", "files"], [".tif", "3"], [".log", "1"]]

    def test_a_folder_that_is_not_there_is_one_line(self, hcs: Hcs, tmp_path: Path) -> None:
        ended = hcs(self.name, str(tmp_path / "nowhere"))
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.count("\n") == 1
        assert "is no folder" in ended.err


def test_it_is_listed_and_listing_imports_nothing() -> None:
    info = COMMANDS.info("example-command")
    assert info.distribution == "example-command"
    assert_listing_imports_nothing()

"""The commands of this addon hold the contract of all commands."""

from __future__ import annotations

from hcs_core.testing import CommandTests
from hcs_pipeline.cli.compile import compile_
from hcs_pipeline.cli.demo import demo
from hcs_pipeline.cli.run import run
from hcs_pipeline.cli.status import status


class TestCompile(CommandTests):
    command = compile_
    name = "compile"


class TestDemo(CommandTests):
    command = demo
    name = "demo"


class TestRun(CommandTests):
    command = run
    name = "run"


class TestStatus(CommandTests):
    command = status
    name = "status"

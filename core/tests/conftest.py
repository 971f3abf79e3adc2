"""What the tests of the command line share, and which tests this machine cannot run."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest

from hcs_core.cli import main


@cache
def lacks_opencl() -> bool:
    """Return whether pyclesperanto is installed and finds no driver, as without PoCL."""
    if find_spec("pyclesperanto") is None:
        return False  # its tests skip by themselves
    from hcs_core.arrays import devices

    return not devices("pyclesperanto")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark of tests that are named after pyclesperanto and need no device of it."""
    config.addinivalue_line("markers", "driverless: needs no OpenCL driver, whatever its name is")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is named after pyclesperanto where it has no device."""
    is_named = "pyclesperanto" in item.name.lower()
    if is_named and item.get_closest_marker("driverless") is None and lacks_opencl():
        pytest.skip("pyclesperanto finds no OpenCL driver here")


class Ended:
    """What a command printed, and its exit code."""

    def __init__(self, code: object, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def hcs(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """`hcs` in this process."""

    def call(*arguments: str) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = capsys.readouterr()
        return Ended(ended.value.code, printed.out, printed.err)

    return call

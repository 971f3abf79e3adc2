"""What `hcs arrays` finds out, shows, and survives; the process it starts is the real one."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hcs_core.cli import COMMANDS
from hcs_core.cli._array_tables import print_matrix
from hcs_core.cli.arrays import arrays
from hcs_core.registry import _discovery
from hcs_core.testing import CommandTests, isolated_registry
from hcs_core.testing.registry import IsolatedRegistry

Hcs = Callable[..., Any]
HEAVY = ("cupy", "jax", "pyclesperanto", "tensorflow", "torch")

TOY = """
import os
import time

from hcs_core.arrays import ArrayAdapter, Capabilities, DeviceMemory, describe


class Toy:
    def __init__(self, host, device):
        self.host, self.device = host, device


class Adapter(ArrayAdapter):
    name = "toy"
    module_names = ("acme_toy",)

    def owns(self, value):
        return isinstance(value, Toy)

    def capabilities(self):
        return Capabilities(dtypes=frozenset(("uint16",)))

    def describe(self, array):
        info = describe(array.host)._replace(framework="toy", readonly=False, frozen=False)
        return info if array.device == "cpu" else info._replace(device=array.device, pointer=0)

    def to_host(self, array):
        return array.host if array.device == "cpu" else array.host.copy()

    def from_host(self, array, device):
        return Toy(array if device == "cpu" else array.copy(), device)

    def devices(self):
        print("a framework that talks")
        return ("cpu", "toy:0", "toy:1")

    def memory(self, device):
        return DeviceMemory(device, 3 << 29, 1 << 30) if device == "toy:0" else None
"""
ENDS = {
    "a signal": ("os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
    "an exit code": ("os._exit(7)", "ended with exit code 7"),
}


class TestArrays(CommandTests):
    command = arrays
    name = "arrays"


@pytest.fixture
def environment() -> Iterator[IsolatedRegistry]:
    """NumPy, and what a test installs; what takes seconds to load is left out."""
    with isolated_registry() as environment, COMMANDS.overrides(arrays=arrays):
        os.environ["HCS_PLUGINS_DISABLE"] = ", ".join(f"arrays:{name}" for name in HEAVY)
        _discovery.discover()
        yield environment


def install(environment: IsolatedRegistry, old: str = "", new: str = "") -> None:
    """Install a framework, of which a line may be another."""
    assert old in TOY
    declared = {"hcs.arrays.v1": {"toy": "acme_toy:Adapter"}}
    environment.install("acme", declared, {"acme_toy.py": TOY.replace(old, new) if old else TOY})


# -- matrix ---------------------------------------------------------------------------------


def test_numpy_alone_has_no_pairs(environment: IsolatedRegistry, hcs: Hcs):
    ended = hcs("arrays", "matrix")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[1].split() == ["numpy", "ready", "cpu"]
    assert lines[-1] == "no pairs: a conversion needs two frameworks that can be used here"


def test_each_conversion_is_one_object_and_nothing_else_is_printed(
    environment: IsolatedRegistry, hcs: Hcs
):
    install(environment)
    ended = hcs("arrays", "matrix", "--json")
    assert (ended.code, ended.err, ended.json["ok"]) == (0, "", True)
    assert (ended.json["shape"], ended.json["dtype"]) == ([1024, 1024], "uint16")
    assert ended.json["frameworks"] == [
        {"name": "numpy", "state": "ready", "devices": ["cpu"], "reason": ""},
        {"name": "toy", "state": "ready", "devices": ["cpu", "toy:0", "toy:1"], "reason": ""},
    ]
    ends = ("source", "source_device", "target", "target_device")
    found = {
        tuple(pair[end] for end in ends): (pair["action"], pair["shared"])
        for pair in ended.json["pairs"]
        if pair["memory"] == "writable"
    }
    assert found == {
        ("numpy", "cpu", "toy", "cpu"): ("alias", True),
        ("numpy", "cpu", "toy", "toy:0"): ("move", False),
        ("toy", "cpu", "numpy", "cpu"): ("alias", True),
        ("toy", "cpu", "toy", "toy:0"): ("move", False),
        ("toy", "toy:0", "numpy", "cpu"): ("move", False),
        ("toy", "toy:0", "toy", "cpu"): ("move", False),
    }
    for pair in ended.json["pairs"]:
        assert (pair["fault"], pair["microseconds"] > 0) == ("", True)
        assert bool(pair["reason"]) is not pair["shared"]


def test_people_see_the_routes_in_a_table(environment: IsolatedRegistry, hcs: Hcs):
    install(environment)
    lines = hcs("arrays", "matrix").out.splitlines()
    (row,) = (line.split() for line in lines if line.startswith("numpy      toy  "))
    assert [row[2], row[4], row[5], row[7], row[8:]] == ["alias", "us", "alias", "us", []]
    (row,) = (line.split() for line in lines if line.startswith("numpy      toy toy:0"))
    assert [row[3], *row[9:]] == ["move", "it", "lies", "on", "cpu"]
    assert lines[-1] == "one uint16 plane of 1024 x 1024, the best of several conversions"


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize(
    ("line", "doing"),
    [
        ('print("a framework that talks")', "loading toy"),
        ('return Toy(array if device == "cpu"', "converting numpy to toy"),
    ],
)
def test_a_framework_that_ends_the_process_ends_no_command(
    environment: IsolatedRegistry, hcs: Hcs, how: str, line: str, doing: str
):
    if sys.platform == "win32" and how == "a signal":
        pytest.skip("Windows has no signals")
    statement, told = ENDS[how]
    install(environment, line, f"{statement}; {line}")
    ended = hcs("arrays", "matrix", "--json")
    assert (ended.code, ended.err, ended.json["ok"]) == (1, "", False)
    numpy, toy = ended.json["frameworks"]
    assert (numpy["name"], numpy["state"]) == ("numpy", "ready")
    assert (toy["name"], toy["state"], toy["devices"]) == ("toy", "broken", [])
    assert toy["reason"] == f"the process {told} while {doing}"


def test_a_framework_that_takes_too_long_is_left_out(environment: IsolatedRegistry, hcs: Hcs):
    install(environment, 'print("a framework that talks")', "time.sleep(600)")
    ended = hcs("arrays", "devices", "--timeout", "5")
    assert ended.code == 1
    assert "the process took more than 5 s and was ended while loading toy" in ended.out
    assert "numpy" in ended.out


def test_a_conversion_that_goes_wrong_is_a_fault_and_exit_code_1(
    environment: IsolatedRegistry, hcs: Hcs
):
    install(environment, "return Toy(array if", "return Toy(array * 0 if")
    ended = hcs("arrays", "matrix")
    assert ended.code == 1
    assert "FAULT" in ended.out
    assert "alias was planned, but memory is not shared" in ended.out


def test_a_process_that_cannot_begin_is_one_line(
    environment: IsolatedRegistry, hcs: Hcs, monkeypatch: pytest.MonkeyPatch
):
    failing = shutil.which("false")
    if failing is None:
        pytest.skip("needs a program that fails")
    monkeypatch.setattr(sys, "executable", failing)
    ended = hcs("arrays", "matrix")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "error: the array frameworks could not be looked at: the process ended with exit code 1\n"
    )


def test_a_time_that_is_no_number_is_refused(hcs: Hcs):
    with COMMANDS.overrides(arrays=arrays):
        ended = hcs("arrays", "devices", "--timeout", "nan")
    assert (ended.code, ended.out) == (2, "")
    assert "nan is no number of seconds" in ended.err


def test_the_reason_is_said_once_where_both_promises_have_it(capsys: pytest.CaptureFixture[str]):
    ends = {"source": "a", "source_device": "cpu", "target": "b", "target_device": "cuda:0"}
    pair = ends | {"action": "copy", "microseconds": 7.25, "fault": "", "reason": "it must"}
    shared = pair | {"action": "alias", "reason": ""}
    refused = pair | {"action": None, "microseconds": None, "reason": "it is refused"}
    for writable, frozen, expected in (
        (pair, pair, "a     b cuda:0  copy       7.2 us  copy       7.2 us  it must"),
        (pair, shared, "a     b cuda:0  copy       7.2 us  alias      7.2 us  writable: it must"),
        (refused, refused, "a     b cuda:0  refused          refused        it is refused"),
    ):
        pairs = [writable | {"memory": "writable"}, frozen | {"memory": "frozen"}]
        print_matrix({"pairs": pairs, "shape": [2, 3], "dtype": "uint16"})
        assert capsys.readouterr().out.splitlines()[2] == expected


# -- devices --------------------------------------------------------------------------------


def test_the_memory_of_devices_is_listed_where_it_is_known(environment: IsolatedRegistry, hcs: Hcs):
    install(environment)
    ended = hcs("arrays", "devices")
    assert (ended.code, ended.err) == (0, "")
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[-3:] == [
        ["toy", "cpu", "-", "-"],
        ["toy", "toy:0", "1.5", "GiB", "1.0", "GiB"],
        ["toy", "toy:1", "-", "-"],
    ]
    toy = hcs("arrays", "devices", "--json").json["frameworks"][-1]
    assert toy["devices"][1] == {
        "device": "toy:0",
        "used_bytes": 3 << 29,
        "free_bytes": 1 << 30,
    }
    assert toy["devices"][2] == {"device": "toy:1", "used_bytes": None, "free_bytes": None}


def test_a_framework_that_is_not_installed_says_how_to_install_it(
    environment: IsolatedRegistry, hcs: Hcs
):
    install(environment, '("acme_toy",)', '("no_such_module",)')
    ended = hcs("arrays", "devices")
    assert ended.code == 0  # nobody has them all
    assert "not installed; install it with: python -m pip install no_such_module" in ended.out

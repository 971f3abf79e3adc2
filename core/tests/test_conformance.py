"""No check of a conformance suite is one that cannot fail: each finds a plugin that is wrong.

The plugins are in ``wrong_plugins``. A class there says in `caught_by` which tests must fail
for it; ``TestRight`` passes all of them.
"""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path

import pytest

import hcs_core.testing
from hcs_core.errors import MissingLibraryError

pytest.importorskip("tifffile")

pytest_plugins = ["pytester"]

FOLDER = Path(__file__).parent / "wrong_plugins"
SUITES = {
    "wrong_adapters": "ArrayAdapterTests",
    "wrong_commands": "CommandTests",
    "wrong_kernels": "KernelLibraryTests",
    "wrong_readers": "PlateReaderTests",
}
WRONG = pytest.mark.parametrize("module", SUITES)


def checks_of(suite: str) -> set[str]:
    members = inspect.getmembers(getattr(hcs_core.testing, suite), inspect.isfunction)
    return {name for name, _ in members if name.startswith("test_")}


def promises(module: str) -> list[str]:
    """Return ``class::test`` for every failure that a module of wrong plugins promises."""
    tree = ast.parse((FOLDER / f"{module}.py").read_text("utf-8"))
    return [
        f"{node.name}::{test}"
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "caught_by"
        for test in ast.literal_eval(line.value)
    ]


def run(pytester: pytest.Pytester, module: str, *tests: str) -> tuple[set[str], set[str]]:
    """Return which tests passed and which failed, as ``class::test`` without parameters."""
    file = FOLDER / f"{module}.py"
    pytester.syspathinsert(FOLDER)
    done = pytester.inline_run("-p", "no:cacheprovider", *(f"{file}::{test}" for test in tests))
    outcomes = done.listoutcomes()
    passed, failed = (
        {report.nodeid.partition("::")[2].partition("[")[0] for report in reports}
        for reports in (outcomes[0], outcomes[2])
    )
    return passed, failed


@WRONG
def test_every_check_of_a_suite_catches_a_plugin_that_is_wrong(
    module: str, pytester: pytest.Pytester
):
    promised = promises(module)
    _, failed = run(pytester, module, *promised)
    assert failed == set(promised)
    assert {test.partition("::")[2] for test in promised} == checks_of(SUITES[module])


@WRONG
def test_a_plugin_that_holds_its_contract_passes_the_whole_suite(
    module: str, pytester: pytest.Pytester
):
    passed, failed = run(pytester, module, "TestRight")
    assert failed == set()
    assert {test.partition("::")[2] for test in passed} == checks_of(SUITES[module])


def test_a_suite_shows_the_values_that_it_compared():
    for name in hcs_core.testing._LAZY:
        suite = getattr(hcs_core.testing, name)
        assert "@pytest_ar" in vars(sys.modules[suite.__module__]), name


def test_without_pytest_a_suite_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pytest", None)
    monkeypatch.delitem(sys.modules, "hcs_core.testing.plates", raising=False)
    with pytest.raises(MissingLibraryError, match=r"PlateReaderTests .*core\[testing\]"):
        hcs_core.testing.PlateReaderTests  # noqa: B018


def test_the_testing_package_has_no_other_names():
    with pytest.raises(AttributeError, match="no_such_name"):
        hcs_core.testing.no_such_name  # noqa: B018

"""The layers of the house: who may depend on whom, and that all that is declared is there."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from hcs_core.kernels import KernelLibrary
from hcs_core.plates import PlateReader

ROOT = Path(__file__).resolve().parent.parent
PROJECTS = {
    file.parent.name if file.parent.name != "core" else "hcs-core": file
    for file in [ROOT / "core" / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
}
ADDONS = sorted(set(PROJECTS) - {"hcs-core"})


def project(name: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(PROJECTS[name].read_text("utf-8"))["project"]
    return table


def requirements(name: str) -> list[str]:
    table = project(name)
    optional = [line for extra in table.get("optional-dependencies", {}).values() for line in extra]
    return [*table["dependencies"], *optional]


def entry_points() -> list[tuple[str, str, str, str]]:
    return [
        (name, group, key, value)
        for name in PROJECTS
        for group, points in project(name)["entry-points"].items()
        for key, value in points.items()
    ]


def is_right_kind(group: str, value: Any) -> bool:
    if group == "hcs.cli.v1":
        return isinstance(value, click.Command)
    if group == "hcs.kernels.v1":
        return isinstance(value, KernelLibrary)
    if group == "hcs.microscopes.v1":
        return issubclass(value, PlateReader) and not value.__abstractmethods__
    from hcs_core.arrays import ArrayAdapter
    from hcs_core.storage import FileFormat, StorageBackend

    bases = {
        "hcs.arrays.v1": ArrayAdapter,
        "hcs.formats.extensions.v1": FileFormat,
        "hcs.formats.v1": FileFormat,
        "hcs.storage.v1": StorageBackend,
    }
    return issubclass(value, bases[group]) and not getattr(value, "__abstractmethods__", None)


@pytest.mark.skipif(
    importlib.util.find_spec("importlinter") is None, reason="`nox -s lint` checks the layers"
)
def test_the_layers_hold():
    sources = [str(file.parent / "src") for file in PROJECTS.values()]
    sources += filter(None, [os.environ.get("PYTHONPATH")])
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as run; run()",
            "--no-cache",
        ],
        capture_output=True,
        check=False,
        cwd=ROOT,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sources)},
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("addon", ADDONS)
def test_an_addon_depends_on_the_core_and_on_no_other_addon(addon: str):
    ours = [line for line in requirements(addon) if re.match(r"(hcs|polystore)-", line)]
    assert ours, "an addon needs the core"
    assert all(re.fullmatch(r"hcs-core(\[[a-z,]+\])?>=1\.0,<2", line) for line in ours)
    assert not any(
        re.match(r"(hcs|polystore)-", line)
        for line in requirements("hcs-core")
        if "hcs-core[" not in line
    )


@pytest.mark.parametrize("name", PROJECTS)
def test_an_addon_asks_for_core_extras_that_exist(name: str):
    known = set(project("hcs-core")["optional-dependencies"])
    asked = [re.match(r"hcs-core\[([a-z,]+)\]", line) for line in requirements(name)]
    assert {extra for match in asked if match for extra in match[1].split(",")} <= known


@pytest.mark.parametrize(("name", "group", "key", "value"), entry_points())
def test_every_declared_plugin_is_there_and_of_its_kind(
    name: str, group: str, key: str, value: str
):
    module, _, attribute = value.partition(":")
    plugin = getattr(importlib.import_module(module), attribute)
    assert is_right_kind(group, plugin)
    if group == "hcs.cli.v1":
        assert plugin.name == key
    if group == "hcs.kernels.v1":
        assert plugin.name == key
    if group == "hcs.microscopes.v1":
        assert plugin.format == key


@pytest.mark.parametrize("name", PROJECTS)
def test_what_is_installed_declares_the_same_plugins(name: str):
    installed = {
        (point.group, point.name, point.value)
        for point in importlib.metadata.distribution(name).entry_points
        if point.group.startswith("hcs.")
    }
    written = {(group, key, value) for own, group, key, value in entry_points() if own == name}
    assert installed == written, "install the package again: its entry points have changed"


def test_the_command_is_installed():
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="hcs")
    assert script.value == project("hcs-core")["scripts"]["hcs"]
    assert callable(script.load())


@pytest.mark.parametrize("name", PROJECTS)
def test_a_package_is_typed_licensed_and_versioned(name: str):
    folder = PROJECTS[name].parent
    package = name.replace("-", "_")
    assert (folder / "src" / package / "py.typed").is_file()
    assert {"LICENSE", "README.md", "CHANGELOG.md"} <= {path.name for path in folder.iterdir()}
    version = (folder / "src" / package / "_version.py").read_text("utf-8")
    assert importlib.import_module(package).__version__ in version
    assert importlib.metadata.version(name) in version


def packages() -> list[str]:
    """Return every package of ours that people import: those without an underscore."""
    found = []
    for name, file in PROJECTS.items():
        source = file.parent / "src"
        for init in (source / name.replace("-", "_")).rglob("__init__.py"):
            parts = init.parent.relative_to(source).parts
            if not any(part.startswith("_") for part in parts):
                found.append(".".join(parts))
    return sorted(found)


@pytest.mark.parametrize("name", packages())
def test_a_catalogue_is_sorted_and_true(name: str):
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None)
    if names is None:
        public = [key for key in vars(module) if not key.startswith("_") and key != "annotations"]
        in_package = [key for key in public if not hasattr(vars(module)[key], "__path__")]
        assert all(
            getattr(vars(module)[key], "__spec__", None) is not None for key in in_package
        ), "a catalogue with names has an __all__"
        return
    # Constants, classes, functions, as the linter sorts them.
    assert len(names) == len(set(names))
    assert names == sorted(names, key=_order)
    assert [key for key in names if not hasattr(module, key)] == []


def _order(name: str) -> tuple[int, str]:
    if name.isupper():
        return 0, name
    return (1 if name.lstrip("_")[0].isupper() else 2), name

"""What changes in the environment is seen, with the persistent index too.

Every row is a way in which installers, build tools, images and people change what is
installed. What importlib.metadata says in a fresh process is right.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hcs_core.registry import Registry, _discovery
from hcs_core.registry import _registry as registry_module

pytestmark = pytest.mark.skipif(os.name == "nt", reason="its cache folder is not set from outside")

MODES = ("off", "auto", "on")
RACY_S = 2.1  # stamps younger than two seconds are never stored

OURS = """
import json, sys
from hcs_core.registry import Registry, _discovery
told = {}
for site in json.load(sys.stdin):
    sys.path.insert(0, site)
    _discovery._current = None
    infos = Registry("hcs.bench").infos()
    told[site] = sorted([i.key, i.value, i.distribution, i.version] for i in infos)
    sys.path.remove(site)
print(json.dumps(told))
"""

THEIRS = """
import json, sys
from importlib.metadata import distributions
told = {}
for site in json.load(sys.stdin):
    told[site] = sorted(
        [point.name, point.value, found.metadata["Name"], found.version]
        for found in distributions(path=[site])
        for point in found.entry_points
        if point.group == "hcs.bench.v1"
    )
print(json.dumps(told))
"""

Row = list[str]
"""Of one plugin: key, value, distribution and version."""


class Cell(NamedTuple):
    """One row of the matrix under one setting of the index."""

    change: str
    mode: str
    moment: str


class Seen(NamedTuple):
    """What was listed in one cell."""

    before: list[Row]  # in a running process
    was_indexed: bool
    is_told: bool  # what refresh() returned
    running: list[Row]
    fresh: list[Row]
    oracle: list[Row]


# -- an environment, and what can happen to it -------------------------------------------------


def lay(
    site: Path, name: str, key: str | None, version: str = "1.0", folder: str = ".dist-info"
) -> Path:
    """Lay a distribution down as an installer, or a build in a source tree, would."""
    about = site / (f"{name}-{version}{folder}" if folder == ".dist-info" else f"{name}{folder}")
    about.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (about / ("METADATA" if folder == ".dist-info" else "PKG-INFO")).write_text(text)
    if key is not None:
        declare(about, name, key)
    return about


def declare(about: Path, name: str, key: str) -> None:
    (about / "entry_points.txt").write_text(f"[hcs.bench.v1]\n{key} = {name}_plugin:C\n")


def make(site: Path) -> None:
    lay(site, "alpha", "a")
    lay(site, "beta", "b")
    lay(site, "plain", None)
    other = lay(site, "other", None)
    (other / "entry_points.txt").write_text("[console_scripts]\nother = other:main\n")
    lay(site, "legacy", "l", folder=".egg-info")
    lay(site, "bare", None, folder=".egg-info")
    (site / "plain_plugin.py").write_text("class C: ...")


def put_back(*paths: Path) -> Callable[[], None]:
    """Return what restores the times that these have now."""
    times = {path: (path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in paths}

    def restore() -> None:
        for path, both in times.items():
            os.utime(path, ns=both)

    return restore


def install(site: Path) -> None:
    lay(site, "gamma", "g")


def uninstall(site: Path) -> None:
    shutil.rmtree(site / "beta-1.0.dist-info")


def upgrade(site: Path) -> None:
    uninstall(site)
    lay(site, "beta", "b", "1.1")


def reinstall(site: Path) -> None:
    uninstall(site)
    lay(site, "beta", "B")


def edit(site: Path) -> None:
    declare(site / "beta-1.0.dist-info", "beta", "X")  # of the same size


def replace_file(site: Path) -> None:
    new = site / "beta-1.0.dist-info/entry_points.txt.new"
    new.write_text("[hcs.bench.v1]\nX = beta_plugin:C\n")
    new.replace(new.with_suffix(""))


def remove_file(site: Path) -> None:
    (site / "beta-1.0.dist-info/entry_points.txt").unlink()


def rewrite_egg_info(site: Path) -> None:
    declare(site / "legacy.egg-info", "legacy", "Y")


def declare_in_egg_info(site: Path) -> None:
    declare(site / "bare.egg-info", "bare", "Z")


def edit_in_secret(site: Path) -> None:
    restore = put_back(site / "beta-1.0.dist-info/entry_points.txt")
    edit(site)
    restore()


def install_in_secret(site: Path) -> None:
    restore = put_back(site)
    install(site)
    restore()


def swap_image(site: Path) -> None:
    """Put another image of one SOURCE_DATE_EPOCH in the place of the old one."""
    time_ns = site.stat().st_mtime_ns
    site.rename(f"{site}.old")
    lay(site, "alpha", "a")
    lay(site, "delta", "d")
    for path in (site, *site.rglob("*")):
        os.utime(path, ns=(time_ns, time_ns))


def sync_in_place(site: Path) -> None:
    """Do as ``rsync -a`` and ``tar -x`` do: old times on all that they touch."""
    about = site / "beta-1.0.dist-info"
    restore = put_back(about / "entry_points.txt", about, site)
    edit(site)
    restore()


def declare_in_plain(site: Path) -> None:
    declare(site / "plain-1.0.dist-info", "plain", "P")


def declare_beside_others(site: Path) -> None:
    with (site / "other-1.0.dist-info/entry_points.txt").open("a") as file:
        file.write("[hcs.bench.v1]\nO = other_plugin:C\n")


CHANGES: dict[str, Callable[[Path], None]] = {
    "install": install,
    "uninstall": uninstall,
    "upgrade": upgrade,
    "the same version reinstalled with other entry points": reinstall,
    "entry_points.txt edited in place": edit,
    "entry_points.txt replaced by another file": replace_file,
    "entry_points.txt removed in place": remove_file,
    "egg-info in a source tree rewritten": rewrite_egg_info,
    "our group added to an egg-info in a source tree": declare_in_egg_info,
    "edited, old mtime put back": edit_in_secret,
    "installed, directory mtime put back": install_in_secret,
    "image swapped, times clamped": swap_image,
    "rsync or tar in place, old times everywhere": sync_in_place,
    "entry_points.txt added in place to a distribution without our groups": declare_in_plain,
    "our group added in place to a distribution without our groups": declare_beside_others,
}
# What no installer does. A stat of every distribution would find it, and be a scan.
STALE_BY_DESIGN = {declare_in_plain, declare_beside_others}
CELLS = [
    Cell(change, mode, moment)
    for change in CHANGES
    for mode in MODES
    for moment in ("at once", "later")
]


# -- every cell of the matrix, listed once for all tests -----------------------------------------


def listed(things: Registry[Any]) -> list[Row]:
    infos = things.infos()
    return sorted([info.key, info.value, info.distribution, info.version] for info in infos)


def ask(script: str, sites: list[str], settings: dict[str, str]) -> dict[str, list[Row]]:
    """Return what a fresh process lists of each site."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(sites),
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, list[Row]] = json.loads(done.stdout)
    return answer


def settings_of(root: Path, mode: str, index: str | None = None) -> dict[str, str]:
    home = root / mode / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "HCS_CONFIG": "",
        "XDG_CONFIG_HOME": str(home),
        "HCS_PLUGIN_INDEX": index or mode,
    }


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Cell, Seen]]:
    root = tmp_path_factory.mktemp("matrix")
    sites = {cell: root / cell.mode / str(number) for number, cell in enumerate(CELLS)}
    late = {cell: site for cell, site in sites.items() if cell.moment == "later"}
    for site in late.values():
        make(site)
    time.sleep(RACY_S)
    for mode in ("auto", "on"):  # one scan is slow at some time, so "auto" has an index too
        here = [str(site) for cell, site in late.items() if cell.mode == mode]
        ask(OURS, here, settings_of(root, mode, "on"))
    running = {cell: run(cell, site, root) for cell, site in sites.items()}
    fresh: dict[str, list[Row]] = {}
    for mode in MODES:
        here = [str(site) for cell, site in sites.items() if cell.mode == mode]
        fresh |= ask(OURS, here, settings_of(root, mode))
    oracle = ask(THEIRS, [str(site) for site in sites.values()], {})
    yield {
        cell: Seen(*running[cell], fresh[str(site)], oracle[str(site)])
        for cell, site in sites.items()
    }
    shutil.rmtree(root)


def run(cell: Cell, site: Path, root: Path) -> tuple[list[Row], bool, bool, list[Row]]:
    """Return what this process lists before a change, and after it and a refresh."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings_of(root, cell.mode).items():
            patch.setenv(name, value)
        if cell.moment == "at once":
            make(site)
        patch.setattr(sys, "path", [str(site), *sys.path])
        patch.setattr(_discovery, "_current", None)
        patch.setattr(_discovery, "_prefixes", ("hcs.",))
        patch.setattr(registry_module, "_KINDS", {})
        things: Registry[Any] = Registry("hcs.bench")
        before = listed(things)
        was_indexed = any(
            place.path == str(site) and place.from_index
            for place in _discovery.current("hcs.").places
        )
        CHANGES[cell.change](site)
        return before, was_indexed, things.refresh(), listed(things)


BEFORE = [
    ["a", "alpha_plugin:C", "alpha", "1.0"],
    ["b", "beta_plugin:C", "beta", "1.0"],
    ["l", "legacy_plugin:C", "legacy", "1.0"],
]


@pytest.mark.parametrize("cell", CELLS, ids=", ".join)
def test_a_change_is_seen_by_a_running_process_that_refreshes(matrix, cell):
    seen = matrix[cell]
    assert seen.before == BEFORE
    assert seen.oracle != BEFORE, "nothing was changed, so that nothing is shown"
    assert seen.running == seen.oracle
    assert seen.is_told


@pytest.mark.parametrize("cell", CELLS, ids=", ".join)
def test_a_change_is_seen_by_a_fresh_process(matrix, cell):
    seen = matrix[cell]
    is_indexed = cell.mode != "off" and cell.moment == "later"
    assert seen.was_indexed == is_indexed  # so the index was there to be stale, or was not
    if is_indexed and CHANGES[cell.change] in STALE_BY_DESIGN:
        assert seen.fresh == BEFORE
    else:
        assert seen.fresh == seen.oracle


# -- what stays unseen is found where it counts ---------------------------------------------------


STALE = """
from hcs_core.registry import Registry, _discovery
things = Registry("hcs.bench")
print("stale" if "P" not in things else "seen")
print("live", sorted(Registry("hcs.bench", index=False)))
_discovery._current = None
print("again", sorted(things))
print("used", things["P"].__name__, sorted(things))
_discovery._current = None
print("refreshed", things.refresh(), sorted(things))
"""


def test_what_is_stale_by_design_is_found_when_it_is_used_and_by_a_refresh(tmp_path):
    site = tmp_path / "site"
    make(site)
    settings = settings_of(tmp_path, "on") | {"PYTHONPATH": str(site)}
    # A young stamp is not stored, and two seconds are long: here it counts as old.
    warm = f"from hcs_core.registry import _index; _index.RACY_NS = -10**18\n{OURS}"
    ask(warm, [str(site)], settings)
    declare_in_plain(site)
    done = subprocess.run(
        [sys.executable, "-c", STALE],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "stale",
        "live ['P', 'a', 'b', 'l']",
        "again ['a', 'b', 'l']",
        "used C ['P', 'a', 'b', 'l']",
        "refreshed True ['P', 'a', 'b', 'l']",
    ]
    command = ["plugins", "refresh"]
    refresh = f"import sys; from hcs_core.cli import main; sys.argv[1:] = {command}; main()"
    subprocess.run(
        [sys.executable, "-c", refresh],
        env=os.environ | settings,
        capture_output=True,
        check=True,
    )
    (rows,) = ask(OURS, [str(site)], settings).values()
    assert [key for key, *_ in rows] == ["P", "a", "b", "l"]


def test_a_new_entry_of_the_path_is_seen_without_a_refresh(tmp_path, monkeypatch):
    make(tmp_path / "first")
    lay(tmp_path / "second", "gamma", "g")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), *sys.path])
    things: Registry[Any] = Registry("hcs.bench")
    assert list(things) == ["a", "b", "l"]
    sys.path.append(str(tmp_path / "second"))
    assert list(things) == ["a", "b", "g", "l"]
    del sys.path[0]
    assert list(things) == ["g"]

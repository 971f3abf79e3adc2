"""What listing and loading cost, counted: calls to the file system, and modules imported.

Times say little on a busy machine, and nothing of a network file system; counts do.
"""

from __future__ import annotations

import collections
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hcs_core.registry import Registry, _discovery, _index
from hcs_core.registry import _registry as registry_module
from hcs_core.testing.registry import write_distribution

pytestmark = pytest.mark.skipif(os.name == "nt", reason="its cache folder is not set from outside")

SOURCES = str(Path(_index.__file__).parents[2])
FOREIGN = {
    *("typing", "json", "re", "pathlib", "importlib.metadata", "importlib_metadata", "dataclasses"),
    *("threading", "logging", "platformdirs", "pluggy", "numpy", "contextlib", "collections"),
    *("functools", "enum", "tempfile", "inspect", "ast", "warnings", "tomllib", "importlib.util"),
}
COUNTED = (
    *("open", "read", "close", "stat", "lstat", "fstat", "listdir", "scandir", "access"),
    *("readlink", "makedirs", "mkdir", "replace", "unlink", "write"),
)
WITH, WITHOUT, OTHERS = 20, 30, 10  # plugins; distributions without any; with those of others


def make(site: Path, plugins: int = WITH, plain: int = WITHOUT, others: int = OTHERS) -> None:
    """Install distributions: with a plugin each, with no entry points, and with others'."""
    for number in range(plugins):
        name = f"plugin{number:03}"
        points = {"hcs.bench.v1": {f"key{number:03}": f"{name}_code:C"}}
        write_distribution(site, name, points, {f"{name}_code.py": "class C: ..."})
    for number in range(plain):
        about = write_distribution(site, f"plain{number:03}", {})
        (about / "entry_points.txt").unlink()
    for number in range(others):
        write_distribution(site, f"other{number:03}", {"console_scripts": {"x": "y:z"}})


class Calls(collections.Counter[str]):
    """How often each function of the module os was called."""

    @property
    def reading(self) -> int:
        return self["open"] + self["read"] + self["close"]

    @property
    def listings(self) -> int:
        return self["listdir"] + self["scandir"]

    @property
    def stats(self) -> int:
        return self["stat"] + self["lstat"] + self["fstat"] + self["access"]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], Calls]:
    """Return a function that counts the calls that another one makes."""

    def count(action: Callable[[], object]) -> Calls:
        calls = Calls()

        def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                calls[name] += 1
                return function(*arguments, **named)

            return call

        with monkeypatch.context() as patch:
            for name in COUNTED:
                patch.setattr(os, name, counting(name, getattr(os, name)))
            action()
        return calls

    return count


@pytest.fixture(scope="module")
def large_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("site")
    make(site)
    return site


@pytest.fixture
def site(large_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of plugins, which is on the path with two empty folders alone."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(large_site), *map(str, folders)])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HCS_CONFIG", "")
    monkeypatch.setattr(_discovery, "_current", None)
    monkeypatch.setattr(_discovery, "_prefixes", ("hcs.",))
    monkeypatch.setattr(registry_module, "_KINDS", {})
    monkeypatch.setattr(_index, "RACY_NS", -(10**18))  # two seconds are long in a test
    return large_site


def listing() -> list[str]:
    """Return the keys as a process does that has not looked before."""
    _discovery._current = None
    return list(Registry("hcs.bench"))


# -- calls to the file system ---------------------------------------------------------------------


def test_a_scan_makes_three_calls_a_distribution_and_lists_each_folder_once(
    site, counted, monkeypatch
):
    monkeypatch.setenv("HCS_PLUGIN_INDEX", "off")
    calls = counted(listing)
    assert calls.listings == 3
    # Where there is no such file, opening it fails and that is all.
    assert calls.reading <= 3 * (WITH + OTHERS) + WITHOUT
    assert calls.stats <= 3 + 1  # a directory each; whether there is a configuration file
    assert sum(calls.values()) == calls.listings + calls.reading + calls.stats


def test_the_index_makes_one_call_a_folder_and_one_a_plugin(site, counted, monkeypatch):
    monkeypatch.setenv("HCS_PLUGIN_INDEX", "on")
    assert len(listing()) == WITH
    calls = counted(listing)
    assert calls.listings == 0
    assert calls.reading <= 3  # of the index itself
    assert calls["fstat"] <= 1  # whose it is
    assert calls.stats - calls["fstat"] <= 3 + WITH + 1
    assert sum(calls.values()) == calls.reading + calls.stats


def test_a_second_listing_in_a_process_makes_no_call_but_stats(site, counted):
    things: Registry[Any] = Registry("hcs.bench")
    others: Registry[Any] = Registry("hcs.others")
    list(things)

    def again() -> None:
        assert len(list(things)) == len(things) == WITH
        assert "key001" in things
        assert "none" not in things
        assert things.info("key001").version == "1.0"
        assert list(others) == []  # what one registry looked up, all have

    calls = counted(again)
    assert sum(calls.values()) == calls.stats
    assert calls.stats <= 5 * 3


def test_an_unknown_key_has_the_environment_read_again_only_once(site, counted, monkeypatch):
    monkeypatch.setattr(_discovery, "RACY_NS", -(10**18))
    things: Registry[Any] = Registry("hcs.bench")
    assert things.get("none") is None
    calls = counted(lambda: [things.get("none") for _ in range(10)])
    assert calls.listings == calls.reading == 0
    assert calls.stats <= 10 * 3


@pytest.mark.parametrize("mode", ["off", "on"])
def test_the_same_is_counted_by_the_kernel(tmp_path, mode):
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    totals = {}
    for size in (20, 70):
        site, home = tmp_path / f"site{size}", tmp_path / f"home{size}"
        make(site, size, size, 0)
        settings = {
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home),
            "HCS_PLUGIN_INDEX": mode,
            "HCS_CONFIG": "",
            "XDG_CONFIG_HOME": str(home),
        }
        code = (
            f"import sys; sys.path[:0] = [{str(site)!r}, {SOURCES!r}]\n"
            "from hcs_core.registry import Registry, _index\n"
            "_index.RACY_NS = -10**18\n"
            "print(len(Registry('hcs.bench')))"
        )
        command = [sys.executable, "-c", code]
        trace = tmp_path / "trace"
        for with_trace in (False, True):  # the first run writes the index
            done = subprocess.run(
                ["strace", "-f", "-o", str(trace), "-e", "trace=file,read,close,getdents64"]
                * with_trace
                + command,
                env=os.environ | settings,
                capture_output=True,
                text=True,
                check=False,
            )
            if with_trace and "ptrace" in done.stderr:
                pytest.skip("may not trace a process here")
            assert (done.returncode, done.stdout) == (0, f"{size}\n"), done.stderr
        totals[size] = sum("entry_points.txt" in line for line in trace.read_text().splitlines())
        everything = trace.read_text().count("\n")
        totals[-size] = everything
    more = totals[70] - totals[20]
    # Of fifty plugins and fifty distributions without any: all are opened, or plugins looked at.
    assert more == (100 if mode == "off" else 50)
    # Reading and closing those that are there; the longer folder is read in few more calls.
    assert totals[-70] - totals[-20] <= (200 if mode == "off" else 50) + 10


# -- modules --------------------------------------------------------------------------------------


REPORT = """
before = set(sys.modules)
from hcs_core.registry import Registry, all_infos
{action}
new = {{name for name in set(sys.modules) - before if not name.startswith("hcs_core")}}
print(len(Registry("hcs.bench")), *sorted(new))
"""


def report(action: str, site: Path, home: Path, mode: str) -> list[str]:
    code = f"import sys; sys.path[:0] = [{str(site)!r}, {SOURCES!r}]\n" + REPORT.format(
        action=action
    )
    settings = {
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "HCS_CONFIG": "",
        "XDG_CONFIG_HOME": str(home),
        "HCS_PLUGIN_INDEX": mode,
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("mode", ["off", "auto", "on"])
def test_listing_imports_no_plugin_and_no_library(large_site, tmp_path, mode):
    action = (
        "things = Registry('hcs.bench'); list(things), len(things), 'x' in things, repr(things)\n"
        "[info.as_dict() for info in (*things.infos(all=True), *all_infos(all=True))]"
    )
    for _ in range(2):  # the second time with an index
        count, *modules = report(action, large_site, tmp_path, mode)
        assert count == str(WITH)
        assert set(modules) & FOREIGN == set()
        assert [name for name in modules if name.endswith("_code")] == []


@pytest.mark.parametrize("mode", ["off", "on"])
def test_one_of_five_hundred_plugins_is_imported_alone(tmp_path, mode):
    site = tmp_path / "site"
    make(site, 500, 0, 0)
    for _ in range(2):
        count, *modules = report("Registry('hcs.bench')['key250']", site, tmp_path / "home", mode)
        assert count == "500"
        assert [name for name in modules if name.endswith("_code")] == ["plugin250_code"]


def test_a_broken_plugin_is_imported_again_only_after_something_was_installed(
    tmp_path, monkeypatch
):
    log = tmp_path / "imports"
    site = tmp_path / "site"
    source = f"with open({str(log)!r}, 'a') as log: log.write('x')\nraise ValueError('no licence')"
    points = {"hcs.bench.v1": {"bad": "bad_code:C", "good": "good_code:C"}}
    write_distribution(
        site, "acme", points, {"bad_code.py": source, "good_code.py": "class C: ..."}
    )
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    monkeypatch.setattr(_discovery, "RACY_NS", -(10**18))
    things: Registry[Any] = Registry("hcs.bench")
    for _ in range(5):
        with pytest.raises(ImportError, match="no licence"):
            things["bad"]
        assert things["good"].__name__ == "C"
        assert list(things.load_all().failed) == ["bad"]
    assert log.read_text() == "x"
    write_distribution(site, "licence", {})
    for _ in range(5):
        with pytest.raises(ImportError, match="no licence"):
            things["bad"]
    assert log.read_text() == "xx"
    (site / "bad_code.py").write_text("class C: ...")
    assert things.refresh() is False
    assert things["bad"].__name__ == "C"
    for name in ("bad_code", "good_code"):
        del sys.modules[name]

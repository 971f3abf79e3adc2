"""Threads, forks and other processes see one registry, and none waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hcs_core.registry import Registry, _discovery
from hcs_core.registry import _registry as registry_module
from hcs_core.testing.registry import write_distribution

SOURCES = str(Path(_discovery.__file__).parents[2])
KEYS = [f"key{number:02}" for number in range(40)]
LIMIT_S = 20


def make(site: Path) -> None:
    for number, key in enumerate(KEYS):
        module = f"plugin{number:02}_code"
        source = f"import time\ntime.sleep(0.001)\nclass C: key = {key!r}"
        points = {"hcs.bench.v1": {key: f"{module}:C"}}
        write_distribution(site, f"plugin{number:02}", points, {f"{module}.py": source})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setattr(_discovery, "_current", None)
    monkeypatch.setattr(_discovery, "_prefixes", ("hcs.",))
    monkeypatch.setattr(registry_module, "_KINDS", {})
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that a race that can be lost is lost here
    yield folder
    sys.setswitchinterval(interval)
    for name in [name for name in sys.modules if name.endswith("_code")]:
        del sys.modules[name]


def at_once(*actions: Callable[[], object]) -> list[Any]:
    """Return what each action returns, all started together, each in a thread of its own."""
    start = threading.Barrier(len(actions))
    results: list[Any] = [None] * len(actions)

    def work(number: int) -> None:
        start.wait()
        try:
            results[number] = actions[number]()
        except BaseException as error:  # noqa: BLE001 - the test is to see it, not the thread
            results[number] = error

    threads = [
        threading.Thread(target=work, args=(number,), daemon=True) for number in range(len(actions))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive(), "a thread waits for ever"
    return results


def run(script: str, *path: Path) -> str:
    """Run a script in a process of its own, which must end."""
    code = f"import sys; sys.path[:0] = {[str(folder) for folder in path] + [SOURCES]!r}\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code + script],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -- threads --------------------------------------------------------------------------------------


def test_threads_that_list_and_load_at_once_get_the_same(site):
    make(site)
    things: Registry[Any] = Registry("hcs.bench")

    def work() -> list[tuple[str, type]]:
        return [(key, things[key]) for key in things]

    results = at_once(*[work] * 16)
    assert [key for key, _ in results[0]] == KEYS
    assert [plugin.key for _, plugin in results[0]] == KEYS
    assert all(result == results[0] for result in results)


def test_a_plugin_that_reads_the_registry_while_another_thread_does_is_no_deadlock(site):
    # The predecessor held its lock while it imported, and the import system has one too.
    source = """
import threading, time
from hcs_core.registry import registries
things = registries()["hcs.bench"]
time.sleep(0.05)
seen = [*things], things.info("b").state, things["{other}"].__name__
class {name}: ...
"""
    write_distribution(
        site,
        "acme",
        {"hcs.bench.v1": {"a": "a_code:A", "b": "b_code:B", "c": "c_code:C"}},
        {
            "a_code.py": source.format(name="A", other="c"),
            "b_code.py": source.format(name="B", other="c"),
            "c_code.py": "import time\ntime.sleep(0.05)\nclass C: ...",
        },
    )
    things: Registry[Any] = Registry("hcs.bench")
    results = at_once(
        lambda: things["a"].__name__,
        lambda: things["b"].__name__,
        lambda: list(things),
        things.refresh,
        lambda: things["c"].__name__,
    )
    assert results == ["A", "B", ["a", "b", "c"], False, "C"]


def test_two_plugins_that_need_each_other_end_in_two_threads_and_in_one(site):
    source = """
from hcs_core.registry import registries
import time
time.sleep(0.05)
try:
    other = registries()["hcs.bench"]["{other}"]
except ImportError:
    other = None  # it is being imported right now
class {name}: ...
"""
    write_distribution(
        site,
        "acme",
        {"hcs.bench.v1": {"a": "a_code:A", "b": "b_code:B"}},
        {
            "a_code.py": source.format(name="A", other="b"),
            "b_code.py": source.format(name="B", other="a"),
        },
    )
    things: Registry[Any] = Registry("hcs.bench")
    at_once(lambda: things["a"], lambda: things["b"])
    assert [things[key].__name__ for key in ("a", "b")] == ["A", "B"]
    assert {info.state for info in things.infos()} == {"loaded"}


@pytest.mark.parametrize("use", ["things['a']", "things.load_all()", "dict(things)"])
@pytest.mark.filterwarnings("ignore::hcs_core.errors.PluginWarning")
def test_a_plugin_that_uses_its_own_registry_on_import_is_not_broken_for_ever(site, use):
    source = f"""
from hcs_core.registry import registries
things = registries()["hcs.bench"]
try:
    seen = {use}
except ImportError:
    seen = None
class A: ...
"""
    write_distribution(site, "acme", {"hcs.bench.v1": {"a": "a_code:A"}}, {"a_code.py": source})
    things: Registry[Any] = Registry("hcs.bench")
    assert things["a"].__name__ == "A"
    assert things["a"] is things["a"]
    assert things.info("a").state == "loaded"
    assert things.info("a").error is None


def test_registering_while_others_iterate_disturbs_nobody(site):
    make(site)
    things: Registry[Any] = Registry("hcs.bench")
    is_done = threading.Event()

    def add() -> None:
        for number in range(1500):
            things.add(number, key=f"own{number:04}")
        is_done.set()

    def read() -> int:
        rounds = 0
        while not is_done.is_set() or not rounds:
            rounds += 1
            names = list(things)
            assert names == sorted(names)
            assert set(KEYS) <= set(names)
            assert len(things.infos()) >= len(names)
            for key in names[len(KEYS) :]:
                assert things[key] == int(key[3:])
                assert things.info(key).state == "loaded"
        return rounds

    added, *rounds = at_once(add, read, read)
    assert added is None
    assert all(isinstance(count, int) for count in rounds), rounds
    assert len(things) == len(KEYS) + 1500


def test_a_key_that_another_thread_can_see_already_has_its_plugin(site):
    things: Registry[Any] = Registry("hcs.bench")
    found = []

    class Watched(dict[str, Any]):
        """Does what another thread may do at this very moment."""

        def __setitem__(self, key: str, info: Any) -> None:
            super().__setitem__(key, info)
            found.append((key, things[key]))

    things._added = Watched()
    things.add(1, key="a")
    with things.overrides(b=2):
        pass
    assert found == [("a", 1), ("b", 2)]


def test_a_plugin_registered_while_one_iterates_in_the_same_thread_is_seen_next_time(site):
    make(site)
    things: Registry[Any] = Registry("hcs.bench")
    seen = []
    for key in things:
        things.add(1, key=f"own-{key}")
        seen.append(key)
    assert seen == KEYS
    assert len(things) == 2 * len(KEYS)


def test_refreshing_while_others_read_disturbs_nobody(site):
    make(site)
    things: Registry[Any] = Registry("hcs.bench")
    until = time.monotonic() + 0.5

    def read() -> int:
        rounds = 0
        while time.monotonic() < until:
            rounds += 1
            assert list(things) == KEYS
            assert [things[key].key for key in KEYS] == KEYS
        return rounds

    def refresh() -> int:
        rounds = 0
        while time.monotonic() < until:
            rounds += 1
            assert things.refresh() is False
        return rounds

    results = at_once(read, refresh, read, refresh)
    assert all(isinstance(result, int) and result for result in results), results


def test_threads_that_see_a_change_at_once_forget_what_was_loaded_without_an_error(site):
    things: Registry[Any] = Registry("hcs.bench")
    names = [f"name{number}" for number in range(300)]
    write_distribution(site, "acme", {"hcs.bench.v1": dict.fromkeys(names, "one_code")})
    points = site / "acme-1.0.dist-info/entry_points.txt"
    for module in ("one_code", "two_code"):
        (site / f"{module}.py").write_text("")
    for module in ("two_code", "one_code") * 3:
        assert {things[name].__name__ for name in names} != {module}
        points.write_text("\n".join(["[hcs.bench.v1]", *(f"{name} = {module}" for name in names)]))
        results = at_once(*[things.refresh] * 8)
        assert [result for result in results if not isinstance(result, bool)] == []
        assert {things[name].__name__ for name in names} == {module}


def test_kinds_of_many_projects_can_be_looked_for_at_once(site):
    kinds = [f"project{number}.things" for number in range(12)]
    points = {f"{kind}.v1": {"a": "m:A"} for kind in kinds}
    write_distribution(site, "acme", points)
    registries: list[Registry[Any]] = [Registry(kind) for kind in kinds]
    results = at_once(*[lambda each=each: [list(each) for _ in range(20)] for each in registries])
    assert results == [[["a"]] * 20] * 12


# -- processes ------------------------------------------------------------------------------------


FORKING = """
import os, threading, time
from hcs_core.registry import Registry
things = Registry("hcs.bench")
# What is imported now is not being imported when the process forks: the locks that Python
# holds meanwhile stay locked in the child for ever, whoever imports.
things.load_all(), things.refresh()
is_done = threading.Event()

def scan():
    while not is_done.is_set():
        things.refresh()
        things["key01"]

threads = [threading.Thread(target=scan, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
ends = []
for _ in range(10):
    child = os.fork()
    if child == 0:  # only what the registry does is to be seen, so no way out but _exit
        try:
            right = len(things) == 40 and things["key02"].key == "key02" and not things.refresh()
            os._exit(0 if right else 3)
        except BaseException:
            os._exit(4)
    deadline = time.monotonic() + 5
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            ends.append(os.waitstatus_to_exitcode(status))
            break
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            ends.append("hangs")
            break
        time.sleep(0.001)
is_done.set()
for thread in threads:
    thread.join()
print(*ends)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_forked_while_other_threads_scan_lists_and_loads(site):
    make(site)
    assert run(FORKING, site) == " ".join("0" * 10)


SPAWNING = """
import multiprocessing, sys
sys.path[:0] = {path!r}
import the_application

def told(things):
    return [things.kind, *things], things is the_application.THINGS, things["a"].__name__

if __name__ == "__main__":
    the_application.THINGS.add(1, key="only here")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(told, (the_application.THINGS,)))
    print(list(the_application.THINGS))
"""


def test_a_pickled_registry_is_the_registry_of_the_process_that_it_comes_to(site, tmp_path):
    write_distribution(
        site,
        "acme",
        {"hcs.bench.v1": {"a": "a_code:A"}},
        {
            "a_code.py": "class A: ...",
            "the_application.py": (
                "from hcs_core.registry import Registry\nTHINGS = Registry('hcs.bench')\n"
            ),
        },
    )
    script = tmp_path / "script.py"
    script.write_text(SPAWNING.format(path=[str(site), SOURCES]))
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(['hcs.bench', 'a'], True, 'A')", "['a', 'only here']"]

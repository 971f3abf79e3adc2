"""An event is told to everybody who observes it, and nobody can stop the one who tells."""

from __future__ import annotations

import functools
import gc
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcs_core.arrays import OOM_RECOVERED
from hcs_core.errors import ParameterError, PluginWarning
from hcs_core.plates import (
    MICROSCOPES,
    PLATE_OPENED,
    Evidence,
    IndexBuilder,
    Listing,
    PlateIndex,
    PlateMetadata,
    PlateReader,
    open_plate,
)
from hcs_core.registry import OBSERVERS, Connection, Hook, ObserverFailure, hooks
from hcs_core.registry import _hooks as hooks_module


class Environment:
    """A folder on the path into which a test installs plugins."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.modules: list[str] = []

    def install(self, name: str, *entry_points: str, version: str = "1.0", **modules: str) -> None:
        folder = self.site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        lines = "\n".join(["[hcs.hooks.v1]", *entry_points, ""])
        (folder / "entry_points.txt").write_text(lines)
        for module, source in modules.items():
            (self.site / f"{module}.py").write_text(source)
            self.modules.append(module)
        OBSERVERS.refresh()

    def uninstall(self) -> None:
        """Remove every distribution."""
        for folder in self.site.glob("*.dist-info"):
            shutil.rmtree(folder)
        OBSERVERS.refresh()


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    made = Environment(tmp_path / "site")
    made.site.mkdir()
    sys.path.insert(0, str(made.site))
    yield made
    made.uninstall()
    sys.path.remove(str(made.site))
    for module in made.modules:
        sys.modules.pop(module, None)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Hook:
    """Return a hook of the test's own; what has been told of it is forgotten."""
    monkeypatch.setattr(hooks_module, "_KNOWN", dict(hooks_module._KNOWN))

    def hcs_cell_found(cell: int, plane: str) -> None:
        """Tell that a cell has been found.

        More about it.
        """

    return Hook(hcs_cell_found)


def tell(hook: Hook) -> tuple[object, ...]:
    return hook(cell=7, plane="A01")


# -- who is told ------------------------------------------------------------------------------


def test_a_hook_is_what_its_function_declares(hook):
    assert (hook.name, hook.arguments) == ("hcs_cell_found", ("cell", "plane"))
    assert hook.doc == "Tell that a cell has been found."
    assert repr(hook) == "Hook(hcs_cell_found: cell, plane)"


def test_the_hooks_of_the_core_are_known_by_name(hook):
    known = hooks()
    assert known["hcs_plate_opened"] is PLATE_OPENED
    assert known["hcs_oom_recovered"] is OOM_RECOVERED
    assert known["hcs_cell_found"] is hook
    assert list(known) == sorted(known)
    assert PLATE_OPENED.arguments == ("plate",)
    named = ("function", "framework", "device", "action", "attempts", "error")
    assert OOM_RECOVERED.arguments == named


def test_nobody_observes_and_nothing_happens(hook):
    assert tell(hook) == ()


def test_every_observer_is_told_in_the_order_of_the_keys(hook, environment):
    environment.install(
        "acme",
        "hcs_cell_found.b = obs_two:second",
        "hcs_cell_found.a = obs_one:first",
        "hcs_other.a = obs_other:never",
        "hcs_cell_found_too.a = obs_other:never",
        obs_one="def first(cell, plane): return 'a', cell, plane",
        obs_two="def second(plane): return 'b', plane",
    )
    assert tell(hook) == (("a", 7, "A01"), ("b", "A01"))
    with hook.connect(lambda cell: ("c", cell)):
        assert tell(hook) == (("a", 7, "A01"), ("b", "A01"), ("c", 7))


def test_the_marker_says_who_is_told_first_and_last(hook, environment):
    environment.install(
        "acme",
        "hcs_cell_found.a = obs_order:a",
        "hcs_cell_found.b = obs_order:b",
        "hcs_cell_found.c = obs_order:c",
        obs_order="""
from hcs_core.registry import hookimpl
@hookimpl(trylast=True)
def a(): return "a"
@hookimpl
def b(): return "b"
@hookimpl(tryfirst=True)
def c(): return "c"
""",
    )
    assert tell(hook) == ("c", "b", "a")


def test_a_marker_of_pluggy_itself_is_as_good(hook):
    from pluggy import HookimplMarker

    last = HookimplMarker("hcs")(lambda: "last", trylast=True)
    with hook.connect(last), hook.connect(lambda: "first"):
        assert tell(hook) == ("first", "last")


class Takes:
    """Functions of every shape that an observer may have."""

    @staticmethod
    def nothing() -> Any:
        return ()

    @staticmethod
    def one(plane: str) -> Any:
        return plane

    @staticmethod
    def in_another_order(plane: str, cell: int) -> Any:
        return plane, cell

    @staticmethod
    def a_default(cell: int = 0, plane: str = "", colour: str = "red") -> Any:
        return cell, plane, colour

    @staticmethod
    def by_name_only(*, cell: int) -> Any:
        return cell

    @staticmethod
    def everything(**event: Any) -> Any:
        return event

    @staticmethod
    def any_positions(*more: Any, cell: int) -> Any:
        return more, cell

    def as_a_method(self, cell: int) -> Any:
        return cell

    def __call__(self, cell: int) -> Any:
        return cell


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (Takes.nothing, ()),
        (Takes.one, "A01"),
        (Takes.in_another_order, ("A01", 7)),
        (Takes.a_default, (7, "A01", "red")),
        (Takes.by_name_only, 7),
        (Takes.everything, {"cell": 7, "plane": "A01"}),
        (Takes.any_positions, ((), 7)),
        (Takes().as_a_method, 7),
        (Takes(), 7),
        (functools.partial(Takes.a_default, colour="blue"), (7, "A01", "blue")),
        (functools.partial(Takes.in_another_order, cell=1), ("A01", 7)),
    ],
)
def test_an_observer_is_given_what_it_takes_by_name(hook, function, expected):
    with hook.connect(function):
        assert tell(hook) == (expected,)
    with OBSERVERS.overrides(**{"hcs_cell_found.test": function}):
        assert tell(hook) == (expected,)


def test_none_is_no_result_and_an_array_is_one(hook):
    pixels = np.zeros((2, 2))
    hook.connect(lambda: None)
    hook.connect(lambda: pixels)
    hook.connect(lambda: 1 / 0)
    with pytest.warns(PluginWarning):
        (result,) = tell(hook)
    assert result is pixels


def test_a_hook_that_is_called_with_other_arguments_is_a_mistake_of_its_caller(hook):
    with hook.connect(lambda cell: cell):
        with pytest.raises(TypeError, match=r"called with cell, plane, got cell"):
            hook(cell=1)
        with pytest.raises(TypeError, match="colour"):
            hook(cell=1, plane="", colour="red")


@pytest.mark.usefixtures("hook")
def test_an_argument_may_be_called_report():
    def hcs_odd(report: int, hook: int, arguments: int) -> None:
        """Odd names."""

    odd = Hook(hcs_odd)
    with odd.connect(lambda report, hook, arguments: (report, hook, arguments)):
        assert odd(report=1, hook=2, arguments=3) == ((1, 2, 3),)


# -- observers that come and go ---------------------------------------------------------------


def test_an_observer_of_this_process_is_told_until_it_is_disconnected(hook):
    seen: list[int] = []

    def see(cell: int) -> None:
        seen.append(cell)

    connection = hook.connect(see)
    assert isinstance(connection, Connection)
    tell(hook)
    connection.disconnect()
    connection.disconnect()
    tell(hook)
    assert seen == [7]
    with hook.connect(see), hook.connect(see):
        tell(hook)
    tell(hook)
    assert seen == [7, 7, 7]


def test_a_disconnected_observer_is_let_go(hook):
    class Bar:
        def advance(self, cell: int) -> None:
            pass

    bar = Bar()
    with hook.connect(bar.advance):
        tell(hook)
    gone = weakref.ref(bar)
    del bar
    gc.collect()
    assert gone() is None


def test_what_is_installed_and_uninstalled_is_seen_by_the_next_call(hook, environment):
    assert tell(hook) == ()
    environment.install(
        "acme", "hcs_cell_found.acme = obs_late:f", obs_late="def f(cell): return cell"
    )
    assert tell(hook) == (7,)
    with OBSERVERS.overrides(**{"hcs_cell_found.acme": lambda: "instead"}):
        assert tell(hook) == ("instead",)
        with OBSERVERS.overrides(
            **{"hcs_cell_found.acme": lambda: "again", "hcs_cell_found.b": lambda: "b"}
        ):
            assert tell(hook) == ("again", "b")
        assert tell(hook) == ("instead",)
    assert tell(hook) == (7,)
    environment.uninstall()
    assert tell(hook) == ()


def test_an_observer_that_disconnects_itself_or_connects_another_is_told_to_the_end(hook):
    seen: list[str] = []

    def once() -> None:
        seen.append("once")
        connection.disconnect()
        hook.connect(lambda: seen.append("other"))

    connection = hook.connect(once)
    with hook.connect(lambda: seen.append("second")):
        tell(hook)
        assert seen == ["once", "second"]
        tell(hook)
    assert seen == ["once", "second", "second", "other"]


def test_an_observer_is_not_told_of_what_it_causes_itself(hook):
    seen: list[str] = []

    def again(plane: str) -> None:
        seen.append(f"again {plane}")
        hook(cell=1, plane=plane + "'")

    def see(plane: str) -> None:
        seen.append(plane)

    with hook.connect(again), hook.connect(see):
        hook(cell=0, plane="A01")
    assert seen == ["again A01", "A01'", "A01"]


# -- observers that fail ----------------------------------------------------------------------

BROKEN = {
    "raises": ("def f(cell): raise ValueError('no\\nlicence')", "failed: ValueError: no;"),
    "exits": ("import sys\ndef f(cell): sys.exit(3)", "failed: SystemExit: 3;"),
    "says nothing": ("def f(cell): raise ValueError", "failed: ValueError;"),
    "cannot say what": (
        "class E(Exception):\n def __str__(self): raise KeyError\ndef f(): raise E",
        "failed: E: (it has no text);",
    ),
    "import raises": ("raise OSError('no disk')", "cannot be loaded: OSError: no disk;"),
    "import exits": ("import sys; sys.exit(1)", "cannot be loaded: SystemExit: 1;"),
    "import is missing": ("import no_such_lib", "cannot be loaded: ModuleNotFoundError: No module"),
    "does not compile": ("def f(:", "cannot be loaded: SyntaxError: "),
    "is not there": ("", "cannot be loaded: AttributeError: "),
    "asks for more": (
        "def f(cell, colour, size): pass",
        "cannot be called: it asks for colour, size; by name it can have cell, plane;",
    ),
    "by position": ("def f(cell, /): pass", "it asks for cell; by name it can have cell, plane;"),
    "is a wrapper": (
        "from pluggy import HookimplMarker\n"
        "@HookimplMarker('hcs')(wrapper=True)\ndef f(cell):\n return (yield)",
        "cannot be called: it is a wrapper, and an observer cannot wrap;",
    ),
    "is an old wrapper": (
        "from pluggy import HookimplMarker\n"
        "@HookimplMarker('hcs')(hookwrapper=True)\ndef f(cell):\n yield",
        "cannot be called: it is a wrapper, and an observer cannot wrap;",
    ),
    "is a generator": ("def f(cell): yield", "of which a call runs nothing;"),
    "is a coroutine": ("async def f(cell): pass", "of which a call runs nothing;"),
    "is no function": ("f = 'text'", "cannot be called: it is no function but str;"),
    "is written in C": (
        "f = {}.update",
        "cannot be called: which arguments it takes cannot be read;",
    ),
    "has a broken signature": (
        "class C:\n @property\n def __signature__(self): raise ValueError\n"
        " def __call__(self): pass\nf = C()",
        "cannot be called: ",
    ),
}


@pytest.mark.parametrize(("source", "wanted"), BROKEN.values(), ids=[*BROKEN])
def test_a_broken_observer_is_named_in_one_line_and_the_others_are_told(
    hook, environment, source, wanted
):
    environment.install("before", "hcs_cell_found.a = obs_a:f", obs_a="def f(): return 'a'")
    environment.install("bad-tools", "hcs_cell_found.m = obs_bad:f", version="2.5", obs_bad=source)
    environment.install("behind", "hcs_cell_found.z = obs_z:f", obs_z="def f(): return 'z'")
    with pytest.warns(PluginWarning) as told:
        assert tell(hook) == ("a", "z")
    (message,) = [str(warning.message) for warning in told]
    assert message.startswith("observer 'm' of hcs_cell_found (bad-tools 2.5) ")
    assert wanted in message
    assert message.endswith("; it is passed over, all else goes on")
    assert "\n" not in message
    assert tell(hook) == ("a", "z")  # told once: a second warning would be an error here


def test_two_distributions_with_one_key_are_both_named_and_neither_is_imported(hook, environment):
    environment.install("one", "hcs_cell_found.x = obs_x:f", obs_x="def f(): return 1")
    environment.install("two", "hcs_cell_found.x = obs_y:f", obs_y="def f(): return 2")
    with pytest.warns(PluginWarning, match=r"one 1\.0.*two 1\.0.*uninstall all but one"):
        assert tell(hook) == ()
    assert not {"obs_x", "obs_y"} & set(sys.modules)


def test_an_observer_that_becomes_a_conflict_or_breaks_is_told_of_no_more(hook, environment):
    environment.install("one", "hcs_cell_found.y = obs_good:f", obs_good="def f(): return 1")
    assert tell(hook) == (1,)
    environment.install("two", "hcs_cell_found.y = obs_more:f", obs_more="def f(): return 2")
    with pytest.warns(PluginWarning, match="uninstall all but one"):
        assert tell(hook) == ()
    environment.uninstall()
    environment.install("three", "hcs_cell_found.y = obs_bad_now:f", obs_bad_now="raise OSError")
    with pytest.warns(PluginWarning, match=r"three 1\.0\) cannot be loaded: OSError"):
        assert tell(hook) == ()
    environment.uninstall()
    assert tell(hook) == ()


def test_a_broken_observer_is_imported_once(hook, environment):
    environment.install(
        "acme",
        "hcs_cell_found.a = obs_count:f",
        obs_count="import sys\nsys.obs_tries = getattr(sys, 'obs_tries', 0) + 1\nraise OSError",
    )
    try:
        with pytest.warns(PluginWarning):
            tell(hook)
        for _ in range(10):
            tell(hook)
        with hook.connect(lambda: None):  # another observer makes another caller
            tell(hook)
        assert sys.obs_tries == 1  # type: ignore[attr-defined]
    finally:
        del sys.obs_tries  # type: ignore[attr-defined]


def test_a_failure_is_warned_of_once_for_each_kind_and_reported_each_time(hook):
    errors = [ValueError("1"), ValueError("2"), KeyError("3"), ValueError("4"), KeyError("5")]
    reported: list[ObserverFailure] = []

    def fails() -> None:
        raise errors[len(reported)]

    hook.connect(fails)
    with pytest.warns(PluginWarning) as told:
        results = [hook(reported.append, cell=1, plane="") for _ in errors]
    assert results == [()] * 5
    assert [str(w.message).rpartition(": ")[2] for w in told] == [
        "1; it is passed over, all else goes on",
        "'3'; it is passed over, all else goes on",
    ]
    assert [failure.cause for failure in reported] == errors
    assert len({failure.kind for failure in reported}) == 2
    first = reported[0]
    assert (first.hook, first.origin, first.action) == ("hcs_cell_found", "this process", "failed")
    assert first.observer.endswith("fails")
    assert first.reason == "ValueError: 1"


def test_a_function_that_is_corrected_and_connected_again_is_warned_of_again(hook):
    for text in ("first", "second"):

        def fails(text: str = text) -> None:
            raise ValueError(text)

        with hook.connect(fails), pytest.warns(PluginWarning, match=text):
            tell(hook)


@pytest.mark.parametrize("action", ["error", "ignore"])
def test_where_warnings_are_errors_a_report_stops_nothing_and_is_logged(hook, caplog, action):
    with warnings.catch_warnings(), hook.connect(lambda: 1 / 0), hook.connect(lambda: "told"):
        warnings.simplefilter(action)
        with caplog.at_level(logging.WARNING):
            assert tell(hook) == ("told",)
    assert ("ZeroDivisionError" in caplog.text) == (action == "error")


def test_a_warning_that_cannot_be_shown_stops_nothing(hook, caplog, monkeypatch):
    def show(*_: Any, **__: Any) -> None:
        raise BrokenPipeError

    with warnings.catch_warnings(), hook.connect(lambda: 1 / 0):
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", show)
        assert tell(hook) == ()
    assert "ZeroDivisionError" in caplog.text


def test_ctrl_c_in_an_observer_is_ctrl_c(hook):
    def stop() -> None:
        raise KeyboardInterrupt

    with hook.connect(stop), pytest.raises(KeyboardInterrupt):
        tell(hook)
    assert tell(hook) == ()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda colour: None, "it asks for colour"),
        (hooks_module.__dict__["__getattr__"]("hookimpl")(lambda: None, wrapper=True), "wrap"),
        ("text", "no function but str"),
    ],
)
def test_a_function_that_cannot_observe_is_refused_when_it_is_connected(hook, function, reason):
    with pytest.raises(ParameterError, match=reason) as caught:
        hook.connect(function)
    assert str(caught.value).startswith("hcs_cell_found.connect: function must be a function of")
    assert tell(hook) == ()


# -- threads ----------------------------------------------------------------------------------


def in_threads(functions: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_may_all_be_the_first_to_call(hook, environment):
    environment.install(
        "acme",
        "hcs_cell_found.bad = obs_slow_bad:f",
        "hcs_cell_found.slow = obs_slow:f",
        obs_slow="import time\ntime.sleep(0.05)\ndef f(cell): return cell",
        obs_slow_bad="import time\ntime.sleep(0.05)\nraise OSError('no disk')",
    )
    together = threading.Barrier(8)
    results: list[Any] = []

    def call(number: int) -> None:
        together.wait()
        results.extend(hook(cell=number, plane="") for _ in range(20))

    with pytest.warns(PluginWarning) as told:
        in_threads([functools.partial(call, number) for number in range(8)])
    assert sorted(results) == sorted((number,) for number in range(8) for _ in range(20))
    assert len(told) == 1


def test_observers_come_and_go_while_threads_call(hook):
    ended = threading.Event()
    errors: list[BaseException] = []

    def call() -> None:
        try:
            while not ended.is_set():
                tell(hook)
        except BaseException as cause:  # noqa: BLE001 - it is asserted on
            errors.append(cause)

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(100):
        with hook.connect(lambda number=number: number):
            assert number in tell(hook)
        with OBSERVERS.overrides(**{f"hcs_cell_found.t{number % 3}": lambda: "t"}):
            assert tell(hook) == ("t",)
    ended.set()
    for thread in threads:
        thread.join()
    assert errors == []


def test_two_threads_are_in_one_observer_at_the_same_time(hook):
    together = threading.Barrier(2, timeout=30)
    with hook.connect(lambda: together.wait() >= 0):
        results: list[object] = []
        in_threads([lambda: results.append(tell(hook))] * 2)
    assert results == [(True,), (True,)]


# -- what is imported -------------------------------------------------------------------------

DECLARE = """
import json, sys
from hcs_core.registry import Hook
def hcs_cell_found(cell): "Tell."
FOUND = Hook(hcs_cell_found)
def loaded(): return sorted(set(sys.modules) & {"pluggy", "inspect", "obs_mine", "obs_other"})
"""


def in_fresh_process(code: str, site: Path) -> Any:
    entries = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-c", DECLARE + code],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entries)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_an_event_imports_the_modules_that_observe_it_and_no_other(environment):
    environment.install(
        "acme",
        "hcs_cell_found.mine = obs_mine:f",
        "hcs_other.mine = obs_other:f",
        obs_mine="def f(cell): return cell",
        obs_other="raise SystemExit('imported')",
    )
    code = "before = loaded(); told = FOUND(cell=7); print(json.dumps([before, told, loaded()]))"
    before, told, after = in_fresh_process(code, environment.site)
    assert before == []
    assert told == [7]
    assert after == ["inspect", "obs_mine", "pluggy"]


def test_without_an_observer_nothing_is_imported(environment):
    environment.install(
        "acme", "hcs_other.mine = obs_other:f", obs_other="raise SystemExit('imported')"
    )
    code = """
before = set(sys.modules)
told = FOUND(cell=7)
print(json.dumps([told, sorted(set(sys.modules) - before), loaded()]))
"""
    assert in_fresh_process(code, environment.site) == [[], [], []]


def test_importing_hooks_loads_nothing_that_the_interpreter_has_not(environment):
    code = """
import subprocess
bare = "import json, sys; print(json.dumps(sorted(sys.modules)))"
with_hooks = "import hcs_core.registry._hooks; " + bare
first, second = (
    set(json.loads(subprocess.check_output([sys.executable, "-c", each])))
    for each in ("import hcs_core.registry._registry; " + bare, with_hooks)
)
print(json.dumps(sorted(second - first)))
"""
    assert in_fresh_process(code, environment.site) == ["hcs_core.registry._hooks"]


# -- the core's own ---------------------------------------------------------------------------


class OneFile(PlateReader):
    """A plate of one plane."""

    format = "one-file"

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        return Evidence(0.9, "the test's")

    def index(self) -> PlateIndex:
        builder = IndexBuilder(str(self.root))
        builder.extend(names=["a.tif"], folder="", well="A01", site="1", channel="1")
        return builder.build()

    def metadata(self) -> PlateMetadata:
        return PlateMetadata(name="one file")


def test_opening_a_plate_is_told(tmp_path):
    (tmp_path / "a.tif").touch()
    seen: list[Any] = []

    def see(plate: Any) -> None:
        seen.append(plate)

    with MICROSCOPES.overrides(**{"one-file": OneFile}), PLATE_OPENED.connect(see):
        opened = open_plate(tmp_path, "one-file")
        with pytest.raises(FileNotFoundError):
            open_plate(tmp_path / "none")
    assert len(seen) == 1
    assert seen[0] is opened


def test_an_observer_that_opens_the_plate_again_comes_to_an_end(tmp_path):
    (tmp_path / "a.tif").touch()

    def reopen(plate: Any) -> int:
        return len(open_plate(plate.root, "one-file").index)

    with MICROSCOPES.overrides(**{"one-file": OneFile}), PLATE_OPENED.connect(reopen):
        assert len(open_plate(tmp_path, "one-file").index) == 1


class Panic(BaseException):
    """As compiled code raises it."""


def test_a_panic_of_compiled_code_is_passed_over(hook):
    def panics(cell):
        raise Panic("index out of bounds")

    with (
        hook.connect(panics),
        hook.connect(lambda cell: "told"),
        pytest.warns(PluginWarning, match="Panic: index out of bounds"),
    ):
        assert hook(cell=1, plane="A01") == ("told",)


def test_wrong_arguments_are_refused_also_while_nobody_observes(hook):
    with pytest.raises(TypeError, match="is called with cell, plane, got cell"):
        hook(cell=1)


@pytest.mark.parametrize(
    "spec",
    [lambda *cells: None, lambda *, cell: None, lambda cell=1: None, lambda self: None, print, 3],
)
def test_a_spec_that_is_no_function_of_named_arguments_is_refused(spec):
    with pytest.raises(TypeError, match="the spec of a hook is a function of named arguments"):
        Hook(spec)

"""One broken, doubled or outdated plugin breaks only itself."""

from __future__ import annotations

import pickle
import sys
import threading
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hcs_core.errors import PluginConflictError, PluginLoadError, UnknownPluginError
from hcs_core.registry import (
    AutoRegisterMeta,
    PluginInfo,
    Registry,
    _discovery,
    all_infos,
    registries,
)
from hcs_core.registry import _registry as registry_module


class OtherMeta(type):
    """A metaclass of somebody else."""


class Environment:
    """A folder on the path into which a test installs plugins."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.modules: list[str] = []

    def install(
        self, name: str, entry_points: str, *, version: str = "1.0", **modules: str
    ) -> None:
        folder = self.site / f"{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        (folder / "entry_points.txt").write_text(entry_points)
        for module, source in modules.items():
            (self.site / f"{module}.py").write_text(source)
            self.modules.append(module)


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    made = Environment(tmp_path / "site")
    made.site.mkdir()
    monkeypatch.syspath_prepend(str(made.site))
    monkeypatch.setattr(_discovery, "_current", None)
    monkeypatch.setattr(registry_module, "_KINDS", {})
    yield made
    for module in made.modules:
        sys.modules.pop(module, None)


def test_a_plugin_is_imported_when_its_key_is_used_and_alone(environment):
    environment.install(
        "acme",
        "[hcs.things.v1]\na = plug_a:A\nb = plug_b:B\n",
        plug_a="class A: ...",
        plug_b="class B: ...",
    )
    things: Registry[Any] = Registry("hcs.things")
    assert (list(things), len(things), "a" in things, "c" in things) == (["a", "b"], 2, True, False)
    assert "plug_a" not in sys.modules
    assert things["a"].__name__ == "A"
    assert things["a"] is things["a"]
    assert "plug_a" in sys.modules
    assert "plug_b" not in sys.modules
    assert [info.state for info in things.infos()] == ["loaded", "declared"]


def test_a_kind_of_another_project_has_groups_of_its_own(environment):
    environment.install("a", "[hcs.things.v1]\na = m:A\n[acme.things.v1]\nb = m:B\n")
    assert list(Registry("hcs.things")) == ["a"]
    assert list(Registry("acme.things")) == ["b"]
    assert list(Registry("acme.thing")) == []
    assert list(Registry("hcs.things")) == ["a"]


def test_what_is_known_of_a_plugin_comes_from_its_metadata(environment):
    environment.install("Acme_Tools", "[hcs.things.v1]\na = m:A\n", version="2.5")
    assert Registry("hcs.things").info("a").as_dict() == {
        "kind": "hcs.things",
        "key": "a",
        "distribution": "acme-tools",
        "version": "2.5",
        "api": 1,
        "state": "declared",
        "value": "m:A",
        "error": None,
    }


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise ValueError('no licence')", "ValueError: no licence"),
        ("import no_such_library", "ModuleNotFoundError"),
        ("def broken(:", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("", "no attribute 'Bad'"),
        ("raise RuntimeError('two\\nlines')", "RuntimeError: two;"),
    ],
)
def test_a_broken_plugin_breaks_only_itself_and_says_why(environment, source, cause):
    environment.install(
        "acme",
        "[hcs.things.v1]\nbad = plug_bad:Bad\ngood = plug_good:Good\n",
        plug_bad=source,
        plug_good="class Good: ...",
    )
    things: Registry[Any] = Registry("hcs.things")
    with pytest.raises(PluginLoadError, match=r"acme 1\.0") as caught:
        things["bad"]
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ImportError)
    assert things["good"].__name__ == "Good"
    assert "bad" in things
    assert [info.state for info in things.infos()] == ["broken", "loaded"]
    assert things.info("bad").error is not None


def test_a_module_can_be_a_plugin(environment):
    environment.install("acme", "[hcs.things.v1]\na = plug_mod\n", plug_mod="x = 1")
    assert Registry("hcs.things")["a"].x == 1


def test_a_key_of_two_distributions_is_a_conflict_that_names_both(environment):
    environment.install(
        "one", "[hcs.things.v1]\nx = plug_one:X\ny = plug_one:X\n", plug_one="class X: ..."
    )
    environment.install("two", "[hcs.things.v1]\nx = plug_two:X\n", plug_two="class X: ...")
    things: Registry[Any] = Registry("hcs.things")
    with pytest.raises(PluginConflictError, match=r"one 1\.0.*two 1\.0"):
        things["x"]
    assert "plug_one" not in sys.modules
    assert things["y"].__name__ == "X"
    assert [info.state for info in things.infos()] == ["conflict", "conflict", "loaded"]


def test_a_plugin_of_another_api_is_listed_and_never_imported(environment):
    environment.install("new", "[hcs.things.v2]\nx = plug_x:X\n", plug_x="raise ValueError")
    environment.install("old", "[hcs.things.v0]\ny = plug_y:Y\n", plug_y="raise ValueError")
    things: Registry[Any] = Registry("hcs.things")
    assert list(things) == []
    assert [info.state for info in things.infos()] == ["incompatible", "incompatible"]
    with pytest.raises(UnknownPluginError, match=r"API 2 of hcs\.things.*update the application"):
        things["x"]
    with pytest.raises(UnknownPluginError, match=r"needs API 0.*update old"):
        things["y"]
    assert "plug_x" not in sys.modules


def test_a_plugin_for_both_apis_is_used_in_ours(environment):
    environment.install(
        "acme",
        "[hcs.things.v2]\nx = plug_2:X\n[hcs.things.v1]\nx = plug_1:X\n",
        plug_1="class X: ...",
        plug_2="raise ValueError",
    )
    assert Registry("hcs.things")["x"].__module__ == "plug_1"


@pytest.mark.parametrize("group", ["hcs.things", "hcs.things.v", "hcs.things.vx", "hcs.things.v²"])
def test_a_group_without_an_api_number_harms_nobody(environment, group):
    environment.install("acme", f"[{group}]\nx = m:X\n[hcs.things.v1]\ny = m:Y\n")
    assert list(Registry("hcs.things")) == ["y"]
    assert len(all_infos()) >= 2


def test_an_unknown_key_names_what_is_near_and_what_there_is(environment):
    environment.install("acme", "[hcs.things.v1]\nzarr = m:A\ndisk = m:B\n")
    things: Registry[Any] = Registry("hcs.things")
    with pytest.raises(UnknownPluginError) as caught:
        things["zar"]
    assert "did you mean 'zarr'" in str(caught.value)
    assert "disk, zarr" in str(caught.value)
    assert things.get("zar") is None  # as in every mapping
    with pytest.raises(KeyError):
        things.info("zar")


def test_the_key_of_an_addon_that_is_not_installed_says_how_to_install_it(environment, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(environment.site)])
    with pytest.raises(UnknownPluginError, match=r"pip install \./core \./plugins/hcs-microscopes"):
        Registry("hcs.microscopes")["imagexpress"]


def test_what_is_installed_later_is_found_on_the_first_miss(environment):
    things: Registry[Any] = Registry("hcs.things")
    others: Registry[Any] = Registry("hcs.others")
    assert list(things) == list(others) == []
    environment.install(
        "acme",
        "[hcs.things.v1]\na = plug_late:A\n[hcs.others.v1]\nb = m:B\n",
        plug_late="class A: ...",
    )
    assert list(things) == []
    assert things["a"].__name__ == "A"
    assert list(others) == ["b"]  # one scan serves all registries


def test_refresh_tells_whether_something_changed_and_drops_what_did(environment):
    environment.install(
        "acme",
        "[hcs.things.v1]\na = plug_old:A\nb = plug_old:B\n",
        plug_old="class A: ...\nclass B: ...",
    )
    things: Registry[Any] = Registry("hcs.things")
    assert not things.refresh()
    old_a, old_b = things["a"], things["b"]
    (environment.site / "acme-1.0.dist-info/entry_points.txt").write_text(
        "[hcs.things.v1]\na = plug_new:A\nb = plug_old:B\n"
    )
    (environment.site / "plug_new.py").write_text("class A: ...")
    environment.modules.append("plug_new")
    assert things.refresh()
    assert things["a"] is not old_a
    assert things["b"] is old_b
    assert not things.refresh()
    assert {info.state for info in things.infos()} == {"loaded"}


# -- classes that register themselves ---------------------------------------------------------


def test_a_class_with_a_key_registers_itself_and_one_without_does_not(environment):
    things: Registry[type] = Registry("hcs.things")

    class Thing(metaclass=AutoRegisterMeta, registry=things):
        pass

    class Layer(Thing):
        pass

    class Real(Layer, key="real"):
        pass

    assert dict(things) == {"real": Real}
    assert things.info("real").origin == "this process"
    assert things.info("real").state == "loaded"


def test_a_class_that_lacks_a_method_is_refused_by_name(environment):
    things: Registry[type] = Registry("hcs.things")

    class Thing(metaclass=AutoRegisterMeta, registry=things):
        @abstractmethod
        def work(self): ...

    with pytest.raises(TypeError, match="lacks work"):

        class Lazy(Thing, key="lazy"):
            pass

    assert list(things) == []


def test_a_key_without_a_registry_is_refused():
    with pytest.raises(TypeError, match="no base class names a registry"):

        class Lost(metaclass=AutoRegisterMeta, key="lost"):
            pass


def test_class_options_of_other_bases_pass_through(environment):
    seen = {}

    class Mixin:
        def __init_subclass__(cls, colour=None, **options):
            super().__init_subclass__(**options)
            seen[cls.__name__] = colour

    class Thing(metaclass=AutoRegisterMeta, registry=Registry("hcs.things")):
        pass

    class Red(Mixin, Thing, key="red", colour="red"):
        pass

    assert seen == {"Red": "red"}


def test_a_class_of_another_metaclass_and_a_function_register_by_decorator(environment):
    things: Registry[Any] = Registry("hcs.things")

    @things.register("foreign")
    class Foreign(metaclass=OtherMeta):
        pass

    @things.register("function")
    def function():
        return 1

    assert things["foreign"] is Foreign
    assert things["function"]() == 1


def test_a_key_that_is_taken_is_refused_unless_overriding(environment):
    environment.install("acme", "[hcs.things.v1]\na = plug_a:A\n", plug_a="class A: ...")
    things: Registry[Any] = Registry("hcs.things")

    class Mine:
        pass

    with pytest.raises(PluginConflictError, match=r"acme 1\.0.*this process"):
        things.add(Mine, key="a")
    assert things["a"].__module__ == "plug_a"
    things.add(Mine, key="a", override=True)
    assert things["a"] is Mine
    assert [info.origin for info in things.infos()] == ["this process", "acme 1.0"]
    things.refresh()
    assert things["a"] is Mine


def test_plugins_override_what_there_is_for_the_time_of_a_block(environment):
    environment.install("acme", "[hcs.things.v1]\na = plug_a:A\n", plug_a="class A: ...")
    things: Registry[Any] = Registry("hcs.things")
    things.add("old", key="added")
    before = dict(things), [repr(info) for info in things.infos()]
    with things.overrides(a=1, added=2, **{"opera-phenix": 3}):
        assert dict(things) == {"a": 1, "added": 2, "opera-phenix": 3}
        assert things.info("a").origin == "this process"
        with things.overrides(a=4, new=5):
            assert (things["a"], things["new"]) == (4, 5)
        assert (things["a"], "new" in things) == (1, False)
    assert (dict(things), [repr(info) for info in things.infos()]) == before


def test_what_a_block_adds_by_itself_stays_and_an_error_ends_an_override_too(environment):
    things: Registry[Any] = Registry("hcs.things")

    def fail():
        with things.overrides(a=1):
            things.add(2, key="b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert dict(things) == {"b": 2}


def test_what_was_never_imported_is_not_imported_for_an_override(environment):
    environment.install("acme", "[hcs.things.v1]\na = plug_a:A\n", plug_a="raise ValueError")
    things: Registry[Any] = Registry("hcs.things")
    with things.overrides(a=1):
        assert things["a"] == 1
    assert "plug_a" not in sys.modules
    assert things.info("a").state == "declared"


def test_a_class_defined_again_replaces_itself(environment):
    things: Registry[Any] = Registry("hcs.things")

    def define():
        class Cell:
            pass

        things.add(Cell, key="cell")
        return Cell

    first, second = define(), define()
    assert first is not second
    assert things["cell"] is second


def test_a_class_that_registers_itself_under_its_declared_key_is_one_plugin(environment):
    environment.install(
        "acme",
        "[hcs.things.v1]\na = plug_self:A\n",
        plug_self="""
from hcs_core.registry import AutoRegisterMeta, registries
class Thing(metaclass=AutoRegisterMeta, registry=registries()["hcs.things"]): ...
class A(Thing, key="a"): ...
""",
    )
    things: Registry[Any] = Registry("hcs.things")
    assert things["a"].__name__ == "A"
    assert len(things.infos()) == 1
    assert things.info("a").state == "loaded"
    assert things.info("a").distribution == "acme"


# -- the rest ---------------------------------------------------------------------------------


def test_registries_are_listed_by_kind(environment):
    b: Registry[Any] = Registry("hcs.b")
    a: Registry[Any] = Registry("hcs.a", doc="letters")
    assert registries() == {"hcs.a": a, "hcs.b": b}
    assert a.doc == "letters"


def test_all_infos_has_the_plugins_of_registries_that_nobody_made(environment):
    environment.install("acme", "[hcs.unmade.v1]\na = m:A\n")
    (row,) = [info for info in all_infos() if info.kind == "hcs.unmade"]
    assert (row.key, row.state, row.distribution) == ("a", "declared", "acme")


def test_a_listing_knows_the_apis_of_the_core_before_their_rooms_are_imported(environment):
    environment.install("acme", "[hcs.storage.v2]\na = m:A\n[hcs.unmade.v2]\nb = m:B\n")
    states = {info.key: info.state for info in all_infos()}
    assert states["a"] == "incompatible"
    assert states["b"] == "declared"  # nobody here knows that addon's API


def test_the_table_of_apis_is_that_of_the_registries_of_the_core():
    from hcs_core.arrays import ARRAYS
    from hcs_core.cli._main import COMMANDS
    from hcs_core.kernels import KERNELS
    from hcs_core.plates import MICROSCOPES
    from hcs_core.registry import OBSERVERS
    from hcs_core.registry._known import API_OF
    from hcs_core.storage import FORMATS, STORAGE

    made = (ARRAYS, COMMANDS, FORMATS, OBSERVERS, KERNELS, MICROSCOPES, STORAGE)
    assert {registry.kind: registry.api for registry in made} == API_OF


def test_many_threads_get_the_same_plugin(environment):
    environment.install(
        "acme",
        "[hcs.things.v1]\na = plug_slow:A\n",
        plug_slow="import time\ntime.sleep(0.05)\nclass A: ...",
    )
    things: Registry[Any] = Registry("hcs.things")
    start, found = threading.Barrier(16), []

    def get():
        start.wait()
        found.append(things["a"])

    threads = [threading.Thread(target=get) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1


def test_the_errors_survive_the_way_to_another_process():
    for error in (
        UnknownPluginError("hcs.x", "a", ("b",), "hint"),
        PluginConflictError("hcs.x", "a", ("one", "two")),
        PluginLoadError("hcs.x", "a", "acme 1", "m:A", "ValueError: x"),
    ):
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this line
        assert (type(copy), str(copy)) == (type(error), str(error))


def test_a_plugin_info_shows_what_matters():
    info = PluginInfo("hcs.x", "a", "m:A", "acme", "1.0", 1)
    assert repr(info) == "PluginInfo(hcs.x:a = m:A, acme 1.0, declared)"

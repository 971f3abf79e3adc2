"""Plugins that register themselves, beside declarations, conflicts and failures."""

from __future__ import annotations

import functools
import gc
import importlib
import shutil
import subprocess
import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from hcs_core.errors import (
    PluginConflictError,
    PluginLoadError,
    SettingError,
    UnknownPluginError,
)
from hcs_core.registry import AutoRegister, AutoRegisterMeta, Registry
from hcs_core.testing import (
    IsolatedRegistry,
    assert_listing_imports_nothing,
    fake_distribution,
    isolated_registry,
)
from hcs_core.testing.registry import write_distribution

BASE = """
from hcs_core.registry import AutoRegisterMeta, registries
class Thing(metaclass=AutoRegisterMeta, registry=registries()["hcs.things"]): ...
"""
IMPORT = "from plug_base import Thing\n"


@pytest.fixture
def environment() -> Iterator[IsolatedRegistry]:
    with isolated_registry() as made:
        yield made


@pytest.fixture
def things(environment: IsolatedRegistry) -> Registry[Any]:
    (environment.folder / "plug_base.py").write_text(BASE)
    return Registry("hcs.things")


def test_a_class_of_a_module_that_fails_later_is_no_plugin(environment, things):
    source = (
        f"{IMPORT}class A(Thing, key='a'): ...\nclass B(Thing, key='b'): ...\nraise OSError('x')"
    )
    environment.install("acme", {"hcs.things.v1": {"a": "plug:A"}}, {"plug.py": source})
    for _ in range(2):
        with pytest.raises(PluginLoadError, match="OSError: x"):
            things["a"]
    assert things.info("a").state == "broken"
    assert (list(things), things.load_all().ok) == (["a"], {})
    assert "b" not in things  # it was registered before the module failed


def test_a_conflict_stays_with_its_key_where_classes_register_themselves(environment, things):
    for name, other in (("one", "y"), ("two", "z")):
        source = f"{IMPORT}class X(Thing, key='x'): ...\nclass O(Thing, key='{other}'): ..."
        points = {"hcs.things.v1": {"x": f"plug_{name}:X", other: f"plug_{name}:O"}}
        environment.install(name, points, {f"plug_{name}.py": source})
    assert things["y"].__module__ == "plug_one"
    assert things["z"].__module__ == "plug_two"
    with pytest.raises(PluginConflictError, match=r"one 1\.0 .*two 1\.0 .*HCS_PLUGINS_PREFER"):
        things["x"]


def test_a_declared_class_that_is_defined_again_replaces_itself(environment, things):
    environment.install(
        "acme",
        {"hcs.things.v1": {"a": "plug:A"}},
        {"plug.py": f"{IMPORT}class A(Thing, key='a'): ..."},
    )
    before = things["a"]
    importlib.reload(sys.modules["plug"])
    assert things["a"] is sys.modules["plug"].A
    assert things["a"] is not before
    assert things.info("a").distribution == "acme"


@pytest.mark.parametrize("way", ["metaclass", "mixin"])
def test_a_dataclass_with_slots_is_registered_as_the_class_that_it_becomes(way, things):
    if way == "metaclass":

        class Thing(metaclass=AutoRegisterMeta, registry=things): ...
    else:

        class Thing(AutoRegister, registry=things):  # type: ignore[no-redef]
            __slots__ = ()

    @dataclass(slots=True)
    class Point(Thing, key="point"):
        x: int = 0

    class Below(Point): ...

    assert things["point"] is Point
    assert things["point"]().x == 0
    assert list(things) == ["point"]


def test_another_object_of_one_type_is_another_plugin(things):
    first, second = functools.partial(int, base=2), functools.partial(int, base=8)
    things.add(first, key="digits")
    things.add(first, key="digits")
    with pytest.raises(PluginConflictError, match="override=True"):
        things.add(second, key="digits")
    assert things["digits"] is first
    things.add(second, key="digits", override=True)
    assert things["digits"] is second


def test_what_is_added_must_be_what_the_kind_expects(things):
    class Thing(metaclass=AutoRegisterMeta, registry=things): ...

    things.expect(Thing, attribute="name")
    with pytest.raises(TypeError, match="it is no Thing"):
        things.add(dict, key="dict")
    with pytest.raises(TypeError, match="calls itself None"):

        class Nameless(Thing, key="nameless"): ...

    assert list(things) == []


def test_the_only_ones_keep_their_secondary_keys(environment, things, monkeypatch):
    points = {
        "hcs.things.v1": {"lif": "plug:Lif", "czi": "plug:Czi"},
        "hcs.things.suffixes.v1": {".lif": "plug:Lif", ".czi": "plug:Czi"},
    }
    environment.install("acme", points)
    suffixes = things.secondary("suffixes")
    for choice in ("things:lif", "hcs.things:lif"):
        monkeypatch.setenv("HCS_PLUGINS_ONLY", choice)
        things.refresh()
        assert dict.fromkeys(suffixes) == {".lif": None}
        assert suffixes.key(".lif") == "lif"


def test_the_variable_wins_over_the_file_in_either_spelling(environment, things, monkeypatch):
    for name in ("one", "two"):
        environment.install(name, {"hcs.things.v1": {"x": f"plug_{name}:X"}})
    file = environment.folder / "config.toml"
    file.write_text('[plugins.prefer]\n"hcs.things:x" = "one"\n')
    monkeypatch.setenv("HCS_CONFIG", str(file))
    things.refresh()
    assert things.info("x").distribution == "one"
    monkeypatch.setenv("HCS_PLUGINS_PREFER", "things:x=two")
    things.refresh()
    assert things.info("x").distribution == "two"


def test_a_distribution_can_be_preferred_over_the_application(environment, monkeypatch):
    package = environment.folder / "my_things"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "own.py").write_text(f"{BASE}class X(Thing, key='x'): ...\n")
    environment.install("one", {"hcs.things.v1": {"x": "plug_one:X"}})
    things: Registry[Any] = Registry("hcs.things", package="my_things")
    assert [info.state for info in things.infos()] == ["conflict", "conflict"]
    monkeypatch.setenv("HCS_PLUGINS_PREFER", "things:x=one")
    things.refresh()
    assert [info.distribution for info in things.infos()] == ["one"]
    assert {info.state for info in things.infos(all=True)} == {"declared", "shadowed"}


@pytest.mark.parametrize("key", [5, None, ("a",)])
def test_a_key_that_is_no_text_is_unknown(key, things):
    things.add(dict, key="dict")
    assert key not in things
    with pytest.raises(UnknownPluginError, match="available: dict"):
        things[key]


def test_a_pattern_is_not_taken_for_a_key(things, monkeypatch):
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", "things:t*")
    with pytest.raises(SettingError, match="kind:key, such as"):
        things.refresh()
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", "things:*")
    things.refresh()


def test_kinds_of_other_projects_share_one_look(environment, monkeypatch):
    from hcs_core.registry import _discovery, _scanner

    looked: list[str] = []
    scan = _scanner.scan_folder

    def looking(folder: str, prefixes: tuple[str, ...]) -> Any:
        looked.append(folder)
        return scan(folder, prefixes)

    monkeypatch.setattr(_discovery, "_prefixes", ("hcs.",))
    monkeypatch.setattr(_discovery, "scan_folder", looking)
    kinds: list[Registry[Any]] = [Registry(f"acme.kind{number}") for number in range(3)]
    assert [list(kind) for kind in kinds] == [[], [], []]
    assert len(looked) == len(set(looked))


def test_a_configuration_file_that_is_named_must_be_there(things, monkeypatch, tmp_path):
    monkeypatch.setenv("HCS_CONFIG", str(tmp_path / "typo.toml"))
    with pytest.raises(SettingError, match=r"HCS_CONFIG is '.*typo\.toml', but must be the path"):
        things.refresh()


# -- what a class says of itself does not undo what the user says -------------------------------


def declaring(environment: IsolatedRegistry, name: str, group: str, **classes: str) -> None:
    """Install classes that are declared under a key, and register themselves under it."""
    lines = [f"class {cls}(Thing, key={key!r}): ..." for cls, key in classes.items()]
    points = {group: {key: f"plug_{name}:{cls}" for cls, key in classes.items()}}
    environment.install(name, points, {f"plug_{name}.py": IMPORT + "\n".join(lines)})


def test_a_class_that_is_switched_off_stays_off_when_its_module_is_imported(
    environment, things, monkeypatch
):
    declaring(environment, "one", "hcs.things.v1", A="a", B="b")
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", "things:a")
    things.refresh()
    assert things["b"].__name__ == "B"
    assert list(things) == ["b"]
    with pytest.raises(UnknownPluginError, match="switched off"):
        things["a"]


def test_a_class_of_another_api_stays_incompatible_when_its_module_is_imported(environment, things):
    source = f"{IMPORT}class New(Thing, key='n'): ...\nclass Old(Thing, key='o'): ..."
    points = {"hcs.things.v2": {"n": "plug:New"}, "hcs.things.v1": {"o": "plug:Old"}}
    environment.install("acme", points, {"plug.py": source})
    assert things["o"].__name__ == "Old"
    assert [info.state for info in things.infos()] == ["incompatible", "loaded"]


def test_the_one_that_is_not_preferred_does_not_break_its_siblings(
    environment, things, monkeypatch
):
    declaring(environment, "one", "hcs.things.v1", X="x")
    declaring(environment, "two", "hcs.things.v1", X="x", Other="other")
    monkeypatch.setenv("HCS_PLUGINS_PREFER", "things:x=one")
    things.refresh()
    assert things["other"].__module__ == "plug_two"
    assert things["x"].__module__ == "plug_one"


# -- failures, and looking again ----------------------------------------------------------------


def test_a_broken_plugin_works_when_its_upgrade_is_installed(environment, things):
    old = environment.install(
        "acme", {"hcs.things.v1": {"k": "old:K"}}, {"old.py": "raise RuntimeError('old')"}
    )
    with pytest.raises(PluginLoadError, match="old"):
        things["k"]
    shutil.rmtree(old)
    files = {"new.py": "class K: ..."}
    environment.install("acme", {"hcs.things.v1": {"k": "new:K"}}, files, version="2.0")
    assert Registry("hcs.others").get("no such key") is None  # somebody else has looked again
    assert (things.info("k").state, things.info("k").version) == ("declared", "2.0")
    assert things["k"].__module__ == "new"


def test_a_failure_keeps_nothing_of_its_caller_alive(environment, things):
    environment.install("acme", {"hcs.things.v1": {"k": "plug:K"}}, {"plug.py": "raise OSError"})

    class Big: ...

    def call() -> weakref.ref[Big]:
        big = Big()
        with pytest.raises(PluginLoadError):
            things["k"]
        return weakref.ref(big)

    kept = call()
    gc.collect()
    assert kept() is None
    assert things.info("k").state == "broken"


def test_unknown_keys_have_the_environment_read_once_each(environment, monkeypatch):
    from hcs_core.registry import _discovery

    first: Registry[Any] = Registry("hcs.first")
    second: Registry[Any] = Registry("hcs.second")
    list(first)
    looks: list[int] = []
    made = _discovery.Discovery.__init__

    def looking(*arguments: Any, **options: Any) -> None:
        looks.append(1)
        made(*arguments, **options)

    monkeypatch.setattr(_discovery, "RACY_NS", -(10**18))  # as if nothing were young
    monkeypatch.setattr(_discovery.Discovery, "__init__", looking)
    for _ in range(10):
        for registry in (first, second):
            assert registry.get("a") is registry.get("b") is None
    assert len(looks) == 4


def test_the_reason_is_the_first_line_that_says_something(environment, things):
    source = "raise ImportError('\\n\\nIMPORTANT: read this\\nand this')"
    environment.install("acme", {"hcs.things.v1": {"k": "plug:K"}}, {"plug.py": source})
    with pytest.raises(PluginLoadError, match="ImportError: IMPORTANT: read this;"):
        things["k"]


# -- what is asked wrongly -------------------------------------------------------------------


def test_a_decorator_without_its_brackets_is_told(things):
    with pytest.raises(TypeError, match=r"write @register\('...'\) above .*tool, with its key"):

        @things.register
        def tool(): ...

    assert list(things) == []


@pytest.mark.parametrize("key", [3, None, "", " a", "a\nb"])
def test_a_key_is_a_text(key, things):
    with pytest.raises(TypeError, match="a text in one line, not empty"):
        things.add(dict, key=key)
    assert list(things) == []


@pytest.mark.parametrize(
    ("kind", "api"),
    [(3, 1), ("", 1), ("a b", 1), ("acme.x.v1", 1), ("hcs.x", "1"), ("hcs.x", True), ("hcs.x", 0)],
)
def test_a_registry_has_a_kind_and_an_api(kind, api):
    with pytest.raises(TypeError, match=r"has a kind such as .acme\.filters. and an API"):
        Registry(kind, api=api)


def test_a_parent_is_a_registry():
    with pytest.raises(TypeError, match=r"the parent of acme\.b must be a registry, got 'acme\.a'"):
        Registry("acme.b", parent="acme.a")  # type: ignore[arg-type]


def test_what_is_refused_is_named_with_its_place(things):
    class Thing(metaclass=AutoRegisterMeta, registry=things): ...

    with pytest.raises(TypeError, match=r"^builtins:dict cannot be hcs\.things:d: it is no Thing"):
        things.add(dict, key="d")


# -- a program that makes its registries twice ------------------------------------------------


def test_two_registries_of_one_kind_both_tell_of_a_broken_plugin(environment, things):
    twin: Registry[Any] = Registry("hcs.things")
    plug = environment.folder / "plug.py"
    environment.install("acme", {"hcs.things.v1": {"k": "plug:K"}}, {"plug.py": "1 / 0"})
    for _ in range(3):
        for registry in (things, twin):
            with pytest.raises(PluginLoadError, match="ZeroDivisionError"):
                registry["k"]
    plug.write_text("class K:\n    is_mended = True\n")
    twin.refresh()
    assert things["k"].is_mended
    assert twin["k"] is things["k"]


def test_a_plugin_that_was_moved_while_the_process_runs_is_found(environment, things):
    old = environment.install("acme", {"hcs.things.v1": {"k": "old:K"}})
    assert list(things) == ["k"]
    shutil.rmtree(old)
    files = {"new.py": "class K: ..."}
    write_distribution(
        environment.folder, "acme", {"hcs.things.v1": {"k": "new:K"}}, files, version="2"
    )
    assert things["k"].__module__ == "new"
    assert things.info("k").version == "2"


# -- what a listing gives is the caller's own -------------------------------------------------


def test_changing_an_info_changes_nothing_in_the_registry(environment, things):
    things.add(dict, key="dict")
    environment.install("acme", {"hcs.things.v2": {"n": "plug:New"}})
    for info in things.infos():
        info.state, info.error = "broken", "changed"
    assert [(info.state, info.error == "changed") for info in things.infos()] == [
        ("loaded", False),
        ("incompatible", False),
    ]


# -- the test kit ------------------------------------------------------------------------------


def test_a_fake_distribution_is_seen_in_an_isolated_registry(things):
    with fake_distribution("acme", {"hcs.things.v1": {"k": "plug:K"}}):
        assert list(things) == ["k"]
    assert list(things) == []


def test_installing_a_distribution_twice_is_told(environment):
    environment.install("acme", {})
    with pytest.raises(ValueError, match=r"acme 1\.0 is installed in .* already; say version="):
        environment.install("acme", {})


def test_a_room_that_is_first_imported_in_isolation_keeps_its_registry():
    script = """
import pickle
from hcs_core.registry import registries
from hcs_core.testing import isolated_registry
before = set(registries())
with isolated_registry() as environment:
    from hcs_core.kernels import KERNELS
    environment.install("acme", {"hcs.kernels.v1": {"acme": "m:L"}})
    assert "acme" in KERNELS
assert registries()["hcs.kernels"] is KERNELS, before
assert pickle.loads(pickle.dumps(KERNELS)) is KERNELS
assert "acme" not in KERNELS
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_folder_without_plugins_does_not_show_that_listing_is_free(tmp_path):
    with pytest.raises(AssertionError, match="no plugin is installed in"):
        assert_listing_imports_nothing(tmp_path)


def test_the_package_that_one_registry_lacks_is_not_the_others_fault(environment, things):
    package = environment.folder / "going_away"
    package.mkdir()
    (package / "__init__.py").write_text("")
    other: Registry[Any] = Registry("acme.going", package="going_away")
    other.add(dict, key="dict")
    shutil.rmtree(package)
    environment.install("acme", {"hcs.things.v1": {"k": "plug:K"}}, {"plug.py": "class K: ..."})
    assert things["k"].__name__ == "K"
    assert things.get("none") is None
    things.refresh()
    with pytest.raises(ModuleNotFoundError, match="there is no package going_away"):
        list(other)

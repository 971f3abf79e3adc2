"""Plugins that register themselves, beside declarations, conflicts and failures."""

from __future__ import annotations

import functools
import importlib
import sys
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
from hcs_core.testing import IsolatedRegistry, isolated_registry

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
    from hcs_core.registry import _discovery

    looked = []
    monkeypatch.setattr(_discovery, "_prefixes", ("hcs.",))
    found = _discovery.scan_folder
    monkeypatch.setattr(_discovery, "scan_folder", lambda *a: (looked.append(a[0]), found(*a))[1])
    kinds = [Registry(f"acme.kind{number}") for number in range(3)]
    assert [list(kind) for kind in kinds] == [[], [], []]
    assert len(looked) == len(set(looked))


def test_a_configuration_file_that_is_named_must_be_there(things, monkeypatch, tmp_path):
    monkeypatch.setenv("HCS_CONFIG", str(tmp_path / "typo.toml"))
    with pytest.raises(SettingError, match=r"HCS_CONFIG is '.*typo\.toml', but must be the path"):
        things.refresh()

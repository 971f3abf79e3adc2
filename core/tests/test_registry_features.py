"""What registries offer beside keys and entry points, each with how it can go wrong."""

from __future__ import annotations

import contextlib
import os
import sys
import zipfile
from abc import ABCMeta, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hcs_core.errors import (
    PluginConflictError,
    PluginLoadError,
    PluginWarning,
    UnknownPluginError,
)
from hcs_core.registry import (
    AutoRegister,
    AutoRegisterMeta,
    Registry,
    _discovery,
    _index,
    _package,
    _scanner,
    all_infos,
)
from hcs_core.registry import _registry as registry_module
from hcs_core.testing.registry import write_distribution

own_cache = pytest.mark.skipif(os.name == "nt", reason="its cache folder is not set from outside")


class Site:
    """A folder on the path into which a test installs what it needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def install(self, name: str, points: dict[str, dict[str, str]], **modules: str) -> Path:
        files = {f"{module}.py": source for module, source in modules.items()}
        about = write_distribution(self.folder, name, points, files)
        _discovery._current = None
        return about

    def write(self, path: str, source: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
        _discovery._current = None
        return file


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    monkeypatch.setattr(sys, "path", [str(made.folder), *sys.path])
    monkeypatch.setattr(_discovery, "_current", None)
    monkeypatch.setattr(_discovery, "_prefixes", ("hcs.",))
    monkeypatch.setattr(registry_module, "_KINDS", {})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    before = set(sys.modules)
    yield made
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if name.startswith(("plug_", "an_app")) or file.startswith(str(tmp_path)):
            del sys.modules[name]


def imported(*names: str) -> list[str]:
    return [name for name in names if name in sys.modules]


# -- keys out of class names ----------------------------------------------------------------------


def test_a_suffix_gives_the_key_of_every_class_that_can_be_made(site):
    readers: Registry[Any] = Registry("hcs.bench", suffix="Reader")

    class Reader(metaclass=AutoRegisterMeta, registry=readers):
        @abstractmethod
        def read(self): ...

    class LayerReader(Reader):  # abstract still
        pass

    class ImageXpressReader(LayerReader):
        def read(self): ...

    class Other(ImageXpressReader):  # another ending
        pass

    class _HiddenReader(ImageXpressReader):
        pass

    class NoPluginReader(ImageXpressReader, key=None):
        pass

    class NamedReader(ImageXpressReader, key="other-name"):
        pass

    assert dict(readers) == {"imagexpress": ImageXpressReader, "other-name": NamedReader}


def test_a_class_named_by_the_suffix_alone_has_no_key(site):
    readers: Registry[Any] = Registry("hcs.bench", suffix="Reader")

    class Base(metaclass=AutoRegisterMeta, registry=readers):
        pass

    class Reader(Base):
        pass

    assert list(readers) == []


def test_a_decorator_without_a_key_takes_the_class_name_or_is_refused(site):
    readers: Registry[Any] = Registry("hcs.bench", suffix="Reader")

    @readers.register()
    class ToyReader:
        pass

    assert readers["toy"] is ToyReader
    with pytest.raises(TypeError, match="needs a key"):
        readers.register()(int)


# -- metaclasses of others ------------------------------------------------------------------------


class PlainMeta(type):
    """As that of Qt: knows nothing of class options."""


class StrictMeta(type):
    """Takes what it knows out of the options and hands the rest on, as pydantic does."""

    def __new__(mcs, name, bases, namespace, *, frozen=False, **options):
        made = super().__new__(mcs, name, bases, namespace, **options)
        made.is_frozen = frozen  # type: ignore[attr-defined]
        return made

    def __init__(cls, name, bases, namespace, **options):
        super().__init__(name, bases, namespace)


@pytest.mark.parametrize("meta", [type, PlainMeta, ABCMeta, StrictMeta])
def test_the_mixin_registers_classes_of_any_metaclass(site, meta):
    panels: Registry[Any] = Registry("hcs.bench", suffix="Panel")

    foreign: Any = meta("Foreign", (), {})

    class Panel(AutoRegister, foreign, registry=panels):  # type: ignore[misc]
        pass

    class HistogramPanel(Panel):
        pass

    class Named(Panel, key="named"):
        pass

    class Layer(Panel):
        pass

    assert dict(panels) == {"histogram": HistogramPanel, "named": Named}
    assert type(Named) is meta
    with pytest.raises(PluginConflictError):
        meta("Other", (Layer,), {"__module__": __name__}, key="named")  # type: ignore[misc]
    if meta is StrictMeta:

        class Frozen(Panel, key="frozen", frozen=True):
            pass

        assert panels["frozen"].is_frozen


def test_the_mixin_knows_abstract_classes_before_their_metaclass_has_counted(site):
    panels: Registry[Any] = Registry("hcs.bench", suffix="Panel")

    class Panel(AutoRegister, metaclass=ABCMeta, registry=panels):
        @abstractmethod
        def show(self): ...

    class LayerPanel(Panel):
        pass

    class RealPanel(LayerPanel):
        def show(self): ...

    assert dict(panels) == {"real": RealPanel}
    with pytest.raises(TypeError, match="it lacks show"):

        class Lazy(LayerPanel, key="lazy"):
            pass

    assert list(panels) == ["real"]


def test_a_model_of_pydantic_registers_itself(site):
    pydantic: Any = pytest.importorskip("pydantic")
    settings: Registry[Any] = Registry("hcs.bench")

    class Setting(AutoRegister, pydantic.BaseModel, registry=settings):  # type: ignore[misc]
        pass

    class Gain(Setting, key="gain", frozen=True):
        value: float = 1.0

    assert dict(settings) == {"gain": Gain}
    assert Gain(value="2").value == 2.0


def test_a_class_takes_a_key_over_only_when_it_says_so(site):
    site.install("acme", {"hcs.bench.v1": {"a": "plug_a:A"}}, plug_a="class A: ...")
    things: Registry[Any] = Registry("hcs.bench")

    class Thing(metaclass=AutoRegisterMeta, registry=things):
        pass

    with pytest.raises(PluginConflictError, match=r"acme 1\.0.*this process"):

        class Second(Thing, key="a"):
            pass

    class Third(Thing, key="a", override=True):
        pass

    assert things["a"] is Third
    assert imported("plug_a") == []


def test_a_registry_named_lower_down_takes_the_classes_below_it(site):
    upper: Registry[Any] = Registry("hcs.bench")
    lower: Registry[Any] = Registry("hcs.other")

    class Thing(metaclass=AutoRegisterMeta, registry=upper):
        pass

    class Special(Thing, registry=lower):
        pass

    class A(Thing, key="a"):
        pass

    class B(Special, key="b"):
        pass

    assert (dict(upper), dict(lower)) == ({"a": A}, {"b": B})


# -- what is expected of a plugin -----------------------------------------------------------------


PLUGINS = """
from abc import abstractmethod
from plug_base import Thing
class Good(Thing): name = "good"
class Other(Thing): name = "another"
class Foreign: name = "foreign"
class Abstract(Thing):
    name = "abstract"
    @abstractmethod
    def work(self): ...
class Nameless(Thing): pass
instance = Good()
instance.name = "instance"
number = 3
"""


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("foreign", "Foreign", "it is no Thing, but a subclass of object"),
        ("number", "number", "it must be a class, but is of type int"),
        ("instance", "instance", "it must be a class, but is of type Good"),
        ("abstract", "Abstract", "it lacks work"),
        ("other", "Other", "it is declared as 'other' but calls itself 'another'"),
        ("nameless", "Nameless", "it is declared as 'nameless' but calls itself None"),
        ("good", "Good", ""),
    ],
)
def test_what_is_no_plugin_of_the_kind_is_refused_and_told(site, key, value, told):
    base = (
        "from hcs_core.registry import AutoRegisterMeta, Registry\n"
        "THINGS = Registry('hcs.bench')\n"
        "class Thing(metaclass=AutoRegisterMeta, registry=THINGS): ...\n"
        "THINGS.expect(Thing, attribute='name')\n"
    )
    site.install(
        "acme", {"hcs.bench.v1": {key: f"plug_all:{value}"}}, plug_base=base, plug_all=PLUGINS
    )
    import plug_base  # type: ignore[import-not-found]

    things = plug_base.THINGS
    if not told:
        assert things[key].name == key
        return
    with pytest.raises(PluginLoadError) as caught:
        things[key]
    assert told in str(caught.value)
    assert f"{key!r} of acme 1.0 (plug_all:{value})" in str(caught.value)
    assert things.info(key).state == "broken"
    assert told in things.info(key).error


def test_a_class_that_registers_itself_under_another_key_than_it_is_declared_is_refused(site):
    source = """
from hcs_core.registry import AutoRegisterMeta, registries
class Thing(metaclass=AutoRegisterMeta, registry=registries()["hcs.bench"]): ...
class Keyed(Thing, key="otherwise"): ...
"""
    site.install("acme", {"hcs.bench.v1": {"keyed": "plug_keyed:Keyed"}}, plug_keyed=source)
    things: Registry[Any] = Registry("hcs.bench")
    with pytest.raises(PluginLoadError, match="'keyed' but calls itself 'otherwise'"):
        things["keyed"]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("good", "instance", "calls itself 'instance'"),
        ("instance", "Good", "it is no Thing, but a subclass of Thing"),
        ("number", "number", "it is no Thing, but of type int"),
        ("instance", "instance", ""),
    ],
)
def test_a_kind_of_instances_takes_those_alone(site, key, value, told):
    source = "class Thing: ...\nclass Good(Thing): ...\ninstance = Good()\nnumber = 3\n"
    source += "instance.name = 'instance'\n"
    site.install("acme", {"hcs.bench.v1": {key: f"plug_all:{value}"}}, plug_all=source)
    import plug_all  # type: ignore[import-not-found]

    things: Registry[Any] = Registry("hcs.bench")
    things.expect(plug_all.Thing, attribute="name", instances=True)
    if not told:
        assert things[key] is plug_all.instance
        return
    with pytest.raises(PluginLoadError) as caught:
        things[key]
    assert told in str(caught.value)


# -- all at once ----------------------------------------------------------------------------------


@pytest.fixture
def mixed(site: Site) -> Registry[Any]:
    points = {"good": "plug_good:C", "bad": "plug_bad:C", "worse": "plug_worse:C", "two": "x:C"}
    site.install(
        "acme",
        {"hcs.bench.v1": points},
        plug_good="class C: ...",
        plug_bad="raise ValueError('no licence')",
        plug_worse="import sys; sys.exit('gone')",
    )
    site.install("other", {"hcs.bench.v1": {"two": "y:C"}})
    return Registry("hcs.bench")


def test_a_report_has_what_could_be_loaded_and_why_the_rest_could_not(mixed):
    report = mixed.load_all()
    assert {key: plugin.__module__ for key, plugin in report.ok.items()} == {"good": "plug_good"}
    assert {key: type(cause) for key, cause in report.failed.items()} == {
        "bad": PluginLoadError,
        "two": PluginConflictError,
        "worse": PluginLoadError,
    }
    assert "no licence" in str(report.failed["bad"])
    assert "SystemExit: gone" in str(report.failed["worse"])
    assert repr(report) == "LoadReport(ok: ['good'], failed: ['bad', 'two', 'worse'])"


@pytest.mark.parametrize("method", ["values", "items"])
def test_values_and_items_warn_once_of_each_that_failed_and_give_the_rest(mixed, method):
    with pytest.warns(PluginWarning) as caught:
        found = list(getattr(mixed, method)())
    told = [str(warning.message) for warning in caught]
    assert [text.split("'")[1] for text in told] == ["bad", "two", "worse"]
    assert not any("\n" in text for text in told)
    assert len(found) == 1
    assert {warning.filename for warning in caught} == {__file__}  # where it can be seen


# -- a parent -------------------------------------------------------------------------------------


def test_what_a_registry_has_not_its_parent_has(site):
    site.install(
        "acme",
        {"hcs.bench.v1": {"a": "plug_a:A", "b": "plug_a:B"}, "hcs.child.v1": {"b": "plug_b:B"}},
        plug_a="class A: ...\nclass B: ...",
        plug_b="class B: ...",
    )
    parent: Registry[Any] = Registry("hcs.bench")
    child: Registry[Any] = Registry("hcs.child", parent=parent)
    grandchild: Registry[Any] = Registry("hcs.grandchild", parent=child)
    assert (list(parent), list(child), list(grandchild)) == (["a", "b"], ["a", "b"], ["a", "b"])
    assert (len(child), "a" in child, "c" in child) == (2, True, False)
    assert imported("plug_a", "plug_b") == []
    assert child["b"].__module__ == grandchild["b"].__module__ == "plug_b"
    assert imported("plug_a") == []
    assert child["a"] is grandchild["a"] is parent["a"]
    assert [(info.kind, info.key) for info in grandchild.infos()] == [
        ("hcs.bench", "a"),
        ("hcs.child", "b"),
    ]
    child.add(1, key="c")
    assert "c" not in parent
    assert grandchild["c"] == 1
    parent.add(2, key="d")
    assert child["d"] == 2
    with pytest.raises(UnknownPluginError, match="available: a, b, c, d"):
        grandchild["e"]


def test_a_child_may_take_a_key_of_its_parent_for_itself(site):
    parent: Registry[Any] = Registry("hcs.bench")
    child: Registry[Any] = Registry("hcs.child", parent=parent)
    parent.add(1, key="a")
    child.add(2, key="a")
    assert (parent["a"], child["a"]) == (1, 2)


# -- an older API ---------------------------------------------------------------------------------


def test_a_plugin_of_an_older_api_is_served_through_its_adapter(site):
    site.install(
        "old",
        {"hcs.bench.v1": {"old": "plug_old:C", "both": "plug_old:C"}},
        plug_old="class C: age = 'old'",
    )
    site.install(
        "new",
        {"hcs.bench.v2": {"new": "plug_new:C"}, "hcs.bench.v1": {"new": "plug_old:C"}},
        plug_new="class C: age = 'new'",
    )
    site.install("older", {"hcs.bench.v0": {"older": "plug_none:C"}})
    calls = []

    def adapt(plugin: Any) -> Any:
        calls.append(plugin)
        return type(plugin.__name__, (plugin,), {"is_adapted": True})

    things: Registry[Any] = Registry("hcs.bench", api=2, adapters={1: adapt})
    assert list(things) == ["both", "new", "old"]
    assert things["old"].is_adapted
    assert things["old"] is things["old"]
    assert not hasattr(things["new"], "is_adapted")
    assert len(calls) == 1
    assert {info.key: info.api for info in things.infos()} == {
        "both": 1,
        "new": 2,
        "old": 1,
        "older": 0,
    }
    with pytest.raises(UnknownPluginError, match=r"needs API 0 .* 2; update older"):
        things["older"]


def test_an_adapter_that_fails_breaks_only_that_plugin(site):
    site.install(
        "old", {"hcs.bench.v1": {"a": "plug_old:A", "b": "plug_old:B"}}, plug_old="A, B = 1, 0"
    )
    things: Registry[Any] = Registry("hcs.bench", api=2, adapters={1: lambda plugin: 1 // plugin})
    assert things["a"] == 1
    with pytest.raises(PluginLoadError, match="ZeroDivisionError"):
        things["b"]


# -- secondary keys -------------------------------------------------------------------------------


def test_plugins_are_found_by_a_second_key_without_an_import(site):
    site.install(
        "acme",
        {
            "hcs.bench.v1": {"tiff": "plug_tiff:Tiff", "png": "plug_png:Png"},
            "hcs.bench.extensions.v1": {".tif": "plug_tiff:Tiff", ".tiff": "plug_tiff:Tiff"},
        },
        plug_tiff="class Tiff: ...",
    )
    things: Registry[Any] = Registry("hcs.bench")
    extensions = things.secondary("extensions")
    assert (list(extensions), len(extensions), ".tif" in extensions) == (
        [".tif", ".tiff"],
        2,
        True,
    )
    assert extensions.key(".tif") == "tiff"
    assert (extensions.of("tiff"), extensions.of("png")) == ((".tif", ".tiff"), ())
    assert imported("plug_tiff") == []
    assert extensions[".tif"] is things["tiff"]
    with pytest.raises(UnknownPluginError, match=r"\.tiff"):
        extensions[".tf"]
    assert extensions.get(".tf") is None
    assert "hcs.bench.extensions" not in {info.kind for info in all_infos()}


def test_a_second_key_of_nothing_that_is_a_plugin_is_none(site):
    site.install(
        "acme",
        {"hcs.bench.v1": {"a": "m:A"}, "hcs.bench.extensions.v1": {".b": "m:B", ".a": "m:A"}},
    )
    site.install("other", {"hcs.bench.extensions.v1": {".c": "m:A"}})  # another's plugin
    extensions = Registry[Any]("hcs.bench").secondary("extensions")
    assert list(extensions) == [".a"]


def test_a_second_key_of_two_distributions_is_a_conflict_of_that_key_alone(site):
    for name in ("one", "two"):
        points = {f"{name}": f"plug_{name}:C"}
        second = {".x": f"plug_{name}:C", f".{name}": f"plug_{name}:C"}
        site.install(
            name,
            {"hcs.bench.v1": points, "hcs.bench.extensions.v1": second},
            **{f"plug_{name}": "class C: ..."},
        )
    things: Registry[Any] = Registry("hcs.bench")
    extensions = things.secondary("extensions")
    assert list(extensions) == [".one", ".two", ".x"]
    with pytest.raises(PluginConflictError, match=r"one 1\.0.*two 1\.0"):
        extensions[".x"]
    assert extensions.key(".one") == "one"
    assert imported("plug_one", "plug_two") == []


@pytest.mark.parametrize("disable", ["bench:one", "dist:one"])
def test_of_two_plugins_with_a_second_key_the_one_that_is_not_switched_off_has_it(
    site, monkeypatch, disable
):
    for name in ("one", "two"):
        value = f"plug_{name}:C"
        site.install(
            name, {"hcs.bench.v1": {name: value}, "hcs.bench.extensions.v1": {".x": value}}
        )
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", disable)
    extensions = Registry[Any]("hcs.bench").secondary("extensions")
    assert extensions.key(".x") == "two"
    assert extensions.of("one") == ()
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", "bench")
    _discovery._current = None
    assert list(extensions) == []


def test_a_plugin_of_this_process_says_its_second_keys_itself(site):
    site.install(
        "acme",
        {"hcs.bench.v1": {"a": "plug_a:A"}, "hcs.bench.extensions.v1": {".a": "plug_a:A"}},
    )
    things: Registry[Any] = Registry("hcs.bench")
    extensions = things.secondary("extensions")

    class Own:
        extensions = (".own", ".b")

    things.add(Own, key="own")
    assert list(extensions) == [".a", ".b", ".own"]
    assert extensions[".own"] is Own
    assert extensions.of("own") == (".b", ".own")

    class Instead:
        extensions = (".new",)

    with things.overrides(a=Instead):
        assert list(extensions) == [".b", ".new", ".own"]
    assert list(extensions) == [".a", ".b", ".own"]


# -- an application's own package -----------------------------------------------------------------


READERS = """
raise SystemExit("imported: it is only to be read")
"""
PACKAGE = {
    "__init__.py": READERS,
    "_by_key.py": """
from elsewhere import Reader
class Mine(Reader, key="mine"): ...
class Layer(Reader, key=None): ...
class Plain: ...
def function(): ...
""",
    "_by_decorator.py": """
from elsewhere import READERS
import elsewhere
@READERS.register("decorated")
class A: ...
@elsewhere.READERS.register(key="function")
def work(): ...
@elsewhere.other("no")
class B: ...
""",
    "_by_suffix.py": """
from abc import abstractmethod
class OperaReader(Reader): ...
class _HiddenReader(Reader): ...
class AbstractReader(Reader):
    @abstractmethod
    def read(self): ...
class NoReader(Reader, key=None): ...
""",
    "deep/__init__.py": "",
    "deep/deeper/__init__.py": "class InitReader: ...",
    "deep/deeper/module.py": "class Deep(Reader, key='deep'): ...",
    "no_package/module.py": "class Lost(Reader, key='lost'): ...",
    "not-a-module.py": "class Lost(Reader, key='lost'): ...",
    "data.txt": "class Lost(Reader, key='lost'): ...",
    "latin.py": "# -*- coding: latin-1 -*-\nclass Latin(Reader, key='latin'): ...",
    "empty.py": "",
}


@pytest.fixture
def package(site: Site) -> Path:
    for path, source in PACKAGE.items():
        site.write(f"an_app/{path}", source)
    return site.folder / "an_app"


KEYS = ["decorated", "deep", "function", "init", "latin", "mine", "opera"]


def test_a_package_is_read_and_none_of_its_modules_imported(site, package):
    readers: Registry[Any] = Registry("hcs.bench", package="an_app", suffix="Reader")
    assert list(readers) == KEYS
    assert {info.key: info.value for info in readers.infos()} == {
        "decorated": "an_app._by_decorator:A",
        "deep": "an_app.deep.deeper.module:Deep",
        "function": "an_app._by_decorator:work",
        "init": "an_app.deep.deeper:InitReader",
        "latin": "an_app.latin:Latin",
        "mine": "an_app._by_key:Mine",
        "opera": "an_app._by_suffix:OperaReader",
    }
    assert {info.location for info in readers.infos()} == {str(package)}
    assert {info.origin for info in readers.infos()} == {str(package)}
    assert [name for name in sys.modules if name.startswith("an_app")] == []


def test_a_package_within_a_package_is_read_without_importing_its_parents(site, package):
    readers: Registry[Any] = Registry("hcs.bench", package="an_app.deep.deeper", suffix="Reader")
    assert list(readers) == ["deep", "init"]
    assert [name for name in sys.modules if name.startswith("an_app")] == []


def test_one_plugin_of_a_package_imports_one_module(site, package):
    site.write("an_app/__init__.py", "")
    site.write(
        "an_app/_by_key.py",
        "from hcs_core.registry import AutoRegisterMeta, registries\n"
        "class Reader(metaclass=AutoRegisterMeta, registry=registries()['hcs.bench']): ...\n"
        "class Mine(Reader, key='mine'): ...\n",
    )
    readers: Registry[Any] = Registry("hcs.bench", package="an_app", suffix="Reader")
    assert readers["mine"].__name__ == "Mine"
    assert sorted(name for name in sys.modules if name.startswith("an_app")) == [
        "an_app",
        "an_app._by_key",
    ]
    assert readers.info("mine").state == "loaded"
    assert len([info for info in readers.infos() if info.key == "mine"]) == 1


def test_a_module_that_cannot_be_read_is_a_broken_plugin_and_no_other_is(site, package):
    site.write("an_app/wrong.py", "class Broken(Reader, key='broken':\n")
    site.write("an_app/zero.py", "class Broken(Reader, key='zero'): '\0'\n")
    with contextlib.suppress(OSError):  # Windows wants the right to make links
        (package / "dangling.py").symlink_to(package / "nowhere.py")
    readers: Registry[Any] = Registry("hcs.bench", package="an_app", suffix="Reader")
    assert list(readers) == KEYS
    broken = [info for info in readers.infos() if info.state == "broken"]
    assert [info.value for info in broken] == ["an_app.wrong", "an_app.zero"]
    assert "SyntaxError" in str(broken[0].error)
    assert "\n" not in str(broken[0].error)


def test_a_key_twice_in_a_package_or_also_installed_is_a_conflict(site, package):
    site.write("an_app/second.py", "class Mine(Reader, key='mine'): ...")
    site.install("acme", {"hcs.bench.v1": {"deep": "plug_deep:C"}})
    readers: Registry[Any] = Registry("hcs.bench", package="an_app")
    with pytest.raises(PluginConflictError, match=r"_by_key:Mine.*second:Mine"):
        readers["mine"]
    with pytest.raises(PluginConflictError, match=r"acme 1\.0"):
        readers["deep"]


def test_what_a_package_declares_by_entry_point_too_is_one_plugin(site, package):
    site.install("acme", {"hcs.bench.v1": {"mine": "an_app._by_key:Mine"}})
    readers: Registry[Any] = Registry("hcs.bench", package="an_app")
    assert [info.origin for info in readers.infos() if info.key == "mine"] == ["acme 1.0"]


def test_a_package_of_several_folders_is_read_in_all(site, tmp_path):
    for number in ("1", "2"):
        folder = tmp_path / number / "an_app_of_parts"
        folder.mkdir(parents=True)
        (folder / f"part{number}.py").write_text(f"class C(Reader, key='key{number}'): ...")
        sys.path.append(str(folder.parent))
    readers: Registry[Any] = Registry("hcs.bench", package="an_app_of_parts")
    assert list(readers) == ["key1", "key2"]


@pytest.mark.parametrize("name", ["an_app_that_is_not_there", "an_app.none", "an_app._by_key"])
def test_a_package_that_is_not_there_is_named(site, package, name):
    with pytest.raises(ModuleNotFoundError, match=f"no package {name}"):
        list(Registry("hcs.bench", package=name))


def test_a_package_in_a_zip_file_is_read_or_refused_in_one_line(site, tmp_path):
    archive = tmp_path / "application.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("an_app_in_zip/__init__.py", "")
        file.writestr("an_app_in_zip/module.py", "class Mine(Reader, key='mine'): ...")
    sys.path.append(str(archive))
    site.install("acme", {"hcs.bench.v1": {"a": "plug_a:A"}})
    readers: Registry[Any] = Registry("hcs.bench", package="an_app_in_zip")
    assert "a" in readers  # what is installed is there, whatever comes of the package


@own_cache
def test_a_package_out_of_the_index_has_no_file_read_and_a_changed_one_is_read_again(
    site, package, tmp_path, monkeypatch
):
    monkeypatch.setenv("HCS_PLUGIN_INDEX", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for module in (_index, _package):  # two seconds are long in a test
        monkeypatch.setattr(module, "RACY_NS", -(10**18))
    read: list[str] = []

    def counting(path: str, original: Any = _scanner.read_bytes) -> bytes:
        read.append(Path(path).name)
        content: bytes = original(path)
        return content

    monkeypatch.setattr(_package, "read_bytes", counting)

    def look() -> list[str]:
        read.clear()
        _discovery._current = None
        return list(Registry("hcs.bench", package="an_app", suffix="Reader"))

    assert look() == KEYS
    assert "_by_key.py" in read
    assert look() == KEYS
    assert read == []
    site.write("an_app/_by_key.py", "class Mine(Reader, key='yours'): ...")
    assert look() == sorted({*KEYS, "yours"} - {"mine"})
    assert look() == sorted({*KEYS, "yours"} - {"mine"})
    assert read == []
    site.write("an_app/deep/new.py", "class New(Reader, key='new'): ...")
    assert look() == sorted({*KEYS, "yours", "new"} - {"mine"})
    (package / "_by_suffix.py").unlink()
    assert look() == sorted({*KEYS, "yours", "new"} - {"mine", "opera"})


@own_cache
@pytest.mark.parametrize("key", ["a\\tb", "a\\nb", ">a", " a ", "ü", "a\\rb"])
def test_a_package_may_have_keys_of_any_text(site, tmp_path, monkeypatch, key):
    monkeypatch.setenv("HCS_PLUGIN_INDEX", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for module in (_index, _package):
        monkeypatch.setattr(module, "RACY_NS", -(10**18))
    site.write("an_app/__init__.py", f"class C(Reader, key='{key}'): ...\n")
    wanted = key.replace("\\t", "\t").replace("\\n", "\n").replace("\\r", "\r")
    for _ in range(3):
        _discovery._current = None
        assert list(Registry("hcs.bench", package="an_app")) == [wanted]


# -- what lies in no folder -----------------------------------------------------------------------


def test_plugins_in_a_zip_file_on_the_path_are_listed_and_loaded(site, tmp_path):
    archive = tmp_path / "plugins.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("Acme_Zip-1.5.dist-info/METADATA", "Name: Acme.Zip\nVersion: 1.5\n")
        file.writestr(
            "Acme_Zip-1.5.dist-info/entry_points.txt", "[hcs.bench.v1]\nz = plug_zipped:C\n"
        )
        file.writestr("plug_zipped.py", "class C: ...")
    sys.path.append(str(archive))
    things: Registry[Any] = Registry("hcs.bench")
    assert things.info("z").origin == "acme-zip 1.5"
    assert things["z"].__name__ == "C"


@pytest.mark.parametrize("is_folder", [True, False])
def test_plugins_in_an_egg_are_listed(site, tmp_path, is_folder):
    egg = tmp_path / "acme_egg-2.0-py3.11.egg"
    files = {
        "EGG-INFO/PKG-INFO": "Metadata-Version: 1.0\nName: acme-egg\nVersion: 2.0\n",
        "EGG-INFO/entry_points.txt": "[hcs.bench.v1]\ne = plug_egg:C\n",
        "plug_egg.py": "class C: ...",
    }
    if is_folder:
        for path, text in files.items():
            (egg / path).parent.mkdir(parents=True, exist_ok=True)
            (egg / path).write_text(text)
    else:
        with zipfile.ZipFile(egg, "w") as archive:
            for path, text in files.items():
                archive.writestr(path, text)
    sys.path.append(str(egg))
    things: Registry[Any] = Registry("hcs.bench")
    assert list(things) == ["e"]
    assert things.info("e").origin == "acme-egg 2.0"
    assert things["e"].__name__ == "C"


def test_plugins_of_a_finder_of_somebody_else_are_listed(site, monkeypatch):
    import importlib_metadata

    class Memory(importlib_metadata.Distribution):
        def read_text(self, filename):
            return {
                "METADATA": "Name: Acme-Memory\nVersion: 3.0\n",
                "entry_points.txt": "[hcs.bench.v1]\nm = plug_memory:C\n",
            }.get(filename)

        def locate_file(self, path):
            raise NotImplementedError

    class Damaged(Memory):
        def read_text(self, filename):
            raise ValueError("damaged")

    class Finder:
        def find_spec(self, name, path=None, target=None):
            return None

        def find_distributions(self, context):
            return iter([Damaged(), Memory()])

    class Failing(Finder):
        def find_distributions(self, context):
            raise RuntimeError("it fails")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Failing(), Finder()])
    site.write("plug_memory.py", "class C: ...")
    things: Registry[Any] = Registry("hcs.bench")
    assert list(things) == ["m"]
    assert things.info("m").origin == "acme-memory 3.0"
    assert things["m"].__name__ == "C"


# -- a kind without an index, kinds of other projects ---------------------------------------------


@own_cache
def test_a_registry_without_the_index_reads_what_is_there(site, tmp_path, monkeypatch):
    monkeypatch.setenv("HCS_PLUGIN_INDEX", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(_index, "RACY_NS", -(10**18))
    about = site.install("plain", {})
    for _ in range(2):
        _discovery._current = None
        assert list(Registry("hcs.bench")) == []
    (about / "entry_points.txt").write_text("[hcs.bench.v1]\na = m:A\n")
    _discovery._current = None
    indexed: Registry[Any] = Registry("hcs.bench")
    live: Registry[Any] = Registry("hcs.other", index=False)
    assert list(indexed) == []  # by design, see the staleness matrix
    assert list(live) == []
    assert list(indexed) == ["a"]  # what one registry has read, all know


def test_kinds_of_other_projects_are_found_whatever_was_looked_up_before(site):
    site.install(
        "acme",
        {
            "hcs.bench.v1": {"a": "m:A"},
            "acme.filters.v1": {"b": "m:B"},
            "acme.filters.extra.v2": {"c": "m:C"},
            "acmeish.v1": {"d": "m:D"},
        },
    )
    assert list(Registry("acme.filters")) == ["b"]
    assert list(Registry("hcs.bench")) == ["a"]
    assert list(Registry("acme.filters.extra", api=2)) == ["c"]
    assert list(Registry("acmeish")) == ["d"]
    assert list(Registry("acm")) == list(Registry("acme")) == list(Registry("filters")) == []
    kinds = {info.kind for info in all_infos()}  # one may extend the name of another
    assert {"acme.filters", "acme.filters.extra", "acmeish", "hcs.bench"} <= kinds


# -- whatever a plugin raises ---------------------------------------------------------------------


PANIC = """
class PanicException(BaseException): ...
raise PanicException("called `Option::unwrap()` on a `None` value")
"""


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (PANIC, "PanicException: called `Option::unwrap()`"),
        ("raise SystemExit(2)", "SystemExit: 2"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("raise RecursionError('deep')", "RecursionError: deep"),
        ("raise MemoryError", "MemoryError"),
        ("class E(Exception):\n  def __str__(self): raise ValueError('twice')\nraise E", "E"),
        ("raise ValueError('')", "ValueError"),
        ("raise ValueError('\\n\\nlate')", "ValueError"),
        ("import plug_bad.none", "ModuleNotFoundError"),
        ("import sys; del sys.modules[__name__]", "plug_bad"),
    ],
)
def test_whatever_a_plugin_raises_is_its_own_state(site, source, told):
    site.install(
        "acme",
        {"hcs.bench.v1": {"bad": "plug_bad:C", "good": "plug_good:C"}},
        plug_bad=source,
        plug_good="class C: ...",
    )
    things: Registry[Any] = Registry("hcs.bench")
    with pytest.raises(PluginLoadError) as caught:
        things["bad"]
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert things["good"].__name__ == "C"
    assert [info.state for info in things.infos()] == ["broken", "loaded"]


def test_ctrl_c_while_a_plugin_is_imported_ends_the_program_and_breaks_nothing(site):
    site.install("acme", {"hcs.bench.v1": {"a": "plug_a:A"}}, plug_a="raise KeyboardInterrupt")
    things: Registry[Any] = Registry("hcs.bench")
    with pytest.raises(KeyboardInterrupt):
        things["a"]
    assert things.info("a").state == "declared"
    site.write("plug_a.py", "class A: ...  # and now it is let be")
    assert things["a"].__name__ == "A"


@pytest.mark.parametrize(
    "value", ["", ":", ":A", "plug_a:", "plug_a:A.", "plug a:A", "..a:A", "a-b"]
)
def test_a_value_that_names_nothing_is_a_broken_plugin(site, value):
    site.install("acme", {"hcs.bench.v1": {"bad": value, "a": "plug_a:A"}}, plug_a="class A: ...")
    things: Registry[Any] = Registry("hcs.bench")
    assert things["a"].__name__ == "A"
    assert "bad" in things
    if value == "plug_a:":  # a module, as importlib.metadata has it too
        return
    with pytest.raises(PluginLoadError):
        things["bad"]


def test_secondary_keys_are_there_for_an_older_api_a_parent_and_an_alias(site):
    site.install(
        "acme",
        {
            "hcs.bench.v1": {"old": "plug:Old"},
            "hcs.bench.v2": {"one": "plug:New", "two": "plug:New"},
            "hcs.bench.suffixes.v1": {".old": "plug:Old"},
            "hcs.bench.suffixes.v2": {".new": "plug:New"},
        },
    )
    bench: Registry[Any] = Registry("hcs.bench", api=2, adapters={1: lambda plugin: plugin})
    child: Registry[Any] = Registry("hcs.child", parent=bench)
    for registry in (bench, child):
        suffixes = registry.secondary("suffixes")
        assert suffixes.key(".old") == "old"
        assert suffixes.candidates(".new") == ("one", "two")
        assert suffixes.of("one") == suffixes.of("two") == (".new",)


def test_one_secondary_key_may_be_a_plain_text(site):
    bench: Registry[Any] = Registry("hcs.bench")
    bench.add(type("Raw", (), {"suffixes": ".raw"}), key="raw")
    assert list(bench.secondary("suffixes")) == [".raw"]


def test_what_registers_in_another_registry_of_a_package_is_refused(site, monkeypatch):
    package = site.folder / "two_registries"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "tools.py").write_text(
        "from hcs_core.registry import registries\n"
        "@registries()['hcs.first'].register('one')\ndef one(): ...\n"
        "@registries()['hcs.second'].register('two')\ndef two(): ...\n"
    )
    first: Registry[Any] = Registry("hcs.first", package="two_registries")
    second: Registry[Any] = Registry("hcs.second", package="two_registries")
    assert first["one"].__name__ == "one"
    assert second["two"].__name__ == "two"
    with pytest.raises(PluginLoadError, match="does not register as 'two' in this registry"):
        first["two"]
    monkeypatch.delitem(sys.modules, "two_registries.tools")

"""What the user switches off is never imported, and a choice that cannot be read is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hcs_core.errors import PluginConflictError, SettingError, UnknownPluginError
from hcs_core.registry import Registry, _discovery, _index, all_infos
from hcs_core.registry import _registry as registry_module
from hcs_core.testing.registry import write_distribution

VARIABLES = ("HCS_PLUGINS_DISABLE", "HCS_PLUGINS_ONLY", "HCS_PLUGINS_PREFER")
IMPORTED = "raise SystemExit('imported')"


class User:
    """Says which plugins to use, by variable or by file."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.file = root / "chosen.toml"
        self.site = root / "site"
        self._patch = patch
        patch.setenv("HCS_CONFIG", str(self.file))

    def says(self, **choices: str) -> None:
        """Set variables: disable, only or prefer."""
        for name, value in choices.items():
            self._patch.setenv(f"HCS_PLUGINS_{name.upper()}", value)
        _discovery._current = None

    def writes(self, text: str) -> None:
        self.file.write_text(text, encoding="utf-8")
        _discovery._current = None


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    made = User(tmp_path, monkeypatch)
    made.file.write_text("")
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    storage = {"hcs.bench.v1": {"zarr": "one_code:Zarr", "disk": "one_code:Disk"}}
    write_distribution(made.site, "Acme.One", storage, {"one_code.py": IMPORTED})
    points = {
        "hcs.bench.v1": {"zarr": "two_code:Zarr", "omero": "two_code:Omero"},
        "hcs.other.v1": {"omero": "two_code:Other"},
        "acme.bench.v1": {"omero": "two_code:Foreign"},
    }
    classes = "".join(f"class {name}: ...\n" for name in ("Zarr", "Omero", "Other", "Foreign"))
    write_distribution(made.site, "acme_two", points, {"two_code.py": classes})
    path = [place for place in sys.path if "-packages" not in place]
    monkeypatch.setattr(sys, "path", [str(made.site), *path])
    monkeypatch.setattr(_discovery, "_current", None)
    monkeypatch.setattr(_discovery, "_prefixes", ("hcs.",))
    monkeypatch.setattr(registry_module, "_KINDS", {})
    yield made
    for name in ("one_code", "two_code"):
        sys.modules.pop(name, None)


def things() -> Registry[Any]:
    return Registry("hcs.bench")


def states(registry: Registry[Any]) -> dict[str, str]:
    return {f"{info.key} of {info.distribution}": info.state for info in registry.infos(all=True)}


NOTHING_SAID = {
    "disk of acme-one": "declared",
    "omero of acme-two": "declared",
    "zarr of acme-one": "conflict",
    "zarr of acme-two": "conflict",
}


def test_without_a_choice_all_is_there(user):
    assert states(things()) == NOTHING_SAID


# -- switching off --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("hcs.bench:omero", ["disk", "zarr"]),
        ("bench:omero", ["disk", "zarr"]),
        (" bench : omero ", ["disk", "zarr"]),
        ("bench:omero,bench:disk", ["zarr"]),
        ("bench:omero,,", ["disk", "zarr"]),
        ("bench:zarr", ["disk", "omero"]),
        ("bench", []),
        ("hcs.bench", []),
        ("bench:*", []),
        ("dist:acme-one", ["omero", "zarr"]),
        ("dist:ACME_one", ["omero", "zarr"]),
        ("dist:acme.two, bench:disk", ["zarr"]),
        ("dist:acme", ["disk", "omero", "zarr"]),
        ("other:omero", ["disk", "omero", "zarr"]),
        ("acme.bench:omero", ["disk", "omero", "zarr"]),
        ("acme.bench", ["disk", "omero", "zarr"]),
        ("bench:none", ["disk", "omero", "zarr"]),
        ("", ["disk", "omero", "zarr"]),
    ],
)
def test_what_is_switched_off_by_variable_or_file_is_not_listed(user, said, left):
    user.says(disable=said)
    assert list(things()) == left
    user.says(disable="")
    listed = ", ".join(repr(text) for text in said.split(",") if text.strip())
    user.writes(f"[plugins]\ndisable = [{listed}]\n")
    assert list(things()) == left


def test_variable_and_file_switch_off_both(user):
    user.says(disable="bench:omero")
    user.writes("[plugins]\ndisable = ['bench:disk']\n")
    assert list(things()) == ["zarr"]


def test_what_is_switched_off_is_never_imported_and_says_why(user):
    user.says(disable="dist:acme-one")
    registry = things()
    assert states(registry) == {
        "disk of acme-one": "disabled",
        "omero of acme-two": "declared",
        "zarr of acme-one": "disabled",
        "zarr of acme-two": "declared",
    }
    assert registry["zarr"].__module__ == "two_code"  # the conflict is gone with it
    assert sorted(registry.load_all().ok) == ["omero", "zarr"]
    reason = "it is switched off by the environment variable HCS_PLUGINS_DISABLE: dist:acme-one"
    with pytest.raises(UnknownPluginError, match=reason):
        registry["disk"]
    assert "one_code" not in sys.modules
    assert [info.key for info in registry.infos()] == ["omero", "zarr"]
    (disk,) = [info for info in registry.infos(all=True) if info.key == "disk"]
    assert disk.error == reason
    assert {info.state for info in all_infos(all=True) if info.distribution == "acme-one"} == {
        "disabled"
    }


@pytest.mark.skipif(os.name == "nt", reason="its cache folder is not set from outside")
def test_what_is_switched_off_is_off_with_the_index_too(user, tmp_path, monkeypatch):
    monkeypatch.setenv("HCS_PLUGIN_INDEX", "on")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(_index, "RACY_NS", -(10**18))  # two seconds are long in a test
    for said, left in (("", ["disk", "omero", "zarr"]), ("bench:omero", ["disk", "zarr"])) * 2:
        user.says(disable=said)
        assert list(things()) == left
    assert not _discovery.current("hcs.").is_live


def test_what_is_switched_off_in_a_file_names_the_file(user):
    user.writes('[plugins]\ndisable = ["storage:omero", "bench:disk"]\n')
    with pytest.raises(UnknownPluginError) as caught:
        things()["disk"]
    assert f"switched off by disable in {user.file}: bench:disk" in str(caught.value)


def test_a_choice_counts_for_kinds_of_other_projects_by_their_full_name(user):
    user.says(disable="acme.bench:omero")
    assert list(Registry("acme.bench")) == []
    assert list(Registry("hcs.other")) == ["omero"]


def test_a_choice_made_while_a_process_runs_is_seen_by_a_refresh(user):
    registry = things()
    plugin = registry["omero"]
    user._patch.setenv("HCS_PLUGINS_DISABLE", "bench:omero")
    assert registry["omero"] is plugin
    assert registry.refresh()
    assert "omero" not in registry
    with pytest.raises(UnknownPluginError):
        registry["omero"]
    user._patch.delenv("HCS_PLUGINS_DISABLE")
    assert registry.refresh()
    assert registry["omero"] is plugin


# -- the only ones --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("bench:omero", ["omero"]),
        ("dist:acme-two", ["omero", "zarr"]),
        ("dist:acme-two, bench:disk", ["disk", "omero", "zarr"]),
        ("other", []),
        ("hcs.bench", ["disk", "omero", "zarr"]),
    ],
)
def test_only_what_is_named_is_there(user, said, left):
    user.says(only=said)
    assert list(things()) == left
    user.says(only="")
    listed = ", ".join(repr(text) for text in said.split(","))
    user.writes(f"[plugins]\nonly = [{listed}]\n")
    assert list(things()) == left


def test_an_empty_list_of_the_only_ones_in_a_file_is_none_but_the_core(user):
    user.writes("[plugins]\nonly = []\n")
    assert list(things()) == []
    write_distribution(user.site, "hcs-core", {"hcs.bench.v1": {"own": "m:C"}}, version="9")
    _discovery._current = None
    assert list(things()) == ["own"]
    (disk,) = [info for info in things().infos(all=True) if info.key == "disk"]
    assert disk.state == "disabled"
    assert disk.error == f"it is switched off by only in {user.file}, which names only none"


def test_the_variable_comes_before_the_file(user):
    user.writes("[plugins]\nonly = ['bench:disk']\n")
    user.says(only="bench:omero")
    assert list(things()) == ["omero"]


def test_switching_off_counts_among_the_only_ones(user):
    user.says(only="bench", disable="bench:zarr")
    assert list(things()) == ["disk", "omero"]


# -- preferring -----------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["bench:zarr=acme-two", " hcs.bench:zarr = Acme_Two "])
def test_the_preferred_of_two_is_used_and_the_other_is_shadowed(user, said):
    user.says(prefer=said)
    registry = things()
    assert registry["zarr"].__module__ == "two_code"
    assert "one_code" not in sys.modules
    (other,) = [info for info in registry.infos(all=True) if info.state == "shadowed"]
    assert (other.distribution, other.error) == ("acme-one", "acme-two is preferred")
    assert len(registry.infos()) == 3


def test_a_preference_in_a_file_gives_way_to_the_variable(user):
    user.writes('[plugins.prefer]\n"bench:zarr" = "acme-one"\n')
    assert things().info("zarr").distribution == "acme-one"
    user.says(prefer="bench:zarr=acme-two")
    assert things().info("zarr").distribution == "acme-two"


def test_preferring_one_that_is_not_installed_leaves_the_conflict(user):
    user.says(prefer="bench:zarr=nobody")
    with pytest.raises(PluginConflictError):
        things()["zarr"]


# -- what cannot be understood --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[plugins\n", "a readable TOML file"),
        ("\0", "a readable TOML file"),
        ("plugins = 3\n", "must be a table"),
        ("[plugins]\ndisabel = []\n", "did you mean 'disable'"),
        ("[plugins]\nnonsense = 1\n", "must be one of disable, only, prefer"),
        ("[plugins]\ndisable = 'bench'\n", "must be a list of kind:key"),
        ("[plugins]\ndisable = [1]\n", "must be a list of kind:key"),
        ("[plugins]\nonly = ['']\n", "kind:key"),
        ("[plugins]\ndisable = [':zarr']\n", "kind:key"),
        ("[plugins]\ndisable = ['dist:']\n", "kind:key"),
        ("[plugins]\nprefer = ['bench:zarr']\n", "must be a table such as"),
        ("[plugins.prefer]\n'bench:zarr' = 1\n", "must be a table such as"),
        ("[plugins.prefer]\nzarr = 'acme-two'\n", "must be a table such as"),
        ("[plugins.prefer]\n':zarr' = 'acme-two'\n", "must be a table such as"),
        ("[plugins.prefer]\n'bench:zarr' = ' '\n", "must be a table such as"),
    ],
)
def test_a_file_that_cannot_be_understood_is_an_error_of_one_line_that_names_it(user, text, told):
    user.writes(text)
    with pytest.raises(SettingError) as caught:
        list(things())
    assert str(user.file) in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf_8_and_one_that_is_a_folder_are_told(user):
    user.file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match=r"chosen\.toml"):
        list(things())
    user.file.unlink()
    user.file.mkdir()
    with pytest.raises(SettingError, match=r"chosen\.toml"):
        list(things())


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HCS_PLUGINS_DISABLE", ":zarr"),
        ("HCS_PLUGINS_DISABLE", "dist:"),
        ("HCS_PLUGINS_ONLY", "bench, :x"),
        ("HCS_PLUGINS_PREFER", "bench:zarr"),
        ("HCS_PLUGINS_PREFER", "zarr=acme"),
        ("HCS_PLUGINS_PREFER", "bench:zarr="),
        ("HCS_PLUGINS_PREFER", ":zarr=acme"),
        ("HCS_PLUGINS_PREFER", "bench:=acme"),
    ],
)
def test_a_variable_that_cannot_be_understood_is_named(user, monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError, match=variable) as caught:
        list(things())
    assert "\n" not in str(caught.value)


def test_other_tables_of_the_file_are_not_ours(user):
    user.writes("[elsewhere]\nplugins = 1\n")
    assert states(things()) == NOTHING_SAID


# -- where the files are --------------------------------------------------------------------------


PLACES = """
import platformdirs, os, sys
from hcs_core.registry import _discovery, _settings
folder = platformdirs.user_config_dir("hcs", appauthor=False)
print(os.path.normpath(_discovery.config_file()))
print(os.path.normpath(os.path.join(folder, "config.toml")))
print(os.path.normpath(_settings.cache_folder()))
print(os.path.normpath(platformdirs.user_cache_dir("hcs", appauthor=False)))
"""
HOMES: dict[str, dict[str, str | None]] = {
    "as it is": {},
    "a home": {"HOME": "/some/where"},
    "no home": {"HOME": None},
    "an empty home": {"HOME": ""},
    "a relative home": {"HOME": "some/where"},
    "XDG": {"XDG_CONFIG_HOME": "/some/config", "XDG_CACHE_HOME": "/some/cache"},
    "XDG with a slash": {"XDG_CONFIG_HOME": "/some/config/", "XDG_CACHE_HOME": "/some/cache/"},
    "XDG that is empty": {"XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""},
    "XDG of spaces": {"XDG_CONFIG_HOME": " ", "XDG_CACHE_HOME": "\t"},
    "XDG with spaces": {"XDG_CONFIG_HOME": " /some/x ", "XDG_CACHE_HOME": "/some/a b"},
    "XDG that is relative": {"XDG_CONFIG_HOME": "some/config", "XDG_CACHE_HOME": "."},
    "XDG with a tilde": {"XDG_CONFIG_HOME": "~/config", "XDG_CACHE_HOME": "~"},
}


@pytest.mark.parametrize("home", HOMES)
def test_the_places_are_those_of_platformdirs(home):
    pytest.importorskip("platformdirs")
    environment = dict(os.environ)
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HCS_CONFIG"):
        environment.pop(variable, None)
    for variable, value in HOMES[home].items():
        if value is None:
            environment.pop(variable, None)
        else:
            environment[variable] = value
    done = subprocess.run(
        [sys.executable, "-c", PLACES], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    config, their_config, cache, their_cache = done.stdout.splitlines()
    assert (config, cache) == (their_config, their_cache)


@pytest.mark.skipif(sys.platform != "linux", reason="asks for the place on Linux")
def test_a_file_at_the_default_place_counts_and_another_takes_its_place(user, monkeypatch):
    home = user.file.parent / "home"
    default = home / ".config/hcs/config.toml"
    default.parent.mkdir(parents=True)
    default.write_text("[plugins]\ndisable = ['bench:omero']\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("HCS_CONFIG")
    assert _discovery.config_file() == str(default)
    assert list(things()) == ["disk", "zarr"]
    monkeypatch.setenv("HCS_CONFIG", str(user.file))
    user.writes("[plugins]\ndisable = ['bench:disk']\n")
    assert list(things()) == ["omero", "zarr"]


@pytest.mark.skipif(os.name == "nt", reason="there everybody has a home")
def test_who_has_no_home_has_nothing_read_or_written_in_the_working_directory(
    user, tmp_path, monkeypatch
):
    import pwd

    def nobody(_: int) -> object:
        raise KeyError("as for the random users of some clusters")

    here = tmp_path / "here"
    (here / "~/.config/hcs").mkdir(parents=True)
    (here / "~/.config/hcs/config.toml").write_text("[plugins]\ndisable = ['bench']\n")
    before = sorted(here.rglob("*"))
    monkeypatch.chdir(here)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setenv("HCS_PLUGIN_INDEX", "on")
    for variable in ("HCS_CONFIG", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv("HOME")
    for _ in range(2):
        _discovery._current = None
        assert states(things()) == NOTHING_SAID
        monkeypatch.setenv("HOME", "")
    assert sorted(here.rglob("*")) == before

"""What `hcs plugins` says without importing a plugin, and `hcs --no-plugins`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest

from hcs_core.cli import COMMANDS, main
from hcs_core.cli._plugin_places import module_file
from hcs_core.registry import _discovery
from hcs_core.registry._discovery import INDEX, ONLY
from hcs_core.registry._index import Index, rebuild_index
from hcs_core.testing import fake_distribution, isolated_registry
from hcs_core.testing.registry import IsolatedRegistry

Hcs = Callable[..., Any]
TOY = {"hcs.formats.v1": {"toy": "acme.formats.toy:Toy"}}
FILES = {
    "acme/__init__.py": "raise SystemExit('imported')\n",
    "acme/formats/toy.py": "raise SystemExit('imported')\n",  # in a namespace package
}


@pytest.fixture
def environment() -> Iterator[IsolatedRegistry]:
    with isolated_registry() as environment:
        yield environment


@pytest.fixture
def acme(environment: IsolatedRegistry) -> Path:
    """The metadata of an installed distribution that must not be imported."""
    about = environment.install("acme", TOY, FILES)
    (about / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: acme\nVersion: 1.0\nSummary: Toys µ\n"
        "Project-URL: Home, https://acme.example\nRequires-Dist: numpy>=2\n"
        'Requires-Dist: pytest; extra == "test"\n\nSummary: none\n',
        "utf-8",
    )
    return about


# list


def test_what_is_switched_off_is_counted_and_listed_when_asked_for(
    acme: Path, hcs: Hcs, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", "formats:toy, formats:csv")
    _discovery.discover()
    listed = hcs("plugins", "list", "--kind", "formats")
    assert listed.err == "2 more are switched off or hidden; --all lists them\n"
    assert "toy" not in listed.out
    every = hcs("plugins", "list", "--kind", "formats", "--all")
    assert every.err == ""
    assert "switched off by the environment variable HCS_PLUGINS_DISABLE" in every.out
    as_json = hcs("plugins", "list", "--kind", "formats", "--json")
    assert as_json.err == ""
    assert {row["key"] for row in as_json.json} == {"tiff", "npy", "json"}
    rows = hcs("plugins", "list", "--all", "--json").json
    assert {row["key"] for row in rows if row["state"] == "disabled"} == {"toy", "csv"}


def test_a_kind_may_be_misspelt_in_its_short_form(hcs: Hcs):
    ended = hcs("plugins", "list", "--kind", "stroage")
    assert ended.code == 2
    assert "did you mean 'storage'?" in ended.err


def test_a_terminal_shows_the_same_names(
    hcs: Hcs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    out = hcs("plugins", "list", "--kind", "storage").out
    for text in ("distribution", "disk", "hcs_core.storage.backends.disk:DiskBackend"):
        assert text in out
    shown = hcs("plugins", "show", "disk").out
    assert "hcs.storage:disk" in shown
    assert click.unstyle(shown).startswith("plugin"), "no head"


@pytest.mark.parametrize("width", [20, 40, 80, 100, 200])
@pytest.mark.parametrize(
    "call", [("list", "--all"), ("show", "disk"), ("doctor", "disk")], ids=lambda call: call[0]
)
def test_no_terminal_is_so_narrow_that_a_word_is_cut(
    width: int,
    call: tuple[str, ...],
    environment: IsolatedRegistry,
    hcs: Hcs,
    monkeypatch: pytest.MonkeyPatch,
):
    for name in ("acme", "zeta"):
        environment.install(name, {"hcs.formats.v1": {"toy": f"{name}:Toy"}})
    words = hcs("plugins", *call).out.split()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    out = click.unstyle(hcs("plugins", *call).out)
    table = out if call[0] != "doctor" else out.partition("\n\n")[0]
    known = {part for word in words for part in (word, *word.split(":"))}
    stacked = {f"{kind}:{key}" for kind, key in pairwise(words)}
    if call[0] != "doctor":  # which measures anew
        assert {*table.split()} <= known | stacked
    lines = table.splitlines()
    assert not [line for line in lines if line.endswith(" ")]
    long = [line for line in lines if len(line) > width]
    assert not [line for line in long if len(line.split()) > 2], "only a single name is too long"


def test_a_terminal_of_80_columns_goes_without_what_is_imported(
    environment: IsolatedRegistry, hcs: Hcs, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", "formats:csv")
    _discovery.discover()
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    head, csv, *rows = click.unstyle(
        hcs("plugins", "list", "--kind", "formats", "--all").out
    ).splitlines()
    assert head.split() == ["kind", "key", "distribution", "version", "state"]
    assert csv.startswith("hcs.formats  csv")
    assert rows[0].startswith(" " * 40), "the reason goes on below"
    monkeypatch.setenv("COLUMNS", "40")
    first, second, *_ = click.unstyle(hcs("plugins", "list", "--kind", "formats").out).splitlines()
    assert first == "hcs.formats:json"
    assert second.split()[0::2] == ["hcs-core", "declared"]


def test_no_colour_is_used_where_the_user_wants_none(hcs: Hcs, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in hcs("plugins", "list").out


@pytest.mark.parametrize("group", ["plugins", "kernels", "plate"])
def test_the_help_of_a_group_says_in_whole_what_each_command_does(group: str, hcs: Hcs):
    ended = hcs(group)
    assert "..." not in ended.err.partition("Commands:")[2]
    assert "Commands:" in ended.err


def test_a_kind_that_is_switched_off_is_said_to_be_that(environment: IsolatedRegistry, hcs: Hcs):
    environment.install("acme", {"hcs.microscopes.v1": {"toy": "acme:Toy"}})
    ended = hcs("--no-plugins", "plugins", "list", "--kind", "microscopes")
    assert ended.out == (
        "all of the kind microscopes are switched off or hidden; --all lists them\n"
    )
    assert ended.err == ""


def test_no_other_package_takes_the_command_that_tells_of_it(
    environment: IsolatedRegistry, hcs: Hcs
):
    environment.install("acme", {"hcs.cli.v1": {"plugins": "acme:plugins"}})
    rows = hcs("plugins", "list", "--kind", "cli", "--json").json
    assert [row["state"] for row in rows if row["key"] == "plugins"] == ["conflict", "conflict"]


# show


def test_all_is_shown_that_is_declared(acme: Path, hcs: Hcs):
    (document,) = hcs("plugins", "show", "toy", "--json").json
    assert document == {
        "kind": "hcs.formats",
        "key": "toy",
        "distribution": "acme",
        "version": "1.0",
        "api": 1,
        "state": "declared",
        "value": "acme.formats.toy:Toy",
        "error": None,
        "group": "hcs.formats.v1",
        "location": str(acme),
        "file": str(acme.parent / "acme" / "formats" / "toy.py"),
        "secondary": {},
        "summary": "Toys µ",
        "home_page": "https://acme.example",
        "requires": ["numpy>=2", 'pytest; extra == "test"'],
        "advice": None,
        "others": [],
    }
    assert "acme" not in sys.modules
    out = hcs("plugins", "show", "toy").out
    for text in ("hcs.formats:toy", "acme 1.0", "hcs.formats.v1 (API 1)", "Toys", "numpy>=2"):
        assert text in out
    assert "pytest" not in out, "what an extra needs is not needed"


def test_secondary_keys_are_shown(environment: IsolatedRegistry, hcs: Hcs):
    groups = TOY | {"hcs.formats.extensions.v1": {".toy": "acme.formats.toy:Toy", ".x": "other:X"}}
    environment.install("acme", groups)
    (document,) = hcs("plugins", "show", "toy", "--json").json
    assert document["secondary"] == {"extensions": [".toy"]}


@pytest.mark.parametrize("key", ["json", "formats:json", "hcs.formats:json"])
def test_a_key_may_be_said_with_its_kind(key: str, environment: IsolatedRegistry, hcs: Hcs):
    environment.install("acme", {"hcs.cli.v1": {"json": "acme:json"}})
    documents = hcs("plugins", "show", key, "--json").json
    kinds = ["hcs.cli", "hcs.formats"] if key == "json" else ["hcs.formats"]
    assert [document["kind"] for document in documents] == kinds


def test_other_claims_on_a_key_are_shown_with_what_to_do(environment: IsolatedRegistry, hcs: Hcs):
    for name in ("acme", "zeta"):
        environment.install(name, {"hcs.formats.v1": {"toy": f"{name}:Toy"}})
    environment.install("newer", {"hcs.formats.v2": {"toy": "newer:Toy"}})
    (document,) = hcs("plugins", "show", "toy", "--json").json
    assert (document["distribution"], document["state"]) == ("acme", "conflict")
    assert "HCS_PLUGINS_PREFER=formats:toy=acme" in document["advice"]
    zeta, newer = document["others"]
    assert (zeta["distribution"], zeta["state"]) == ("zeta", "conflict")
    assert "HCS_PLUGINS_PREFER=formats:toy=zeta" in zeta["advice"]
    assert (newer["distribution"], newer["state"]) == ("newer", "incompatible")
    assert newer["advice"] == "until then it is not used; the others are not affected"
    assert hcs("plugins", "show", "toy").out.count("\nalso ") == 2


def test_nobody_is_told_to_prefer_another_package_to_the_core(
    environment: IsolatedRegistry, hcs: Hcs
):
    environment.install("acme", {"hcs.formats.v1": {"csv": "acme:Csv"}})
    (document,) = hcs("plugins", "show", "csv", "--json").json
    advices = [document["advice"], *(other["advice"] for other in document["others"])]
    assert len(advices) == 2
    for advice in (*advices, hcs("plugins", "which", "csv").err):
        assert "HCS_PLUGINS_PREFER=formats:csv=hcs-core" in advice


def test_an_older_copy_that_declares_the_same_is_shown_as_hidden(
    environment: IsolatedRegistry, hcs: Hcs
):
    hidden = environment.install("acme", TOY, FILES, version="1.0")
    environment.install("acme", TOY, FILES, version="2.0")
    os.utime(hidden / "METADATA", (1, 1))
    _discovery.discover()
    rows = hcs("plugins", "list", "--kind", "formats", "--all", "--json").json
    told = [(row["version"], row["state"]) for row in rows if row["key"] == "toy"]
    assert sorted(told) == [("1.0", "shadowed"), ("2.0", "declared")]
    (document,) = hcs("plugins", "show", "toy", "--json").json
    (other,) = document["others"]
    assert (document["version"], other["version"]) == ("2.0", "1.0")


def test_a_copy_of_the_same_version_is_shown_once(environment: IsolatedRegistry, hcs: Hcs):
    about = environment.install("acme", TOY, FILES)
    left = environment.folder / "acme.egg-info"
    left.mkdir()
    (left / "PKG-INFO").write_text("Name: acme\nVersion: 1.0\n", "utf-8")
    (left / "entry_points.txt").write_bytes((about / "entry_points.txt").read_bytes())
    os.utime(left / "PKG-INFO", (1, 1))
    _discovery.discover()
    rows = hcs("plugins", "list", "--kind", "formats", "--all", "--json").json
    assert [row["state"] for row in rows if row["key"] == "toy"] == ["declared"]


@pytest.mark.parametrize("asked", [".tif", "formats:.tif", "hcs.formats:.tiff"])
def test_a_plugin_is_found_by_a_secondary_key(asked: str, environment: IsolatedRegistry, hcs: Hcs):
    (document,) = hcs("plugins", "show", asked, "--json").json
    assert (document["kind"], document["key"]) == ("hcs.formats", "tiff")
    assert hcs("plugins", "which", asked).out == f"{document['file']}\n"


@pytest.mark.parametrize("command", ["show", "which"])
@pytest.mark.parametrize(
    ("key", "texts"),
    [
        ("dsk", ["did you mean 'disk'?", "available: "]),
        ("TIFF", ["did you mean 'tiff'?"]),
        (".TIF", ["did you mean '.tif'?"]),
        ("Formats:tiff", ["did you mean 'formats'?"]),
        ("storage:dsk", ["hcs.storage has no plugin 'dsk'", "did you mean 'disk'?"]),
        ("omero", ["storage:omero comes with polystore-omero", "pip install"]),
        ("stroage:disk", ["no kind of plugins 'stroage'", "did you mean 'storage'?"]),
    ],
)
def test_an_unknown_key_is_one_line_that_helps(
    command: str, key: str, texts: list[str], environment: IsolatedRegistry, hcs: Hcs
):
    ended = hcs("plugins", command, key)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert not [text for text in texts if text not in ended.err]


# which


def test_the_file_of_a_plugin_is_found_without_an_import(acme: Path, hcs: Hcs):
    ended = hcs("plugins", "which", "toy")
    file = acme.parent / "acme" / "formats" / "toy.py"
    assert (ended.code, ended.out, ended.err) == (0, f"{file}\n", "")
    assert "acme" not in sys.modules
    assert hcs("plugins", "which", "toy", "--json").json == [
        {
            "kind": "hcs.formats",
            "key": "toy",
            "state": "declared",
            "file": str(file),
            "error": None,
        }
    ]


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_what_cannot_be_used_has_no_file_but_a_reason(
    as_json: tuple[str, ...], environment: IsolatedRegistry, hcs: Hcs
):
    environment.install("acme", {"hcs.formats.v1": {"toy": "no_such_module.at_all:Toy"}})
    ended = hcs("plugins", "which", "toy", *as_json)
    assert ended.code == 1
    assert ended.err == (
        "formats:toy cannot be used: there is no module no_such_module.at_all; "
        "update or uninstall acme 1.0\n"
    )
    assert bool(ended.out) == bool(as_json)
    environment.install("zeta", {"hcs.formats.v1": {"toy": "zeta:Toy"}})
    assert (
        "cannot be used: conflict: declared by acme 1.0, zeta 1.0"
        in hcs("plugins", "which", "toy").err
    )


@pytest.mark.parametrize("name", ["json.decoder", "email.mime.text", "hcs_core.cli"])
def test_the_file_is_the_one_that_an_import_reads(name: str):
    __import__(name)
    assert module_file(name) == sys.modules[name].__file__


def test_nested_namespace_packages_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder, file in (("one", "a"), ("two", "b")):
        module = tmp_path / folder / "spread" / "wide" / f"{file}.py"
        module.parent.mkdir(parents=True)
        module.touch()
        monkeypatch.syspath_prepend(str(tmp_path / folder))
    assert module_file("spread.wide.a") == str(tmp_path / "one" / "spread" / "wide" / "a.py")
    assert module_file("spread.wide.b") == str(tmp_path / "two" / "spread" / "wide" / "b.py")
    assert module_file("spread.wide.c") is None
    assert module_file("spread.wide") is None
    assert "spread" not in sys.modules


# refresh


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr("hcs_core.registry._index.cache_folder", lambda: str(folder))
    return folder


def test_refreshing_writes_the_index_where_it_is_on(
    environment: IsolatedRegistry, cache: Path, hcs: Hcs, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(INDEX, "on")
    document = hcs("plugins", "refresh", "--json").json
    (file,) = cache.iterdir()
    assert (document["action"], document["mode"]) == ("written", "on")
    assert document["file"] == str(file)
    # The folder of this test is younger than its clock may tell.
    assert 0 < document["kept"] < document["directories"]
    out = hcs("plugins", "refresh").out
    assert f"{file} is written, with {document['kept']} directories" in out
    assert "changed in the last 2 s and are read again next time" in out


def test_refreshing_removes_the_index_where_it_is_off(
    environment: IsolatedRegistry, cache: Path, hcs: Hcs, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(INDEX, "on")
    rebuild_index()
    assert list(cache.iterdir())
    monkeypatch.setenv(INDEX, "off")
    assert hcs("plugins", "refresh", "--json").json["action"] == "removed"
    assert not list(cache.iterdir())
    ended = hcs("plugins", "refresh")
    assert (ended.code, "there was none" in ended.out) == (0, True)


def test_an_index_that_cannot_be_written_is_told_of(
    environment: IsolatedRegistry, cache: Path, hcs: Hcs, monkeypatch: pytest.MonkeyPatch
):
    cache.symlink_to("nowhere")
    monkeypatch.setenv(INDEX, "on")
    ended = hcs("plugins", "refresh")
    assert ended.code == 75
    assert "the index could not be written: " in ended.out


def test_a_rebuilt_index_holds_nothing_of_before(
    environment: IsolatedRegistry, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(INDEX, "on")
    discovery, index = rebuild_index()
    index.put({"/nowhere": "a segment\n"}, keep=[])
    assert Index(discovery.prefixes).segment("/nowhere") == "a segment\n"
    rebuild_index()
    assert Index(discovery.prefixes).segment("/nowhere") is None


# --no-plugins


@pytest.fixture
def command(environment: IsolatedRegistry) -> None:
    """An installed command `tell` that prints what it sees."""
    source = "import os, click\n@click.command()\ndef tell():\n    click.echo('told')\n"
    environment.install(
        "acme", {"hcs.cli.v1": {"tell": "acme_tell:tell"}}, {"acme_tell.py": source}
    )


@pytest.mark.usefixtures("command")
def test_without_plugins_only_the_cores_own_are_there(hcs: Hcs):
    assert hcs("tell").out == "told\n"
    rows = hcs("--no-plugins", "plugins", "list", "--json").json
    assert {row["distribution"] for row in rows} == {"hcs-core"}
    assert "tell" in hcs("--help").out
    assert "tell" not in hcs("--no-plugins", "--help").out
    ended = hcs("--no-plugins", "tell")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "acme 1.0 declares it, but it is switched off" in ended.err
    assert hcs("tell").out == "told\n", "it holds for one call"


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize("before", [None, "dist:acme"])
@pytest.mark.parametrize("arguments", [["--help"], ["plugins", "--nope"], ["see"]])
def test_what_was_said_of_plugins_is_put_back_however_a_call_ends(
    before: str | None, arguments: list[str], hcs: Hcs, monkeypatch: pytest.MonkeyPatch
):
    seen = []
    monkeypatch.delenv(ONLY, raising=False)
    if before is not None:
        monkeypatch.setenv(ONLY, before)
    found = _discovery.discover()
    see = click.command("see")(lambda: seen.append(os.environ[ONLY]))
    with COMMANDS.overrides(see=see):
        hcs("--no-plugins", *arguments)
    assert seen == (["dist:hcs-core"] if arguments == ["see"] else [])
    assert os.environ.get(ONLY) == before
    assert _discovery._current is found


def test_a_plain_listing_for_scripts_needs_no_click_and_says_the_same():
    script = """
import contextlib, io, json, sys
from hcs_core.cli import main
def told(*words):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        main(words)
    return json.loads(out.getvalue())
fast = told("plugins", "list", "--json")
assert not {"click", "rich", "typing_extensions"} & set(sys.modules)
assert fast and all(len(row) == 8 for row in fast)
slow = told("plugins", "list", "--json", "--debug")
assert "click" in sys.modules
without_state = lambda rows: [{**row, "state": ""} for row in rows]  # the command is loaded now
assert without_state(fast) == without_state(slow)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_listing_that_cannot_be_made_is_told_as_everywhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HCS_PLUGINS_DISABLE", ":x")
    monkeypatch.setattr("hcs_core.registry._discovery._current", None)
    with pytest.raises(SystemExit) as ended:
        main(["plugins", "list", "--json"])
    printed = capsys.readouterr()
    assert ended.value.code == 2
    assert printed.err.startswith("error: the environment variable HCS_PLUGINS_DISABLE")
    assert json.loads(printed.out)["exit_code"] == 2


def test_what_a_plugin_prints_is_no_part_of_the_document(capsys: pytest.CaptureFixture[str]):
    source = """
print("HELLO from import")
import click
from hcs_core.cli import common_options, print_json
@click.command()
@common_options
def tell(as_json):
    print("and from the command")
    print_json({"told": as_json})
"""
    points = {"hcs.cli.v1": {"tell": "acme_prints:tell"}}
    with fake_distribution("acme", points, {"acme_prints.py": source}):
        with pytest.raises(SystemExit):
            main(["tell", "--json"])
        printed = capsys.readouterr()
        assert json.loads(printed.out) == {"told": True}
        assert printed.err == "HELLO from import\nand from the command\n"
        with pytest.raises(SystemExit):
            main(["tell"])
        assert capsys.readouterr().out.startswith("and from the command\n")

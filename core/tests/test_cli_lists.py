"""What `hcs plugins list`, `hcs kernels list` and `hcs plate show` print."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from hcs_core.cli import main
from hcs_core.cli._console import PipeConsole
from hcs_core.errors import PluginLoadError
from hcs_core.kernels import Kernel, KernelLibrary
from hcs_core.plates import Evidence, IndexBuilder, Listing, PlateIndex, PlateMetadata, PlateReader
from hcs_core.registry import PluginInfo

Show = Callable[..., str]

PLUGIN_KEYS = ["kind", "key", "distribution", "version", "api", "state", "value", "error"]
PLATE_KEYS = {
    *("format", "path", "name", "wells", "sites", "z_indexes", "timepoints", "channels"),
    *("planes", "projections", "ignored", "errors", "pixel_size_um", "shape", "dtype"),
    "instrument",
}


class TinyReader(PlateReader):
    """One well for each file; a plane is missing, and there is a projection."""

    format: ClassVar[str] = "tiny"

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        return Evidence(0.9, "all is tiny")

    def index(self) -> PlateIndex:
        builder = IndexBuilder(str(self.root))
        builder.ignored["thumbnail"] += 4
        builder.extend(
            names=["a", "b", "c", "d"],
            folder="",
            well=["A01", "A01", "B02", "B02"],
            channel=["w1", "w2", "w1", "w1"],
            z_index=["1", "1", "1", None],
        )
        return builder.build(channel_names={"w1": "DAPI"}, errors=["the metadata is odd"])

    def metadata(self) -> PlateMetadata:
        return PlateMetadata(name="Tiny", shape=(2, 3), dtype="uint16", pixel_size_um=(0.5, 0.25))


class UnknownReader(TinyReader):
    """The same, but nothing is known of it."""

    def metadata(self) -> PlateMetadata:
        return PlateMetadata(name="Tiny")


class Libraries(dict[str, Any]):
    """The registry of kernel libraries: all of it that a listing asks for."""

    found: tuple[PluginInfo, ...] = ()

    def infos(self, *, all: bool = False) -> tuple[PluginInfo, ...]:
        return self.found if all else ()


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    """What a command that succeeds prints."""

    def call(*arguments: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert ended.value.code == 0, printed.err
        return printed.out

    return call


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[PlateReader]]:
    known: dict[str, type[PlateReader]] = {"tiny": TinyReader}
    monkeypatch.setattr("hcs_core.plates._open.MICROSCOPES", known)
    return known


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> Libraries:
    def kernel(name: str, category: str, *frameworks: str) -> Kernel:
        targets = dict.fromkeys(frameworks, "nowhere:nothing")
        doc = f"what {name} gives [px]"
        return Kernel(name=name, category=category, doc=doc, implementations=targets)

    kernels = (kernel("zoom", "geometry", "numpy", "torch"), kernel("blur", "filters", "torch"))
    known = Libraries(mine=KernelLibrary("mine", kernels))
    monkeypatch.setattr("hcs_core.cli.kernels.KERNELS", known)
    return known


def test_plugins_are_listed_with_all_that_is_known_of_them(show: Show):
    rows = json.loads(show("plugins", "list", "--json"))
    assert all(list(row) == PLUGIN_KEYS for row in rows)
    (row,) = [row for row in rows if (row["kind"], row["key"]) == ("hcs.storage", "disk")]
    assert row["distribution"] == "hcs-core"
    assert row["api"] == 1
    assert row["value"] == "hcs_core.storage.backends.disk:DiskBackend"
    assert row["error"] is None
    order = [(row["kind"], row["key"]) for row in rows]
    assert order == sorted(order)


@pytest.mark.parametrize("kind", ["storage", "hcs.storage"])
def test_plugins_of_one_kind_can_be_listed(kind: str, show: Show):
    rows = json.loads(show("plugins", "list", "--kind", kind, "--json"))
    assert {"disk", "memory", "zarr"} <= {row["key"] for row in rows}
    assert {row["kind"] for row in rows} == {"hcs.storage"}


@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_an_unknown_kind_says_which_there_are(
    as_json: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        main(["plugins", "list", "--kind", "stroage", *as_json])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    for text in ("error: ", "'stroage'", "hcs.storage", "hcs.microscopes"):
        assert text in line
    assert bool(printed.out) == bool(as_json)


def test_a_kind_without_plugins_is_no_error(show: Show, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hcs_core.cli._plugin_list.all_infos", lambda **_: ())
    assert show("plugins", "list", "--kind", "kernels").count("\n") == 1
    assert json.loads(show("plugins", "list", "--kind", "kernels", "--json")) == []


def test_a_table_in_a_pipe_has_no_colours_and_no_cut_names(show: Show):
    out = show("plugins", "list")
    assert "\x1b" not in out
    head, *rows = out.splitlines()
    assert head.split() == ["kind", "key", "distribution", "version", "state", "value"]
    assert any("hcs_core.storage.backends.disk:DiskBackend" in row for row in rows)
    assert "…" not in out
    assert not [row for row in (head, *rows) if row.endswith(" ")]


def test_kernels_are_listed_by_category(show: Show, libraries: dict[str, Any]):
    rows = json.loads(show("kernels", "list", "--json"))
    assert [(row["library"], row["category"], row["name"]) for row in rows] == [
        ("mine", "filters", "blur"),
        ("mine", "geometry", "zoom"),
    ]
    assert [row["frameworks"] for row in rows] == [["torch"], ["numpy", "torch"]]


def test_the_table_of_kernels_has_a_column_per_framework(show: Show, libraries: dict[str, Any]):
    head, blur, zoom = show("kernels", "list").splitlines()
    assert head.split() == ["library", "category", "kernel", "torch", "numpy", "gives"]
    assert blur.split()[:5] == ["mine", "filters", "blur", "yes", "-"]
    assert zoom.split()[:5] == ["mine", "geometry", "zoom", "yes", "yes"]
    assert "[px]" in blur, "brackets are text, not a style"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_terminal_is_too_narrow_for_the_names_of_kernels(
    width: int, show: Show, libraries: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    name = "stack_percentile_normalize"
    kernel = Kernel(
        name=name, category="intensity", doc="a long text " * 9, implementations={"numpy": "a:b"}
    )
    libraries["mine"] = KernelLibrary("mine", (kernel,))
    monkeypatch.setattr("hcs_core.cli.kernels.stdout", lambda: PipeConsole(width=width))
    head, row, *_ = show("kernels", "list").splitlines()
    assert row.split()[:4] == ["mine", "intensity", name, "yes"]
    assert ("gives" in head) == (width == 80)


def test_without_kernels_it_says_what_brings_them(show: Show, libraries: dict[str, Any]):
    libraries.clear()
    assert "hcs-gpu-kernels" in show("kernels", "list")
    assert json.loads(show("kernels", "list", "--json")) == []


def test_kernels_that_are_switched_off_are_said_to_be_that(show: Show, libraries: Libraries):
    libraries.clear()
    reason = "it is switched off by the environment variable HCS_PLUGINS_DISABLE: kernels"
    about = ("hcs.kernels", "hcs", "a:b", "hcs-gpu-kernels", "1.0")
    libraries.found = (PluginInfo(*about, 1, state="disabled", error=reason),)
    out = show("kernels", "list")
    assert f"switched off: kernels:hcs of hcs-gpu-kernels 1.0 ({reason})" in out
    assert "installed;" not in out
    libraries.found = (PluginInfo(*about, 1, state="broken", error="no cuda"),)
    assert "no kernels are installed" not in show("kernels", "list")


def test_a_broken_library_hides_only_its_own_kernels(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], libraries: dict[str, Any]
):
    class Half(Libraries):
        def __getitem__(self, key: str) -> Any:
            if key == "bad":
                raise PluginLoadError("hcs.kernels", "bad", "bad 1.0", "bad[x]:LIB", "no cuda")
            return super().__getitem__(key)

    monkeypatch.setattr("hcs_core.cli.kernels.KERNELS", Half(libraries, bad=None))
    with pytest.raises(SystemExit):
        main(["kernels", "list", "--json"])
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)) == 2
    (line,) = printed.err.splitlines()
    assert line.startswith("warning: ")
    assert "bad[x]:LIB" in line


@pytest.mark.usefixtures("readers")
def test_a_plate_is_shown_with_all_that_is_known_of_it(show: Show, tmp_path: Path):
    document = json.loads(show("plate", "show", tmp_path, "--json"))
    assert document.keys() >= PLATE_KEYS
    expected = {
        "format": "tiny",
        "path": str(tmp_path.resolve()),
        "name": "Tiny",
        "wells": ["A01", "B02"],
        "sites": 1,
        "z_indexes": 1,
        "timepoints": 1,
        "channels": [
            {"index": 0, "label": "w1", "name": "DAPI"},
            {"index": 1, "label": "w2", "name": None},
        ],
        "projections": 1,
        "errors": ["the metadata is odd"],
        "pixel_size_um": [0.5, 0.25],
        "shape": [2, 3],
        "dtype": "uint16",
        "instrument": None,
    }
    assert {key: document[key] for key in expected} == expected
    # B02 lacks w2, which A01 has.
    assert document["planes"] == {"ok": 3, "missing": 1, "error": 0, "skipped": 0, "unindexed": 0}
    assert document["ignored"]["thumbnail"] == 4


def test_what_is_not_known_of_a_plate_is_null(
    show: Show, tmp_path: Path, readers: dict[str, type[PlateReader]]
):
    readers["tiny"] = UnknownReader
    document = json.loads(show("plate", "show", tmp_path, "--json"))
    assert [document[key] for key in ("pixel_size_um", "shape", "dtype")] == [None, None, None]
    out = show("plate", "show", tmp_path)
    assert "None" not in out


@pytest.mark.usefixtures("readers")
def test_a_plate_is_shown_to_people(show: Show, tmp_path: Path):
    folder = tmp_path / "a[b" / "c]" / "[red]"  # brackets are text, not a style
    folder.mkdir(parents=True)
    out = show("plate", "show", folder)
    for text in (str(folder.resolve()), "w1 (DAPI)", "3 ok, 1 missing", "0.5 x 0.25 um (y, x)"):
        assert text in out
    assert "the metadata is odd" in out
    assert "\x1b" not in out
    assert not [line for line in out.splitlines() if line.endswith(" ")]


@pytest.mark.filterwarnings("default")
def test_a_reader_with_a_bug_is_one_line_of_warning(
    tmp_path: Path, readers: dict[str, type[PlateReader]], capsys: pytest.CaptureFixture[str]
):
    class Broken(TinyReader):
        @classmethod
        def detect(cls, listing: Listing) -> Evidence | None:
            raise ZeroDivisionError("a bug")

    readers["broken"] = Broken
    with pytest.raises(SystemExit) as ended:
        main(["plate", "show", str(tmp_path)])
    assert ended.value.code == 0
    assert capsys.readouterr().err == (
        f"warning: plate reader 'broken' could not look at {tmp_path.resolve()}: "
        "ZeroDivisionError: a bug\n"
    )

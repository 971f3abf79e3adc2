"""A stranger's distribution: found, listed and used, with no change to anything of ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

MODULE = '''
import re
from typing import ClassVar

import click
import numpy as np

from hcs_core.arrays import Value
from hcs_core.cli import common_options, print_json
from hcs_core.kernels import Kernel, KernelLibrary, Parameter
from hcs_core.plates import Evidence, IndexBuilder, PlateMetadata, PlateReader

NAME = re.compile(r"([a-p]\\d+)-(\\d+)\\.tiff")


class AcmeReader(PlateReader):
    """Plates of files such as ``b2-1.tiff``."""

    format: ClassVar[str] = "acme"

    @classmethod
    def detect(cls, listing):
        named = any(NAME.fullmatch(name) for _, name in listing.files())
        return Evidence(0.6, "names such as b2-1.tiff") if named else None

    def index(self):
        builder = IndexBuilder(str(self.root))
        found = [match for _, name in self.listing.files() if (match := NAME.fullmatch(name))]
        builder.extend(
            names=[match[0] for match in found],
            folder="",
            well=[match[1] for match in found],
            site=[match[2] for match in found],
            channel="lamp",
        )
        return builder.build()

    def metadata(self):
        return PlateMetadata(name="Acme plate", pixel_size_um=(0.5, 0.25))


def above(image, level=10):
    """Return one label per row that has a pixel above a level."""
    bright = (image > level).any(axis=1)
    labels = np.zeros(image.shape, np.int32)
    labels[bright] = np.arange(1, bright.sum() + 1)[:, None]
    return labels


LIBRARY = KernelLibrary(
    "acme",
    (
        Kernel(
            name="above",
            category="objects",
            doc="one label per row that has a pixel above a level",
            outputs=(Value("labels", "labels"),),
            parameters=(
                Parameter(name="level", type=int, default=10, minimum=0, doc="grey level"),
            ),
            implementations={"numpy": "acme_hcs:above"},
        ),
    ),
)


@click.command("hello")
@common_options
def hello(as_json):
    """Say hello."""
    print_json({"hello": "acme"}) if as_json else click.echo("hello from acme")
'''
ENTRY_POINTS = {
    "hcs.microscopes.v1": ("acme", "acme_hcs:AcmeReader"),
    "hcs.kernels.v1": ("acme", "acme_hcs:LIBRARY"),
    "hcs.cli.v1": ("hello", "acme_hcs:hello"),
}
PIPELINE = """
[[steps]]
name = "Rows"
func = ["acme:above", {level = 100}]
save = ["labels"]
[[steps]]
name = "Count"
func = "count_objects"
inputs = {labels = "Rows.labels"}
"""
Command = Callable[..., Any]


def install(folder: Path, name: str, module: str, entry_points: dict[str, tuple[str, str]]) -> None:
    """Write a distribution as pip leaves it: a module, and its metadata beside it."""
    info = folder / f"{name}-2.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
    lines = [f"[{group}]\n{key} = {value}" for group, (key, value) in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (folder / f"{name}.py").write_text(module, "utf-8")


def with_plugins(hcs: Command, folder: Path) -> Command:
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return lambda *arguments: hcs(*arguments, env={"PYTHONPATH": path})


@pytest.fixture(scope="module")
def command(hcs: Command, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """`hcs` where Acme's plugin and a broken one are installed."""
    folder = tmp_path_factory.mktemp("site")
    install(folder, "acme_hcs", MODULE, ENTRY_POINTS)
    broken = dict.fromkeys(ENTRY_POINTS, ("broken", "broken_hcs:Thing"))
    install(folder, "broken_hcs", "import no_such_library\n", broken)
    return with_plugins(hcs, folder)


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two wells: three bright rows in the first, none in the second."""
    folder = tmp_path_factory.mktemp("acme") / "plate"
    folder.mkdir()
    image = np.full((8, 6), 50, np.uint16)
    tifffile.imwrite(folder / "a10-1.tiff", image)
    image[[1, 4, 5], 2] = 200
    tifffile.imwrite(folder / "b2-1.tiff", image)
    return folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pipeline") / "rows.toml"
    file.write_text(PIPELINE)
    return file


def test_everything_of_it_is_listed(command: Command):
    rows = command("plugins", "list", "--json").json
    own = {row["kind"]: row for row in rows if row["distribution"] == "acme-hcs"}
    assert {kind: row["key"] for kind, row in own.items()} == {
        "hcs.microscopes": "acme",
        "hcs.kernels": "acme",
        "hcs.cli": "hello",
    }
    assert {row["version"] for row in own.values()} == {"2.5"}
    assert {row["state"] for row in own.values()} == {"declared"}


def test_its_command_is_one_of_ours(command: Command):
    assert command("hello").out == "hello from acme\n"
    assert command("hello", "--json").json == {"hello": "acme"}
    assert "acme" in command("--help").out


def test_its_kernels_are_in_the_catalogue(command: Command):
    listed = command("kernels", "list", "--json")
    assert listed.code == 0
    assert {"hcs", "acme"} == {row["library"] for row in listed.json}
    (row,) = [row for row in listed.json if row["library"] == "acme"]
    assert (row["name"], row["category"], row["frameworks"]) == ("above", "objects", ["numpy"])


def test_its_plates_are_recognised(command: Command, plate: Path):
    shown = command("plate", "show", plate, "--json")
    assert shown.code == 0, shown.err
    assert (shown.json["format"], shown.json["name"]) == ("acme", "Acme plate")
    assert shown.json["wells"] == ["A10", "B02"]
    assert shown.json["pixel_size_um"] == [0.5, 0.25]


def test_a_run_uses_its_reader_and_its_kernel(
    command: Command, plate: Path, pipeline: Path, left: Any, tmp_path: Path
):
    outcome = command("run", pipeline, plate, tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err + outcome.out
    out = left(tmp_path / "out")
    assert out.counts() == {("A10", "1"): 0, ("B02", "1"): 3}
    expected = np.zeros((8, 6), np.int32)
    expected[[1, 4, 5]] = [[1], [2], [3]]
    assert np.array_equal(out.labels("B/02/0", "Rows")[0, 0], expected)
    (scale,) = out.attributes("B/02/0")["multiscales"][0]["datasets"][0][
        "coordinateTransformations"
    ]
    assert scale["scale"][-2:] == [0.5, 0.25]


def test_its_arguments_are_checked_like_ours(command: Command, plate: Path, tmp_path: Path):
    file = tmp_path / "rows.toml"
    file.write_text(PIPELINE.replace("level = 100", "level = -1"))
    outcome = command("run", file, plate, tmp_path / "out")
    assert outcome.code == 2
    assert "above: level must be between 0 and inf, got -1 (grey level)" in outcome.err


def test_a_broken_plugin_is_named_where_it_is_met(command: Command, plate: Path, tmp_path: Path):
    outcome = command("broken")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    for text in ("broken-hcs 2.5", "no_such_library", "others are not affected"):
        assert text in outcome.err
    kernels = command("kernels", "list", "--json")
    assert "broken-hcs 2.5" in kernels.err
    shown = command("plate", "show", plate)
    assert "acme" in shown.out
    assert "broken" in shown.err
    assert "Traceback" not in shown.err


def test_two_distributions_of_one_key_are_both_named(hcs: Command, plate: Path, tmp_path: Path):
    install(tmp_path / "site", "acme_hcs", MODULE, ENTRY_POINTS)
    install(tmp_path / "site", "other_hcs", "", {"hcs.cli.v1": ("hello", "other_hcs:hello")})
    command = with_plugins(hcs, tmp_path / "site")
    outcome = command("hello")
    assert outcome.code == 2
    for text in ("'hello'", "acme-hcs 2.5", "other-hcs 2.5", "uninstall all but one"):
        assert text in outcome.err
    assert command("plate", "show", plate).code == 0
    states = {
        row["distribution"]: row["state"]
        for row in command("plugins", "list", "--json").json
        if row["key"] == "hello"
    }
    assert states == {"acme-hcs": "conflict", "other-hcs": "conflict"}


@pytest.fixture
def future(hcs: Command, tmp_path: Path) -> Command:
    """`hcs` where a plugin for a later major of our API is installed."""
    module = "raise SystemExit('imported')"
    install(tmp_path / "site", "new_hcs", module, {"hcs.microscopes.v2": ("new", "new_hcs:Reader")})
    return with_plugins(hcs, tmp_path / "site")


def test_a_plugin_of_another_api_is_listed_as_incompatible(future: Command):
    (row,) = [row for row in future("plugins", "list", "--json").json if row["key"] == "new"]
    assert (row["api"], row["state"]) == (2, "incompatible")


def test_a_plugin_of_another_api_is_never_imported(future: Command, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    outcome = future("plate", "show", tmp_path / "empty")
    assert outcome.code == 65
    assert "readers: imagexpress." in outcome.err
    assert "imported" not in outcome.err

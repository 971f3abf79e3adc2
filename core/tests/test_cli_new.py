"""`hcs plugins new`: what it writes works as it is, and what it cannot write leaves nothing."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hcs_core.cli import _scaffold, main
from hcs_core.testing._processes import modules_after
from hcs_core.testing.registry import write_distribution

CORE = Path(__file__).resolve().parent.parent
# Kind to what is generated in these tests, and the kind of plugin it declares.
NAME = {"microscope": "our-scope", "kernels": "our-kernels", "command": "our-command"}
LISTED = {"microscope": "hcs.microscopes", "kernels": "hcs.kernels", "command": "hcs.cli"}
KINDS = sorted(NAME)


class Ended(NamedTuple):
    """What a command printed, and its exit code."""

    code: object
    out: str
    err: str


def new(*arguments: object) -> Ended:
    """Call `hcs plugins new` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main(["plugins", "new", *map(str, arguments)])
    return Ended(ended.value.code, out.getvalue(), err.getvalue())


def python(
    *arguments: object,
    executable: object = sys.executable,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run Python, which must succeed, and return all that it printed."""
    # pytest plugins that happen to be installed print warnings of their own.
    own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", **(env or {})}
    done = subprocess.run(
        [str(executable), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        cwd=cwd,
        env={**os.environ, **own},
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def project_of(package: Path) -> dict[str, Any]:
    about: dict[str, Any] = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))
    return about["project"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a new package of each kind."""
    folder = tmp_path_factory.mktemp("new")
    for kind, name in NAME.items():
        ended = new(name, "--kind", kind, "--folder", folder)
        assert (ended.code, ended.err) == (0, "")
    return {kind: folder / name for kind, name in NAME.items()}


def needs(tool: str) -> None:
    if find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")


def test_there_is_a_test_for_every_kind():
    assert list(_scaffold.templates()) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_the_tests_of_a_new_package_pass_as_they_are(
    kind: str, packages: dict[str, Path], tmp_path: Path
):
    package = Path(shutil.copytree(packages[kind], tmp_path / "package"))
    project = project_of(package)
    write_distribution(package / "src", project["name"], project["entry-points"], version="0.1.0")
    path = os.pathsep.join(filter(None, [str(package / "src"), os.environ.get("PYTHONPATH")]))
    told = python("-m", "pytest", "-q", package, env={"PYTHONPATH": path})
    assert " passed" in told
    assert "skipped" not in told


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--editable",)], ids=["a wheel", "editable"])
def test_new_packages_are_built_installed_listed_and_tested(
    options: tuple[str, ...], packages: dict[str, Path], tmp_path: Path
):
    for tool in ("pip", "hatchling", *(["editables"] if options else [])):
        needs(tool)
    python_there = environment(tmp_path / "environment")
    copies = [shutil.copytree(package, tmp_path / package.name) for package in packages.values()]
    folders = [word for copy in copies for word in (*options, copy)]
    offline = ("--no-index", "--no-deps", "--no-build-isolation")
    python("-m", "pip", "--python", python_there, "install", *offline, *folders)
    told = python(
        *("-c", "from hcs_core.cli import main; main(['plugins', 'list', '--json'])"),
        executable=python_there,
    )
    own = {row["kind"]: row for row in json.loads(told) if row["distribution"] in NAME.values()}
    for kind, listed in LISTED.items():
        assert (own[listed]["key"], own[listed]["version"]) == (NAME[kind], "0.1.0")
        assert own[listed]["state"] == "declared"
    for copy in copies:
        assert " passed" in python("-m", "pytest", "-q", copy, executable=python_there)


def environment(folder: Path) -> Path:
    """Make an environment that sees what this one has, so that nothing is downloaded."""
    venv.create(folder, symlinks=os.name != "nt")
    executable = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    theirs = python("-c", asked, executable=executable).strip()
    ours = python("-c", asked).strip()
    Path(theirs, "lent.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    return executable


@pytest.mark.slow
def test_the_wheel_of_the_core_has_every_file_of_the_templates(tmp_path: Path):
    needs("hatchling")
    python("-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=CORE)
    (wheel,) = tmp_path.glob("*.whl")
    top = "hcs_core/cli/_templates/"
    with zipfile.ZipFile(wheel) as archive:
        found = {name.removeprefix(top) for name in archive.namelist() if name.startswith(top)}
    templates = _scaffold.templates().values()
    assert found == {f"{each.kind}/{file}" for each in templates for file in each.texts()}


def test_ruff_has_nothing_to_say_however_long_the_name_is(tmp_path: Path):
    needs("ruff")
    for kind in KINDS:
        for name in (f"{kind[0]}1", f"{kind}-".ljust(36, "x")):
            assert new(name, "--kind", kind, "--folder", tmp_path).code == 0
    python("-m", "ruff", "check", "--no-cache", tmp_path)
    python("-m", "ruff", "format", "--no-cache", "--check", tmp_path)


def test_the_types_of_new_packages_are_strict(packages: dict[str, Path], tmp_path: Path):
    needs("mypy")
    folders = [folder / part for folder in packages.values() for part in ("src", "tests")]
    settings = ("--config-file", packages["kernels"] / "pyproject.toml", "--strict")
    python("-m", "mypy", *settings, "--cache-dir", tmp_path, *folders)


@pytest.mark.parametrize(
    ("name", "distribution", "module", "class_"),
    [
        ("our-scope", "our-scope", "our_scope", "OurScopeReader"),
        ("Our.Scope", "our-scope", "our_scope", "OurScopeReader"),
        ("LAB7__confocal-.2", "lab7-confocal-2", "lab7_confocal_2", "Lab7Confocal2Reader"),
        ("x", "x", "x", "XReader"),
        ("example-microscope-2", "example-microscope-2", "example_microscope_2", None),
    ],
)
def test_a_name_may_have_dots_dashes_and_capitals(
    name: str, distribution: str, module: str, class_: str | None, tmp_path: Path
):
    document = json.loads(new(name, "--kind", "microscope", "--folder", tmp_path, "--json").out)
    package = tmp_path / distribution
    assert document["name"] == distribution
    assert document["path"] == str(package.resolve())
    class_ = class_ or "ExampleMicroscope2Reader"
    value = {distribution: f"{module}.reader:{class_}"}
    assert project_of(package)["entry-points"] == {"hcs.microscopes.v1": value}
    assert f"class {class_}(PlateReader)" in (package / "src" / module / "reader.py").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_example_is_left_in_it(kind: str, packages: dict[str, Path]):
    for file in packages[kind].rglob("*"):
        text = str(file.relative_to(packages[kind]))
        if file.is_file():
            text += file.read_text("utf-8")
        for left in (f"example-{kind}", f"example_{kind}", f"Example{kind.title()}"):
            assert left not in text, file


def test_it_says_what_it_wrote_and_what_to_do_next(tmp_path: Path, monkeypatch: Any):
    monkeypatch.chdir(tmp_path)
    ended = new("our-scope", "--kind", "microscope")
    assert (ended.code, ended.err) == (0, "")
    files = [path for path in (tmp_path / "our-scope").rglob("*") if path.is_file()]
    for file in files:
        assert f"  {file.relative_to(tmp_path / 'our-scope').as_posix()}\n" in ended.out
    assert len(files) == 10
    for command in (
        "python -m pip install -e ",
        "our-scope[test]",
        "hcs plugins list --kind microscopes\n",
        "python -m pytest our-scope\n",
    ):
        assert command in ended.out


def test_the_document_has_the_files_that_are_there(tmp_path: Path):
    ended = new("our-kernels", "--kind", "kernels", "--folder", tmp_path, "--json")
    document = json.loads(ended.out)
    assert list(document) == ["path", "files", "kind", "name"]
    assert (document["kind"], document["name"]) == ("kernels", "our-kernels")
    package = Path(document["path"])
    found = {file.relative_to(package).as_posix() for file in package.rglob("*") if file.is_file()}
    assert document["files"] == sorted(found)
    assert {".gitignore", "LICENSE", "src/our_kernels/py.typed"} <= found


@pytest.mark.skipif(os.name == "nt", reason="there are no modes")
def test_its_folder_has_the_mode_that_the_user_gives_to_new_folders(tmp_path: Path):
    (tmp_path / "made by hand").mkdir()
    new("our-scope", "--kind", "microscope", "--folder", tmp_path)
    modes = {folder.stat().st_mode for folder in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("our scope", "microscope", "letters, digits and dashes"),
        ("our-scope-", "microscope", "letters, digits and dashes"),
        ("our/scope", "microscope", "letters, digits and dashes"),
        ("../scope", "microscope", "letters, digits and dashes"),
        ("skop-ü", "microscope", "letters, digits and dashes"),
        ("our-scope\n", "microscope", "letters, digits and dashes"),
        ("", "microscope", "letters, digits and dashes"),
        ("3d-scope", "microscope", "3d_scope, which begins with a digit"),
        ("Lambda", "kernels", "lambda is a word of the language Python"),
        ("json", "command", "json is a module of Python's own library"),
        ("hcs", "kernels", "kept for hcs"),
        ("HCS.new", "kernels", "kept for hcs"),
        ("polystore_napari", "kernels", "kept for hcs"),
        ("a" * 37, "kernels", "37 letters, more than 36"),
        ("pygments", "kernels", "pygments is installed already"),
        ("numpy", "kernels", "it needs another package of the name numpy"),
        ("PyTest", "command", "it needs another package of the name pytest"),
        ("importlib_metadata", "command", "another package of the name importlib-metadata"),
        ("plugins", "command", "hcs.cli 'plugins' is a plugin of hcs-core"),
        ("imagexpress", "microscope", "hcs.microscopes 'imagexpress' is a plugin of hcs-micro"),
        ("plate", "microscope", "PlateReader, as one of hcs is"),
        ("test-foo", "microscope", "TestFooReader, which pytest takes for tests"),
        ("tests", "microscope", "TestsReader, which pytest takes for tests"),
        ("testbed", "microscope", "TestbedReader, which pytest takes for tests"),
    ],
)
@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
def test_a_name_that_cannot_be_is_refused_with_the_reason(
    name: str, kind: str, reason: str, as_json: tuple[str, ...], tmp_path: Path
):
    ended = new("--kind", kind, "--folder", tmp_path, *as_json, "--", name)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("error: ")
    assert reason in line
    if as_json:
        assert json.loads(ended.out) == {"error": line.removeprefix("error: "), "exit_code": 2}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_new_package_needs_is_known_whether_installed_or_not(kind: str):
    known = _scaffold.templates()[kind].needs()
    core = {"click", "filelock", "importlib-metadata", "numpy", "platformdirs", "pluggy", "rich"}
    optional = {"hypothesis", "pytest", "tensorflow", "tifffile", "torch", "zarr"}
    assert core | optional | {"hatchling", "hcs-core"} <= known
    assert NAME[kind] not in known


@pytest.mark.parametrize("kind", ["command", "kernels"])
def test_a_name_of_tests_is_fine_where_no_class_is_called_by_it(kind: str, tmp_path: Path):
    assert new("test-foo", "--kind", kind, "--folder", tmp_path).code == 0


@pytest.mark.parametrize("arguments", [(), ("--kind", "kernel"), ("--kind", "../command")])
def test_an_unknown_kind_says_which_there_are(arguments: tuple[str, ...], tmp_path: Path):
    ended = new("our-plugin", "--folder", tmp_path, *arguments)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert "(available: command, kernels, microscope)" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["a file", "a folder", "a link to nowhere"])
def test_nothing_that_is_there_is_overwritten(there: str, tmp_path: Path):
    place = tmp_path / "our-scope"
    if there == "a file":
        place.write_text("mine")
    elif there == "a folder":
        place.mkdir()
    else:
        try:
            place.symlink_to(tmp_path / "nowhere")
        except OSError:
            pytest.skip("links cannot be made here")
    ended = new("Our_Scope", "--kind", "microscope", "--folder", tmp_path)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert f"{place} exists already" in line
    assert list(tmp_path.iterdir()) == [place]
    assert not place.is_dir() or list(place.iterdir()) == []


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path):
    ended = new("our-scope", "--kind", "microscope", "--folder", tmp_path / "nowhere")
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert f"there is no folder {tmp_path / 'nowhere'}" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions work otherwise there")
def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    if os.geteuid() == 0:  # whom no mode stops, but a file system without files does
        closed = Path("/proc")
        if not closed.is_dir():
            pytest.skip("nothing stops root here")
    ended = new("our-scope", "--kind", "microscope", "--folder", closed)
    assert (ended.code, ended.out) == (75, "")
    (line,) = ended.err.splitlines()
    assert line.startswith(f"error: {closed / 'our-scope'}: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (OSError(errno.ENOSPC, "No space left on device"), 75)],
    ids=["interrupted", "a full disk"],
)
def test_what_ends_too_early_leaves_nothing(
    error: BaseException, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen: list[str] = []

    def write(file: Path, text: str) -> None:
        if len(seen) == 3:
            raise error
        whole(file, text)
        seen.extend(path.name for path in tmp_path.iterdir())

    whole = _scaffold._write
    monkeypatch.setattr(_scaffold, "_write", write)
    ended = new("our-scope", "--kind", "microscope", "--folder", tmp_path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
    assert len(seen) == 3
    assert "our-scope" not in seen, "it gets its name when it is whole"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_came_in_the_meantime_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def write(file: Path, text: str) -> None:
        whole(file, text)
        (tmp_path / "our-scope").mkdir(exist_ok=True)
        (tmp_path / "our-scope" / "mine.txt").write_text("mine")

    whole = _scaffold._write
    monkeypatch.setattr(_scaffold, "_write", write)
    ended = new("our-scope", "--kind", "microscope", "--folder", tmp_path)
    assert ended.code == 75
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*")] == [
        "our-scope",
        "our-scope/mine.txt",
    ]


def test_one_more_folder_is_one_more_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    template = tmp_path / "templates" / "format"
    files = {
        "pyproject.toml": '[project.entry-points."hcs.formats.v1"]\nexample-format = "a:B"\n',
        "src/example_format/_toy.py": "class ExampleFormat: ...\n",
    }
    left_over = (".mypy_cache/a.json", "src/example_format/__pycache__/_toy.pyc")
    for name in (*files, *left_over):
        (template / name).parent.mkdir(parents=True, exist_ok=True)
        (template / name).write_text(files.get(name, ""))
    monkeypatch.setattr(_scaffold, "_TEMPLATES", tmp_path / "templates")
    ended = new("our-toy", "--kind", "format", "--folder", tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert "hcs plugins list --kind formats\n" in ended.out
    package = tmp_path / "our-toy"
    written = {path.relative_to(package).as_posix() for path in package.rglob("*.*")}
    assert written == {"pyproject.toml", "src/our_toy/_toy.py"}
    assert (package / "src/our_toy/_toy.py").read_text() == "class OurToy: ...\n"
    assert 'our-toy = "a:B"' in (package / "pyproject.toml").read_text()


def test_the_other_commands_do_without_it():
    assert "hcs_core.cli._scaffold" not in modules_after("import hcs_core.cli.plugins")

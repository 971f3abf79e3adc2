"""The code in the documentation, run as it stands there, page by page.

Of the fenced blocks of a page

- ``python`` and ``toml`` whose first line is ``# some/file.py`` are written to that file;
- other ``python`` blocks are run in the page's one namespace;
- ``diff`` blocks change the file that their first line names in the same way;
- ``bash`` blocks are run by bash and must succeed; ``sh`` blocks are only shown;
- a ``text`` block right behind a block that was run is what it must print. ``...`` stands
  for anything, numbers with a decimal point are not compared, nor are hashes.

A page runs in a folder of its own, shown as ``/data``. Where it speaks of ``hcs-demo`` without
making it, that plate is there. Packages are known where they lie, as if they were installed.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    str(page.relative_to(ROOT))
    for pattern in ("README.md", "core/README.md", "plugins/*/README.md", "docs/[a-z]*/**/*.md")
    for page in ROOT.glob(pattern)
    if re.search(r"^```(bash|python|toml)$", page.read_text("utf-8"), re.MULTILINE)
)

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


class Block(NamedTuple):
    """A fenced block: its language, its text, and what the page says that it prints."""

    language: str
    code: str
    prints: str | None

    @property
    def file(self) -> str | None:
        """The file that the first line names."""
        named = re.match(r"# ([\w./-]+\.(?:py|toml))\n", self.code)
        return named[1] if named else None


def blocks_of(text: str) -> Iterator[Block]:
    """Yield the blocks of a page."""
    fence = re.compile(
        r"^```(\w+)\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL
    )
    for found in fence.finditer(text):
        yield Block(*found.groups())


class PageRun:
    """Runs the blocks of one page in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, Any] = {"__name__": "page"}

    def run(self, block: Block) -> str:
        """Run a block and return what it printed."""
        if block.file and block.language == "diff":
            self._change(block.file, block.code)
        elif block.file:
            self._write(block.file, block.code)
        elif block.language == "python":
            return self._python(block.code)
        elif block.language == "bash":
            return self._bash(block.code)
        return ""

    def _write(self, name: str, text: str) -> None:
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def _change(self, name: str, diff: str) -> None:
        lines = diff.splitlines(keepends=True)[1:]
        old, new = ("".join(line[1:] for line in lines if line[0] in kept) for kept in (" -", " +"))
        target = self._folder / name
        text = target.read_text("utf-8")
        assert text.count(old) == 1, f"{name} should have once what is changed:\n{old}"
        target.write_text(text.replace(old, new), encoding="utf-8")

    def _python(self, code: str) -> str:
        printed = io.StringIO()
        with contextlib.chdir(self._folder), contextlib.redirect_stdout(printed):
            page = Path("page.py")
            page.write_text(code, encoding="utf-8")
            self._names |= runpy.run_path(str(page), init_globals=self._names)
            page.unlink()
        return self._shown(printed.getvalue())

    def _bash(self, code: str) -> str:
        here = {
            # pytest plugins that happen to be installed print warnings of their own.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": os.pathsep.join(map(_installed, self._folder.rglob("pyproject.toml"))),
        }
        done = subprocess.run(
            ["bash", "-ec", code],
            cwd=self._folder,
            env=os.environ | here,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}"
        return self._shown(done.stdout)

    def _shown(self, printed: str) -> str:
        return printed.replace(str(self._folder.resolve()), "/data")


def _installed(pyproject: Path) -> str:
    """Make a package known where it lies, and return the folder that it is imported from."""
    source = pyproject.parent / "src"
    home = source if source.is_dir() else pyproject.parent
    about = tomllib.loads(pyproject.read_text("utf-8"))
    project = about["project"]
    name, version = project["name"], project.get("version") or _version_in(pyproject, about)
    folder = home / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return str(home)


def _version_in(pyproject: Path, about: dict[str, Any]) -> str:
    """Return the version that a package has in a file, as hatchling does."""
    file = pyproject.parent / about["tool"]["hatch"]["version"]["path"]
    return str(runpy.run_path(str(file))["__version__"])


def _comparable(text: str) -> str:
    return re.sub(r"\d+\.\d+|\b[0-9a-f]{12,}\b", "#", text)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    PageRun(folder).run(Block("bash", "hcs demo", None))
    return folder / "hcs-demo"


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(
    page: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    text = (ROOT / page).read_text("utf-8")
    if "hcs-demo" in text and "\nhcs demo" not in text:
        shutil.copytree(request.getfixturevalue("demo"), tmp_path / "hcs-demo")
    run = PageRun(tmp_path)
    checker = doctest.OutputChecker()
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for block in blocks_of(text):
        printed = run.run(block)
        if block.prints is not None:
            want, got = _comparable(block.prints), _comparable(printed)
            assert checker.check_output(want, got, options), f"{block.code}\nprints\n{printed}"

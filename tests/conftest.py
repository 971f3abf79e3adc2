"""How the tests of the whole house call the command line, and look at what it left."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

ROOT = Path(__file__).resolve().parent.parent
_MAIN = "from hcs_core.cli import main; main()"


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output; more, or less, than one is an error."""
        return json.loads(self.out)

    @property
    def errors(self) -> list[str]:
        """The lines on standard error."""
        return [line for line in self.err.splitlines() if line.strip()]


@dataclass(frozen=True)
class Left:
    """What a run left in its output folder, read without any of our own code."""

    path: Path

    def rows(self, table: str) -> list[dict[str, str]]:
        with (self.path / "tables" / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def counts(self) -> dict[tuple[str, str], int]:
        """Return the count of each (well, site)."""
        return {(row["well"], row["site"]): int(row["count"]) for row in self.rows("images")}

    def paths(self) -> dict[tuple[str, str], str]:
        """Return the group of each (well, site)."""
        return {(row["well"], row["site"]): row["path"] for row in self.rows("images")}

    def array(self, path: str) -> np.ndarray[Any, Any]:
        """Return an array of the plate, axes (t, c, z, y, x) or (t, z, y, x)."""
        opened = zarr.open_array(str(self.path / "plate.zarr" / path), mode="r")
        return np.asarray(opened[...])

    def labels(self, field: str, name: str) -> np.ndarray[Any, Any]:
        return self.array(f"{field}/labels/{name}/0")

    def attributes(self, path: str = "") -> dict[str, Any]:
        """Return the "ome" attributes of a group of the plate."""
        group = zarr.open_group(str(self.path / "plate.zarr" / path), mode="r")
        found: dict[str, Any] = dict(group.attrs)["ome"]  # type: ignore[assignment]
        return found


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def hcs() -> Callable[..., Outcome]:
    """Return the command line: `hcs` in a process of its own."""

    def call(
        *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-c", _MAIN, *map(str, arguments)],
            capture_output=True,
            check=False,
            cwd=cwd,
            encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})},
            timeout=300,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def hcs_here(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Return the same in this process: ten times faster."""
    from hcs_core.cli import main

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Outcome(code, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def left() -> type[Left]:
    """Return the reader of outputs."""
    return Left


@pytest.fixture(scope="session")
def snapshot() -> Callable[[Path], dict[str, tuple[int, str]]]:
    """Return a function: every file and folder below one, when it was changed, and its hash."""

    def take(folder: Path) -> dict[str, tuple[int, str]]:
        found = {}
        for path in sorted([folder, *folder.rglob("*")]):
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[path.relative_to(folder).as_posix()] = (path.stat().st_mtime_ns, content)
        return found

    return take

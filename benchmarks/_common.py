"""What the benchmarks share: the scripts beside the checkout, timing, and tables."""

from __future__ import annotations

import importlib.util
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

SHARED = Path(__file__).resolve().parents[2] / "shared"


class SkippedError(Exception):
    """The benchmark cannot run here; the message says why."""


def shared_path(name: str) -> Path:
    """Return where a script of ``../shared/bench`` is.

    Raises
    ------
    SkippedError
        If the folder is not there.
    """
    path = SHARED / "bench" / f"{name}.py"
    if not path.is_file():
        raise SkippedError(f"needs {path.name} from the optional data folder ../shared")
    return path


def shared_script(name: str) -> ModuleType:
    """Import a script of ``../shared/bench``.

    Raises
    ------
    SkippedError
        If the folder is not there.
    """
    path = shared_path(name)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def interleaved(cases: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Return the best of several rounds of each case, seconds.

    The cases take turns, so that what else the machine does falls on all of them.
    """
    best = dict.fromkeys(cases, float("inf"))
    for _ in range(rounds):
        for name, case in cases.items():
            started = time.perf_counter()
            case()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(row)} |")
    print()


def machine() -> str:
    """Return what the figures were measured on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {system}"

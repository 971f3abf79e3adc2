"""The array frameworks looked at in a process of their own, which some of them may end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from hcs_core.cli._children import ending, search_path
from hcs_core.errors import HcsError


def ask(what: Literal["matrix", "devices"], *, timeout_s: float) -> dict[str, Any]:
    """Return what a process of its own finds out about the array frameworks.

    A framework that ends the process is left out of a second one, and told of.

    Parameters
    ----------
    what : {"matrix", "devices"}
        What to find out.
    timeout_s : float
        How long one process may take.

    Raises
    ------
    HcsError
        If the process ended before it came to a framework.
    """
    ended: dict[str, str] = {}
    while True:
        told, how = _told(what, ended, timeout_s)
        if "result" in told:
            break
        if not told:
            raise HcsError(f"the array frameworks could not be looked at: the process {how}")
        ended[told["framework"]] = f"the process {how} while {told['doing']}"
    result: dict[str, Any] = told["result"]
    broken = [
        {"name": name, "state": "broken", "devices": [], "reason": reason}
        for name, reason in ended.items()
    ]
    result["frameworks"] = sorted([*result["frameworks"], *broken], key=lambda row: row["name"])
    return result


def _told(what: str, without: Collection[str], timeout_s: float) -> tuple[dict[str, Any], str]:
    """Return the last document that a process wrote, and how it ended."""
    with tempfile.TemporaryDirectory(prefix="hcs-arrays-") as name:
        journal, errors = Path(name, "journal"), Path(name, "errors")
        command = [sys.executable, "-P", "-m", "hcs_core.cli._array_probe"]
        try:
            with errors.open("wb") as stderr:
                done = subprocess.run(
                    [*command, what, str(journal), *without],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    env=os.environ | {"PYTHONPATH": search_path()},
                    timeout=timeout_s,
                    check=False,
                )
            how = _ending(done.returncode, errors.read_text("utf-8", errors="replace"))
        except subprocess.TimeoutExpired:
            how = f"took more than {timeout_s:g} s and was ended"
        lines = journal.read_text("ascii").splitlines() if journal.exists() else []
    # The process may have been ended while it wrote the last line.
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    return (whole[-1] if whole else {}), how


def _ending(code: int, errors: str) -> str:
    """Return how a process ended, with the last that it said of itself."""
    if code < 0:
        return f"was ended by {ending(code)}"
    said = errors.strip().splitlines()
    return f"ended with {ending(code)}" + (f" ({said[-1]})" if said else "")

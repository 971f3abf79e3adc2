"""Whether a folder can be a run's output."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hcs_pipeline._problems import Problem


def output_problems(output: Path, plate: Path) -> Iterator[Problem]:
    """Yield why the output folder cannot be used; nothing is made or written.

    Parameters
    ----------
    output : Path
        The folder that a run shall write to.
    plate : Path
        The plate's folder, where nothing is ever written.
    """
    try:
        yield from _problems(output, plate)
    except OSError as cause:  # a name that the system does not take, a folder it does not list
        yield Problem(
            "fatal", f"output {output} cannot be used: {cause.strerror or cause}; choose another"
        )


def _problems(output: Path, plate: Path) -> Iterator[Problem]:
    if "://" in str(output) or str(output).startswith(("file:", "s3:")):
        yield Problem("fatal", f"output {output} is an address; give a folder of this machine")
        return
    if not _is_text(output) or not _is_text(plate):
        message = f"{output!s} and {plate!s} must have names that are text (UTF-8); rename them"
        yield Problem("fatal", message.encode("utf-8", "backslashreplace").decode())
        return
    real, source = output.resolve(), plate.resolve()
    if real == source or source in real.parents:
        message = f"output {output} lies inside the plate {plate}, where nothing is ever written"
        yield Problem("fatal", f"{message}; choose a folder outside")
        return
    if output.is_dir() and any(output.iterdir()):
        held = "holds a run" if (output / "run" / "plan.json").exists() else "is not empty"
        yield Problem("fatal", f"output {output} {held}; give a new or empty folder")
        return
    ancestor = next(path for path in (real, *real.parents) if path.exists())
    if not ancestor.is_dir():
        reason = f"{ancestor} is a file"
    elif not os.access(ancestor, os.W_OK | os.X_OK):
        reason = f"{ancestor} is not writable"
    else:
        return
    yield Problem("fatal", f"output {output} cannot be made: {reason}; choose another folder")


def _is_text(path: Path) -> bool:
    """Return whether a path can stand in a document."""
    try:
        str(path.absolute()).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True

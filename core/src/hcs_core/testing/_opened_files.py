"""Which files below a folder this process opens: what "reads no pixel" is proven by."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Opened:
    """What was opened and listed below a folder.

    Parameters
    ----------
    root : Path
        The folder, resolved.

    Attributes
    ----------
    files : list of str
        Every opening of a file, relative to the folder, ``/`` between parts.
    folders : list of str
        Every listing of a folder, ``"."`` being the folder itself.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.files: list[str] = []
        self.folders: list[str] = []

    def note(self, event: str, path: Any) -> None:
        """Keep an event if it is about something below the folder."""
        if not isinstance(path, str | bytes | os.PathLike):
            return  # a file descriptor, or os.listdir() without a path
        place = Path(os.path.abspath(os.fsdecode(path)))
        if place == self._root or self._root in place.parents:
            kept = self.files if event == "open" else self.folders
            kept.append(place.relative_to(self._root).as_posix())


_watching: list[Opened] = []
_hooked: list[bool] = []
_EVENTS = frozenset({"open", "os.scandir", "os.listdir"})


@contextmanager
def opened_files(root: Path) -> Iterator[Opened]:
    """Note what this process opens below a folder, in all of its threads.

    Openings by Python are seen, those of a C library that calls the system itself are not.
    """
    if not _hooked:  # an audit hook can never be removed: one for all, with a switch
        sys.addaudithook(_hook)
        _hooked.append(True)
    opened = Opened(root.resolve())
    _watching.append(opened)
    try:
        yield opened
    finally:
        _watching.remove(opened)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in _EVENTS:
        for opened in tuple(_watching):
            opened.note(event, arguments[0])

"""Rich's console, as a command needs it whose output may go into a pipe."""

from __future__ import annotations

import re
from typing import IO, Any, NoReturn

from rich.console import Console

_BLANKS = re.compile(r" +(?=\n)")


class PipeConsole(Console):
    """A console for people that leaves a broken pipe to `main`, where rich would exit with 1."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise the BrokenPipeError again that rich has caught."""
        raise  # noqa: PLE0704 - rich calls this while it handles the error


class TrimmedFile:
    """A text file whose lines end without blanks; rich fills the last column of a table.

    Parameters
    ----------
    file : text file
        Where the lines go, and what answers everything else.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write what rich has rendered: whole lines."""
        self._file.write(_BLANKS.sub("", text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

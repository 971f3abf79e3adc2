"""Rich's console, but a reader of our output that went away is an error like any other."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console


class PipeConsole(Console):
    """A console for people that leaves a broken pipe to `main`, where rich would exit with 1."""

    def on_broken_pipe(self) -> NoReturn:
        """Raise the BrokenPipeError again that rich has caught."""
        raise  # noqa: PLE0704 - rich calls this while it handles the error

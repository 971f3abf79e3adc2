"""What the compiler finds, each with the severity that says what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["fatal", "unit", "warning"]
"""``fatal``: nothing runs. ``unit``: that unit fails, all others run. ``warning``: told."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Parameters
    ----------
    severity : {"fatal", "unit", "warning"}
        What it costs.
    message : str
        One line: what was asked, what there is, what to do.
    step : str, optional
        The step it concerns.
    file : str, optional
        The file it concerns.
    exit_code : int
        The exit code when it is fatal: 2 for the call, 65 for the data.
    """

    severity: Severity
    message: str
    step: str | None = None
    file: str | None = None
    exit_code: int = 2

    def __str__(self) -> str:
        where = f"step {self.step!r}: " if self.step else ""
        return f"{where}{self.message}"

    def as_dict(self) -> dict[str, Any]:
        """Return the problem as a JSON object."""
        return {
            "severity": self.severity,
            "step": self.step,
            "file": self.file,
            "message": self.message,
        }

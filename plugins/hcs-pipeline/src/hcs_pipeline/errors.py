"""What can be wrong with a pipeline, a plan or a run.

::

    UsageError                    exit code 2
    ├── PipelineError             the pipeline itself cannot be understood
    ├── CompileError              the plan cannot be made; carries every problem found
    ├── OutputError               the output folder cannot be used
    ├── NotARunError              a folder holds no run
    └── PlanStaleError            the plate has changed since the plan was made
"""

from __future__ import annotations

from hcs_core.errors import UsageError
from hcs_pipeline._problems import Problem


class PipelineError(UsageError):
    """A pipeline cannot be understood."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where, self.reason = where, reason

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class CompileError(UsageError):
    """No plan can be made; `problems` holds everything that was found, not only the first."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """That of the first fatal problem: bad data and a wrong call have their own."""
        return next((p.exit_code for p in self.problems if p.severity == "fatal"), 2)

    def __str__(self) -> str:
        return "\n".join(str(p) for p in self.problems if p.severity == "fatal")


class OutputError(UsageError):
    """The output folder cannot be used."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"cannot use {self.path} as output: {self.reason}; choose another folder"


class NotARunError(UsageError):
    """A folder holds no run."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path} holds no run: {self.reason}; give the OUT folder of `hcs run`"


class PlanStaleError(UsageError):
    """The plate has changed since the plan was made."""

    def __init__(self, plate: str) -> None:
        super().__init__(plate)
        self.plate = plate

    def __str__(self) -> str:
        return f"the files of {self.plate} have changed since the plan was made; compile it again"

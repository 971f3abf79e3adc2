"""What is done, unit by unit, in files that appear when they are complete.

OUT/run/
    plan.json              the plan
    units/00017.json       state of a unit, written after everything that it left
    parts/00017-*.csv      its rows, which the tables are put together from
    run.json               when the run started and ended, and who runs it
    log.txt                what happened, for people
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hcs_core.errors import StorageError
from hcs_core.storage import FileManager, has_ended, process_name
from hcs_pipeline._plan import PLAN_FORMAT, Plan
from hcs_pipeline._tables import UnitTables
from hcs_pipeline.errors import NotARunError

UnitStatus = Literal["done", "failed"]
RunStatus = Literal["running", "done", "partial", "failed", "interrupted"]
_PLAN = "plan.json"
_RUN = "run.json"


@dataclass(frozen=True, slots=True)
class UnitState:
    """What became of a unit.

    Parameters
    ----------
    unit : int
        Its number in the plan.
    title, well : str
        What a person calls it, and its well.
    site : str, optional
        Its site, where it has one only.
    status : {"done", "failed"}
        Whether everything of it is in the output.
    step, file, error : str, optional
        Where and why it failed.
    seconds : Mapping of str to float
        Time per step.
    write_seconds : float
        Time to write what they made.
    fields : Mapping of str to Mapping
        What it left in the plate, by group: labels, and the range of each channel.
    """

    unit: int
    title: str
    well: str
    site: str | None
    status: UnitStatus
    step: str | None = None
    file: str | None = None
    error: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    write_seconds: float = 0.0
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def as_failure(self) -> dict[str, Any]:
        """Return the failure as the object that `run --json` lists."""
        keys = ("unit", "well", "site", "step", "file", "error")
        return {key: getattr(self, key) for key in keys}


class Ledger:
    """The state of one run, in ``OUT/run``.

    Parameters
    ----------
    output : path
        The run's output folder.
    """

    def __init__(self, output: str | os.PathLike[str]) -> None:
        self.folder = Path(output) / "run"
        self._files = FileManager(self.folder)

    def start(self, plan: Plan, *, started: float) -> None:
        """Write the plan, and that this process runs it."""
        self._save(_PLAN, {**plan.to_json(), "plan_hash": plan.plan_hash})
        self._save(_RUN, {"started": started, "ended": None, "process": process_name()})

    def finish(self, *, started: float, ended: float, interrupted: bool) -> dict[str, Any]:
        """Write that the run has ended; return the document."""
        document = {"started": started, "ended": ended, "interrupted": interrupted}
        self._save(_RUN, document)
        return document

    def write_rows(self, unit: int, tables: UnitTables) -> None:
        """Write the rows of a unit; the run's tables are put together from these."""
        self._save(part_key(unit, "images"), tables.images)
        if tables.objects is not None:
            self._save(part_key(unit, "objects"), tables.objects)

    def record(self, state: UnitState) -> None:
        """Write a unit's state; all else that it left is there by now."""
        self._save(_unit_key(state.unit), _plain(asdict(state)))

    def plan(self) -> dict[str, Any]:
        """Return the plan's document.

        Raises
        ------
        NotARunError
            If the folder holds no run, or one of another version.
        """
        document = self._load(_PLAN)
        if document.get("plan_format") != PLAN_FORMAT:
            reason = f"run/{_PLAN} is of another version of hcs-pipeline, or damaged"
            raise NotARunError(str(self.folder.parent), reason)
        return document

    def states(self) -> dict[int, UnitState]:
        """Return the states of the units that have ended, by number.

        Raises
        ------
        NotARunError
            If one of them is damaged.
        """
        found: dict[int, UnitState] = {}
        for key in self._files.list_files("units", suffixes=(".json",)):
            try:
                state = UnitState(**self._load(key))
            except TypeError as cause:
                raise NotARunError(str(self.folder.parent), f"run/{key} is damaged") from cause
            found[state.unit] = state
        return found

    def _load(self, key: str) -> dict[str, Any]:
        """Return one of the ledger's documents."""
        try:
            document: dict[str, Any] = self._files.load(key)
        except FileNotFoundError as cause:
            raise NotARunError(str(self.folder.parent), f"run/{key} is missing") from cause
        except StorageError as cause:
            raise NotARunError(str(self.folder.parent), str(cause)) from cause
        return document

    def part(self, unit: int, name: str) -> Path:
        """Return the file of a unit's rows; it may not be there."""
        return self.folder / part_key(unit, name)

    def _save(self, key: str, value: Any) -> None:
        self._files.save(value, key, mode="replace")

    def summary(self) -> RunSummary:
        """Return where the run stands, from what is on disk."""
        plan = self.plan()
        run: dict[str, Any] = self._load(_RUN) if self._files.exists(_RUN) else {}
        count, out = len(plan["units"]), str(self.folder.parent.resolve())
        return _summary(count, plan["plan_hash"], self.states(), run, out)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Where a run stands: the document of ``run --json`` and ``status --json``."""

    status: RunStatus
    done: int
    failed: int
    pending: int
    failures: tuple[UnitState, ...]
    plan_hash: str
    seconds: float | None
    out: str

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as one JSON object."""
        return {
            "status": self.status,
            "units": {"done": self.done, "failed": self.failed, "pending": self.pending},
            "failures": [state.as_failure() for state in self.failures],
            "plan_hash": self.plan_hash,
            "seconds": self.seconds,
            "out": self.out,
        }

    @property
    def exit_code(self) -> int:
        """0 all done, 3 some units failed, 4 every unit failed, 130 interrupted."""
        codes = {"done": 0, "partial": 3, "failed": 4, "interrupted": 130, "running": 0}
        return codes[self.status]


def summarise(plan: Plan, states: Mapping[int, UnitState], run: Mapping[str, Any]) -> RunSummary:
    """Return where a run stands, from its plan, the states of its units and `run.json`."""
    return _summary(len(plan.units), plan.plan_hash, states, run, plan.output)


def _summary(
    count: int, plan_hash: str, states: Mapping[int, UnitState], run: Mapping[str, Any], out: str
) -> RunSummary:
    failures = tuple(states[n] for n in sorted(states) if states[n].status == "failed")
    done = len(states) - len(failures)
    pending = count - len(states)
    ended = run.get("ended")
    return RunSummary(
        status=_status(run, done, len(failures), pending),
        done=done,
        failed=len(failures),
        pending=pending,
        failures=failures,
        plan_hash=plan_hash,
        seconds=None if ended is None else round(ended - run["started"], 3),
        out=out,
    )


def _status(run: Mapping[str, Any], done: int, failed: int, pending: int) -> RunStatus:
    if run.get("ended") is None:
        # On another machine nobody can tell whether the process lives: it is said to run.
        return "interrupted" if has_ended(run.get("process", "")) else "running"
    if pending or run.get("interrupted"):
        return "interrupted"
    if not failed:
        return "done"
    return "partial" if done else "failed"


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: tuples are lists."""
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _unit_key(unit: int) -> str:
    return f"units/{unit:05d}.json"


def part_key(unit: int, name: str) -> str:
    """Return the key of a unit's rows of one table."""
    return f"parts/{unit:05d}-{name}.csv"

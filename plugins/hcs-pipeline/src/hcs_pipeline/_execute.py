"""Run a plan, unit by unit; a failed unit never stops the others."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hcs_core.errors import HcsError, StoreAccessError
from hcs_core.plates import Plate, open_plate
from hcs_core.registry import Hook, ObserverFailure
from hcs_pipeline._hooks import RUN_FINISHED, UNIT_FINISHED, UNIT_STARTED
from hcs_pipeline._ledger import Ledger, RunSummary, UnitState, summarise
from hcs_pipeline._output import Field, PlateOutput, fold_tables
from hcs_pipeline._plan import Plan, PlannedUnit
from hcs_pipeline._report import write_report
from hcs_pipeline._tables import MeasureError, unit_tables
from hcs_pipeline._unit import StepFailedError, UnitRunner
from hcs_pipeline.errors import OutputError, PlanStaleError

logger = logging.getLogger("hcs_pipeline")

Observer = Callable[[UnitState], None]
"""Told of every unit that has ended; what it raises ends the run like Ctrl-C.

The observers of a hook are told as well, and what they raise ends nothing."""


@dataclass(frozen=True, slots=True)
class WellResult:
    """What became of one well.

    Parameters
    ----------
    well : str
        The well.
    done, failed : int
        Its units.
    failures : tuple of UnitState
        Those that failed.
    """

    well: str
    done: int
    failed: int
    failures: tuple[UnitState, ...]

    @property
    def ok(self) -> bool:
        """Whether everything of the well is done."""
        return not self.failed


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of a run.

    Parameters
    ----------
    summary : RunSummary
        The numbers and failures, as in ``hcs run --json``.
    wells : Mapping of str to WellResult
        The same per well.
    """

    summary: RunSummary
    wells: Mapping[str, WellResult]


def execute(
    plan: Plan, plate: Plate | None = None, *, observer: Observer | None = None, report: bool = True
) -> RunResult:
    """Run a plan in this process and return what became of it.

    Whatever happens, what was done before is complete in the output: Ctrl-C ends the run
    after the tables of the finished units are written, and is raised again.

    Parameters
    ----------
    plan : Plan
        The plan.
    plate : Plate, optional
        The opened plate; it is opened when not given.
    observer : callable, optional
        Called with the state of each unit that has ended.
    report : bool
        Whether to write ``report.html``.

    Raises
    ------
    PlanStaleError
        If the plate has changed since the plan was made.
    OutputError
        If the output folder cannot be written, or has been used since.
    """
    opened = plate or open_plate(plan.plate, plan.format)
    if opened.index.fingerprint() != plan.fingerprint:
        raise PlanStaleError(plan.plate)
    run = _Run(plan, opened, observer)
    _claim(Path(plan.output))
    with run.log():
        try:
            run.do()
        finally:
            if run.has_ended:
                run.conclude(report=report)
    return run.result()


class _Run:
    """One execution: the state that units share in the coordinating process."""

    def __init__(self, plan: Plan, plate: Plate, observer: Observer | None) -> None:
        self.plan = plan
        self.plate = plate
        self.ledger = Ledger(plan.output)
        self._observer = observer
        self._summary: RunSummary | None = None
        # Not by name: two runs in one process would write into each other's log.
        self._log = logging.Logger("hcs_pipeline", logging.INFO)  # noqa: LOG001
        self._log.parent = logger
        self._observer_failures: Counter[tuple[object, str]] = Counter()
        self._output = PlateOutput(plan, plate)
        self._states: dict[int, UnitState] = {}
        self._waiting: Counter[str] = Counter()  # units that have not ended, by field
        self._written: dict[str, list[UnitState]] = defaultdict(list)  # those that have
        self._fields: dict[str, Field] = {}
        for unit in plan.units:
            self._waiting.update(field.path for field in self._output.fields_of(unit).values())

    def do(self) -> None:
        """Run all units, then make visible what they left."""
        started = time.time()
        self.ledger.start(self.plan, started=started)
        self._log.info("plan %s: %d units", self.plan.plan_hash[:12], len(self.plan.units))
        try:
            runner = UnitRunner(self.plan, self.plate)
            for unit in self.plan.units:
                self._tell(UNIT_STARTED, unit=unit)
                self._run_unit(runner, unit)
            self._finish(started, interrupted=False)
        except KeyboardInterrupt:
            self._finish(started, interrupted=True)
            raise
        except Exception as cause:
            self._finish_after(cause, started)
            raise

    def _finish_after(self, cause: Exception, started: float) -> None:
        """Make visible what can be after an error that ends the run, such as a full disk."""
        self._log.error("the run ends", exc_info=cause)
        try:
            self._finish(started, interrupted=True)
        except (HcsError, OSError) as second:  # it would hide the cause
            cause.add_note(f"and then, while the tables were put together: {second}")

    def _finish(self, started: float, *, interrupted: bool) -> None:
        """Put the tables together and make the plate visible."""
        if interrupted:
            # Ctrl-C may fall between a unit's record on disk and ours; the disk is right.
            self._states = self.ledger.states()
            self._publish_interrupted()
        done = {n for n, state in self._states.items() if state.status == "done"}
        self._output.finish()
        fold_tables(self.plan, self.ledger, done)
        run = self.ledger.finish(started=started, ended=time.time(), interrupted=interrupted)
        self._summary = summarise(self.plan, self._states, run)
        self._log.info("%d of %d units done", len(done), len(self.plan.units))

    def log(self) -> AbstractContextManager[None]:
        """Return a context in which the run's log is written to its file."""
        return _log_file(self._log, self.ledger.folder / "log.txt")

    def conclude(self, *, report: bool) -> None:
        """Write the report of a run that has ended, and tell its observers."""
        try:
            if report:
                write_report(self.plan, self.plate, self.summary, list(self._states.values()))
        finally:
            self._tell(RUN_FINISHED, result=self.result())
            for (_, what), count in self._observer_failures.items():
                if count > 1:
                    self._log.warning("%s: %d times in all", what, count)

    @property
    def has_ended(self) -> bool:
        """Whether the tables are there, and the run's end is recorded."""
        return self._summary is not None

    @property
    def summary(self) -> RunSummary:
        """How the run ended."""
        if self._summary is None:
            raise RuntimeError("the run has not ended")
        return self._summary

    def result(self) -> RunResult:
        """Return what became of the run."""
        by_well: dict[str, list[UnitState]] = defaultdict(list)
        for state in self._states.values():
            by_well[state.well].append(state)
        wells = {}
        for well, states in by_well.items():
            failures = tuple(state for state in states if state.status == "failed")
            done = len(states) - len(failures)
            wells[well] = WellResult(well, done, len(failures), failures)
        return RunResult(self.summary, wells)

    def _run_unit(self, runner: UnitRunner, unit: PlannedUnit) -> None:
        """Run one unit; record it after all that it leaves is there, then make it visible."""
        try:
            state = self._run_steps(runner, unit)
        except Exception as cause:  # noqa: BLE001  what a kernel or a file does is its unit's
            state = self._failed(unit, cause)
        self.ledger.record(state)
        self._publish_fields(unit, state)
        self._states[unit.number] = state
        self._tell(UNIT_FINISHED, unit=unit, state=state)
        if self._observer is not None:
            self._observer(state)

    def _tell(self, hook: Hook, **arguments: object) -> None:
        hook(self._note_failure, plan=self.plan, **arguments)

    def _note_failure(self, failure: ObserverFailure) -> None:
        """Log how an observer has failed, once for each kind of failure, and count the rest."""
        kind = failure.kind, f"observer {failure.observer!r} of {failure.hook} {failure.action}"
        self._observer_failures[kind] += 1
        if self._observer_failures[kind] == 1:
            self._log.warning("%s", failure, exc_info=failure.cause)

    def _run_steps(self, runner: UnitRunner, unit: PlannedUnit) -> UnitState:
        """Run the steps of a unit and write what they made; return its state."""
        values = runner.run(unit)
        started = time.perf_counter()
        written = self._output.write(unit, values)
        images = self._output.images_of(unit, values, written)
        rows = unit_tables(self.plan, unit, values.tables, images, self.plate.index)
        self.ledger.write_rows(unit.number, rows)
        return UnitState(
            unit.number,
            unit.title,
            unit.well,
            unit.site,
            "done",
            seconds={name: round(value, 6) for name, value in values.seconds.items()},
            write_seconds=round(time.perf_counter() - started, 6),
            fields=written,
        )

    def _publish_fields(self, unit: PlannedUnit, state: UnitState) -> None:
        """Make the fields of a unit visible that wait for no other unit."""
        for field in self._output.fields_of(unit).values():
            self._fields[field.path] = field
            self._written[field.path].append(state)
            self._waiting[field.path] -= 1
            if not self._waiting[field.path]:
                self._publish(field.path)

    def _publish_interrupted(self) -> None:
        """Make every field visible with those of its units that are recorded as done."""
        by_path: dict[str, list[UnitState]] = defaultdict(list)
        for unit in self.plan.units:
            if unit.number in self._states:
                for field in self._output.fields_of(unit).values():
                    self._fields[field.path] = field
                    by_path[field.path].append(self._states[unit.number])
        for path, states in by_path.items():
            self._output.publish(self._fields[path], states)

    def _publish(self, path: str) -> None:
        self._output.publish(self._fields[path], self._written.pop(path))

    def _failed(self, unit: PlannedUnit, cause: Exception) -> UnitState:
        """Return the state of a unit that met an error, in one line for people."""
        step, file = getattr(cause, "step", None), getattr(cause, "file", None)
        reason = str(cause) if isinstance(cause, HcsError) else f"{type(cause).__name__}: {cause}"
        if isinstance(cause, StepFailedError | MeasureError):
            reason = cause.reason
        elif isinstance(cause, StoreAccessError):
            file, reason = cause.filename, f"cannot write: {cause}"
        # Where in whose code it went wrong, unless it is an error that says all there is to say.
        foreign = cause.__cause__ if isinstance(cause, StepFailedError) else cause
        trace = None if isinstance(foreign, HcsError) else foreign
        self._log.warning(
            "unit %d (%s) failed: %s", unit.number, unit.title, reason, exc_info=trace
        )
        return UnitState(
            unit.number,
            unit.title,
            unit.well,
            unit.site,
            "failed",
            step=step,
            file=file or None,
            error=reason,
        )


def _claim(output: Path) -> None:
    """Make the output folder, and its run folder, which only one run can do."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "run").mkdir()
    except FileExistsError as cause:
        reason = "it holds a run already"
        raise OutputError(str(output), reason) from cause
    except OSError as cause:
        raise OutputError(str(output), cause.strerror or str(cause)) from cause


@contextmanager
def _log_file(log: logging.Logger, path: Path) -> Iterator[None]:
    """Write a run's log to its own file while the block runs.

    What tifffile says of a damaged file goes there too; the terminal has our one line.
    """
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    sources = [log, logging.getLogger("tifffile")]
    for source in sources:
        source.addHandler(handler)
    try:
        yield
    finally:
        for source in sources:
            source.removeHandler(handler)
        handler.close()

"""What others may observe of a run.

They are called in the process that compiles or executes. What is handed to them is the
run's own: to look at, not to change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hcs_core.registry import Hook

if TYPE_CHECKING:
    from hcs_pipeline._execute import RunResult
    from hcs_pipeline._ledger import UnitState
    from hcs_pipeline._plan import Plan, PlannedUnit
    from hcs_pipeline._problems import Problem


def hcs_plan_compiled(plan: Plan | None, problems: tuple[Problem, ...]) -> None:
    """Tell that a pipeline has been checked against a plate.

    Called at the end of `compile` and `compile_report`, before a pixel is read.

    Parameters
    ----------
    plan : Plan, optional
        The plan; None where a problem is fatal.
    problems : tuple of Problem
        Everything that was found, fatal ones first.
    """


def hcs_unit_started(plan: Plan, unit: PlannedUnit) -> None:
    """Tell that a unit is about to be run.

    Parameters
    ----------
    plan : Plan
        What is run.
    unit : PlannedUnit
        The unit.
    """


def hcs_unit_finished(plan: Plan, unit: PlannedUnit, state: UnitState) -> None:
    """Tell that a unit has ended, done or failed, and that this is recorded.

    Not called for a unit that Ctrl-C, or an error that ends the run, has cut short.

    Parameters
    ----------
    plan : Plan
        What is run.
    unit : PlannedUnit
        The unit.
    state : UnitState
        What became of it.
    """


def hcs_run_finished(plan: Plan, result: RunResult) -> None:
    """Tell that a run has ended: tables, plate and report are written.

    Called also when Ctrl-C or an error has ended the run, if the tables could still be put
    together; `result.summary.status` is then ``"interrupted"``.

    Parameters
    ----------
    plan : Plan
        What was run.
    result : RunResult
        What became of it.
    """


PLAN_COMPILED = Hook(hcs_plan_compiled)
"""Told of every pipeline that has been compiled, or could not be: `plan`, `problems`."""

UNIT_STARTED = Hook(hcs_unit_started)
"""Told of every unit that a run begins: `plan`, `unit`."""

UNIT_FINISHED = Hook(hcs_unit_finished)
"""Told of every unit that has ended: `plan`, `unit`, `state`."""

RUN_FINISHED = Hook(hcs_run_finished)
"""Told of every run that has ended: `plan`, `result`."""

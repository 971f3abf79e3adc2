"""Run the steps of a plan on one unit, in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator

from hcs_core.errors import HcsError
from hcs_core.plates import Plate
from hcs_pipeline._chain import ChainRun, LoadedChain, load_chain
from hcs_pipeline._plan import Plan, PlannedStep, PlannedUnit, UnitRows
from hcs_pipeline._values import Key, UnitValues


class StepFailedError(HcsError):
    """A step could not be done on a unit; the unit fails, all others run."""

    def __init__(self, step: str, reason: str, file: str | None) -> None:
        super().__init__(step, reason, file)
        self.step, self.reason, self.file = step, reason, file

    def __str__(self) -> str:
        return f"step {self.step!r}: {self.reason}"


class UnitRunner:
    """Runs units of one plan; made once per worker, it holds what they share.

    Parameters
    ----------
    plan : Plan
        The plan.
    plate : Plate
        The plate that the plan was made for.

    Raises
    ------
    HcsError
        If a function of the plan cannot be loaded.
    """

    def __init__(self, plan: Plan, plate: Plate) -> None:
        self._plan = plan
        self._plate = plate
        self._rows = UnitRows.of_plan(plan, plate.index)
        self._context = {"pixel_size_um": plate.metadata.pixel_size_um}
        self._chains = [
            [load_chain(chain, plan.functions) for chain in step.chains] for step in plan.steps
        ]

    def run(self, unit: PlannedUnit) -> UnitValues:
        """Return the values of a unit after all steps.

        Raises
        ------
        StepFailedError
            If a plane cannot be read, or a function raises or breaks its contract.
        """
        values = UnitValues(dict(self._planes(unit)))
        image = self._plan.image
        for position, step in enumerate(self._plan.steps):
            is_saved = image is not None and image.step == position
            started = time.perf_counter()
            if is_saved and image is not None and image.before:
                values.saved = dict(values.images)
            self._run_step(step, self._chains[position], values)
            if is_saved and image is not None and not image.before:
                values.saved = dict(values.images)
            values.seconds[step.name] = time.perf_counter() - started
        return values

    def _planes(self, unit: PlannedUnit) -> Iterator[tuple[Key, int]]:
        """Yield the planes of a unit and their rows in the index."""
        index = self._plate.index
        for row in self._rows[unit].tolist():
            key = Key(
                site=int(index.site[row]),
                channel=int(index.channel[row]),
                z_index=max(int(index.z_index[row]), 0),  # a projection has no z; it is plane 0
                timepoint=int(index.timepoint[row]),
            )
            yield key, row

    def _run_step(self, step: PlannedStep, chains: list[LoadedChain], values: UnitValues) -> None:
        for chain in chains:
            run = ChainRun(step, chain, values, self._plate, self._context)
            for group in run.groups():
                try:
                    run.call(group)
                # A kernel is foreign code: whatever it raises, sys.exit() too, is this unit's.
                except (Exception, SystemExit) as cause:
                    raise _failure(step.name, cause) from cause


def _failure(step: str, cause: BaseException) -> StepFailedError:
    file = getattr(cause, "file", None) or None  # a missing plane may have no name
    reason = str(cause) if isinstance(cause, HcsError) else f"{type(cause).__name__}: {cause}"
    return StepFailedError(step, reason, file)

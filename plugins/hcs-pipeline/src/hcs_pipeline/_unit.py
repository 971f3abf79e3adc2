"""Run the steps of a plan on one unit, in memory."""

from __future__ import annotations

import time

from hcs_core.errors import HcsError
from hcs_core.plates import Plate
from hcs_pipeline._chain import ChainRun, LoadedChain, load_chain
from hcs_pipeline._plan import Plan, PlannedStep, PlannedUnit, UnitRows
from hcs_pipeline._units import unit_keys
from hcs_pipeline._values import UnitValues


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
        self._rows = UnitRows(plan.unit_by, plate.index)
        self._context = {"pixel_size_um": plate.metadata.pixel_size_um}
        self._chains = [
            [load_chain(step, chain, plan.functions) for chain in step.chains]
            for step in plan.steps
        ]

    def run(self, unit: PlannedUnit) -> UnitValues:
        """Return the values of a unit after all steps.

        Raises
        ------
        StepFailedError
            If a plane cannot be read, or a function raises or breaks its contract.
        """
        rows = self._rows[unit]
        keys = unit_keys(self._plate.index, rows)
        values = UnitValues(dict(zip(keys, rows.tolist(), strict=True)))
        self._save_after(-1, values)
        for position, step in enumerate(self._plan.steps):
            started = time.perf_counter()
            self._run_step(step, self._chains[position], values)
            values.seconds[step.name] = time.perf_counter() - started
            self._save_after(position, values)
        return values

    def _save_after(self, position: int, values: UnitValues) -> None:
        """Note the image that goes into the plate, if this is where it is taken."""
        image = self._plan.image
        if image is not None and image.after == position:
            kept = (item for item in values.images.items() if item[0].channel in image.numbers)
            values.saved = dict(kept)

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

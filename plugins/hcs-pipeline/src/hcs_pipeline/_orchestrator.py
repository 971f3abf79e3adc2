"""The predecessor's names for compile and execute."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hcs_core.errors import UsageError
from hcs_core.plates import Plate, open_plate
from hcs_pipeline._compile import compile
from hcs_pipeline._execute import WellResult, execute
from hcs_pipeline._plan import Plan
from hcs_pipeline._steps import FunctionStep, Pipeline


class PipelineOrchestrator:
    """Runs pipelines on one plate: a thin facade over `compile` and `execute`.

    Parameters
    ----------
    plate_path : path
        The plate's folder; nothing is written there.
    output : path
        The folder that runs write to.

    Examples
    --------
    >>> orchestrator = PipelineOrchestrator("plate", output="out").initialize()
    >>> plan = orchestrator.compile_pipelines(Pipeline([FunctionStep("segment_nuclei")]))
    >>> results = orchestrator.execute_compiled_plate(plan)
    """

    def __init__(
        self, plate_path: str | os.PathLike[str], *, output: str | os.PathLike[str]
    ) -> None:
        self.plate_path = Path(plate_path)
        self.output = Path(output)
        self._plate: Plate | None = None

    @property
    def plate(self) -> Plate:
        """The opened plate.

        Raises
        ------
        UsageError
            Before `initialize`.
        """
        if self._plate is None:
            raise UsageError("the plate is not open yet; call initialize() first")
        return self._plate

    def initialize(self) -> PipelineOrchestrator:
        """Open the plate, and return the orchestrator.

        Raises
        ------
        PlateError
            If the folder is no plate.
        """
        self._plate = open_plate(self.plate_path)
        return self

    def compile_pipelines(
        self,
        pipeline: Pipeline | Sequence[FunctionStep],
        well_filter: Sequence[str] | None = None,
    ) -> Plan:
        """Return the plan of a pipeline for this plate.

        Parameters
        ----------
        pipeline : Pipeline or sequence of FunctionStep
            The steps; they are not changed.
        well_filter : sequence of str, optional
            Only these wells.

        Raises
        ------
        CompileError
            If anything is fatal; it holds every problem that was found.
        """
        steps = pipeline if isinstance(pipeline, Pipeline) else Pipeline(pipeline)
        return compile(steps, self.plate, self.output, wells=well_filter)

    def execute_compiled_plate(self, plan: Plan, max_workers: int = 1) -> dict[str, WellResult]:
        """Run a plan and return what became of each well.

        Parameters
        ----------
        plan : Plan
            From `compile_pipelines`.
        max_workers : int
            1: the plan runs in this process.

        Raises
        ------
        UsageError
            If more than one worker is asked for.
        """
        if max_workers != 1:
            raise UsageError(f"this version runs with max_workers=1, got {max_workers}")
        return dict(execute(plan, self.plate).wells)

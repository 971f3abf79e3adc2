"""Run an analysis over a plate in two phases: compile a plan, execute it."""

from hcs_pipeline._compile import CompileReport, compile, compile_report
from hcs_pipeline._execute import RunResult, WellResult, execute
from hcs_pipeline._hooks import PLAN_COMPILED, RUN_FINISHED, UNIT_FINISHED, UNIT_STARTED
from hcs_pipeline._ledger import Ledger, RunSummary, UnitState
from hcs_pipeline._orchestrator import PipelineOrchestrator
from hcs_pipeline._plan import Plan, PlannedUnit
from hcs_pipeline._problems import Problem
from hcs_pipeline._steps import FunctionStep, GroupBy, Pipeline, VariableComponents
from hcs_pipeline._toml import load_pipeline, parse_pipeline
from hcs_pipeline._version import __version__

__all__ = [
    "PLAN_COMPILED",
    "RUN_FINISHED",
    "UNIT_FINISHED",
    "UNIT_STARTED",
    "CompileReport",
    "FunctionStep",
    "GroupBy",
    "Ledger",
    "Pipeline",
    "PipelineOrchestrator",
    "Plan",
    "PlannedUnit",
    "Problem",
    "RunResult",
    "RunSummary",
    "UnitState",
    "VariableComponents",
    "WellResult",
    "__version__",
    "compile",
    "compile_report",
    "execute",
    "load_pipeline",
    "parse_pipeline",
]

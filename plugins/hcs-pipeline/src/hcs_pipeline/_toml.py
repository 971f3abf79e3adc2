"""Pipelines as TOML files; reading one executes nothing."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hcs_pipeline._steps import FunctionStep, Pipeline
from hcs_pipeline.errors import PipelineError

_PIPELINE_KEYS = ("name", "description", "steps")
_STEP_KEYS = ("name", "func", "variable", "group_by", "inputs", "save", "framework")


def load_pipeline(path: str | os.PathLike[str]) -> Pipeline:
    """Return the pipeline that a TOML file describes.

    Raises
    ------
    PipelineError
        If the file cannot be read, is not TOML, or says something that no pipeline has.
    """
    file = Path(path)
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as cause:
        reason = f"{cause.strerror or cause}; give the path of a pipeline file"
        raise PipelineError(str(file), reason) from cause
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as cause:
        raise PipelineError(str(file), f"it is not TOML: {cause}") from cause
    return parse_pipeline(document, where=str(file), name=file.stem)


def parse_pipeline(
    document: Mapping[str, Any], *, where: str = "the pipeline", name: str = "pipeline"
) -> Pipeline:
    """Return the pipeline that a parsed document describes.

    Parameters
    ----------
    document : Mapping
        The keys ``name``, ``description`` and ``steps``.
    where : str
        What an error calls the document.
    name : str
        The pipeline's name when the document has none.

    Raises
    ------
    PipelineError
        As `load_pipeline`.
    """
    _refuse_unknown(document, _PIPELINE_KEYS, where)
    steps = document.get("steps", [])
    if not isinstance(steps, list) or not all(isinstance(step, Mapping) for step in steps):
        raise PipelineError(where, "steps must be tables: write each under [[steps]]")
    return Pipeline(
        [_step(step, f"{where}, step {number}") for number, step in enumerate(steps, start=1)],
        name=_typed(document, "name", "text", where) or name,
        description=_typed(document, "description", "text", where) or "",
    )


def _step(table: Mapping[str, Any], where: str) -> FunctionStep:
    name = _typed(table, "name", "text", where)
    where = f"{where} ({name})" if name else where
    _refuse_unknown(table, _STEP_KEYS, where)
    if "func" not in table:
        raise PipelineError(where, "func is missing; it names the kernel to call")
    try:
        return FunctionStep(
            table["func"],
            name=name or "",
            variable_components=_typed(table, "variable", "a list", where) or (),
            group_by=_typed(table, "group_by", "text", where),
            inputs=_typed(table, "inputs", "a table", where) or {},
            save=_typed(table, "save", "a list", where),
            framework=_typed(table, "framework", "text", where),
        )
    except PipelineError as cause:
        raise PipelineError(where, cause.reason) from cause


def _refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = [key for key in table if key not in known]
    if unknown:
        reason = f"{unknown[0]!r} is not a key here (available: {', '.join(known)})"
        raise PipelineError(where, reason)


_KINDS = {"text": str, "a list": list, "a table": dict}


def _typed(table: Mapping[str, Any], key: str, wanted: str, where: str) -> Any:
    value = table.get(key)
    if value is not None and not isinstance(value, _KINDS[wanted]):
        raise PipelineError(where, f"{key} must be {wanted}, got {value!r}")
    return value

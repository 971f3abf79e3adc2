"""The report of a run: one HTML file that needs nothing else, and the same as JSON."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import fmean

from hcs_core.plates import Plate, column_of_well, row_of_well
from hcs_core.storage import FileManager, atomic_write
from hcs_pipeline._fields import column_names, plate_size, row_names
from hcs_pipeline._ledger import RunSummary, UnitState
from hcs_pipeline._plan import Plan
from hcs_pipeline._version import __version__

HTML = "report.html"
JSON = "report.json"
_NOT_MEASURES = frozenset({"well", "site", "timepoint", "path"})


@dataclass(frozen=True, slots=True)
class StepTime:
    """How long one step took."""

    name: str
    total_s: float
    per_unit_ms: float


def write_report(
    plan: Plan, plate: Plate, summary: RunSummary, states: Sequence[UnitState]
) -> None:
    """Write ``report.html`` and ``report.json`` into the run's output folder.

    Parameters
    ----------
    plan : Plan
        The plan.
    plate : Plate
        The plate that was read.
    summary : RunSummary
        How the run ended.
    states : sequence of UnitState
        What became of its units.
    """
    measures = _per_well(Path(plan.output) / "tables" / "images.csv")
    times = _step_times(states)
    document = {
        **summary.as_dict(),
        "pipeline": plan.name,
        "plate": plan.plate,
        "wells": measures,
        "steps": [
            {"name": t.name, "total_s": t.total_s, "per_unit_ms": t.per_unit_ms} for t in times
        ],
        "version": __version__,
    }
    FileManager(plan.output).save(document, JSON, mode="replace")
    html = _render(plan, plate, summary, measures, times)
    with atomic_write(Path(plan.output) / HTML) as file:
        file.write(html.encode("utf-8"))


def _render(
    plan: Plan,
    plate: Plate,
    summary: RunSummary,
    measures: Mapping[str, Mapping[str, float]],
    times: Sequence[StepTime],
) -> str:
    from jinja2 import Environment  # 40 ms, for the report only

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(
        files("hcs_pipeline").joinpath("report.html.j2").read_text("utf-8")
    )
    failed = {state.well for state in summary.failures}
    name, values = _shown_measure(measures)
    return template.render(
        plan=plan,
        plate=plate,
        summary=summary,
        times=times,
        measure=name,
        heat_map=_heat_map(plate, values, failed),
        wells=len({unit.well for unit in plan.units}),
        version=__version__,
    )


def _per_well(path: Path) -> dict[str, dict[str, float]]:
    """Return the mean over its images of each measure, by well."""
    collected: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            well = collected[row["well"]]
            for name, text in row.items():
                value = None if name in _NOT_MEASURES else _number(text)
                if value is not None:
                    well[name].append(value)
    return {
        well: {name: round(fmean(values), 6) for name, values in columns.items()}
        for well, columns in collected.items()
    }


def _number(text: str) -> float | None:
    """Return a measure as a number; None for words, for NaN and for nothing."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _shown_measure(
    measures: Mapping[str, Mapping[str, float]],
) -> tuple[str | None, dict[str, float]]:
    """Return the measure of the heat map and its value per well: a count where there is one."""
    names = list(dict.fromkeys(name for columns in measures.values() for name in columns))
    counts = [name for name in names if name.startswith("count")]
    if not names:
        return None, {}
    name = (counts or names)[0]
    return name, {well: columns[name] for well, columns in measures.items() if name in columns}


def _step_times(states: Sequence[UnitState]) -> list[StepTime]:
    spent: dict[str, list[float]] = defaultdict(list)
    for state in states:
        for name, seconds in state.seconds.items():
            spent[name].append(seconds)
    times = [_step_time(name, values) for name, values in spent.items()]
    written = [state.write_seconds for state in states if state.status == "done"]
    return [*times, _step_time("(writing)", written)] if written else times


def _step_time(name: str, seconds: Sequence[float]) -> StepTime:
    return StepTime(name, round(sum(seconds), 3), round(1000 * fmean(seconds), 2))


def _heat_map(plate: Plate, values: Mapping[str, float], failed: set[str]) -> str:
    """Return a map of the plate as SVG: a colour per well, crosses where a unit failed."""
    import numpy as np
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows, columns = plate_size(plate)
    grid = np.full((rows, columns), np.nan)
    for well, value in values.items():
        grid[row_of_well(well), column_of_well(well)] = value
    with rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 8}):
        figure = Figure(figsize=(1.6 + 0.32 * columns, 0.9 + 0.32 * rows), layout="constrained")
        axes = figure.add_subplot()
        axes.set_facecolor("#f1f3f5")
        # From zero, so that a plate without much difference looks like one.
        lowest = min([0.0, *values.values()])
        highest = max(values.values(), default=0.0) or 1.0
        mesh = axes.pcolormesh(
            grid, cmap="viridis", vmin=lowest, vmax=highest, edgecolors="white", linewidth=1
        )
        crosses = [(column_of_well(w) + 0.5, row_of_well(w) + 0.5) for w in sorted(failed)]
        if crosses:
            x, y = zip(*crosses, strict=True)
            axes.scatter(x, y, marker="x", s=36, color="#e03131", linewidth=1.8, zorder=3)
        axes.set_xticks(np.arange(columns) + 0.5, column_names(columns))
        axes.set_yticks(np.arange(rows) + 0.5, row_names(rows))
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        axes.invert_yaxis()
        axes.set_aspect("equal")
        for spine in axes.spines.values():
            spine.set_visible(False)
        if values:
            figure.colorbar(mesh, ax=axes, shrink=0.8).outline.set_visible(False)
        text = io.StringIO()
        # Without a date and a random salt, the same run gives the same report.
        figure.savefig(text, format="svg", metadata={"Date": None}, bbox_inches="tight")
    svg = text.getvalue()
    return svg[svg.index("<svg") :]

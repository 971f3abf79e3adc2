"""The units of a plan: which rows each has, and what the steps will do to them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hcs_core.plates import STATUSES, Component, PlateIndex
from hcs_pipeline._groups import Key
from hcs_pipeline._plan import PlannedStep, PlannedUnit, SavedImage, UnitRows
from hcs_pipeline._problems import Problem
from hcs_pipeline._steps import FunctionStep
from hcs_pipeline._trace import Shapes, TableKey, Trace, trace

# A field's channels and z planes share one image and one row of measurements, so they stay
# together; wells always run apart, sites and timepoints where no step joins them.
_SEPARABLE: tuple[Component, ...] = ("site", "timepoint")
_OK = STATUSES.index("ok")


def unit_components(steps: Sequence[FunctionStep]) -> tuple[Component, ...]:
    """Return the components whose combinations are the units: those that no step joins."""
    joined = {str(c) for step in steps for c in (*step.variable_components, step.group_by)}
    return ("well", *(component for component in _SEPARABLE if component not in joined))


def make_units(
    index: PlateIndex, unit_by: tuple[Component, ...], rows: UnitRows, wells: frozenset[int]
) -> tuple[PlannedUnit, ...]:
    """Return the runs of rows that agree in the components that units are made by."""
    keys = np.stack([index.column(component)[rows.order] for component in unit_by], axis=1)
    starts = np.flatnonzero(np.r_[True, (keys[1:] != keys[:-1]).any(axis=1)])
    stops = np.r_[starts[1:], len(rows.order)]
    has_timepoints = len(index.timepoints) > 1
    units: list[PlannedUnit] = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        key = dict(zip(unit_by, keys[start].tolist(), strict=True))
        unit = PlannedUnit(
            len(units),
            index.wells[key["well"]],
            index.sites[key["site"]] if "site" in key else None,
            index.timepoints[key["timepoint"]] if has_timepoints and "timepoint" in key else None,
            start,
            stop,
        )
        if key["well"] in wells:
            units.append(unit)
    return tuple(units)


@dataclass(slots=True)
class Work:
    """What the steps do over all units.

    Attributes
    ----------
    reads, writes : int
        Planes that are read and written.
    tables : dict of TableKey to set of (channel, z_index)
        What each table is made of.
    problems : list of Problem
        What lacks.
    """

    reads: int = 0
    writes: int = 0
    tables: dict[TableKey, set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))
    problems: list[Problem] = field(default_factory=list)


def unit_keys(index: PlateIndex, rows: NDArray[np.intp]) -> list[Key]:
    """Return which planes some rows are."""
    columns = (index.site, index.channel, index.z_index, index.timepoint)
    return [Key(*key) for key in zip(*(column[rows].tolist() for column in columns), strict=True)]


class WorkPlanner:
    """Finds out what the steps do to each unit, once for all units with the same planes.

    Parameters
    ----------
    steps : sequence of PlannedStep
        The steps.
    shapes : sequence of sequence of ChainShape
        What the chains of each step take and make.
    image : SavedImage, optional
        The image that is written.
    index : PlateIndex
        The plate.
    """

    def __init__(
        self,
        steps: Sequence[PlannedStep],
        shapes: Shapes,
        image: SavedImage | None,
        index: PlateIndex,
    ) -> None:
        self._steps = steps
        self._shapes = shapes
        self._image = image
        self._index = index
        self._known: dict[bytes, tuple[Trace, NDArray[np.bool_]]] = {}

    def work(
        self, units: Sequence[PlannedUnit], unit_by: tuple[Component, ...], rows: UnitRows
    ) -> Work:
        """Return what is done over all units, and what lacks in them."""
        work = Work()
        idle: Counter[tuple[int, int]] = Counter()
        lacking: dict[tuple[str, str], list[PlannedUnit]] = defaultdict(list)
        refused: dict[Problem, None] = {}  # each told once, in the order in which it is found
        for unit in units:
            own = rows[unit]
            found, is_read = self._trace(own, unit_by)
            work.reads += int(is_read.sum())
            work.writes += self._written(found)
            for table, keys in found.tables.items():
                work.tables[table].update((key.channel, key.z_index) for key in keys)
            idle.update(found.idle)
            for pair in dict.fromkeys(found.lacking):
                lacking[pair].append(unit)
            work.problems += self._missing(unit, own[is_read])
            refused.update(dict.fromkeys((*self._mixed(found), *self._homeless(found))))
        work.problems += refused
        work.problems += self._idle(idle, len(units))
        work.problems += self._lacking(lacking, len(units))
        return work

    def _trace(
        self, rows: NDArray[np.intp], unit_by: tuple[Component, ...]
    ) -> tuple[Trace, NDArray[np.bool_]]:
        """Return the trace of a unit, and which of its rows it reads."""
        keys = unit_keys(self._index, rows)
        # The unit's own site and timepoint are the same in all its planes, and tell nothing.
        alone = {component: 0 for component in unit_by if component != "well"}
        keys = [key._replace(**alone) for key in keys] if alone else keys
        signature = np.array(keys, np.int32).tobytes()
        if signature not in self._known:
            found = trace(self._steps, self._shapes, self._image, keys)
            is_read = np.array([key in found.read for key in keys], bool)
            self._known[signature] = (found, is_read)
        return self._known[signature]

    def _written(self, found: Trace) -> int:
        labels = [len(found.labels[step.name]) for step in self._steps if step.saves_labels]
        return len(found.saved) + sum(labels)

    def _missing(self, unit: PlannedUnit, rows: NDArray[np.intp]) -> Iterator[Problem]:
        """Yield that planes which the steps read are not there."""
        index = self._index
        bad = rows[index.status[rows] != _OK]
        if bad.size:
            first = int(bad[0])
            more = f" and {bad.size - 1} more planes" if bad.size > 1 else ""
            status = STATUSES[index.status[first]]
            message = f"plane {index.describe(first)}{more} {status}; the unit will fail"
            yield Problem("unit", f"{unit.title}: {message}", file=index.file(first) or None)

    def _mixed(self, found: Trace) -> Iterator[Problem]:
        """Yield which steps would join z planes of one channel with a projection of another."""
        for step in sorted(found.mixed):
            message = "it joins channels of which one has z planes, another a projection only"
            yield Problem("fatal", f"{message}; project the z planes in a step before", step)

    def _homeless(self, found: Trace) -> Iterator[Problem]:
        """Yield which labels would be saved at sites whose image is not."""
        sites = {key.site for key in found.saved}
        for step in self._steps:
            if step.saves_labels and {key.site for key in found.labels[step.name]} - sites:
                message = "its labels lie at sites whose image is joined with others before saving"
                yield Problem("fatal", f"{message}; save the image of a step before", step.name)

    def _idle(self, idle: Counter[tuple[int, int]], count: int) -> Iterator[Problem]:
        """Yield which chains have nothing to do, in all units or in some."""
        for (position, number), times in sorted(idle.items()):
            step = self._steps[position]
            called = ", ".join(call.function for call in step.chains[number].calls)
            message = f"{called} finds no plane to run on"
            if times == count:
                yield Problem("fatal", f"{message} in the chosen wells; leave it out", step.name)
            else:
                where = f"in {times} of {count} units; they go without it"
                yield Problem("warning", f"{message} {where}", step.name)

    def _lacking(
        self, lacking: dict[tuple[str, str], list[PlannedUnit]], count: int
    ) -> Iterator[Problem]:
        """Yield which steps take labels of planes where none are drawn."""
        for (step, source), units in lacking.items():
            message = f"it takes planes for which {source} makes no labels"
            if len(units) == count:
                yield Problem("fatal", f"{message}; run both on the same planes", step)
                continue
            for unit in units:
                yield Problem("unit", f"{unit.title}: {message}; the unit will fail", step)

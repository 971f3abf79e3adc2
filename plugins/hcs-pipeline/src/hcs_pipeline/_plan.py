"""The plan of a run: plain data that points to the plate's index by ranges of rows.

A plan holds no open file, no array and no object of a reader, so it can be written as
JSON, hashed, and sent to any worker.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.plates import Component, PlateIndex
from hcs_pipeline._problems import Problem

PLAN_FORMAT = 1

Items = tuple[tuple[str, Any], ...]
"""A mapping as pairs: unlike a dict it cannot be changed, and it can be pickled."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One function to call.

    Parameters
    ----------
    function : str
        ``"library:kernel"``, or ``"python:module:name"`` for a user's function.
    framework : str
        The array framework it runs on.
    arguments : Items
        What the user set, sorted by name; lists are tuples.
    origin : str
        The distribution and version that the function comes from, where it is a kernel.
    """

    function: str
    framework: str
    arguments: Items
    origin: str = ""


@dataclass(frozen=True, slots=True)
class PlannedChain:
    """Calls that follow each other, for some values of the step's `group_by`.

    Parameters
    ----------
    numbers : tuple of int, optional
        Dense numbers of those values; None for all planes.
    calls : tuple of PlannedCall
        The calls.
    """

    numbers: tuple[int, ...] | None
    calls: tuple[PlannedCall, ...]


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One step, checked against the plate.

    Parameters
    ----------
    name : str
        The step's name.
    chains : tuple of PlannedChain
        What it calls.
    variable : tuple of Component
        Components that are stacked for one call.
    group_by : Component, optional
        The component that the chains' numbers belong to.
    inputs : Items
        Array argument to the step whose labels it takes.
    label_names : tuple of (int, str)
        What its labels are called, by channel number; empty when it makes none.
    label_size : tuple of int
        How many timepoints and z planes they have.
    saves_labels : bool
        Whether they are written to the plate.
    keeps_planes : bool
        Whether the planes that it reads are needed again by a later step.
    """

    name: str
    chains: tuple[PlannedChain, ...]
    variable: tuple[Component, ...]
    group_by: Component | None
    inputs: tuple[tuple[str, str], ...]
    label_names: tuple[tuple[int, str], ...]
    label_size: tuple[int, int]
    saves_labels: bool
    keeps_planes: bool


@dataclass(frozen=True, slots=True)
class SavedImage:
    """Which image goes into the field groups of the plate.

    Parameters
    ----------
    after : int
        Position of the step after which it is taken; -1 as the plate has it.
    channels : tuple of str
        Titles of the image's channels.
    numbers : tuple of int
        Their dense numbers, in the same order.
    size : tuple of int
        How many timepoints, channels and z planes the image has.
    """

    after: int
    channels: tuple[str, ...]
    numbers: tuple[int, ...]
    size: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """A table that a function makes, over all units.

    Parameters
    ----------
    step, function : str
        The step, and the function of it.
    source : str
        The step whose labels it measures; the step itself where it takes none.
    channels : tuple of (int, str)
        Dense number and title of the channels that it measures.
    z_count : int
        How many z planes of an image it measures.
    is_projected : bool
        Whether a projection has joined the z planes before.
    """

    step: str
    function: str
    source: str
    channels: tuple[tuple[int, str], ...]
    z_count: int
    is_projected: bool


@dataclass(frozen=True, slots=True)
class PlannedUnit:
    """The smallest part that can be run, and fail, by itself.

    Parameters
    ----------
    number : int
        Position in the plan.
    well : str
        Its well.
    site, timepoint : str, optional
        Its site and timepoint, by the vendor's label; None where the unit spans them all.
    start, stop : int
        Range of rows in the index sorted by `Plan.unit_by`; see `UnitRows`.
    """

    number: int
    well: str
    site: str | None
    timepoint: str | None
    start: int
    stop: int

    @property
    def title(self) -> str:
        """What a person calls the unit."""
        parts = [self.well]
        parts += [f"site {self.site}"] if self.site is not None else []
        parts += [f"timepoint {self.timepoint}"] if self.timepoint is not None else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run does, decided before any pixel is read.

    Parameters
    ----------
    name, description : str
        The pipeline's.
    plate, format : str
        The plate's folder and the reader that opens it.
    fingerprint : str
        Hash of the plate's index; a changed plate needs a new plan.
    output : str
        The folder that the run writes to.
    steps : tuple of PlannedStep
        The steps.
    unit_by : tuple of Component
        The components whose combinations are the units.
    units : tuple of PlannedUnit
        The units, in plate order.
    image : SavedImage, optional
        The image that is written.
    tables : tuple of PlannedTable
        The tables that are made.
    reads, writes : int
        Planes that will be read and written.
    problems : tuple of Problem
        What was found that does not stop the run.
    functions : Mapping of str to callable
        The user's functions of this process by their name in `PlannedCall`; not part of
        the plan's data.
    """

    name: str
    description: str
    plate: str
    format: str
    fingerprint: str
    output: str
    steps: tuple[PlannedStep, ...]
    unit_by: tuple[Component, ...]
    units: tuple[PlannedUnit, ...]
    image: SavedImage | None
    tables: tuple[PlannedTable, ...]
    reads: int
    writes: int
    problems: tuple[Problem, ...] = ()
    functions: Mapping[str, Callable[..., Any]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def plan_hash(self) -> str:
        """Hash of what is done to which planes; paths and the time of day are left out."""
        content = self.to_json()
        for part in ("plate", "output", "problems"):
            del content[part]
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the plan as one JSON document."""
        return {
            "plan_format": PLAN_FORMAT,
            "name": self.name,
            "description": self.description,
            "plate": self.plate,
            "format": self.format,
            "fingerprint": self.fingerprint,
            "output": self.output,
            "steps": [_plain(step) for step in self.steps],
            "unit_by": list(self.unit_by),
            "units": [[u.well, u.site, u.timepoint, u.start, u.stop] for u in self.units],
            "image": None if self.image is None else _plain(self.image),
            "tables": [_plain(table) for table in self.tables],
            "reads": self.reads,
            "writes": self.writes,
            "problems": [problem.as_dict() for problem in self.problems],
        }


class UnitRows:
    """Which rows of the index each unit of a plan reads; sorts the index once.

    An instrument's projection is used exactly where its field, channel and timepoint have
    no z plane: then it is the one plane there is.

    Parameters
    ----------
    unit_by : tuple of Component
        The plan's.
    index : PlateIndex
        The plate's.
    """

    def __init__(self, unit_by: tuple[Component, ...], index: PlateIndex) -> None:
        self.order = index.order_by(unit_by)
        self._used = (~index.projection | _is_alone(index))[self.order]

    def __getitem__(self, unit: PlannedUnit) -> NDArray[np.intp]:
        span = slice(unit.start, unit.stop)
        rows: NDArray[np.intp] = self.order[span][self._used[span]]
        return rows


def _is_alone(index: PlateIndex) -> NDArray[np.bool_]:
    """Return for each row whether its field, channel and timepoint have no z plane."""
    place = np.zeros(len(index), np.int64)
    for component in ("well", "site", "channel", "timepoint"):
        column = index.column(component)
        place = place * (int(column.max(initial=0)) + 1) + column
    return ~np.isin(place, place[~index.projection])


def frozen_items(mapping: Mapping[str, Any]) -> Items:
    """Return a mapping of JSON values as pairs, with tuples for lists."""
    return tuple(sorted((str(name), _frozen(value)) for name, value in mapping.items()))


def thawed(items: Items) -> dict[str, Any]:
    """Return the mapping of JSON values that `frozen_items` was given."""
    return {name: _thawed(value) for name, value in items}


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _thawed(value: Any) -> Any:
    return list(map(_thawed, value)) if isinstance(value, tuple) else value


def _plain(value: Any) -> Any:
    """Return a frozen dataclass as JSON values: tuples are lists."""
    return json.loads(json.dumps(asdict(value)))

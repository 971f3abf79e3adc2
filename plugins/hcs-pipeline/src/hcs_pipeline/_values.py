"""The values of one unit while its steps run: images, labels and tables, by plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.plates import Plate
from hcs_pipeline._groups import Key

Table = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class TablePart:
    """A table that a step made of one plane.

    Parameters
    ----------
    step, function : str
        The step, and the function of it.
    key : Key
        The plane it measured.
    source : str
        The step whose labels it measured; the step itself where it took none.
    source_channel : int
        The channel that those labels were drawn on.
    table : Mapping of str to array
        One array per column.
    """

    step: str
    function: str
    key: Key
    source: str
    source_channel: int
    table: Table


@dataclass(slots=True)
class UnitValues:
    """Everything that one unit holds.

    Parameters
    ----------
    images : dict of Key to int or array
        The current image, plane by plane: pixels, or the row of the plate's index where
        the pixels have not been read yet.
    labels : dict of str to dict of Key to array
        Labels by the step that made them.
    tables : list of TablePart
        What was measured, in the order of the steps.
    saved : dict of Key to int or array
        The planes that go into the plate.
    seconds : dict of str to float
        Time spent per step, reading included.
    """

    images: dict[Key, int | NDArray[Any]]
    labels: dict[str, dict[Key, NDArray[np.int32]]] = field(default_factory=dict)
    tables: list[TablePart] = field(default_factory=list)
    saved: dict[Key, int | NDArray[Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def plane(self, value: int | NDArray[Any], plate: Plate) -> NDArray[Any]:
        """Return the pixels of a plane, shape (y, x), reading them if that is still to do."""
        return plate.read(value) if isinstance(value, int) else value

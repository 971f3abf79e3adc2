"""Run the steps on plane numbers alone: what is read, made and written, and what lacks.

Most units of a plate have the same planes, so their trace is made once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from hcs_pipeline._groups import NO_Z, ChainShape, Group, Key, groups, labels_key
from hcs_pipeline._plan import PlannedStep, SavedImage

TableKey = tuple[str, str, str]
"""Step, function, and the step whose objects it measured."""


@dataclass(slots=True)
class Trace:
    """What happens to the planes of one unit.

    Attributes
    ----------
    read : set of Key
        Planes of the plate that are read.
    saved : set of Key
        Planes of the image that is written.
    labels : dict of str to set of Key
        Planes on which each step draws labels.
    tables : dict of TableKey to set of Key
        Planes that each table is made of.
    idle : set of (int, int)
        Positions of step and chain that find no plane to run on.
    mixed : set of str
        Steps that join channels of which one has z planes, another only a projection.
    lacking : list of (str, str)
        Step, and the labels that it takes of a plane where none were drawn.
    """

    read: set[Key] = field(default_factory=set)
    saved: set[Key] = field(default_factory=set)
    labels: dict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    tables: dict[TableKey, set[Key]] = field(default_factory=lambda: defaultdict(set))
    idle: set[tuple[int, int]] = field(default_factory=set)
    mixed: set[str] = field(default_factory=set)
    lacking: list[tuple[str, str]] = field(default_factory=list)


Shapes = Sequence[Sequence[ChainShape]]
"""The shapes of the chains of each step."""


def trace(
    steps: Sequence[PlannedStep], shapes: Shapes, image: SavedImage | None, keys: Sequence[Key]
) -> Trace:
    """Return what the steps do to the planes of a unit.

    Parameters
    ----------
    steps : sequence of PlannedStep
        The steps.
    shapes : sequence of sequence of ChainShape
        What the chains of each step take and make.
    image : SavedImage, optional
        The image that is written.
    keys : sequence of Key
        The planes that the unit has.
    """
    run = _Run(image, set(keys))
    run.save_after(-1)
    for position, step in enumerate(steps):
        for number, shape in enumerate(shapes[position]):
            run.chain(position, step, number, shape)
        run.save_after(position)
    return run.found


class _Run:
    def __init__(self, image: SavedImage | None, keys: set[Key]) -> None:
        self._image = image
        self._planes = set(keys)
        self._raw = set(keys)  # planes that are still as the plate has them
        self.found = Trace()

    def save_after(self, position: int) -> None:
        image = self._image
        if image is None or image.after != position:
            return
        self.found.saved = {key for key in self._planes if key.channel in image.numbers}
        self.found.read |= self.found.saved & self._raw

    def chain(self, position: int, step: PlannedStep, number: int, shape: ChainShape) -> None:
        planes = self._planes if shape.takes_image else self._labelled(shape)
        if "channel" in step.variable and len({key.z_index == NO_Z for key in planes}) > 1:
            self.found.mixed.add(step.name)
        called = list(groups(step, step.chains[number].numbers, planes))
        if not called:
            self.found.idle.add((position, number))
        for group in called:
            self._call(step, shape, group)

    def _labelled(self, shape: ChainShape) -> set[Key]:
        return self.found.labels[shape.labels[0]] if shape.labels else set()

    def _call(self, step: PlannedStep, shape: ChainShape, group: Group) -> None:
        found = self.found
        if shape.takes_image:
            found.read |= self._raw.intersection(group)
        for source in shape.labels:
            if any(labels_key(found.labels[source], key) is None for key in group):
                found.lacking.append((step.name, source))
        after = (group[0].collapsed(step.variable),) if shape.projects else group
        if shape.makes_labels:
            found.labels[step.name].update(after)
        for function, measured in shape.tables:
            found.tables[step.name, function, measured or step.name].update(after)
        if shape.ends_in_image:
            self._planes.difference_update(group)
            self._planes.update(after)
            self._raw.difference_update(group)

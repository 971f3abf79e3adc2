"""Decide what a pipeline leaves in the plate, from what its steps make."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import cast

from hcs_core.errors import listed
from hcs_core.plates import Component, PlateIndex
from hcs_pipeline._flow import Flow, ImageInfo, StepFlow, labels_step
from hcs_pipeline._plan import PlannedStep, PlannedTable, SavedImage
from hcs_pipeline._problems import Problem
from hcs_pipeline._steps import FunctionStep
from hcs_pipeline._trace import TableKey

Steps = Sequence[tuple[FunctionStep, StepFlow]]


def plan_steps(
    steps: Steps, flow: Flow, index: PlateIndex, image: SavedImage | None
) -> tuple[PlannedStep, ...]:
    """Return the planned steps, each knowing whether the planes it reads are needed later."""
    planned = []
    for position, (step, walked) in enumerate(steps):
        taken_later = any(following.takes_image for _, following in steps[position + 1 :])
        saved_later = image is not None and image.after >= position
        labels = flow.labels.get(step.name)
        planned.append(
            PlannedStep(
                name=step.name,
                chains=tuple(walked.chains),
                variable=tuple(cast("Sequence[Component]", step.variable_components)),
                group_by=cast("Component | None", step.group_by),
                inputs=tuple((name, labels_step(source)) for name, source in step.inputs.items()),
                label_names=flow.label_names(step),
                label_size=(0, 0) if labels is None else _size(labels.gone, index),
                saves_labels=_saves(step, "labels"),
                keeps_planes=taken_later or saved_later,
            )
        )
    return tuple(planned)


def save_problems(steps: Steps, broken: Collection[str]) -> Iterator[Problem]:
    """Yield what is wrong with the `save` lists of the steps; tables are always written."""
    for step, walked in steps:
        for name in step.save or ():
            if name not in walked.outputs and step.name not in broken:
                made = listed(sorted(walked.outputs))
                yield Problem("fatal", f"cannot save {name!r}: the step makes {made}", step.name)
    savers = [step.name for step, _ in steps if _saves(step, "image")]
    if len(savers) > 1:
        message = f"several steps save an image ({listed(savers)}); a field has room for one"
        yield Problem("fatal", f"{message}: keep one", savers[-1])


def name_problems(steps: Sequence[PlannedStep]) -> Iterator[Problem]:
    """Yield which labels would have one name, in the tables or as folders without case."""
    taken: dict[str, str] = {}
    for step in steps:
        for _, name in step.label_names:
            other = taken.setdefault(name.casefold(), step.name)
            if other != step.name:
                message = f"its labels {name!r} are called as those of step {other!r}"
                yield Problem("fatal", f"{message}; rename one", step.name)


def choose_image(
    steps: Steps, flow: Flow, index: PlateIndex
) -> tuple[SavedImage | None, list[Problem]]:
    """Decide which image goes into the fields of the plate.

    It is what a step saves. Where none does but labels are saved, it is the image that
    they were drawn on, because labels without an image can be opened by no viewer. Where
    nothing is saved and nothing measured, it is the last step's image.
    """
    for position, (step, walked) in enumerate(steps):
        if _saves(step, "image"):
            return _whole_image(position, step, walked.image_after, index)
    for position, (step, _) in enumerate(steps):
        if _saves(step, "labels") and step.name in flow.labels:
            drawn = _drawn_at(position, steps)
            drawn_on = _alike(steps[drawn][1].image_before, flow.labels[step.name].gone)
            return (_saved(drawn - 1, drawn_on, index) if drawn_on.channels else None), []
    measures = any("table" in walked.outputs for _, walked in steps)
    if not measures and "image" in steps[-1][1].outputs:
        step, walked = steps[-1]
        return _whole_image(len(steps) - 1, step, walked.image_after, index)
    return None, []


def plan_tables(
    steps: Steps, flow: Flow, made: Mapping[TableKey, Collection[tuple[int, int]]]
) -> tuple[PlannedTable, ...]:
    """Return the tables that are made, with what their channels are called.

    Parameters
    ----------
    steps : sequence of (FunctionStep, StepFlow)
        The steps.
    flow : Flow
        The labels that they make.
    made : Mapping of TableKey to collection of (channel, z_index)
        What each table is made of, over all units.
    """
    tables = []
    by_name = {step.name: walked for step, walked in steps}
    for (step, function, source), planes in made.items():
        image = by_name[step].image_before
        info = flow.labels.get(source)
        if not by_name[step].takes_image and info is not None:
            image = info.image  # it is of the labels, whatever has become of the image since
        channels = {channel for channel, _ in planes}
        tables.append(
            PlannedTable(
                step=step,
                function=function,
                source=source,
                channels=tuple((n, title) for n, title in image.titles if n in channels),
                z_count=len({z for _, z in planes}),
                is_projected=all("z_index" in image.gone_from(n) for n in channels),
            )
        )
    return tuple(tables)


def _size(gone: frozenset[Component], index: PlateIndex) -> tuple[int, int]:
    """Return how many timepoints and z planes a projection over `gone` leaves."""
    timepoints = 1 if "timepoint" in gone else len(index.timepoints)
    z_indexes = 1 if "z_index" in gone else max(len(index.z_indexes), 1)
    return timepoints, z_indexes


def _whole_image(
    position: int, step: FunctionStep, image: ImageInfo, index: PlateIndex
) -> tuple[SavedImage | None, list[Problem]]:
    same = _alike(image, image.gone[0])
    if len(same.channels) < len(image.channels):
        others = listed([c.title for c in image.channels if c not in same.channels])
        message = f"the image cannot be saved: {others} has other planes than"
        return None, [Problem("fatal", f"{message} {same.channels[0].title}", step.name)]
    return _saved(position, same, index), []


def _drawn_at(position: int, steps: Steps) -> int:
    """Return the position of the step on whose image a step's labels were first drawn."""
    while not steps[position][1].takes_image:
        sources = {labels_step(source) for source in steps[position][0].inputs.values()}
        earlier = [at for at in range(position) if steps[at][0].name in sources]
        if not earlier:
            break  # it takes labels that no step makes, which has been told
        position = earlier[0]
    return position


def _alike(image: ImageInfo, gone: frozenset[Component]) -> ImageInfo:
    """Return the channels of an image that have been projected like this."""
    pairs = zip(image.channels, image.gone, strict=True)
    kept = tuple(channel for channel, its_own in pairs if its_own == gone)
    return ImageInfo(kept, (gone,) * len(kept))


def _saved(after: int, image: ImageInfo, index: PlateIndex) -> SavedImage:
    timepoints, z_indexes = _size(image.gone[0], index)
    return SavedImage(
        after=after,
        channels=tuple(channel.title for channel in image.channels),
        numbers=tuple(channel.index for channel in image.channels),
        size=(timepoints, len(image.channels), z_indexes),
    )


def _saves(step: FunctionStep, output: str) -> bool:
    return output in (step.save or ())

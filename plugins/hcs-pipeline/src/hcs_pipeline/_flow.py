"""Follow the values through the steps without touching a pixel.

The compiler walks the steps once for the whole plate: which channels each step calls,
which components are gone after a projection, which labels exist by then. The outcome is
what the plan says of each step, and every problem that the order of steps causes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from hcs_core.arrays import FunctionContract
from hcs_core.errors import listed, near
from hcs_core.plates import Channel, Component, PlateIndex
from hcs_pipeline._fields import channel_titles, path_word
from hcs_pipeline._groups import ChainShape, chain_shape
from hcs_pipeline._plan import PlannedChain
from hcs_pipeline._problems import Problem, Severity
from hcs_pipeline._resolve import Resolved
from hcs_pipeline._steps import FunctionStep

Calls = tuple[Resolved, ...]
Chains = dict[str | None, Calls]
"""The resolved calls of one step, by key of its dict pattern."""

Gone = frozenset[Component]
"""Components that a projection has removed from an image."""

_NOTHING: Gone = frozenset()
_LABELS = ".labels"


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """The image that flows from step to step.

    Parameters
    ----------
    channels : tuple of Channel
        Its channels; one, called composite, after a step has joined them.
    gone : tuple of Gone
        What is gone from each of them, in the same order.
    """

    channels: tuple[Channel, ...]
    gone: tuple[Gone, ...]

    @property
    def titles(self) -> tuple[tuple[int, str], ...]:
        """Dense number and title of each channel."""
        titles = channel_titles(self.channels)
        return tuple((c.index, title) for c, title in zip(self.channels, titles, strict=True))

    def gone_from(self, channel: int) -> Gone:
        """Return what is gone from one channel, by its dense number."""
        numbers = [c.index for c in self.channels]
        return self.gone[numbers.index(channel)]

    def without(self, channels: frozenset[int], components: Gone) -> ImageInfo:
        """Return the image after a projection of some channels over these components."""
        if "channel" in components:
            together = _NOTHING.union(*(self.gone_from(channel) for channel in channels))
            return ImageInfo((Channel(0, "composite"),), (together | components,))
        gone = tuple(
            before | components if channel.index in channels else before
            for channel, before in zip(self.channels, self.gone, strict=True)
        )
        return ImageInfo(self.channels, gone)


@dataclass(frozen=True, slots=True)
class LabelsInfo:
    """Labels that exist after a step.

    Parameters
    ----------
    image : ImageInfo
        The image that they were drawn on.
    channels : frozenset of int
        The channels of it that have labels.
    gone : Gone
        What had been projected from all of those.
    """

    image: ImageInfo
    channels: frozenset[int]
    gone: Gone

    @property
    def titles(self) -> tuple[tuple[int, str], ...]:
        """Dense number and title of each channel."""
        return tuple((n, title) for n, title in self.image.titles if n in self.channels)


@dataclass(slots=True)
class StepFlow:
    """What one step does, as far as the order of steps decides it."""

    image_before: ImageInfo
    image_after: ImageInfo
    chains: list[PlannedChain] = field(default_factory=list)
    shapes: list[ChainShape] = field(default_factory=list)
    outputs: set[str] = field(default_factory=set)

    @property
    def takes_image(self) -> bool:
        """Whether one of its chains takes the image."""
        return any(shape.takes_image for shape in self.shapes)


class Flow:
    """Walks the steps of a pipeline over one plate.

    Parameters
    ----------
    index : PlateIndex
        The plate.
    broken : iterable of str
        Steps that are left out because of problems of their own.

    Attributes
    ----------
    labels : dict of str to LabelsInfo
        The labels that exist, by the name of their step.
    broken : set of str
        Steps whose own problems have been told.
    problems : list of Problem
        What is wrong with the steps walked so far.
    """

    def __init__(self, index: PlateIndex, broken: Iterable[str] = ()) -> None:
        self._index = index
        self.broken = set(broken)
        self._image = ImageInfo(index.channels, (_NOTHING,) * len(index.channels))
        self.labels: dict[str, LabelsInfo] = {}
        self.problems: list[Problem] = []

    def walk(self, step: FunctionStep, chains: Chains) -> StepFlow:
        """Follow one step, note its problems, and return what it does."""
        flow = StepFlow(self._image, self._image)
        seen: dict[tuple[int, ...], str] = {}
        for key, calls in chains.items():
            numbers = None if key is None else self._numbers(step, key)
            if key is not None and numbers is None:
                self.broken.add(step.name)
                continue
            if key is not None and numbers is not None:
                if numbers in seen:
                    self._problem(step, f"{seen[numbers]!r} and {key!r} mean the same; keep one")
                seen[numbers] = key
            self._walk_chain(step, numbers, calls, flow)
        flow.image_after = self._image
        return flow

    def label_names(self, step: FunctionStep) -> tuple[tuple[int, str], ...]:
        """Return what the step's labels are called in the plate, by channel number."""
        info = self.labels.get(step.name)
        if info is None:
            return ()
        if len(info.channels) == 1:
            return ((min(info.channels), step.name),)
        return tuple((n, f"{step.name}_{path_word(title)}") for n, title in info.titles)

    def _walk_chain(
        self, step: FunctionStep, numbers: tuple[int, ...] | None, calls: Calls, flow: StepFlow
    ) -> None:
        named = [(resolved.call.function, resolved.contract) for resolved in calls]
        inputs = {name: labels_step(source) for name, source in step.inputs.items()}
        shape = chain_shape(named, inputs, step.variable_components)
        flow.chains.append(PlannedChain(numbers, tuple(resolved.call for resolved in calls)))
        flow.shapes.append(shape)
        channels = self._channels(step, numbers)
        self._check_chain(step, named, shape)
        made: set[str] = set()
        for name, contract in named:
            taken = channels if shape.takes_image else None
            self._check_inputs(step, name, contract, made, taken)
            made |= {value.kind for value in contract.outputs}
            if step.variable_components and contract.output_of_kind("table"):
                message = f"{name} measures one plane a call"
                self._problem(step, f"{message}; leave out variable, or project in a step before")
            if contract.stack == "across":
                self._project(step, name, channels, ends_in_image=shape.ends_in_image)
        if shape.makes_labels:
            self._note_labels(step, shape, channels)
        flow.outputs |= made - {"image"}
        flow.outputs |= {"image"} if shape.ends_in_image else set()

    def _check_chain(
        self, step: FunctionStep, calls: Sequence[tuple[str, FunctionContract]], shape: ChainShape
    ) -> None:
        """Refuse what a chain has no room or no source for."""
        for name, contract in calls:
            for kind in ("image", "labels"):
                if sum(value.kind == kind for value in contract.outputs) > 1:
                    self._problem(step, f"{name} makes several {kind}; a step has room for one")
            if not shape.takes_image and contract.input_of_kind("image") is not None:
                first = calls[0][0]
                message = (
                    f"{name} takes an image, but the chain begins with {first}, which takes none"
                )
                self._problem(step, f"{message}; make it a step of its own")
        if len(set(shape.tables)) < len(shape.tables):
            self._problem(step, "a function measures the same twice in one chain; leave one out")

    def _check_inputs(
        self,
        step: FunctionStep,
        function: str,
        contract: FunctionContract,
        made: set[str],
        channels: frozenset[int] | None,
    ) -> None:
        kinds = [value.kind for value in (*contract.inputs, *contract.outputs)]
        if "positions" in kinds or any(value.kind == "table" for value in contract.inputs):
            self._problem(step, f"{function} needs positions or a table, which no step hands on")
        if sum(value.kind == "image" for value in contract.inputs) > 1:
            self._problem(step, f"{function} takes several images, a step has one")
        for value in contract.inputs:
            if value.kind == "labels" and (value.name in step.inputs or "labels" not in made):
                self._check_labels(step, function, value.name, channels)

    def _check_labels(
        self, step: FunctionStep, function: str, argument: str, channels: frozenset[int] | None
    ) -> None:
        """Check that a labels argument is fed, and that its labels fit the image."""
        known = tuple(f"{name}{_LABELS}" for name in self.labels)
        source = step.inputs.get(argument)
        if source is None:
            how = f'say inputs = {{{argument} = "Step.labels"}}'
            self._problem(step, f"{function} needs {argument}: {how} (available: {listed(known)})")
        elif labels_step(source) in self.broken:
            return  # what is wrong there has been told
        elif source not in known:
            made = f"is made by no earlier step{near(source, known)} (available: {listed(known)})"
            self._problem(step, f"input {argument} = {source!r} {made}")
        elif channels is not None:
            self._check_fit(step, source, self.labels[labels_step(source)], channels)

    def _check_fit(
        self, step: FunctionStep, source: str, info: LabelsInfo, channels: frozenset[int]
    ) -> None:
        if len(info.channels) > 1 and not channels <= info.channels:
            message = f"{source} exists for several channels, but not for all that this step takes"
            self._problem(step, f"{message}; group the step by channel")
        if any(self._image.gone_from(channel) != info.gone for channel in channels):
            drawn = f"{source} was drawn on an image with other planes ({_without(info.gone)})"
            self._problem(step, f"{drawn} than this step's; put the projection before both")

    def _note_labels(self, step: FunctionStep, shape: ChainShape, channels: frozenset[int]) -> None:
        """Note where a chain's labels lie: on the image it takes, or where those it takes lie."""
        known = self.labels.get(step.name)
        image = self._image
        if not shape.takes_image:
            source = self.labels.get(shape.labels[0]) if shape.labels else None
            if source is None:
                return  # what is wrong with its input has been told
            image = source.image
            by_channel = step.group_by == "channel"
            channels = source.channels & channels if by_channel else source.channels
        together = channels | (known.channels if known else frozenset())
        gone = {image.gone_from(channel) for channel in channels}
        gone |= {known.gone} if known else set()
        if len(gone) > 1:
            message = "its labels would be drawn on some channels with a projection, on others"
            self._problem(step, f"{message} without; draw them in two steps")
        if gone:
            self.labels[step.name] = LabelsInfo(image, together, min(gone, key=sorted))

    def _project(
        self,
        step: FunctionStep,
        name: str,
        channels: frozenset[int],
        *,
        ends_in_image: bool,
    ) -> None:
        components = frozenset(cast("Sequence[Component]", step.variable_components))
        if not components:
            why = f"{name} joins the planes of a stack, but each call gets one plane"
            advice = 'say variable = ["z_index"], or another component'
            self._problem(step, f"{why}; {advice}", severity="warning")
            return
        if "channel" in components and len({self._image.gone_from(c) for c in channels}) > 1:
            message = "it joins channels of which some are projected and others not"
            self._problem(step, f"{message}; project all of them before")
        if step.group_by not in (None, "channel"):
            self._problem(step, f"a projection cannot be grouped by {step.group_by}")
        if not ends_in_image:
            message = f"{name} projects inside a step that ends in labels or a table"
            self._problem(step, f"{message}; make the projection a step of its own before it")
        self._image = self._image.without(channels, components)

    def _channels(self, step: FunctionStep, numbers: tuple[int, ...] | None) -> frozenset[int]:
        """Return the channels that a chain takes, by dense number."""
        if step.group_by == "channel" and numbers is not None:
            return frozenset(numbers)
        return frozenset(channel.index for channel in self._image.channels)

    def _numbers(self, step: FunctionStep, key: str) -> tuple[int, ...] | None:
        """Return the dense number that a key of a dict pattern means, or None."""
        component = cast("Component", step.group_by)
        if component == "channel":
            return self._channel_number(step, key)
        labels = self._index.labels(component)
        if key in labels:
            return (labels.index(key),)
        missing = f"the plate has no {component} {key!r}{near(key, labels)}"
        self._problem(step, f"{missing} (available: {listed(labels)})")
        return None

    def _channel_number(self, step: FunctionStep, key: str) -> tuple[int, ...] | None:
        channels = self._image.channels
        found = [c for c in channels if c.label == key] or [c for c in channels if c.name == key]
        if len(found) == 1:
            return (found[0].index,)
        shown = [c.label if c.name is None else f"{c.label} ({c.name})" for c in channels]
        known = tuple(word for c in channels for word in (c.label, c.name) if word)
        wrong = f"the plate has no channel {key!r}{near(key, known)}"
        if found:
            wrong = f"several channels are called {key!r}; say their label"
        self._problem(step, f"{wrong} (available: {listed(shown)})")
        return None

    def _problem(self, step: FunctionStep, message: str, severity: Severity = "fatal") -> None:
        self.problems.append(Problem(severity, message, step=step.name))


def labels_step(source: str) -> str:
    """Return the step that ``Step.labels`` names."""
    return source.removesuffix(_LABELS)


def _without(gone: Gone) -> str:
    return f"projected over {listed(sorted(gone))}" if gone else "not projected"

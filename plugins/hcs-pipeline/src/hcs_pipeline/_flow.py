"""Follow the values through the steps without touching a pixel.

The compiler walks the steps once for the whole plate: which channels each step calls,
which components are gone after a projection, which labels exist by then. The outcome is
what the plan says of each step, and every problem that the order of steps causes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from hcs_core.errors import listed, near
from hcs_core.plates import Channel, Component, PlateIndex
from hcs_pipeline._fields import channel_titles, path_word
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
class LabelsInfo:
    """Labels that exist after a step: their channels, and what had been projected."""

    channels: frozenset[int]
    gone: Gone


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


@dataclass(slots=True)
class StepFlow:
    """What one step does, as far as the order of steps decides it."""

    image_before: ImageInfo
    image_after: ImageInfo
    chains: list[PlannedChain] = field(default_factory=list)
    outputs: set[str] = field(default_factory=set)
    takes_image: bool = False


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
    read_channels : set of int
        Channels whose planes a step takes.
    problems : list of Problem
        What is wrong with the steps walked so far.
    """

    def __init__(self, index: PlateIndex, broken: Iterable[str] = ()) -> None:
        self._index = index
        self._broken = set(broken)
        self._image = ImageInfo(index.channels, (_NOTHING,) * len(index.channels))
        self.labels: dict[str, LabelsInfo] = {}
        self.read_channels: set[int] = set()
        self.problems: list[Problem] = []

    def walk(self, step: FunctionStep, chains: Chains) -> StepFlow:
        """Follow one step, note its problems, and return what it does."""
        flow = StepFlow(self._image, self._image)
        for key, calls in chains.items():
            numbers = None if key is None else self._numbers(step, key)
            if key is None or numbers is not None:
                self._walk_chain(step, numbers, calls, flow)
            elif any(resolved.contract.output_of_kind("labels") for resolved in calls):
                self._broken.add(step.name)
        flow.image_after = self._image
        return flow

    def label_names(self, step: FunctionStep) -> tuple[tuple[int, str], ...]:
        """Return what the step's labels are called in the plate, by channel number."""
        info = self.labels.get(step.name)
        if info is None:
            return ()
        if len(info.channels) == 1:
            return ((min(info.channels), step.name),)
        titles = channel_titles(self._index.channels)
        return tuple((n, f"{step.name}_{path_word(titles[n])}") for n in sorted(info.channels))

    def _walk_chain(
        self, step: FunctionStep, numbers: tuple[int, ...] | None, calls: Calls, flow: StepFlow
    ) -> None:
        flow.chains.append(PlannedChain(numbers, tuple(resolved.call for resolved in calls)))
        channels = self._channels(step, numbers)
        takes_image = calls[0].contract.input_of_kind("image") is not None
        # A chain that ends in labels or a table leaves the step's image as it was: what it
        # did to the image on the way was for its last function only.
        ends_in_image = calls[-1].contract.output_of_kind("image") is not None
        if takes_image:
            flow.takes_image = True
            self.read_channels |= channels
        made: set[str] = set()
        for resolved in calls:
            self._check_inputs(step, resolved, made, channels if takes_image else None)
            made |= {value.kind for value in resolved.contract.outputs}
            if step.variable_components and resolved.contract.output_of_kind("table"):
                message = f"{resolved.call.function} measures one plane a call"
                self._problem(step, f"{message}; leave out variable, or project in a step before")
            if resolved.contract.stack == "across":
                self._project(step, resolved, channels, ends_in_image=ends_in_image)
        if "labels" in made:
            self._note_labels(step, channels)
        flow.outputs |= made - {"image"}
        flow.outputs |= {"image"} if ends_in_image else set()

    def _check_inputs(
        self,
        step: FunctionStep,
        resolved: Resolved,
        made: set[str],
        channels: frozenset[int] | None,
    ) -> None:
        for value in resolved.contract.inputs:
            if value.kind in ("table", "positions"):
                message = f"{resolved.call.function} takes {value.kind}, which no step hands on"
                self._problem(step, message)
            elif value.kind == "labels" and (value.name in step.inputs or "labels" not in made):
                self._check_labels(step, resolved.call.function, value.name, channels)

    def _check_labels(
        self, step: FunctionStep, function: str, argument: str, channels: frozenset[int] | None
    ) -> None:
        """Check that a labels argument is fed, and that its labels fit the image."""
        known = tuple(f"{name}{_LABELS}" for name in self.labels)
        source = step.inputs.get(argument)
        if source is None:
            how = f'say inputs = {{{argument} = "Step.labels"}}'
            self._problem(step, f"{function} needs {argument}: {how} (available: {listed(known)})")
        elif labels_step(source) in self._broken:
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

    def _note_labels(self, step: FunctionStep, channels: frozenset[int]) -> None:
        known = self.labels.get(step.name)
        together = channels | (known.channels if known else frozenset())
        self.labels[step.name] = LabelsInfo(together, self._image.gone_from(min(channels)))

    def _project(
        self,
        step: FunctionStep,
        resolved: Resolved,
        channels: frozenset[int],
        *,
        ends_in_image: bool,
    ) -> None:
        name = resolved.call.function
        components = frozenset(cast("Sequence[Component]", step.variable_components))
        if not components:
            why = f"{name} joins the planes of a stack, but each call gets one plane"
            advice = 'say variable = ["z_index"], or another component'
            self._problem(step, f"{why}; {advice}", severity="warning")
            return
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
        labels = self._index.labels(component)
        if component == "channel":
            channel = self._index.find_channel(key)
            if channel is not None and channel in self._image.channels:
                return (channel.index,)
        elif key in labels:
            return (labels.index(key),)
        self._problem(step, self._no_such_key(component, key))
        return None

    def _no_such_key(self, component: Component, key: str) -> str:
        known = self._index.labels(component)
        shown = known
        if component == "channel":
            channels = self._image.channels
            shown = tuple(c.label if c.name is None else f"{c.label} ({c.name})" for c in channels)
            known = tuple(word for c in channels for word in (c.label, c.name) if word)
        return (
            f"the plate has no {component} {key!r}{near(key, known)} (available: {listed(shown)})"
        )

    def _problem(self, step: FunctionStep, message: str, severity: Severity = "fatal") -> None:
        self.problems.append(Problem(severity, message, step=step.name))


def labels_step(source: str) -> str:
    """Return the step that ``Step.labels`` names."""
    return source.removesuffix(_LABELS)


def _without(gone: Gone) -> str:
    return f"projected over {listed(sorted(gone))}" if gone else "not projected"

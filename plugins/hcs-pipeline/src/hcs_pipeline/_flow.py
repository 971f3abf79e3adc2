"""Follow the values through the steps without touching a pixel.

The compiler walks the steps once for the whole plate: which channels each step calls,
which components are gone after a projection, which labels exist by then. The result is
what the plan says of each step, and every problem that the order of steps causes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

from hcs_core.errors import listed, near
from hcs_core.plates import Channel, Component, PlateIndex
from hcs_pipeline._plan import PlannedChain, PlannedStep, SavedImage
from hcs_pipeline._problems import Problem
from hcs_pipeline._resolve import Resolved
from hcs_pipeline._steps import FunctionStep

Chains = dict[str | None, tuple[Resolved, ...]]
"""The resolved calls of one step, by key of its dict pattern."""

COMPOSITE = Channel(0, "composite")


@dataclass(frozen=True, slots=True)
class LabelsInfo:
    """Labels that exist after a step: their channels, and what had been projected."""

    channels: frozenset[int]
    gone: frozenset[Component]


@dataclass(slots=True)
class Flow:
    """What is known after the steps walked so far.

    Parameters
    ----------
    index : PlateIndex
        The plate.
    gone : dict of int to frozenset
        For each channel of the image, the components that a projection has removed.
    labels : dict of str to LabelsInfo
        Labels by the name of their step.
    """

    index: PlateIndex
    gone: dict[int, frozenset[Component]]
    channels: tuple[Channel, ...]
    labels: dict[str, LabelsInfo] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    read_channels: set[int] = field(default_factory=set)
    is_composite: bool = False

    @classmethod
    def of(cls, index: PlateIndex) -> Flow:
        """Return the state before the first step: every channel, nothing projected."""
        nothing: frozenset[Component] = frozenset()
        return cls(index, {channel.index: nothing for channel in index.channels}, index.channels)

    def walk(self, step: FunctionStep, chains: Chains) -> StepFlow:
        """Follow one step, note its problems, and return what it does."""
        result = StepFlow(step.name)
        before = dict(self.gone)
        for key, calls in chains.items():
            numbers = self._numbers(step, key)
            if numbers is not None or key is None:
                self._walk_chain(step, key, numbers, calls, result)
        result.gone_before = before
        result.gone_after = dict(self.gone)
        result.channels_before = self.channels if not self.is_composite else (COMPOSITE,)
        return result

    def _walk_chain(
        self,
        step: FunctionStep,
        key: str | None,
        numbers: tuple[int, ...] | None,
        calls: tuple[Resolved, ...],
        result: StepFlow,
    ) -> None:
        result.chains.append(PlannedChain(numbers, tuple(resolved.call for resolved in calls)))
        contracts = [resolved.contract for resolved in calls]
        takes_image = contracts[0].input_of_kind("image") is not None
        channels = self._channels_of(step, numbers)
        if takes_image:
            result.takes_image = True
            self.read_channels |= channels
        local_labels = False
        # A chain that ends in labels or a table leaves the step's image as it was: what it
        # did to the image on the way was for its last function only.
        ends_in_image = contracts[-1].output_of_kind("image") is not None
        for contract, resolved in zip(contracts, calls, strict=True):
            name = resolved.call.function
            for value in contract.inputs:
                if value.kind == "labels" and not (local_labels and value.name not in step.inputs):
                    self._check_labels(step, name, value.name, channels if takes_image else None)
                elif value.kind in ("table", "positions"):
                    self._problem(step, f"{name} takes {value.kind}, which no step hands on")
            if contract.output_of_kind("labels"):
                local_labels = True
                result.outputs.add("labels")
                self._note_labels(step, channels)
            if contract.output_of_kind("table"):
                result.outputs.add("table")
            if contract.output_of_kind("image") and contract.stack == "across":
                self._collapse(step, name, channels, ends_in_image=ends_in_image)
        if ends_in_image:
            result.outputs.add("image")

    def label_names(self, step: FunctionStep) -> dict[int, str]:
        """Return what the step's labels are called in the plate, by channel."""
        info = self.labels.get(step.name)
        if info is None:
            return {}
        if len(info.channels) == 1:
            return dict.fromkeys(info.channels, step.name)
        titles = {channel.index: channel.title for channel in self.channels}
        return {n: f"{step.name}_{_path_word(titles[n])}" for n in sorted(info.channels)}

    def _check_labels(
        self, step: FunctionStep, function: str, argument: str, channels: frozenset[int] | None
    ) -> None:
        """Check that a labels argument is fed, and that its labels fit the image."""
        source = step.inputs.get(argument)
        if source is None:
            have = [f"{name}.labels" for name in self.labels]
            self._problem(
                step,
                f'{function} needs {argument}: say inputs = {{{argument} = "Step.labels"}} '
                f"(available: {listed(have)})",
            )
            return
        info = self.labels.get(source.removesuffix(".labels"))
        if info is None or not source.endswith(".labels"):
            known = tuple(f"{name}.labels" for name in self.labels)
            self._problem(
                step,
                f"input {argument} = {source!r} is made by no earlier step"
                f"{near(source, known)} (available: {listed(known)})",
            )
            return
        if channels is None:
            return
        if len(info.channels) > 1 and not channels <= info.channels:
            self._problem(
                step,
                f"{source} exists for several channels, but not for all that this step takes; "
                "group the step by channel",
            )
        if any(self.gone.get(channel) != info.gone for channel in channels):
            self._problem(
                step,
                f"{source} was drawn on an image with other planes "
                f"({_without(info.gone)}) than this step's; put the projection before both",
            )

    def _note_labels(self, step: FunctionStep, channels: frozenset[int]) -> None:
        known = self.labels.get(step.name)
        together = channels | (known.channels if known else frozenset())
        gone = self.gone.get(min(channels, default=0), frozenset())
        self.labels[step.name] = LabelsInfo(together, gone)

    def _collapse(
        self, step: FunctionStep, function: str, channels: frozenset[int], *, ends_in_image: bool
    ) -> None:
        variable = frozenset(cast("Sequence[Component]", step.variable_components))
        if not variable:
            self._problem(
                step,
                f"{function} joins the planes of a stack, but the step stacks none: each call "
                'gets one plane; say variable = ["z_index"] or another component',
                severity="warning",
            )
            return
        if step.group_by not in (None, "channel"):
            self._problem(step, f"a projection cannot be grouped by {step.group_by}")
        if not ends_in_image:
            message = f"{function} projects inside a step that ends in labels or a table"
            self._problem(step, f"{message}; make the projection a step of its own before it")
        if "channel" in variable:
            together = frozenset().union(*(self.gone[channel] for channel in channels))
            self.gone = {0: together | variable}
            self.is_composite = True
            return
        for channel in channels:
            self.gone[channel] |= variable

    def _channels_of(self, step: FunctionStep, numbers: tuple[int, ...] | None) -> frozenset[int]:
        if step.group_by == "channel" and numbers is not None:
            return frozenset(numbers)
        return frozenset(self.gone)

    def _numbers(self, step: FunctionStep, key: str | None) -> tuple[int, ...] | None:
        """Return the dense number that a key of a dict pattern means."""
        if key is None or step.group_by is None:
            return None
        component = cast("Component", step.group_by)
        if component == "channel":
            channel = self.index.find_channel(key)
            if channel is not None and not self.is_composite:
                return (channel.index,)
        elif key in self.index.labels(component):
            return (self.index.labels(component).index(key),)
        self._problem(step, self._no_such_key(component, key))
        return None

    def _no_such_key(self, component: Component, key: str) -> str:
        if component == "channel" and self.is_composite:
            return f"the plate has no channel {key!r} any more: an earlier step joined them"
        known = self.index.labels(component)
        if component == "channel":
            titles = [c.label if c.name is None else f"{c.label} ({c.name})" for c in self.channels]
            names = tuple(c.name for c in self.channels if c.name)
            return (
                f"the plate has no channel {key!r}{near(key, (*known, *names))} "
                f"(available: {listed(titles)})"
            )
        return (
            f"the plate has no {component} {key!r}{near(key, known)} (available: {listed(known)})"
        )

    def _problem(self, step: FunctionStep, message: str, *, severity: str = "fatal") -> None:
        self.problems.append(
            Problem("warning" if severity == "warning" else "fatal", message, step=step.name)
        )


@dataclass(slots=True)
class StepFlow:
    """What one step does, as far as the order of steps decides it."""

    name: str
    chains: list[PlannedChain] = field(default_factory=list)
    outputs: set[str] = field(default_factory=set)
    takes_image: bool = False
    gone_before: dict[int, frozenset[Component]] = field(default_factory=dict)
    gone_after: dict[int, frozenset[Component]] = field(default_factory=dict)
    channels_before: tuple[Channel, ...] = ()


def plan_steps(
    steps: Sequence[FunctionStep],
    flows: Sequence[StepFlow],
    image: SavedImage | None,
    flow: Flow,
) -> tuple[PlannedStep, ...]:
    """Return the planned steps, each knowing whether its planes are needed later."""
    planned = []
    for position, (step, walked) in enumerate(zip(steps, flows, strict=True)):
        later = any(following.takes_image for following in flows[position + 1 :])
        saved_later = image is not None and image.step - image.before >= position
        planned.append(
            PlannedStep(
                name=step.name,
                chains=tuple(walked.chains),
                variable=tuple(cast("Sequence[Component]", step.variable_components)),
                group_by=cast("Component | None", step.group_by),
                inputs={
                    name: source.removesuffix(".labels") for name, source in step.inputs.items()
                },
                label_names=flow.label_names(step) if _wants(step, "labels") else {},
                keeps_planes=later or saved_later,
            )
        )
    return tuple(planned)


def choose_image(
    steps: Sequence[FunctionStep], flows: Sequence[StepFlow], flow: Flow
) -> tuple[SavedImage | None, list[Problem]]:
    """Decide which image goes into the plate: what a step saves, or what labels lie on."""
    savers = [i for i, step in enumerate(steps) if _wants(step, "image")]
    if len(savers) > 1:
        names = listed([steps[i].name for i in savers])
        message = f"several steps save an image ({names}), a field has room for one; keep one"
        return None, [Problem("fatal", message, step=steps[savers[-1]].name)]
    labellers = [i for i, step in enumerate(steps) if _wants(step, "labels")]
    measured = any("table" in f.outputs for f in flows)
    if savers:
        return _saved_image(steps, flows, flow, savers[0], before=False)
    if labellers:
        return _saved_image(steps, flows, flow, labellers[0], before=True)
    if not measured and flows and "image" in flows[-1].outputs:
        return _saved_image(steps, flows, flow, len(steps) - 1, before=False)
    return None, []


def save_problems(steps: Sequence[FunctionStep], flows: Sequence[StepFlow]) -> Iterator[Problem]:
    """Yield what is wrong with the `save` lists of the steps."""
    for step, flow in zip(steps, flows, strict=True):
        available = tuple(sorted(flow.outputs & {"image", "labels"}))
        for name in step.save or ():
            if name == "table":
                continue  # tables are always written
            if name not in available:
                yield Problem(
                    "fatal",
                    f"cannot save {name!r}: the step makes {listed(sorted(flow.outputs))}",
                    step=step.name,
                )


def _saved_image(
    steps: Sequence[FunctionStep], flows: Sequence[StepFlow], flow: Flow, step: int, *, before: bool
) -> tuple[SavedImage | None, list[Problem]]:
    gone = flows[step].gone_before if before else flows[step].gone_after
    if not before and step + 1 < len(flows):
        channels = flows[step + 1].channels_before
    else:
        channels = flows[step].channels_before if before else _last_channels(flow)
    wanted = gone[min(gone)]
    if before:
        labels = flow.labels.get(steps[step].name)
        wanted = labels.gone if labels else wanted
    kept = [channel for channel in channels if gone.get(channel.index) == wanted]
    if len(kept) < len(channels) and not before:
        others = listed([c.title for c in channels if c not in kept])
        message = f"the image cannot be saved: {others} has other planes than {kept[0].title}"
        return None, [Problem("fatal", message, step=steps[step].name)]
    index = flow.index
    flow.read_channels |= {channel.index for channel in kept}
    size = (
        1 if "timepoint" in wanted else max(len(index.timepoints), 1),
        len(kept),
        1 if "z_index" in wanted else max(len(index.z_indexes), 1),
    )
    titles = tuple(channel.title for channel in kept)
    return SavedImage(step, before, titles, tuple(c.index for c in kept), size), []


def _last_channels(flow: Flow) -> tuple[Channel, ...]:
    return (COMPOSITE,) if flow.is_composite else flow.channels


def _path_word(title: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in title)


def _wants(step: FunctionStep, output: str) -> bool:
    return step.save is not None and output in step.save


def _without(gone: frozenset[Component]) -> str:
    return f"projected over {listed(sorted(gone))}" if gone else "no projection"

"""Run the steps of a plan on one unit, in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays import FunctionContract, empty
from hcs_core.errors import HcsError
from hcs_core.plates import COMPONENTS, Component, Plate
from hcs_pipeline._plan import Plan, PlannedChain, PlannedStep, PlannedUnit, UnitRows
from hcs_pipeline._resolve import Resolved, load
from hcs_pipeline._values import Key, TablePart, UnitValues


class StepFailedError(HcsError):
    """A step could not be done on a unit; the unit fails, all others run."""

    def __init__(self, step: str, reason: str, file: str | None) -> None:
        super().__init__(step, reason, file)
        self.step, self.reason, self.file = step, reason, file

    def __str__(self) -> str:
        return f"step {self.step!r}: {self.reason}"


@dataclass(frozen=True, slots=True)
class _LoadedChain:
    planned: PlannedChain
    calls: tuple[Resolved, ...]


class UnitRunner:
    """Runs units of one plan; made once per worker, it holds what they share.

    Parameters
    ----------
    plan : Plan
        The plan.
    plate : Plate
        The plate that the plan was made for.

    Raises
    ------
    HcsError
        If a function of the plan cannot be loaded.
    """

    def __init__(self, plan: Plan, plate: Plate) -> None:
        self._plan = plan
        self._plate = plate
        self._rows = UnitRows.of_plan(plan, plate.index)
        self._context = {"pixel_size_um": plate.metadata.pixel_size_um}
        self._chains = [
            [
                _LoadedChain(chain, tuple(load(call, plan.functions) for call in chain.calls))
                for chain in step.chains
            ]
            for step in plan.steps
        ]

    def run(self, unit: PlannedUnit) -> UnitValues:
        """Return the values of a unit after all steps.

        Raises
        ------
        StepFailedError
            If a plane cannot be read, or a function raises or breaks its contract.
        """
        values = UnitValues(dict(self._planes(unit)))
        image = self._plan.image
        for position, step in enumerate(self._plan.steps):
            started = time.perf_counter()
            if image is not None and image.before and image.step == position:
                values.saved = dict(values.images)
            self._run_step(position, step, values)
            if image is not None and not image.before and image.step == position:
                values.saved = dict(values.images)
            values.seconds[step.name] = time.perf_counter() - started
        return values

    def plane(self, value: int | NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of a plane, shape (y, x), reading them if that is still to do."""
        return self._plate.read(value) if isinstance(value, int) else value

    def _planes(self, unit: PlannedUnit) -> Iterator[tuple[Key, int]]:
        """Yield the planes of a unit and their rows in the index."""
        index = self._plate.index
        for row in self._rows[unit].tolist():
            z = max(int(index.z_index[row]), 0)
            yield Key(int(index.site[row]), int(index.channel[row]), z, int(index.timepoint[row])), row

    def _run_step(self, position: int, step: PlannedStep, values: UnitValues) -> None:
        for chain in self._chains[position]:
            for group in _groups(step, chain, values):
                try:
                    _ChainRun(self, step, chain.calls, values).run(group)
                except Exception as cause:  # a kernel is foreign code: any failure is this unit's
                    raise _failure(step.name, cause) from cause


class _ChainRun:
    """One chain on one group of planes."""

    def __init__(
        self, runner: UnitRunner, step: PlannedStep, calls: Sequence[Resolved], values: UnitValues
    ) -> None:
        self._runner = runner
        self._step = step
        self._calls = calls
        self._values = values
        self._labels: NDArray[np.int32] | None = None  # made earlier in this chain

    def run(self, group: tuple[Key, ...]) -> None:
        """Call every function of the chain and note what comes out."""
        takes_image = self._calls[0].contract.input_of_kind("image") is not None
        source = self._stack(group) if takes_image else None
        image = source
        if source is not None:
            source.flags.writeable = False  # a function that writes into its input is told so
            self._keep_read(source, group)
        for resolved in self._calls:
            image = self._call(resolved, image, group)
        if image is not None and self._calls[-1].contract.output_of_kind("image") is not None:
            self._store(image, group)

    def _keep_read(self, source: NDArray[Any], group: tuple[Key, ...]) -> None:
        """Keep the pixels that are needed again, so that no plane is read twice."""
        for key, plane in zip(group, source, strict=True):
            if self._step.keeps_planes:
                self._values.images[key] = plane
            if isinstance(self._values.saved.get(key), int):
                self._values.saved[key] = plane

    def _stack(self, group: tuple[Key, ...]) -> NDArray[Any]:
        """Return the planes of a group, shape (n, y, x), in one aligned buffer."""
        planes = [self._values.images[key] for key in group]
        rows = [plane for plane in planes if isinstance(plane, int)]
        plate = self._runner._plate  # noqa: SLF001  same module: the two are one machine
        if len(rows) == len(planes):
            return plate.read_stack(rows)
        arrays = [self._runner.plane(plane) for plane in planes]
        if len(arrays) == 1:
            return arrays[0][np.newaxis]
        shapes = {(array.shape, array.dtype) for array in arrays}
        if len(shapes) > 1:
            raise ValueError(f"planes of one call differ: {sorted(map(str, shapes))}")
        stack = empty((len(arrays), *arrays[0].shape), arrays[0].dtype)
        return np.stack(arrays, out=stack)

    def _call(
        self, resolved: Resolved, image: NDArray[Any] | None, group: tuple[Key, ...]
    ) -> NDArray[Any] | None:
        """Call one function; return the image that goes on, shape (n, y, x) or (y, x)."""
        contract = resolved.contract
        whole = bool(self._step.variable) or contract.stack != "per_plane"
        arguments: dict[str, Any] = dict(resolved.call.arguments)
        arrays = []
        for value in contract.inputs:
            if value.kind == "image":
                arrays.append(_shaped(image, whole=whole))
            else:
                arrays.append(self._labels_argument(value.name, group, whole=whole))
        arguments.update({n: self._runner._context[n] for n in contract.context})  # noqa: SLF001
        function = resolved.function
        assert function is not None  # noqa: S101  `load` never leaves it out
        result = function(*arrays, **arguments)
        return self._take(resolved.call.function, contract, result, image, group)

    def _labels_argument(
        self, name: str, group: tuple[Key, ...], *, whole: bool
    ) -> NDArray[np.int32]:
        source = self._step.inputs.get(name)
        if source is None:
            if self._labels is None:
                raise LookupError(f"no earlier function of the step made {name}")
            return self._labels
        planes = [self._values.labels_for(source, key) for key in group]
        return np.stack(planes) if whole else planes[0]

    def _take(
        self,
        function: str,
        contract: FunctionContract,
        result: Any,
        image: NDArray[Any] | None,
        group: tuple[Key, ...],
    ) -> NDArray[Any] | None:
        """Note the outputs of one call, each checked against the contract."""
        outputs = result if len(contract.outputs) > 1 else (result,)
        if not isinstance(outputs, tuple) or len(outputs) != len(contract.outputs):
            names = ", ".join(value.name for value in contract.outputs)
            raise TypeError(f"{function} returned {type(result).__name__}, it declares ({names})")
        for value, output in zip(contract.outputs, outputs, strict=True):
            if value.kind == "image":
                image = _checked_image(function, contract, output, len(group))
            elif value.kind == "labels":
                self._take_labels(function, output, group)
            else:
                self._take_table(function, output, contract, group)
        return image

    def _take_labels(self, function: str, labels: Any, group: tuple[Key, ...]) -> None:
        if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
            raise TypeError(f"{function} returned {_kind(labels)}, it declares labels (int32)")
        self._labels = labels
        stack = labels[np.newaxis] if labels.ndim == 2 else labels
        planes = self._values.labels.setdefault(self._step.name, {})
        for key, plane in zip(self._keys_after(stack, group), stack, strict=True):
            planes[key] = plane

    def _take_table(
        self, function: str, table: Any, contract: FunctionContract, group: tuple[Key, ...]
    ) -> None:
        if not hasattr(table, "keys"):
            raise TypeError(f"{function} returned {_kind(table)}, it declares a table")
        columns = {str(name): np.asarray(table[name]) for name in table}
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            raise ValueError(f"{function} returned a table with columns of lengths {lengths}")
        named = contract.input_of_kind("labels")
        source = None
        if named is not None:
            source = self._step.inputs.get(named.name, self._step.name)
        self._values.tables.append(TablePart(self._step.name, group[0], source, columns))

    def _keys_after(self, stack: NDArray[Any], group: tuple[Key, ...]) -> tuple[Key, ...]:
        if len(stack) == len(group):
            return group
        return (group[0].collapsed(self._step.variable),)

    def _store(self, image: NDArray[Any], group: tuple[Key, ...]) -> None:
        """Put the chain's image in the place of the planes that it was made of."""
        images = self._values.images
        if image.ndim == 2 and self._step.variable:
            for key in group:
                del images[key]
            images[group[0].collapsed(self._step.variable)] = image
            return
        stack = image[np.newaxis] if image.ndim == 2 else image
        for key, plane in zip(group, stack, strict=True):
            images[key] = plane


def _groups(
    step: PlannedStep, chain: _LoadedChain, values: UnitValues
) -> Iterator[tuple[Key, ...]]:
    """Yield the planes of each call: those that differ in stacked components only."""
    keys = _domain(step, chain, values)
    numbers = chain.planned.numbers
    if numbers is not None and step.group_by is not None:
        component = step.group_by
        keys = [key for key in keys if getattr(key, component) in numbers]
    rest = [name for name in Key._fields if name not in step.variable]
    groups: dict[tuple[int, ...], list[Key]] = {}
    for key in sorted(keys):
        groups.setdefault(tuple(getattr(key, name) for name in rest), []).append(key)
    yield from map(tuple, list(groups.values()))


def _domain(step: PlannedStep, chain: _LoadedChain, values: UnitValues) -> list[Key]:
    contract = chain.calls[0].contract
    if contract.input_of_kind("image") is not None:
        return list(values.images)
    labels = contract.input_of_kind("labels")
    source = step.inputs.get(labels.name) if labels is not None else None
    return list(values.labels.get(source, {})) if source is not None else []


def _shaped(image: NDArray[Any] | None, *, whole: bool) -> NDArray[Any]:
    """Return the image as the call wants it: the stack (n, y, x), or its one plane (y, x)."""
    assert image is not None  # noqa: S101  a chain's first function takes an image, or none does
    if whole:
        return image[np.newaxis] if image.ndim == 2 else image
    return image[0] if image.ndim == 3 else image


def _checked_image(
    function: str, contract: FunctionContract, image: Any, planes: int
) -> NDArray[Any]:
    """Return the image that a function gave back, if it is what its contract says."""
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{function} returned {_kind(image)}, it declares an image")
    across = contract.stack == "across"
    if image.ndim == 2 and (across or planes == 1):
        return image
    if image.ndim == 3 and not across and len(image) == planes:
        return image
    wanted = "(y, x)" if across or planes == 1 else f"({planes}, y, x)"
    raise ValueError(f"{function} returned shape {image.shape}, it declares {wanted}")


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return "None" if value is None else f"a {type(value).__name__}"


def _failure(step: str, cause: Exception) -> StepFailedError:
    file = getattr(cause, "file", None)
    reason = str(cause) if isinstance(cause, HcsError) else f"{type(cause).__name__}: {cause}"
    return StepFailedError(step, reason, file)

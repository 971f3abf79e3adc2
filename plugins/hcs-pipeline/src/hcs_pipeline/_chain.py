"""Call one chain of functions on the planes of one call, as their contracts say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays import FunctionContract, empty
from hcs_core.plates import Plate
from hcs_pipeline._plan import PlannedChain, PlannedStep
from hcs_pipeline._resolve import LoadedCall, load
from hcs_pipeline._values import Key, TablePart, UnitValues

Group = tuple[Key, ...]
"""The planes of one call, ordered by the components that are stacked."""


@dataclass(frozen=True, slots=True)
class LoadedChain:
    """A planned chain whose functions are imported."""

    planned: PlannedChain
    calls: tuple[LoadedCall, ...]

    @property
    def first(self) -> FunctionContract:
        """What the function that takes the step's values asks for."""
        return self.calls[0].contract

    @property
    def ends_in_image(self) -> bool:
        """Whether the chain's image takes the place of the step's."""
        return self.calls[-1].contract.output_of_kind("image") is not None


def load_chain(chain: PlannedChain, functions: Mapping[str, Callable[..., Any]]) -> LoadedChain:
    """Import the functions of a chain."""
    return LoadedChain(chain, tuple(load(call, functions) for call in chain.calls))


class ChainRun:
    """One chain of one step on the values of one unit.

    Parameters
    ----------
    step : PlannedStep
        The step.
    chain : LoadedChain
        Its functions.
    values : UnitValues
        The unit's values; they are changed.
    plate : Plate
        Where planes are read from that have not been read yet.
    context : Mapping
        Facts of the plate that contracts may ask for.
    """

    def __init__(
        self,
        step: PlannedStep,
        chain: LoadedChain,
        values: UnitValues,
        plate: Plate,
        context: Mapping[str, Any],
    ) -> None:
        self._step = step
        self._chain = chain
        self._values = values
        self._plate = plate
        self._context = context
        self._labels: NDArray[np.int32] | None = None  # made by a call before, in this chain

    def groups(self) -> Iterator[Group]:
        """Yield the planes of each call: those that differ in stacked components only."""
        keys = self._domain()
        numbers, component = self._chain.planned.numbers, self._step.group_by
        if numbers is not None and component is not None:
            keys = [key for key in keys if getattr(key, component) in numbers]
        apart = [name for name in Key._fields if name not in self._step.variable]
        groups: dict[tuple[int, ...], list[Key]] = {}
        for key in sorted(keys):
            groups.setdefault(tuple(getattr(key, name) for name in apart), []).append(key)
        yield from map(tuple, list(groups.values()))

    def call(self, group: Group) -> None:
        """Call every function of the chain for one group, and note what comes out."""
        self._labels = None
        image: NDArray[Any] | None = None
        if self._chain.first.input_of_kind("image") is not None:
            image = self._stack(group)
            image.flags.writeable = False  # a function that writes into its input is told so
            self._keep_read(image, group)
        for resolved in self._chain.calls:
            image = self._call_one(resolved, image, group)
        if image is not None and self._chain.ends_in_image:
            self._store(image, group)

    def _domain(self) -> list[Key]:
        """Return the planes that the step runs on: of the image, or of the labels it takes."""
        if self._chain.first.input_of_kind("image") is not None:
            return list(self._values.images)
        labels = self._chain.first.input_of_kind("labels")
        source = dict(self._step.inputs).get(labels.name) if labels is not None else None
        return list(self._values.labels.get(source, {})) if source is not None else []

    def _stack(self, group: Group) -> NDArray[Any]:
        """Return the planes of a group, shape (n, y, x), in one aligned buffer."""
        planes = [self._values.images[key] for key in group]
        rows = [plane for plane in planes if isinstance(plane, int)]
        if len(rows) == len(planes):
            return self._plate.read_stack(rows)
        arrays = [self._values.plane(plane, self._plate) for plane in planes]
        if len(arrays) == 1:
            return arrays[0][np.newaxis]
        kinds = sorted({f"{array.shape} {array.dtype}" for array in arrays})
        if len(kinds) > 1:
            raise ValueError(f"the planes of one call differ: {', '.join(kinds)}")
        buffer = empty((len(arrays), *arrays[0].shape), arrays[0].dtype)
        return np.stack(arrays, out=buffer)

    def _keep_read(self, stack: NDArray[Any], group: Group) -> None:
        """Keep the pixels that are needed again, so that no plane is read twice."""
        for key, plane in zip(group, stack, strict=True):
            if self._step.keeps_planes:
                self._values.images[key] = plane
            if isinstance(self._values.saved.get(key), int):
                self._values.saved[key] = plane

    def _call_one(
        self, resolved: LoadedCall, image: NDArray[Any] | None, group: Group
    ) -> NDArray[Any] | None:
        """Call one function; return the image that goes on, shape (n, y, x) or (y, x)."""
        contract = resolved.contract
        as_stack = bool(self._step.variable) or contract.stack != "per_plane"
        arrays = {
            value.name: _shaped(image, as_stack=as_stack)
            if value.kind == "image"
            else self._labels_argument(value.name, group, as_stack=as_stack)
            for value in contract.inputs
        }
        context = {name: self._context[name] for name in contract.context}
        # The first array is the function's first argument, whatever it is called there; the
        # others may stand anywhere, so they go by name.
        first = arrays.pop(contract.inputs[0].name)
        result = resolved.run(first, **arrays, **dict(resolved.call.arguments), **context)
        outputs = result if len(contract.outputs) > 1 else (result,)
        if not isinstance(outputs, tuple) or len(outputs) != len(contract.outputs):
            names = ", ".join(value.name for value in contract.outputs)
            raise TypeError(f"{resolved.call.function} returned {_kind(result)}, not ({names})")
        for value, output in zip(contract.outputs, outputs, strict=True):
            if value.kind == "image":
                image = _checked_image(resolved, output, image, len(group))
            elif value.kind == "labels":
                self._take_labels(resolved, output, group)
            else:
                self._take_table(resolved, output, group)
        return image

    def _labels_argument(self, name: str, group: Group, *, as_stack: bool) -> NDArray[np.int32]:
        source = dict(self._step.inputs).get(name)
        if source is not None:
            made = self._values.labels[source]
            planes = [made[self._values.labels_key(source, key)] for key in group]
            return np.stack(planes) if as_stack else planes[0]
        if self._labels is None:
            raise LookupError(f"no function before it in the step made {name}")
        return self._labels

    def _take_labels(self, resolved: LoadedCall, labels: Any, group: Group) -> None:
        if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
            raise TypeError(f"{resolved.call.function} returned {_kind(labels)}, not labels")
        labels = _as_int32(labels, resolved.call.function)
        self._labels = labels
        stack = labels[np.newaxis] if labels.ndim == 2 else labels
        keys = group if len(stack) == len(group) else (self._projected(group),)
        planes = self._values.labels.setdefault(self._step.name, {})
        for key, plane in zip(keys, stack, strict=True):
            planes[key] = plane

    def _take_table(self, resolved: LoadedCall, table: Any, group: Group) -> None:
        name = resolved.call.function
        if not isinstance(table, Mapping):
            raise TypeError(f"{name} returned {_kind(table)}, not a table")
        columns = {str(title): np.asarray(column) for title, column in table.items()}
        shapes = {column.shape for column in columns.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            found = ", ".join(f"{title} {column.shape}" for title, column in columns.items())
            raise ValueError(f"{name} returned columns of different or no length: {found}")
        source, channel = self._source(resolved, group[0])
        part = TablePart(self._step.name, group[0], source, channel, columns)
        self._values.tables.append(part)

    def _source(self, resolved: LoadedCall, key: Key) -> tuple[str, int]:
        """Return the step and the channel of the labels that a table describes."""
        labels = resolved.contract.input_of_kind("labels")
        source = dict(self._step.inputs).get(labels.name) if labels is not None else None
        if source is None:
            return self._step.name, key.channel
        return source, self._values.labels_key(source, key).channel

    def _store(self, image: NDArray[Any], group: Group) -> None:
        """Put the chain's image in the place of the planes that it was made of."""
        images = self._values.images
        if image.ndim == 2 and self._step.variable:
            for key in group:
                del images[key]
            images[self._projected(group)] = image
            return
        stack = image[np.newaxis] if image.ndim == 2 else image
        for key, plane in zip(group, stack, strict=True):
            images[key] = plane

    def _projected(self, group: Group) -> Key:
        return group[0].collapsed(self._step.variable)


def _as_int32(labels: NDArray[Any], function: str) -> NDArray[np.int32]:
    """Return labels as int32 if that keeps each of them."""
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0 or high > np.iinfo(np.int32).max:
        raise ValueError(f"{function} returned labels from {low} to {high}, not 0 to 2147483647")
    return labels.astype(np.int32, copy=False)


def _shaped(image: NDArray[Any] | None, *, as_stack: bool) -> NDArray[Any]:
    """Return the image as the call wants it: the stack (n, y, x), or its one plane (y, x)."""
    if image is None:
        raise LookupError("the first function of the step takes no image, so there is none here")
    if as_stack:
        return image[np.newaxis] if image.ndim == 2 else image
    return image[0] if image.ndim == 3 else image


def _checked_image(
    resolved: LoadedCall, image: Any, before: NDArray[Any] | None, planes: int
) -> NDArray[Any]:
    """Return the image that a function gave back, if it is what its contract says."""
    name, contract = resolved.call.function, resolved.contract
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{name} returned {_kind(image)}, not an image")
    policy: str = contract.dtype
    if policy == "preserve" and before is not None:
        policy = before.dtype.name
    if policy not in ("native", "preserve", image.dtype.name):
        raise TypeError(f"{name} returned {image.dtype}, its contract promises {policy}")
    across = contract.stack == "across"
    if image.ndim == 2 and (across or planes == 1):
        return image
    if image.ndim == 3 and not across and len(image) == planes:
        return image
    wanted = "(y, x)" if across or planes == 1 else f"({planes}, y, x)"
    raise ValueError(f"{name} returned shape {image.shape}, not {wanted}")


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return "nothing" if value is None else f"a {type(value).__name__}"

"""Call one chain of functions on the planes of one call, as their contracts say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays import FunctionContract, empty
from hcs_core.plates import Plate
from hcs_pipeline._groups import ChainShape, Group, Key, chain_shape, groups, labels_key
from hcs_pipeline._plan import PlannedChain, PlannedStep, thawed
from hcs_pipeline._resolve import LoadedCall, load
from hcs_pipeline._values import TablePart, UnitValues


@dataclass(frozen=True, slots=True)
class LoadedChain:
    """A planned chain whose functions are imported."""

    planned: PlannedChain
    calls: tuple[LoadedCall, ...]
    shape: ChainShape


def load_chain(
    step: PlannedStep, chain: PlannedChain, functions: Mapping[str, Callable[..., Any]]
) -> LoadedChain:
    """Import the functions of a chain."""
    calls = tuple(load(call, functions) for call in chain.calls)
    named = [(loaded.call.function, loaded.contract) for loaded in calls]
    return LoadedChain(chain, calls, chain_shape(named, dict(step.inputs), step.variable))


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
        self._inputs = dict(step.inputs)
        self._values = values
        self._plate = plate
        self._context = context
        self._labels: NDArray[np.int32] | None = None  # made by a call before, in this chain
        self._is_projected = False

    def groups(self) -> Iterator[Group]:
        """Yield the planes of each call."""
        values, shape = self._values, self._chain.shape
        planes: set[Key] = set(values.images)
        if not shape.takes_image:
            planes = set(values.labels.get(shape.labels[0], {})) if shape.labels else set()
        yield from list(groups(self._step, self._chain.planned.numbers, planes))

    def call(self, group: Group) -> None:
        """Call every function of the chain for one group, and note what comes out."""
        self._labels, self._is_projected = None, False
        image: NDArray[Any] | None = None
        if self._chain.shape.takes_image:
            image = self._stack(group)
            image.flags.writeable = False  # a function that writes into its input is told so
            self._keep_read(image, group)
        for loaded in self._chain.calls:
            image = self._call_one(loaded, image, group)
        if image is not None and self._chain.shape.ends_in_image:
            self._store(image, group)

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
        self, loaded: LoadedCall, image: NDArray[Any] | None, group: Group
    ) -> NDArray[Any] | None:
        """Call one function; return the image that goes on, shape (n, y, x) or (y, x)."""
        contract = loaded.contract
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
        arguments = thawed(loaded.call.arguments)
        result = loaded.run(first, **arrays, **arguments, **context)
        outputs = result if len(contract.outputs) > 1 else (result,)
        if not isinstance(outputs, tuple) or len(outputs) != len(contract.outputs):
            names = ", ".join(value.name for value in contract.outputs)
            raise TypeError(f"{loaded.call.function} returned {_kind(result)}, not ({names})")
        self._is_projected |= contract.stack == "across" and bool(self._step.variable)
        for value, output in zip(contract.outputs, outputs, strict=True):
            if value.kind == "image":
                image = _checked_image(loaded, output, first if image is None else image)
            elif value.kind == "labels":
                self._take_labels(loaded, output, first, group)
            else:
                self._take_table(loaded, output, group)
        return image

    def _labels_argument(self, name: str, group: Group, *, as_stack: bool) -> NDArray[np.int32]:
        source = self._inputs.get(name)
        if source is not None:
            planes = [self._labels_of(source, key) for key in group]
            return np.stack(planes) if as_stack else planes[0]
        if self._labels is None:
            raise LookupError(f"no function before it in the step made {name}")
        return self._labels

    def _labels_of(self, source: str, key: Key) -> NDArray[np.int32]:
        made = self._values.labels.get(source, {})
        found = labels_key(made, key)
        if found is None:
            raise LookupError(f"{source} made no labels for this plane")
        return made[found]

    def _take_labels(
        self, loaded: LoadedCall, labels: Any, first: NDArray[Any], group: Group
    ) -> None:
        drawn = _checked_labels(loaded, labels, first)
        self._labels = drawn
        stack = drawn[np.newaxis] if drawn.ndim == 2 else drawn
        planes = self._values.labels.setdefault(self._step.name, {})
        for key, plane in zip(self._keys_now(group), stack, strict=True):
            planes[key] = plane

    def _take_table(self, loaded: LoadedCall, table: Any, group: Group) -> None:
        name = loaded.call.function
        if not isinstance(table, Mapping):
            raise TypeError(f"{name} returned {_kind(table)}, not a table")
        columns = {str(title): np.asarray(column) for title, column in table.items()}
        shapes = {column.shape for column in columns.values()}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            found = ", ".join(f"{title} {column.shape}" for title, column in columns.items())
            raise ValueError(f"{name} returned columns of different or no length: {found}")
        (key,) = self._keys_now(group)  # a function that measures is given one plane
        source, channel = self._source(loaded, key)
        part = TablePart(self._step.name, name, key, source, channel, columns)
        self._values.tables.append(part)

    def _source(self, loaded: LoadedCall, key: Key) -> tuple[str, int]:
        """Return the step and the channel of the labels that a table describes."""
        labels = loaded.contract.input_of_kind("labels")
        source = self._inputs.get(labels.name) if labels is not None else None
        if source is None:
            return self._step.name, key.channel
        found = labels_key(self._values.labels[source], key)
        return source, key.channel if found is None else found.channel

    def _keys_now(self, group: Group) -> Group:
        """Return which planes the chain's values are by now."""
        return (group[0].collapsed(self._step.variable),) if self._is_projected else group

    def _store(self, image: NDArray[Any], group: Group) -> None:
        """Put the chain's image in the place of the planes that it was made of."""
        for key in group:
            del self._values.images[key]
        stack = image[np.newaxis] if image.ndim == 2 else image
        for key, plane in zip(self._keys_now(group), stack, strict=True):
            self._values.images[key] = plane


def _shaped(image: NDArray[Any] | None, *, as_stack: bool) -> NDArray[Any]:
    """Return the image as the call wants it: the stack (n, y, x), or its one plane (y, x)."""
    if image is None:
        raise LookupError("the first function of the step takes no image, so there is none here")
    if as_stack:
        return image[np.newaxis] if image.ndim == 2 else image
    return image[0] if image.ndim == 3 else image


def _checked_image(loaded: LoadedCall, image: Any, before: NDArray[Any]) -> NDArray[Any]:
    """Return the image that a function gave back, if it is what its contract says."""
    name, contract = loaded.call.function, loaded.contract
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{name} returned {_kind(image)}, not an image")
    keeps = contract.dtype in ("preserve", "scale")
    policy: str = before.dtype.name if keeps else contract.dtype
    if policy not in ("native", image.dtype.name):
        raise TypeError(f"{name} returned {image.dtype}, its contract promises {policy}")
    _check_planes(name, contract, image, before)
    result = image.view()
    result.flags.writeable = False  # as the planes that are read
    return result


def _checked_labels(loaded: LoadedCall, labels: Any, before: NDArray[Any]) -> NDArray[np.int32]:
    """Return labels as int32 that nobody can write to, if they are labels of what was given."""
    name = loaded.call.function
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        raise TypeError(f"{name} returned {_kind(labels)}, not labels")
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    if low < 0 or high > np.iinfo(np.int32).max:
        raise ValueError(f"{name} returned labels from {low} to {high}, not 0 to 2147483647")
    _check_planes(name, loaded.contract, labels, before)
    if labels.shape[-2:] != before.shape[-2:]:
        wanted = before.shape[-2:]
        raise ValueError(f"{name} returned labels of shape {labels.shape[-2:]}, not {wanted}")
    drawn = labels.astype(np.int32, copy=False).view()
    drawn.flags.writeable = False
    return drawn


def _check_planes(
    name: str, contract: FunctionContract, result: NDArray[Any], before: NDArray[Any]
) -> None:
    """Refuse a result that has not as many planes as the contract says."""
    count = 1 if before.ndim == 2 or contract.stack == "across" else len(before)
    if result.ndim == 2 and count == 1:
        return
    if result.ndim == 3 and len(result) == count and contract.stack != "across":
        return
    wanted = "(y, x)" if count == 1 else f"({count}, y, x)"
    raise ValueError(f"{name} returned shape {result.shape}, not {wanted}")


def _kind(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    return "nothing" if value is None else f"a {type(value).__name__}"

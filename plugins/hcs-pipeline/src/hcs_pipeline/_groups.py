"""Which planes belong to one call: the one rule that compiling and running share."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hcs_core.arrays import FunctionContract
from hcs_core.plates import Component
from hcs_pipeline._plan import PlannedStep

NO_Z = -1
"""The z of a projection that the instrument made: it belongs to no z plane."""


class Key(NamedTuple):
    """Which plane of a unit: dense numbers, 0 where a step's projection removed the component."""

    site: int
    channel: int
    z_index: int
    timepoint: int

    def collapsed(self, components: Iterable[Component]) -> Key:
        """Return the key after a projection over these components.

        A projection over sites keeps the first site, whose field it is written to.
        """
        return self._replace(**{name: 0 for name in components if name != "site"})


Group = tuple[Key, ...]
"""The planes of one call, ordered by the components that are stacked."""


@dataclass(frozen=True, slots=True)
class ChainShape:
    """What a chain takes and makes, as far as planes are concerned.

    Parameters
    ----------
    takes_image : bool
        Whether its first function takes the image; else it runs on labels.
    labels : tuple of str
        Steps whose labels it takes.
    makes_labels : bool
        Whether it draws labels.
    tables : tuple of (str, str or None)
        For each table that it makes, the function, and the step whose labels that
        function takes; None for labels of the chain itself, or for none.
    projects : bool
        Whether one of its functions joins the planes of a call into one.
    ends_in_image : bool
        Whether its image takes the place of the step's. A chain that ends in labels or a
        table leaves it as it was: what it did to the image was for its last function only.
    """

    takes_image: bool
    labels: tuple[str, ...]
    makes_labels: bool
    tables: tuple[tuple[str, str | None], ...]
    projects: bool
    ends_in_image: bool


def chain_shape(
    calls: Sequence[tuple[str, FunctionContract]],
    inputs: Mapping[str, str],
    variable: Sequence[str],
) -> ChainShape:
    """Return the shape of a chain.

    Parameters
    ----------
    calls : sequence of (str, FunctionContract)
        Its functions, by name and contract.
    inputs : Mapping of str to str
        Array argument to the step whose labels it takes.
    variable : sequence of str
        Components that the step stacks.
    """
    contracts = [contract for _, contract in calls]
    taken = [
        inputs[value.name]
        for contract in contracts
        for value in contract.inputs
        if value.kind == "labels" and value.name in inputs
    ]
    return ChainShape(
        takes_image=contracts[0].input_of_kind("image") is not None,
        labels=tuple(dict.fromkeys(taken)),
        makes_labels=any(contract.output_of_kind("labels") for contract in contracts),
        tables=tuple(
            (name, _labels_of(contract, inputs))
            for name, contract in calls
            if contract.output_of_kind("table")
        ),
        projects=bool(variable) and any(contract.stack == "across" for contract in contracts),
        ends_in_image=contracts[-1].output_of_kind("image") is not None,
    )


def groups(
    step: PlannedStep, numbers: tuple[int, ...] | None, keys: Iterable[Key]
) -> Iterator[Group]:
    """Yield the planes of each call: those that differ in stacked components only."""
    if numbers is not None and step.group_by is not None:
        keys = [key for key in keys if getattr(key, step.group_by) in numbers]
    apart = [name for name in Key._fields if name not in step.variable]
    found: dict[tuple[int, ...], list[Key]] = {}
    for key in sorted(keys):
        found.setdefault(tuple(getattr(key, name) for name in apart), []).append(key)
    yield from map(tuple, found.values())


def labels_key(planes: Collection[Key], key: Key) -> Key | None:
    """Return whose labels a plane takes: its own, or the one channel's there are; else None."""
    if key in planes:
        return key
    fitting = [other for other in planes if other._replace(channel=key.channel) == key]
    return fitting[0] if len(fitting) == 1 else None


def _labels_of(contract: FunctionContract, inputs: Mapping[str, str]) -> str | None:
    labels = contract.input_of_kind("labels")
    return None if labels is None else inputs.get(labels.name)

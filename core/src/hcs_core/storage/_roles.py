"""What a storage backend is: a source, a sink, or both."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, ClassVar, Literal, Self

from hcs_core.errors import CapabilityError, KeyExistsError, StorageError
from hcs_core.registry import AutoRegisterMeta, Registry
from hcs_core.storage._values import Region
from hcs_core.storage.atomic import access_error

Mode = Literal["create", "replace"]
"""Whether saving under a key that is taken is an error, or replaces the old value."""


class Capability(Flag):
    """What is optional within a role."""

    NONE = 0
    REGION = auto()
    DURABLE = auto()
    LOCAL_PATH = auto()


@dataclass(frozen=True, slots=True)
class Item:
    """A value and the key that it is saved under."""

    key: str
    value: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item of a batch."""

    key: str
    error: StorageError | None = None

    @property
    def ok(self) -> bool:
        """Whether the item was stored."""
        return self.error is None


def outcome_of(write: Callable[[], None], key: str, root: str | os.PathLike[str]) -> Outcome:
    """Write a value and return what became of it: what storage or the system refused is told."""
    try:
        write()
    except KeyExistsError:  # found at once, or when the name was to be taken
        return Outcome(key, KeyExistsError(key, str(root)))
    except StorageError as cause:
        return Outcome(key, cause)
    except OSError as cause:
        return Outcome(key, access_error(cause, key))
    return Outcome(key)


class Backend(ABC):
    """What sources and sinks have in common."""

    name: ClassVar[str]
    capabilities: ClassVar[Capability] = Capability.NONE

    def require(self, capability: Capability, purpose: str) -> None:
        """Raise `CapabilityError` unless the backend has this capability."""
        if capability not in self.capabilities:
            raise CapabilityError(self.name, purpose)


class DataSource(Backend):
    """A backend to read from."""

    @abstractmethod
    def load_batch(self, keys: Sequence[str], *, region: Region | None = None) -> list[Any]:
        """Return the values under these keys, in their order.

        Raises
        ------
        KeyNotFoundError
            If nothing is stored under one of them.
        CorruptDataError
            If what is stored is damaged.
        CapabilityError
            If a region is asked for and the backend reads whole values only.
        ShapeError
            If the region does not lie inside the array.
        """

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Return whether a value is stored under this key."""

    @abstractmethod
    def list(
        self, prefix: str = "", *, suffixes: tuple[str, ...] = (), recursive: bool = True
    ) -> Iterator[str]:
        """Yield the keys below `prefix` in natural order.

        Parameters
        ----------
        prefix : str
            A folder-like part of the keys; empty for all.
        suffixes : tuple of str
            Only keys with one of these endings, compared without case.
        recursive : bool
            Whether keys in folders below `prefix` are yielded too.
        """

    def load(self, key: str, *, region: Region | None = None) -> Any:
        """Return the value under one key; as `load_batch`."""
        return self.load_batch([key], region=region)[0]


class DataSink(Backend):
    """A backend to write to."""

    @abstractmethod
    def save_batch(
        self, items: Sequence[Item], *, mode: Mode = "create", durable: bool = False
    ) -> list[Outcome]:
        """Store several values; say of each what became of it.

        A failed item leaves the old value or nothing, and does not stop the others.

        Raises
        ------
        InvalidKeyError
            If a key is not usable or stands twice; nothing has been written then.
        """

    def save(self, key: str, value: Any, *, mode: Mode = "create", durable: bool = False) -> None:
        """Store one value; the item's error is raised."""
        (outcome,) = self.save_batch([Item(key, value)], mode=mode, durable=durable)
        if outcome.error is not None:
            raise outcome.error


STORAGE: Registry[type[StorageBackend]] = Registry("hcs.storage", api=1, doc="storage backends")
# A role of storage: a viewer's backend is a sink alone. Before its subclass, which would say more.
STORAGE.expect(Backend, attribute="name")


class StorageBackend(DataSource, DataSink, metaclass=AutoRegisterMeta, registry=STORAGE):
    """A backend to write to and to read the same values from."""

    @classmethod
    @abstractmethod
    def at(cls, root: str | os.PathLike[str]) -> Self:
        """Return a backend whose keys are relative to `root`, where it has places at all."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove the value under `key`.

        Raises
        ------
        KeyNotFoundError
            If there is none.
        """

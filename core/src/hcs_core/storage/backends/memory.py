"""Values in this process's memory, by key."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from hcs_core.arrays import empty
from hcs_core.errors import CapabilityError, KeyExistsError, KeyNotFoundError, UnsavableValueError
from hcs_core.storage._keys import check_key, check_keys
from hcs_core.storage._natural import natural_sort
from hcs_core.storage._roles import Capability, Item, Mode, Outcome, StorageBackend
from hcs_core.storage._values import Region, checked_array, checked_region


class MemoryBackend(StorageBackend):
    """A store that forgets when the process ends; it never shares a caller's memory.

    A saved value is copied, and an array is handed out as a read-only view, so that what
    is stored cannot be changed from outside.
    """

    name: ClassVar[str] = "memory"
    capabilities: ClassVar[Capability] = Capability.REGION

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    @classmethod
    def at(cls, root: str | os.PathLike[str]) -> Self:
        """Return an empty backend; memory has no places, so `root` is not used."""
        return cls()

    def load_batch(self, keys: Sequence[str], *, region: Region | None = None) -> list[Any]:
        """Return the values: arrays as read-only views, anything else as a copy."""
        return [self._load(check_key(key), region) for key in keys]

    def save_batch(
        self, items: Sequence[Item], *, mode: Mode = "create", durable: bool = False
    ) -> list[Outcome]:
        """Store copies of the values."""
        check_keys(item.key for item in items)
        if durable:
            self.require(Capability.DURABLE, "keep values when the process ends")
        return [self._save(item, mode) for item in items]

    def exists(self, key: str) -> bool:
        """Return whether a value is stored under this key."""
        return check_key(key) in self._values

    def list(
        self, prefix: str = "", *, suffixes: tuple[str, ...] = (), recursive: bool = True
    ) -> Iterator[str]:
        """Yield the keys below `prefix` in natural order."""
        start = f"{check_key(prefix)}/" if prefix else ""
        endings = tuple(suffix.lower() for suffix in suffixes) or ("",)
        for key in natural_sort(self._values):
            if not key.startswith(start) or not key.lower().endswith(endings):
                continue
            if recursive or "/" not in key.removeprefix(start):
                yield key

    def delete(self, key: str) -> None:
        """Remove the value under `key`."""
        if check_key(key) not in self._values:
            raise KeyNotFoundError(key, "memory")
        del self._values[key]

    def _load(self, key: str, region: Region | None) -> Any:
        if key not in self._values:
            raise KeyNotFoundError(key, "memory")
        value = self._values[key]
        if type(value) is np.ndarray:
            view = value if region is None else value[checked_region(region, value.shape)]
            return view.view()  # read-only, as the stored array
        if region is not None:
            raise CapabilityError(self.name, f"read a region of {key!r}, it is no array")
        return copy.deepcopy(value)

    def _save(self, item: Item, mode: Mode) -> Outcome:
        if mode == "create" and item.key in self._values:
            return Outcome(item.key, KeyExistsError(item.key, "memory"))
        try:
            self._values[item.key] = _copied(item)
        except UnsavableValueError as cause:
            return Outcome(item.key, cause)
        return Outcome(item.key)


def _copied(item: Item) -> Any:
    """Return a copy of the value that nobody else holds, of an array a read-only one."""
    value = item.value
    if isinstance(value, np.ndarray):
        stored = empty(value.shape, checked_array(value, item.key, "memory").dtype)
        stored[...] = value
        stored.flags.writeable = False
        return stored
    try:
        return copy.deepcopy(value)
    except Exception as cause:  # foreign code: a type decides itself how it is copied
        reason = f"{type(value).__name__} cannot be copied: {cause}"
        raise UnsavableValueError(item.key, "memory", reason) from cause

"""Zarr v3 arrays in a folder, one per key, through tensorstore."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from hcs_core.errors import (
    CorruptDataError,
    KeyExistsError,
    KeyNotFoundError,
    StorageError,
    StoreAccessError,
    UnsavableValueError,
)
from hcs_core.storage._keys import check_key, check_keys
from hcs_core.storage._natural import natural_sort
from hcs_core.storage._roles import Capability, Item, Mode, Outcome, Region, StorageBackend
from hcs_core.storage._zarr_array import create_array, open_array, read_array, savable

_METADATA = "zarr.json"


class ZarrBackend(StorageBackend):
    """A folder of Zarr v3 arrays with chunks of one plane; regions are read by themselves.

    Parameters
    ----------
    root : path
        The folder. It is made when the first array is saved.
    """

    name: ClassVar[str] = "zarr"
    capabilities: ClassVar[Capability] = Capability.REGION | Capability.LOCAL_PATH

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    @classmethod
    def at(cls, root: str | os.PathLike[str]) -> Self:
        """Return a backend for the folder `root`."""
        return cls(root)

    def load_batch(self, keys: Sequence[str], *, region: Region | None = None) -> list[Any]:
        """Return the arrays, or a region of each."""
        paths = [self.root / check_key(key) for key in keys]
        return [read_array(open_array(path), path, region) for path in paths]

    def save_batch(
        self, items: Sequence[Item], *, mode: Mode = "create", durable: bool = False
    ) -> list[Outcome]:
        """Write the arrays; each appears under its key when all of its chunks are written."""
        check_keys(item.key for item in items)
        if durable:
            self.require(Capability.DURABLE, "wait until an array is on the disk")
        return [self._save(item, mode) for item in items]

    def exists(self, key: str) -> bool:
        """Return whether there is an array under this key."""
        return _node_type(self.root / check_key(key)) == "array"

    def list(
        self, prefix: str = "", *, suffixes: tuple[str, ...] = (), recursive: bool = True
    ) -> Iterator[str]:
        """Yield the keys of the arrays below `prefix` in natural order."""
        start = self.root / check_key(prefix) if prefix else self.root
        found: list[str] = []
        for folder, below, _ in os.walk(start):
            path = Path(folder)
            if not recursive and path != start:
                below.clear()  # arrays right below the prefix are yielded, nothing deeper
            if path != start and _node_type(path) == "array":
                below.clear()  # only chunks lie below an array
                found.append(path.relative_to(self.root).as_posix())
        endings = suffixes or ("",)
        yield from natural_sort(key for key in found if key.lower().endswith(endings))

    def delete(self, key: str) -> None:
        """Remove the array under `key`."""
        path = self.root / check_key(key)
        if _node_type(path) != "array":
            raise KeyNotFoundError(key, str(self.root))
        shutil.rmtree(_renamed_away(path))

    def _save(self, item: Item, mode: Mode) -> Outcome:
        path = self.root / item.key
        try:
            if mode == "create" and path.exists():
                raise KeyExistsError(item.key, str(self.root))
            _write_whole(path, _checked(item))
        except StorageError as cause:
            return Outcome(item.key, cause)
        except OSError as cause:
            error = StoreAccessError(cause.errno or 0, cause.strerror or str(cause), str(path))
            return Outcome(item.key, error)
        return Outcome(item.key)


def _checked(item: Item) -> np.ndarray[Any, np.dtype[Any]]:
    value = item.value
    if not isinstance(value, np.ndarray) or not value.ndim:
        reason = f"needs an array of at least one axis, got {type(value).__name__}"
        raise UnsavableValueError(item.key, "Zarr", reason)
    if not savable(value.dtype):
        raise UnsavableValueError(item.key, "Zarr", f"dtype {value.dtype} is not one it can hold")
    return value


def _write_whole(path: Path, value: np.ndarray[Any, np.dtype[Any]]) -> None:
    """Write an array beside its place, then rename it there."""
    staged = path.with_name(f"{path.name}.hcs-tmp-{os.getpid()}-{secrets.token_hex(4)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        create_array(staged, value.shape, value.dtype).write(value).result()
        old = _renamed_away(path) if path.exists() else None
        os.rename(staged, path)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    if old is not None:
        shutil.rmtree(old)


def _renamed_away(path: Path) -> Path:
    """Give a folder a temporary name, so that no reader sees it half removed."""
    away = path.with_name(f"{path.name}.hcs-tmp-{os.getpid()}-{secrets.token_hex(4)}")
    os.rename(path, away)
    return away


def _node_type(path: Path) -> str | None:
    """Return ``"array"`` or ``"group"``, or None where there is no Zarr node."""
    try:
        document = json.loads((path / _METADATA).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as cause:
        raise CorruptDataError(str(path / _METADATA), "Zarr", str(cause)) from cause
    return str(document.get("node_type"))

"""Zarr v3 arrays in a folder, one per key, through tensorstore."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hcs_core.errors import InvalidKeyError, KeyExistsError, KeyNotFoundError
from hcs_core.storage._keys import Folder, check_keys
from hcs_core.storage._natural import natural_sort
from hcs_core.storage._roles import Capability, Item, Mode, Outcome, StorageBackend, outcome_of
from hcs_core.storage._values import Region, checked_pixels
from hcs_core.storage._zarr_array import (
    create_array,
    node_type,
    open_array,
    read_array,
    write_planes,
)
from hcs_core.storage.atomic import access_error, exchange, is_temporary, temporary_path

# A damaged array is there too: loading it says what is wrong, saving replaces it.
_IS_THERE = ("array", "damaged")


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
        self._folder = Folder(root)
        self.root = self._folder.root

    @classmethod
    def at(cls, root: str | os.PathLike[str]) -> Self:
        """Return a backend for the folder `root`."""
        return cls(root)

    def load_batch(self, keys: Sequence[str], *, region: Region | None = None) -> list[Any]:
        """Return the arrays, or a region of each."""
        return [self._load(key, region) for key in keys]

    def save_batch(
        self, items: Sequence[Item], *, mode: Mode = "create", durable: bool = False
    ) -> list[Outcome]:
        """Write the arrays; each appears under its key when all of its chunks are written."""
        check_keys(item.key for item in items)
        if durable:
            self.require(Capability.DURABLE, "wait until an array is on the disk")
        return [outcome_of(partial(self._save, item, mode), item.key, self.root) for item in items]

    def exists(self, key: str) -> bool:
        """Return whether there is an array under this key."""
        return node_type(self._folder.path(key)) in _IS_THERE

    def list(
        self, prefix: str = "", *, suffixes: tuple[str, ...] = (), recursive: bool = True
    ) -> Iterator[str]:
        """Yield the keys of the arrays below `prefix` in natural order."""
        start = self._folder.path(prefix) if prefix else self.root
        endings = tuple(suffix.lower() for suffix in suffixes) or ("",)
        found: list[str] = []
        for folder, below, _ in os.walk(start):
            path = Path(folder)
            below[:] = [name for name in below if not is_temporary(name)]
            if path == start:
                continue
            if not recursive:
                below.clear()  # arrays right below the prefix are yielded, nothing deeper
            if node_type(path) in _IS_THERE:
                below.clear()  # only chunks lie below an array
                found.append(path.relative_to(self.root).as_posix())
        yield from natural_sort(key for key in found if key.lower().endswith(endings))

    def delete(self, key: str) -> None:
        """Remove the array under `key`."""
        path = self._folder.path(key)
        if node_type(path) not in _IS_THERE:
            raise KeyNotFoundError(key, str(self.root))
        away = temporary_path(path)
        try:
            os.rename(path, away)  # so that no reader sees it half removed
            shutil.rmtree(away)
        except OSError as cause:
            raise access_error(cause, path) from cause

    def _load(self, key: str, region: Region | None) -> Any:
        path = self._folder.path(key)
        try:
            return read_array(open_array(path), path, region)
        except KeyNotFoundError as cause:
            raise KeyNotFoundError(key, str(self.root)) from cause

    def _save(self, item: Item, mode: Mode) -> None:
        value = checked_pixels(item.value, item.key, "Zarr")
        path = self._folder.path(item.key)
        self._check_place(item.key, path)
        if mode == "create" and node_type(path) in _IS_THERE:
            raise KeyExistsError(item.key, str(self.root))
        _write_whole(path, value, replace=mode == "replace")

    def _check_place(self, key: str, path: Path) -> None:
        """Refuse a key inside an array, and one that other arrays lie below."""
        if path.is_dir() and node_type(path) not in _IS_THERE and any(path.iterdir()):
            raise InvalidKeyError(key, "it is a group: other arrays lie below it")
        above = path.parent
        while above != self.root:
            if node_type(above) in _IS_THERE:
                raise InvalidKeyError(key, f"{above.name!r} is an array, it lies inside of that")
            above = above.parent


def _write_whole(path: Path, value: NDArray[Any], *, replace: bool) -> None:
    """Write an array beside its place, then give it its name in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(temporary_path(path))
    try:
        array = create_array(staged, value.shape, value.dtype, complete=True)
        planes = {at: value[at] for at in np.ndindex(value.shape[:-2])}
        write_planes(array, planes, staged)
        _publish(staged, path, replace=replace)
    finally:
        shutil.rmtree(staged, ignore_errors=True)  # what failed, or the old array


def _publish(staged: Path, path: Path, *, replace: bool) -> None:
    """Rename a folder to its place; afterwards the old one, if any, lies at `staged`."""
    try:
        os.rename(staged, path)  # refuses a folder that is not empty
    except OSError as cause:
        if cause.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES) or not path.is_dir():
            raise
        if not replace:
            raise KeyExistsError(path.name, str(path.parent)) from cause
    else:
        return
    if not exchange(staged, path):
        # Two steps where the system has no single one: killed between them, the old array
        # is still there under its temporary name.
        away = Path(temporary_path(path))
        os.rename(path, away)
        os.rename(staged, path)
        shutil.rmtree(away, ignore_errors=True)

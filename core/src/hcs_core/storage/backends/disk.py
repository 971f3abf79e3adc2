"""Files in a folder, each in the format of its extension, each written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self

from numpy.typing import NDArray

from hcs_core.errors import (
    CapabilityError,
    KeyExistsError,
    KeyNotFoundError,
    StorageError,
    UnknownFormatError,
    UnsavableValueError,
)
from hcs_core.storage._formats import FormatTable, ImageFormat
from hcs_core.storage._keys import Folder, check_key, check_keys
from hcs_core.storage._natural import natural_sort
from hcs_core.storage._roles import Capability, Item, Mode, Outcome, StorageBackend, outcome_of
from hcs_core.storage._values import Region
from hcs_core.storage.atomic import access_error, atomic_write, is_temporary, make_folders


class DiskBackend(StorageBackend):
    """A folder of files; keys are paths below it and cannot leave it.

    Parameters
    ----------
    root : path
        The folder. It is made when the first value is saved.
    """

    name: ClassVar[str] = "disk"
    capabilities: ClassVar[Capability] = Capability.DURABLE | Capability.LOCAL_PATH

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._folder = Folder(root)
        self.root = self._folder.root
        self._formats = FormatTable()

    def local_path(self, key: str) -> Path:
        """Return where the value under `key` lies.

        Raises
        ------
        InvalidKeyError
            If the key is not usable, or a link on the way leads out of the root.
        """
        return self._folder.path(key)

    @classmethod
    def at(cls, root: str | os.PathLike[str]) -> Self:
        """Return a backend for the folder `root`."""
        return cls(root)

    def load_batch(self, keys: Sequence[str], *, region: Region | None = None) -> list[Any]:
        """Return the values, each read by the format of its extension."""
        if region is not None:
            raise CapabilityError(self.name, "read a region of a file")
        return [self._load(key) for key in keys]

    def load_plane(self, key: str, *, page: int = 0) -> NDArray[Any]:
        """Return one page of an image file, shape (y, x), dtype and values as stored.

        Raises
        ------
        KeyNotFoundError, CorruptDataError
            As `load`.
        CapabilityError
            If the file's format holds no images.
        """
        image_format = self._formats.get(check_key(key))
        if not isinstance(image_format, ImageFormat):
            raise CapabilityError(self.name, f"read pixels from {key!r}")
        with self._opened(key) as file:
            return image_format.read_plane(file, page=page, path=key)

    def save_batch(
        self, items: Sequence[Item], *, mode: Mode = "create", durable: bool = False
    ) -> list[Outcome]:
        """Write the values, each to a file of its own that appears when it is complete."""
        check_keys(item.key for item in items)
        return [
            outcome_of(partial(self._save, item, mode, durable=durable), item.key, self.root)
            for item in items
        ]

    def exists(self, key: str) -> bool:
        """Return whether there is a file under this key."""
        return os.path.isfile(self._folder.path_to_read(key))

    def list(
        self, prefix: str = "", *, suffixes: tuple[str, ...] = (), recursive: bool = True
    ) -> Iterator[str]:
        """Yield the keys of the files below `prefix` in natural order."""
        start = self.local_path(prefix) if prefix else self.root
        endings = tuple(suffix.lower() for suffix in suffixes) or ("",)
        found: list[str] = []
        pending = [(str(start), prefix)]
        while pending:
            folder, key = pending.pop()
            for entry in _entries(folder):
                name = f"{key}/{entry.name}" if key else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if recursive:
                        pending.append((entry.path, name))
                elif entry.name.lower().endswith(endings) and self._is_value(entry):
                    found.append(name)
        yield from natural_sort(found)

    def delete(self, key: str) -> None:
        """Remove the file under `key`."""
        path = self.local_path(key)
        if not path.is_file():
            raise KeyNotFoundError(key, str(self.root))
        try:
            path.unlink()
        except FileNotFoundError as cause:
            raise KeyNotFoundError(key, str(self.root)) from cause
        except OSError as cause:
            raise access_error(cause, path) from cause

    def _is_value(self, entry: os.DirEntry[str]) -> bool:
        """Return whether a directory entry is a whole file that a key may lead to."""
        if is_temporary(entry.name) or not entry.is_file():
            return False
        return not entry.is_symlink() or self._folder.holds(entry.path)

    def _load(self, key: str) -> Any:
        file_format = self._formats.get(check_key(key))
        with self._opened(key) as file:
            return file_format.read(file, path=key)

    @contextmanager
    def _opened(self, key: str) -> Iterator[BinaryIO]:
        """Open the file under `key`; what the system refuses becomes our error."""
        path = self._folder.path_to_read(key)
        try:
            with open(path, "rb") as file:
                yield file
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as cause:
            raise KeyNotFoundError(key, str(self.root)) from cause
        except StorageError:
            raise
        except OSError as cause:
            raise access_error(cause, path) from cause

    def _save(self, item: Item, mode: Mode, *, durable: bool) -> None:
        try:
            file_format = self._formats.get(item.key)
        except UnknownFormatError as cause:
            raise UnsavableValueError(item.key, "a file", str(cause)) from cause
        path = self.local_path(item.key)
        if mode == "create" and path.exists():
            raise KeyExistsError(item.key, str(self.root))
        make_folders(path.parent, durable=durable)
        with atomic_write(path, replace=mode == "replace", durable=durable) as file:
            file_format.write(file, item.value, path=item.key)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:  # nothing is stored there yet
        return []
    except OSError as cause:
        raise access_error(cause, folder) from cause

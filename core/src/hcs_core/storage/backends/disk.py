"""Files in a folder, each in the format of its extension, each written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self

from numpy.typing import NDArray

from hcs_core.errors import (
    CapabilityError,
    InvalidKeyError,
    KeyExistsError,
    KeyNotFoundError,
    StorageError,
    StoreAccessError,
    UnknownFormatError,
    UnsavableValueError,
)
from hcs_core.storage._formats import FileFormat, ImageFormat, format_for
from hcs_core.storage._keys import check_key, check_keys
from hcs_core.storage._natural import natural_sort
from hcs_core.storage._roles import Capability, Item, Mode, Outcome, Region, StorageBackend
from hcs_core.storage.atomic import atomic_write


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
        self.root = Path(root)
        self._real_root = os.path.realpath(root)
        self._formats: dict[str, FileFormat] = {}

    def local_path(self, key: str) -> Path:
        """Return where the value under `key` lies.

        Raises
        ------
        InvalidKeyError
            If the key is not usable, or a link on the way leads out of the root.
        """
        path = self.root / check_key(key)
        # A link to a file is allowed only while it stays below the root.
        real = os.path.realpath(path)
        if os.path.commonpath([real, self._real_root]) != self._real_root:
            raise InvalidKeyError(key, f"it leads out of {self.root} through a link")
        return path

    @classmethod
    def at(cls, root: str | os.PathLike[str]) -> Self:
        """Return a backend for the folder `root`."""
        return cls(root)

    def load_batch(self, keys: Sequence[str], *, region: Region | None = None) -> list[Any]:
        """Return the values, each read by the format of its extension."""
        if region is not None:
            raise CapabilityError(self.name, "read a region of a file")
        values = []
        for key in keys:
            file_format = self._format(key)
            with self._open(key) as file:
                values.append(file_format.read(file, path=key))
        return values

    def load_plane(self, key: str, *, page: int = 0) -> NDArray[Any]:
        """Return one page of an image file, shape (y, x), dtype and values as stored.

        Raises
        ------
        KeyNotFoundError, CorruptDataError
            As `load`.
        CapabilityError
            If the file's format holds no images.
        """
        image_format = self._format(key)
        if not isinstance(image_format, ImageFormat):
            raise CapabilityError(self.name, f"read pixels from {key!r}")
        with self._open(key) as file:
            return image_format.read_plane(file, page=page, path=key)

    def save_batch(
        self, items: Sequence[Item], *, mode: Mode = "create", durable: bool = False
    ) -> list[Outcome]:
        """Write the values, each to a file of its own that appears when it is complete."""
        check_keys(item.key for item in items)
        return [self._save(item, mode, durable=durable) for item in items]

    def exists(self, key: str) -> bool:
        """Return whether there is a file under this key."""
        return self.local_path(key).is_file()

    def list(
        self, prefix: str = "", *, suffixes: tuple[str, ...] = (), recursive: bool = True
    ) -> Iterator[str]:
        """Yield the keys of the files below `prefix` in natural order."""
        start = self.local_path(prefix) if prefix else self.root
        found: list[str] = []
        pending = [(str(start), prefix)]
        while pending:
            folder, key = pending.pop()
            for entry in _entries(folder):
                name = f"{key}/{entry.name}".lstrip("/")
                if entry.is_dir(follow_symlinks=False):
                    if recursive:
                        pending.append((entry.path, name))
                elif not suffixes or entry.name.lower().endswith(suffixes):
                    found.append(name)
        yield from natural_sort(found)

    def delete(self, key: str) -> None:
        """Remove the file under `key`."""
        try:
            self.local_path(key).unlink()
        except FileNotFoundError as cause:
            raise KeyNotFoundError(key, str(self.root)) from cause
        except OSError as cause:
            raise _access_error(cause, key) from cause

    def _open(self, key: str) -> BinaryIO:
        try:
            return self.local_path(key).open("rb")
        except FileNotFoundError as cause:
            raise KeyNotFoundError(key, str(self.root)) from cause
        except OSError as cause:
            raise _access_error(cause, key) from cause

    def _save(self, item: Item, mode: Mode, *, durable: bool) -> Outcome:
        try:
            file_format = self._format(item.key)
            path = self.local_path(item.key)
            if mode == "create" and path.exists():
                raise KeyExistsError(item.key, str(self.root))
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path, replace=mode == "replace", durable=durable) as file:
                file_format.write(file, item.value, path=item.key)
        except UnknownFormatError as cause:
            return Outcome(item.key, UnsavableValueError(item.key, "a file", str(cause)))
        except StorageError as cause:
            return Outcome(item.key, cause)
        except OSError as cause:
            return Outcome(item.key, _access_error(cause, item.key))
        return Outcome(item.key)

    def _format(self, key: str) -> FileFormat:
        """Return the format of a key, looked up once per extension."""
        suffix = "".join(Path(key).suffixes[-2:]).lower()
        if suffix not in self._formats:
            self._formats[suffix] = format_for(key)
        return self._formats[suffix]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:  # nothing is stored there yet
        return []
    except OSError as cause:
        raise _access_error(cause, folder) from cause


def _access_error(cause: OSError, path: str) -> StoreAccessError:
    return StoreAccessError(cause.errno or 0, cause.strerror or str(cause), path)

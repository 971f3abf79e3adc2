"""A facade over the storage backends, by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hcs_core.storage._formats import image_suffixes
from hcs_core.storage._roles import STORAGE, Item, Mode, Outcome, StorageBackend


class FileManager:
    """Save and load by backend name; it has no behaviour of its own.

    Parameters
    ----------
    root : path
        The folder that keys of backends on disk are relative to.
    backends : Mapping of str to StorageBackend, optional
        Backends to use as they are; any other name is looked up in ``STORAGE`` and made
        for `root` when it is first used.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] = ".",
        backends: Mapping[str, StorageBackend] | None = None,
    ) -> None:
        self.root = Path(root)
        self._backends: dict[str, StorageBackend] = dict(backends or {})

    def backend(self, name: str) -> StorageBackend:
        """Return the one instance of a backend that this manager uses.

        Raises
        ------
        UnknownPluginError
            If no backend is called so.
        """
        if name not in self._backends:
            made = STORAGE[name].at(self.root)
            # setdefault: of two threads that get here at once, both use the same one.
            return self._backends.setdefault(name, made)
        return self._backends[name]

    def save(self, value: Any, path: str, backend: str = "disk", *, mode: Mode = "create") -> None:
        """Save one value under `path`."""
        self.backend(backend).save(path, value, mode=mode)

    def save_batch(
        self, items: Mapping[str, Any], backend: str = "disk", *, mode: Mode = "create"
    ) -> list[Outcome]:
        """Save several values, by path; say of each what became of it."""
        batch = [Item(path, value) for path, value in items.items()]
        return self.backend(backend).save_batch(batch, mode=mode)

    def load(self, path: str, backend: str = "disk") -> Any:
        """Return the value under `path`."""
        return self.backend(backend).load(path)

    def load_batch(self, paths: Sequence[str], backend: str = "disk") -> list[Any]:
        """Return the values under several paths, in their order."""
        return self.backend(backend).load_batch(paths)

    def exists(self, path: str, backend: str = "disk") -> bool:
        """Return whether a value is stored under `path`."""
        return self.backend(backend).exists(path)

    def delete(self, path: str, backend: str = "disk") -> None:
        """Remove the value under `path`."""
        self.backend(backend).delete(path)

    def list_files(
        self,
        folder: str = "",
        backend: str = "disk",
        *,
        suffixes: tuple[str, ...] = (),
        recursive: bool = False,
    ) -> list[str]:
        """Return the paths below `folder` in natural order."""
        store = self.backend(backend)
        return list(store.list(folder, suffixes=suffixes, recursive=recursive))

    def list_image_files(
        self, folder: str = "", backend: str = "disk", *, recursive: bool = False
    ) -> list[str]:
        """Return the paths of files of image formats below `folder` in natural order."""
        return self.list_files(folder, backend, suffixes=image_suffixes(), recursive=recursive)

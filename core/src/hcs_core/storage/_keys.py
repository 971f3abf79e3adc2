"""Keys: relative, '/'-joined names that can never leave the root of their store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from hcs_core.errors import InvalidKeyError


def check_key(key: str) -> str:
    """Return `key` if it names a place below a store's root.

    Raises
    ------
    InvalidKeyError
        If it is empty, absolute, or has a part that is empty, ``.`` or ``..``.
    """
    if not isinstance(key, str):  # a Path, say: its separators depend on the system
        raise InvalidKeyError(repr(key), "it is no text")
    if not key:
        raise InvalidKeyError(key, "it is empty")
    if "\0" in key or "\\" in key:
        raise InvalidKeyError(key, "it holds a backslash or a zero byte; parts are joined by '/'")
    if key[0] == "/" or (key[1:2] == ":" and key[0].isalpha()):
        raise InvalidKeyError(key, "it is absolute; keys are relative to the store's root")
    # Windows takes ".. " for "..", so a part needs more than dots and spaces.
    if any(not part.strip(". ") for part in key.split("/")):
        raise InvalidKeyError(key, "it has an empty part, '.' or '..'")
    return key


def check_keys(keys: Iterable[str]) -> Sequence[str]:
    """Return the keys of a batch, each checked, none twice.

    Raises
    ------
    InvalidKeyError
        If one is not usable or stands twice; nothing has been written then.
    """
    checked = [check_key(key) for key in keys]
    seen: set[str] = set()
    for key in checked:
        if key in seen:
            raise InvalidKeyError(key, "it stands twice in one batch")
        seen.add(key)
    return checked


class Folder:
    """A folder whose keys lead to places below it, links or not.

    Parameters
    ----------
    root : path
        The folder; it need not exist yet. A later change of the working directory does
        not move it.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root).absolute()
        self._inside: set[str] = set()
        self._real: str | None = None

    def path(self, key: str) -> Path:
        """Return where `key` lies.

        Raises
        ------
        InvalidKeyError
            If the key is not usable, or a link on the way leads out of the folder.
        """
        path = self.root / check_key(key)
        self._check_inside(os.fspath(path), key)
        return path

    def path_to_read(self, key: str) -> str:
        """Return the same for reading, with the way to a folder followed only once.

        Following every link again costs as much as opening the file. So a folder that
        is replaced by a link later, while it is being read from, is not noticed.
        """
        folder = check_key(key).rpartition("/")[0]
        if folder not in self._inside:
            self._check_inside(f"{self.root}/{folder}", key)
            self._inside.add(folder)
        path = f"{self.root}/{key}"
        if os.path.islink(path):
            self._check_inside(path, key)
        return path

    def holds(self, path: str) -> bool:
        """Return whether `path` leads to a place below the folder."""
        root = self._real_root()
        try:
            return os.path.commonpath([os.path.realpath(path), root]) == root
        except ValueError:  # two drives of Windows
            return False

    def _real_root(self) -> str:
        """Return the root without links, found once: it is what keys are measured by."""
        if self._real is None:
            real = os.path.realpath(self.root)
            if not os.path.isdir(real):
                return real  # whoever makes it may still make it a link
            self._real = real
        return self._real

    def _check_inside(self, path: str, key: str) -> None:
        if not self.holds(path):
            raise InvalidKeyError(key, f"it leads out of {self.root} through a link")

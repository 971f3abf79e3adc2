"""What lies in a plate's folder: listed once, shared by all readers, no file opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hcs_core.errors import PlateNotFoundError
from hcs_core.storage import natural_sort

# DATE/ID/TimePoint_n/ZStep_n below the folder that a user names is the deepest in use.
MAX_DEPTH = 5
# Left by file managers and by copies from one system to another; never part of a plate.
_SYSTEM_NAMES = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True, slots=True)
class Listing:
    """The files below one folder, by subfolder.

    Parameters
    ----------
    root : Path
        The folder.
    folders : Mapping of str to tuple of str
        Relative folder (``""`` is the root, ``/`` between parts) to the names of the
        files in it, as the system lists them.
    ignored : Mapping of str to int
        How many entries were left out, by reason: ``system``, ``hidden``, ``link``, and
        ``special``, which is neither file nor folder.
    """

    root: Path
    folders: Mapping[str, tuple[str, ...]]
    ignored: Mapping[str, int]

    @classmethod
    def scan(cls, root: str | os.PathLike[str], *, depth: int = MAX_DEPTH) -> Listing:
        """List `root` and `depth` levels below it, without opening or `stat`-ing a file.

        Links are not followed: they may lead out of the plate or in a circle. FIFOs, sockets
        and devices are left out: who opens one may wait forever.

        Raises
        ------
        PlateNotFoundError
            If the folder, or one below it, is not there or cannot be listed.
        """
        path = Path(root)
        folders: dict[str, tuple[str, ...]] = {}
        ignored: Counter[str] = Counter()
        pending = [("", 0)]
        while pending:
            relative, level = pending.pop()
            files, below = _list_folder(path, relative, ignored)
            folders[relative] = files
            if level < depth:
                pending += [(name, level + 1) for name in below]
        ordered = {name: folders[name] for name in natural_sort(folders)}
        return cls(path, ordered, dict(ignored))

    @property
    def file_count(self) -> int:
        """How many files there are, the ignored ones left out."""
        return sum(map(len, self.folders.values()))

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield (folder, name) of every file."""
        for folder, names in self.folders.items():
            for name in names:
                yield folder, name

    def examples(self, most: int = 3) -> tuple[str, ...]:
        """Return a few file names, for an error that says what was found."""
        names = (f"{folder}/{name}".lstrip("/") for folder, name in self.files())
        return tuple(name for name, _ in zip(names, range(most), strict=False))


def _list_folder(
    root: Path, relative: str, ignored: Counter[str]
) -> tuple[tuple[str, ...], list[str]]:
    """Return the file names and the subfolders of one folder."""
    files: list[str] = []
    below: list[str] = []
    try:
        with os.scandir(root / relative) as entries:
            # Runs for every file of a plate: no call that a plain TIFF does not need.
            for entry in entries:
                name = entry.name
                if name[0] == ".":
                    ignored["hidden"] += 1
                elif entry.is_file(follow_symlinks=False):
                    if name.lower() in _SYSTEM_NAMES:
                        ignored["system"] += 1
                    else:
                        files.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    below.append(f"{relative}/{name}".lstrip("/"))
                else:
                    ignored["link" if entry.is_symlink() else "special"] += 1
    except OSError as cause:
        reason = cause.strerror or str(cause)
        raise PlateNotFoundError(str(root / relative), reason) from cause
    return tuple(files), below

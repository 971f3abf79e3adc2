"""An opened plate: its index, its metadata, and its pixels through storage."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays import empty
from hcs_core.errors import CorruptDataError, DamagedPlaneError, MissingPlaneError, StorageError
from hcs_core.plates._components import COMPONENTS, Component, normal_well
from hcs_core.plates._index import OK, Channel, PlateIndex
from hcs_core.plates._reader import PlateMetadata, PlateReader
from hcs_core.storage.backends.disk import DiskBackend


class Plate:
    """One plate, opened for reading; nothing is ever written into its folder.

    Parameters
    ----------
    reader : PlateReader
        The reader that recognised it.
    index : PlateIndex
        Its planes.
    """

    def __init__(self, reader: PlateReader, index: PlateIndex) -> None:
        self._reader = reader
        self.index = index
        self._store = DiskBackend(reader.root)

    @property
    def root(self) -> Path:
        """The plate's folder."""
        return self._reader.root

    @property
    def format(self) -> str:
        """The key of the reader that opened it."""
        return self._reader.format

    @cached_property
    def metadata(self) -> PlateMetadata:
        """What the vendor's files say of the plate; opens one image per channel at most."""
        return self._reader.metadata()

    @property
    def wells(self) -> tuple[str, ...]:
        """Names of the wells that have planes, in plate order."""
        return self.index.wells

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels."""
        return self.index.channels

    def select(
        self,
        *,
        well: str | None = None,
        site: str | None = None,
        channel: str | None = None,
        z_index: str | None = None,
        timepoint: str | None = None,
    ) -> NDArray[np.intp]:
        """Return the rows of the index that have all of these labels.

        Raises
        ------
        LookupError
            If the plate has no such label.
        """
        asked = {
            "well": well,
            "site": site,
            "channel": channel,
            "z_index": z_index,
            "timepoint": timepoint,
        }
        keep = np.ones(len(self.index), dtype=bool)
        for component in COMPONENTS:
            label = asked[component]
            if label is not None:
                keep &= self.index.column(component) == self._number(component, label)
        return np.flatnonzero(keep)

    def read(self, row: int) -> NDArray[Any]:
        """Return the pixels of one row, shape (y, x), dtype and values as stored.

        Raises
        ------
        MissingPlaneError
            If the row has no file, or the file is gone.
        DamagedPlaneError
            If the file cannot be read completely; no pixel is filled in.
        """
        plane: NDArray[Any] = self.read_stack([row])[0]
        return plane

    def read_stack(self, rows: Sequence[int] | NDArray[np.intp]) -> NDArray[Any]:
        """Return the pixels of several rows, shape (n, y, x), in one aligned buffer.

        Raises
        ------
        MissingPlaneError, DamagedPlaneError
            As `read`; also when the planes differ in shape or dtype.
        """
        stack: NDArray[Any] | None = None
        for position, row in enumerate(rows):
            plane = self._read_file(int(row))
            if stack is None:
                if len(rows) == 1:
                    return plane[np.newaxis]
                stack = empty((len(rows), *plane.shape), plane.dtype)
            self._check_same(plane, stack, int(row))
            stack[position] = plane
        if stack is None:
            raise ValueError("no rows were given")
        return stack

    def _read_file(self, row: int) -> NDArray[Any]:
        index = self.index
        file = index.file(row)
        if index.status[row] != OK or not file:
            raise MissingPlaneError(index.describe(row), file)
        try:
            plane = self._store.load_plane(file, page=int(index.page[row]))
        except FileNotFoundError as cause:
            raise MissingPlaneError(index.describe(row), file) from cause
        except CorruptDataError as cause:
            raise DamagedPlaneError(index.describe(row), file, cause.reason) from cause
        except StorageError as cause:
            raise DamagedPlaneError(index.describe(row), file, str(cause)) from cause
        return plane

    def _check_same(self, plane: NDArray[Any], stack: NDArray[Any], row: int) -> None:
        if plane.shape == stack.shape[1:] and plane.dtype == stack.dtype:
            return
        reason = (
            f"it is {plane.shape} {plane.dtype}, the planes before it are "
            f"{stack.shape[1:]} {stack.dtype}"
        )
        raise DamagedPlaneError(self.index.describe(row), self.index.file(row), reason)

    def _number(self, component: Component, label: str) -> int:
        if component == "channel":
            channel = self.index.find_channel(label)
            if channel is not None:
                return channel.index
        labels = self.index.labels(component)
        if component == "well":
            with suppress(ValueError):  # a word that names no well is none of them
                label = normal_well(label)
        if label in labels:
            return labels.index(label)
        known = ", ".join(labels)
        raise LookupError(f"the plate has no {component} {label!r} (available: {known})")

"""The planes of a plate as columns: no Python object per plane."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hcs_core.plates._components import COMPONENTS, Component

Status = Literal["ok", "missing", "error", "skipped", "unindexed"]
STATUSES: tuple[Status, ...] = get_args(Status)
"""What is known of a plane's file; the index stores the position in this tuple.

``ok`` listed, ``missing`` expected and not there, ``error`` the instrument reported a
failure, ``skipped`` the metadata names no file, ``unindexed`` on disk but not in the
metadata. Whether a file can be decoded is found out when it is read.
"""
OK, MISSING = STATUSES.index("ok"), STATUSES.index("missing")
NO_Z = -1


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel: our dense number, the vendor's label, and its name where one is known."""

    index: int
    label: str
    name: str | None = None

    @property
    def title(self) -> str:
        """What a person calls it: the name, or else the label."""
        return self.name or self.label


@dataclass(frozen=True, slots=True, eq=False)
class PlateIndex:
    """Which planes a plate has, one row each, sorted by well, site, channel, z, timepoint.

    Parameters
    ----------
    wells : tuple of str
        Well names in plate order; the `well` column points here.
    sites, z_indexes, timepoints : tuple of str
        The vendor's labels, naturally sorted; the columns hold positions in them.
    channels : tuple of Channel
        The channels in natural order of their labels.
    folders : tuple of str
        Folders relative to the plate, ``/`` between parts.
    well, site, channel, z_index, timepoint : array, shape (planes,), int32
        Dense zero-based numbers; `z_index` is -1 for a projection.
    projection : array, shape (planes,), bool
        Whether the instrument projected a stack into this plane.
    status : array, shape (planes,), uint8
        Position in ``STATUSES``.
    folder : array, shape (planes,), int32
        Position in `folders`.
    name : array, shape (planes,), str
        File name; empty where there is no file.
    page : array, shape (planes,), int32
        Page within the file.
    ignored : Mapping of str to int
        Files that are no planes, counted by reason.
    errors : tuple of str
        What the instrument or the metadata reported as wrong.
    """

    wells: tuple[str, ...]
    sites: tuple[str, ...]
    channels: tuple[Channel, ...]
    z_indexes: tuple[str, ...]
    timepoints: tuple[str, ...]
    folders: tuple[str, ...]
    well: NDArray[np.int32]
    site: NDArray[np.int32]
    channel: NDArray[np.int32]
    z_index: NDArray[np.int32]
    timepoint: NDArray[np.int32]
    projection: NDArray[np.bool_]
    status: NDArray[np.uint8]
    folder: NDArray[np.int32]
    name: NDArray[np.str_]
    page: NDArray[np.int32]
    ignored: Mapping[str, int] = field(default_factory=dict)
    errors: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.well)

    def column(self, component: Component) -> NDArray[np.int32]:
        """Return the dense numbers of one component, shape (planes,)."""
        column: NDArray[np.int32] = getattr(self, component)
        return column

    def labels(self, component: Component) -> tuple[str, ...]:
        """Return what a person calls the values of one component, by dense number."""
        if component == "channel":
            return tuple(channel.label for channel in self.channels)
        attribute = {
            "well": "wells",
            "site": "sites",
            "z_index": "z_indexes",
            "timepoint": "timepoints",
        }[component]
        labels: tuple[str, ...] = getattr(self, attribute)
        return labels

    def file(self, row: int) -> str:
        """Return the file of one row, relative to the plate; empty when it has none."""
        name = str(self.name[row])
        return f"{self.folders[self.folder[row]]}/{name}".lstrip("/") if name else ""

    def describe(self, row: int) -> str:
        """Return one row in the vendor's words: ``B02, site 1, channel w2, z 3, ...``."""
        z = self.z_index[row]
        parts = [
            self.wells[self.well[row]],
            f"site {self.sites[self.site[row]]}",
            f"channel {self.channels[self.channel[row]].label}",
            "projection" if z == NO_Z else f"z {self.z_indexes[z]}",
            f"timepoint {self.timepoints[self.timepoint[row]]}",
        ]
        return ", ".join(parts)

    def counts(self) -> dict[Status, int]:
        """Return how many z planes have each status; projections are not counted."""
        planes = self.status[~self.projection]
        numbers = np.bincount(planes, minlength=len(STATUSES))
        return {status: int(numbers[i]) for i, status in enumerate(STATUSES)}

    def find_channel(self, key: str) -> Channel | None:
        """Return the channel with this label, or else with this name; None if there is none."""
        by_label = next((c for c in self.channels if c.label == key), None)
        return by_label or next((c for c in self.channels if c.name == key), None)

    def order_by(self, components: Sequence[Component]) -> NDArray[np.intp]:
        """Return the rows sorted by these components first, then by the others."""
        rest = [component for component in COMPONENTS if component not in components]
        keys = [self.column(component) for component in (*components, *rest)]
        return np.lexsort(keys[::-1])

    def fingerprint(self) -> str:
        """Return a hash of all planes and files, the same on every machine."""
        digest = hashlib.sha256()
        for words in (self.wells, self.sites, self.z_indexes, self.timepoints, self.folders):
            digest.update(json.dumps(words).encode())
        digest.update(json.dumps([(c.label, c.name) for c in self.channels]).encode())
        for component in COMPONENTS:
            digest.update(self.column(component).astype("<i4").tobytes())
        digest.update(self.status.tobytes())
        digest.update(self.folder.astype("<i4").tobytes())
        digest.update(self.page.astype("<i4").tobytes())
        # A name that is not UTF-8 has lone surrogates (PEP 383).
        digest.update("\0".join(self.name.tolist()).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

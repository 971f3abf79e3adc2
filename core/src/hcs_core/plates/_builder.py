"""Collect the planes of a plate and make the sorted, checked index of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.errors import DuplicatePlanesError
from hcs_core.plates._components import COMPONENTS, column_of_well, normal_well, row_of_well
from hcs_core.plates._index import MISSING, NO_Z, OK, Channel, PlateIndex
from hcs_core.storage import natural_sort

Labels = str | Sequence[str | None] | None
Keys = NDArray[np.int64]


class IndexBuilder:
    """Collects planes in batches, as a reader finds them, and makes the index of them.

    Parameters
    ----------
    root : str
        The plate's folder, for errors.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._batches: list[tuple[int, dict[str, Labels]]] = []
        self._names: list[str] = []
        self._pages: list[NDArray[np.int32]] = []
        self.ignored: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._names)

    def extend(
        self,
        *,
        names: Sequence[str],
        folder: str | Sequence[str],
        well: str | Sequence[str],
        site: str | Sequence[str] = "1",
        channel: str | Sequence[str] = "1",
        z_index: Labels = "1",
        timepoint: str | Sequence[str] = "1",
        page: int | Sequence[int] = 0,
    ) -> None:
        """Add planes by the vendor's labels.

        Parameters
        ----------
        names : sequence of str
            File name of each plane.
        folder, well, site, channel, z_index, timepoint : str, or sequence of str
            One label for all of them, or one for each; ``z_index=None`` marks a
            projection. ``b2`` and ``B02`` are the same well.
        page : int, or sequence of int
            Page within the file.

        Raises
        ------
        ValueError
            If a sequence has another length than `names`.
        """
        labels: dict[str, Labels] = {
            "well": well,
            "site": site,
            "channel": channel,
            "z_index": z_index,
            "timepoint": timepoint,
            "folder": folder,
        }
        for name, label in labels.items():
            if not _is_one(label) and len(label or "") != len(names):
                raise ValueError(f"{len(names)} names, but {len(label or '')} labels of {name}")
        self._batches.append((len(names), labels))
        self._names += names
        self._pages.append(np.broadcast_to(np.asarray(page, np.int32), (len(names),)))

    def build(
        self,
        *,
        channel_names: Mapping[str, str] | None = None,
        ignored: Mapping[str, int] | None = None,
        errors: Iterable[str] = (),
        expect_complete: bool = True,
        expect_all_sites: bool = False,
    ) -> PlateIndex:
        """Return the index of what was added.

        Parameters
        ----------
        channel_names : Mapping of str to str, optional
            Names of channels, by label.
        ignored : Mapping of str to int, optional
            Entries that the listing left out already, added to ours.
        errors : iterable of str
            What the metadata reported as wrong.
        expect_complete : bool
            Add a row of status ``missing`` for every (channel, z, timepoint) that other
            fields of the plate have and a field lacks. Fields that have no plane at all
            are not invented: plates are sparse.
        expect_all_sites : bool
            The metadata says that every well has the same sites: then a site that other
            wells have and one lacks is missing too.

        Raises
        ------
        DuplicatePlanesError
            If two files have the same well, site, channel, z and timepoint.
        """
        labels, columns = self._dense()
        grid = _Grid(*(len(labels[component]) for component in COMPONENTS))
        key = grid.key(columns)
        order = np.argsort(key, kind="stable")
        key = key[order]
        lacking = grid.lacking(key, expect_all_sites) if expect_complete else key[:0]
        parts = self._files(columns["folder"], order, len(lacking))
        if lacking.size:
            key = np.concatenate([key, lacking])
            again = np.argsort(key, kind="stable")
            key, parts = key[again], {name: part[again] for name, part in parts.items()}
        counted = self.ignored + Counter(ignored or {})
        fields: dict[str, Any] = _words(labels, channel_names or {})
        fields |= _read_only(grid.columns(key) | parts)
        index = PlateIndex(**fields, ignored=dict(counted), errors=tuple(errors))
        _refuse_duplicates(index, key, self._root)
        return index

    def _dense(self) -> tuple[dict[str, tuple[str, ...]], dict[str, NDArray[np.int32]]]:
        """Return the labels of each component in order, and each plane's position in them."""
        labels: dict[str, tuple[str, ...]] = {}
        columns: dict[str, NDArray[np.int32]] = {}
        for name in (*COMPONENTS, "folder"):
            batches = [(count, batch[name]) for count, batch in self._batches]
            labels[name], columns[name] = _dense_column(batches, is_well=name == "well")
        return labels, columns

    def _files(
        self, folder: NDArray[np.int32], order: NDArray[np.intp], missing: int
    ) -> dict[str, NDArray[Any]]:
        """Return the columns that are not part of a plane's key, `missing` empty rows last."""
        pages = np.concatenate([*self._pages, np.empty(0, np.int32)])
        names = [self._names[row] for row in order.tolist()]
        none = np.zeros(missing, np.int32)
        return {
            "folder": np.concatenate([folder[order], none]),
            "name": np.array(names + [""] * missing, np.str_),
            "page": np.concatenate([pages[order], none]),
            "status": np.repeat(np.array([OK, MISSING], np.uint8), [len(names), missing]),
        }


class _Grid:
    """All places a plane could have, numbered in the order of an index.

    One int64 for each plane sorts, compares and subtracts many times faster than five
    columns do.
    """

    def __init__(self, wells: int, sites: int, channels: int, z_indexes: int, timepoints: int):
        self._sites = max(sites, 1)
        self._shape = (
            max(wells, 1),
            self._sites,
            max(channels, 1),
            z_indexes + 1,  # a projection has number NO_Z and comes first
            max(timepoints, 1),
        )
        self._kinds = self._shape[2] * self._shape[3] * self._shape[4]

    def key(self, columns: Mapping[str, NDArray[np.int32]]) -> Keys:
        """Return the place of each plane."""
        key = np.zeros(len(columns["well"]), np.int64)
        for component, size in zip(COMPONENTS, self._shape, strict=True):
            key *= size
            key += columns[component]
            if component == "z_index":
                key -= NO_Z
        return key

    def columns(self, key: Keys) -> dict[str, NDArray[Any]]:
        """Return the component columns of planes at these places."""
        columns: dict[str, NDArray[Any]] = {}
        rest = key
        for component, size in reversed([*zip(COMPONENTS, self._shape, strict=True)]):
            rest, number = np.divmod(rest, size)
            columns[component] = number.astype(np.int32)
        columns["z_index"] += NO_Z
        columns["projection"] = columns["z_index"] == NO_Z
        return columns

    def lacking(self, key: Keys, expect_all_sites: bool) -> Keys:
        """Return the places that have no plane, although other fields have such a plane.

        A projection that some fields lack is no lost data, so only z planes are expected.
        """
        planes = key[self._z(key) > 0]
        kinds = np.unique(planes % self._kinds)
        fields = np.unique(key // self._kinds)
        if expect_all_sites:
            wells, sites = np.unique(fields // self._sites), np.unique(fields % self._sites)
            fields = (wells[:, np.newaxis] * self._sites + sites).ravel()
        if len(fields) * len(kinds) == len(planes):
            return key[:0]
        expected = (fields[:, np.newaxis] * self._kinds + kinds).ravel()
        return np.setdiff1d(expected, planes, assume_unique=True)

    def _z(self, key: Keys) -> Keys:
        z: Keys = key // self._shape[4] % self._shape[3]
        return z


def _is_one(label: Labels) -> bool:
    return label is None or isinstance(label, str)


def _dense_column(
    batches: Sequence[tuple[int, Labels]], *, is_well: bool
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the different labels in order, and each plane's position in them; None is -1."""
    used: set[str | None] = set()
    for _, label in batches:
        used.update([label] if isinstance(label, str) else label or ())
    ordered, number = _number([word for word in used if word is not None], is_well=is_well)
    parts = [np.empty(0, np.int32)]
    for count, label in batches:
        each = repeat(label, count) if label is None or isinstance(label, str) else label
        parts.append(np.fromiter(map(number.__getitem__, each), np.int32, count))
    return ordered, np.concatenate(parts)


def _number(
    words: Sequence[str], *, is_well: bool
) -> tuple[tuple[str, ...], dict[str | None, int]]:
    """Return the labels in order, and the position of each word in them."""
    label = {word: normal_well(word) if is_well else word for word in words}
    different = set(label.values())
    ordered = sorted(different, key=_place_on_plate) if is_well else natural_sort(different)
    position = {name: i for i, name in enumerate(ordered)}
    return tuple(ordered), {None: NO_Z} | {word: position[label[word]] for word in words}


def _place_on_plate(well: str) -> tuple[int, int]:
    # Natural order would put AA01 before B01.
    return row_of_well(well), column_of_well(well)


def _words(
    labels: Mapping[str, tuple[str, ...]], channel_names: Mapping[str, str]
) -> dict[str, Any]:
    """Return the fields of an index that hold words."""
    return {
        "wells": labels["well"],
        "sites": labels["site"],
        "channels": tuple(
            Channel(i, label, channel_names.get(label)) for i, label in enumerate(labels["channel"])
        ),
        "z_indexes": labels["z_index"],
        "timepoints": labels["timepoint"],
        "folders": labels["folder"],
    }


def _read_only(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    for column in columns.values():
        column.flags.writeable = False
    return columns


def _refuse_duplicates(index: PlateIndex, key: Keys, root: str) -> None:
    same = np.flatnonzero(key[1:] == key[:-1])
    if same.size:
        first = int(same[0])
        files = tuple(sorted((index.file(first), index.file(first + 1))))
        raise DuplicatePlanesError(root, index.describe(first), files, len(np.unique(key[same])))

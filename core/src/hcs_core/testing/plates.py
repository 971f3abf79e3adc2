"""What every plate reader must hold: inherit `PlateReaderTests`, give it a reader and a plate."""

from __future__ import annotations

import math
import pickle
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from hcs_core.errors import DamagedPlaneError
from hcs_core.plates import (
    COMPONENTS,
    MICROSCOPES,
    STATUSES,
    Evidence,
    Listing,
    Plate,
    PlateIndex,
    PlateMetadata,
    PlateReader,
    normal_well,
    open_plate,
)
from hcs_core.storage import natural_sort
from hcs_core.testing._opened_files import opened_files
from hcs_core.testing._samples import is_one_line, same

KEY = re.compile(r"[a-z0-9]+([-_.][a-z0-9]+)*")
_OK, _MISSING = STATUSES.index("ok"), STATUSES.index("missing")
_PROJECTION = -1
_FOREIGN_FILES = ("notes.txt", "photo.jpg", "analysis/measure.py", "analysis/results.csv")
_ODD_FOLDERS = ("two words", "Zellkerne µm 核", "[1-9] (copy) {0}", "100%25 #1")


class _Blind(PlateReader):
    """Sees no plate: takes the place of the other readers that are installed."""

    format: ClassVar[str] = "blind"

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        return None

    def index(self) -> PlateIndex:
        raise AssertionError("it was asked for a plate that it does not know")

    def metadata(self) -> PlateMetadata:
        raise AssertionError("it was asked for a plate that it does not know")


class PlateReaderTests:
    """Tests that a plate reader passes, whatever the plates are.

    Subclass it in a test module, and give it `reader` and the fixture `plate_folder`: the
    folder of a plate that the reader reads, whole and undamaged. The plate should have at
    least two sites with two planes each; a few small ones are enough, and the suite copies
    the folder several times. What is known of the plate goes into the attributes below.

    Examples
    --------
    >>> class TestMyReader(PlateReaderTests):
    ...     reader = MyReader
    ...     wells = ("A01", "B02")
    ...
    ...     @pytest.fixture
    ...     def plate_folder(self, tmp_path):
    ...         return write_a_plate(tmp_path / "plate")
    """

    reader: ClassVar[type[PlateReader]]
    wells: ClassVar[tuple[str, ...] | None] = None
    """The wells of the plate; None where they are not to be checked, as for all that follow."""
    sites: ClassVar[tuple[str, ...] | None] = None
    channels: ClassVar[tuple[tuple[str, str | None], ...] | None] = None
    """Label and name of each channel."""
    z_indexes: ClassVar[tuple[str, ...] | None] = None
    timepoints: ClassVar[tuple[str, ...] | None] = None
    counts: ClassVar[Mapping[str, int] | None] = None
    """How many planes have each status; a status that is left out has none."""
    facts: ClassVar[Mapping[str, Any] | None] = None
    """Attributes of the metadata: ``{"pixel_size_um": (0.65, 0.65)}``."""
    marker_files: ClassVar[int] = 1
    """How many files `detect` may open at most."""
    most_planes_read: ClassVar[int] = 100
    """How many planes are read to see that the plate's planes can be; spread over the plate."""
    reports_missing_planes: ClassVar[bool] = True
    """Whether a plane that other sites have and one lacks has a row; say why not in the
    reader's docstring."""

    @pytest.fixture
    def plate_folder(self) -> Path:
        """Return the folder of a plate that the reader reads."""
        raise NotImplementedError("a subclass gives the folder")

    @pytest.fixture
    def folder(self, plate_folder: Path) -> Path:
        """Return the folder as `open_plate` gives it to the reader."""
        return plate_folder.resolve()

    @pytest.fixture
    def copy(self, folder: Path, tmp_path: Path) -> Path:
        """Return a copy of the plate, to break."""
        return _copied(folder, tmp_path / "a copy to break")

    def test_its_format_is_a_key(self) -> None:
        assert isinstance(self.reader.format, str)
        assert KEY.fullmatch(self.reader.format), self.reader.format
        assert self.reader.looks_for == "" or is_one_line(self.reader.looks_for)

    def test_it_is_registered_under_its_format(self) -> None:
        value = f"{self.reader.__module__}:{self.reader.__qualname__}"
        keys = [info.key for info in MICROSCOPES.infos() if info.value == value]
        assert keys in ([], [self.reader.format])

    def test_it_finds_its_own_module_again_in_another_process(self) -> None:
        assert pickle.loads(pickle.dumps(self.reader)) is self.reader  # noqa: S301 - made here

    def test_it_says_why_its_own_plate_is_one(self, folder: Path) -> None:
        evidence = self.reader.detect(Listing.scan(folder))
        assert isinstance(evidence, Evidence)
        assert 0 < evidence.confidence <= 1
        assert is_one_line(evidence.reason)

    def test_an_empty_folder_is_no_plate(self, tmp_path: Path) -> None:
        empty = tmp_path / "an empty folder"
        (empty / "another one").mkdir(parents=True)
        assert self.reader.detect(Listing.scan(empty)) is None

    def test_a_folder_of_other_files_is_no_plate(self, tmp_path: Path) -> None:
        foreign = tmp_path / "foreign files"
        for name in _FOREIGN_FILES:
            (foreign / name).parent.mkdir(parents=True, exist_ok=True)
            (foreign / name).write_text("not a plate\n")
        assert self.reader.detect(Listing.scan(foreign)) is None

    def test_detecting_lists_nothing_again_and_opens_a_marker_file_at_most(
        self, folder: Path
    ) -> None:
        listing = Listing.scan(folder)
        images = self._files(self._reader(folder).index())
        with opened_files(folder) as opened:
            self.reader.detect(listing)
        assert opened.folders == []
        assert len(opened.files) <= self.marker_files, opened.files
        assert not images & set(opened.files)

    def test_indexing_opens_no_image(self, folder: Path) -> None:
        reader = self._reader(folder)
        with opened_files(folder) as opened:
            index = reader.index()
        assert not self._files(index) & set(opened.files)

    def test_the_metadata_costs_one_image_a_channel_at_most(self, folder: Path) -> None:
        reader = self._reader(folder)
        index = reader.index()
        with opened_files(folder) as opened:
            reader.metadata()
        images = self._files(index) & set(opened.files)
        assert len(images) <= len(index.channels), images

    def test_nothing_is_written_into_the_plate(self, folder: Path) -> None:
        before = _snapshot(folder)
        plate = self._open(folder)
        assert isinstance(plate.metadata, PlateMetadata)
        plate.read(self._ok_rows(plate.index)[0])
        assert _snapshot(folder) == before

    def test_a_read_only_folder_is_read(self, copy: Path) -> None:
        with _read_only(copy):
            plate = self._open(copy)
            assert plate.metadata.name
            assert plate.read(self._ok_rows(plate.index)[0]).ndim == 2

    def test_open_plate_finds_it(self, folder: Path) -> None:
        plate = self._open(folder)
        assert plate.format == self.reader.format
        assert plate.root == folder

    def test_two_readings_are_the_same_in_any_order(self, folder: Path) -> None:
        first, second = self._reader(folder), self._reader(folder)
        index, metadata = first.index(), first.metadata()
        assert second.metadata() == metadata
        _assert_same(second.index(), index)
        _assert_same(first.index(), index)

    def test_the_order_in_which_the_system_lists_files_does_not_matter(self, folder: Path) -> None:
        listing = Listing.scan(folder)
        backwards = {name: files[::-1] for name, files in listing.folders.items()}
        turned = replace(listing, folders=backwards)
        _assert_same(self.reader(turned).index(), self.reader(listing).index())
        assert self.reader(turned).metadata() == self.reader(listing).metadata()
        confidences = [_confidence(self.reader, each) for each in (turned, listing)]
        assert confidences[0] == confidences[1]

    def test_an_index_and_metadata_survive_the_way_to_another_process(self, folder: Path) -> None:
        reader = self._reader(folder)
        index, metadata = reader.index(), reader.metadata()
        _assert_same(pickle.loads(pickle.dumps(index)), index)  # noqa: S301 - made here
        assert pickle.loads(pickle.dumps(metadata)) == metadata  # noqa: S301 - made here

    def test_rows_are_sorted_and_each_plane_has_one(self, folder: Path) -> None:
        index = self._reader(folder).index()
        keys = np.stack([index.column(component) for component in COMPONENTS], axis=1).tolist()
        assert keys
        assert keys == sorted(keys)
        assert len(set(map(tuple, keys))) == len(keys)
        np.testing.assert_array_equal(index.projection, index.z_index == _PROJECTION)

    def test_columns_point_to_labels_that_exist(self, folder: Path) -> None:
        index = self._reader(folder).index()
        for component in COMPONENTS:
            used = set(index.column(component).tolist()) - {_PROJECTION}
            # A label without a plane is invented: nobody can select it.
            assert used == set(range(len(index.labels(component)))), component
        assert (_PROJECTION in index.z_index) is bool(index.projection.any())
        assert int(index.status.max()) < len(STATUSES)
        assert (index.folder < len(index.folders)).all()

    def test_labels_are_words_in_their_order(self, folder: Path) -> None:
        index = self._reader(folder).index()
        for component in COMPONENTS:
            labels = index.labels(component)
            assert all(map(is_one_line, labels)), labels
            if component != "well":  # natural order would put AA01 before B01
                assert list(labels) == natural_sort(labels)
        assert [normal_well(well) for well in index.wells] == list(index.wells)
        for channel in index.channels:
            assert channel.name is None or is_one_line(channel.name)

    def test_the_plate_has_what_is_known_of_it(self, folder: Path) -> None:
        index = self._reader(folder).index()
        for name in ("wells", "sites", "z_indexes", "timepoints"):
            expected = getattr(self, name)
            assert expected is None or getattr(index, name) == expected
        named = tuple((channel.label, channel.name) for channel in index.channels)
        assert self.channels is None or named == self.channels
        counts = {status: count for status, count in index.counts().items() if count}
        assert self.counts is None or counts == {s: n for s, n in self.counts.items() if n}

    def test_every_plane_that_is_ok_has_a_file(self, folder: Path) -> None:
        index = self._reader(folder).index()
        files = {index.file(row) for row in self._ok_rows(index)}
        assert [file for file in sorted(files) if not file or not (folder / file).is_file()] == []

    def test_planes_that_are_ok_are_read_as_the_metadata_says(self, folder: Path) -> None:
        plate = self._open(folder)
        metadata = plate.metadata
        for row in _spread(self._ok_rows(plate.index), self.most_planes_read):
            plane, where = plate.read(row), plate.index.describe(row)
            assert plane.ndim == 2, where
            assert metadata.shape in (None, plane.shape), where
            assert metadata.dtype in (None, str(plane.dtype)), where

    def test_the_metadata_are_sane(self, folder: Path) -> None:
        reader = self._reader(folder)
        metadata = reader.metadata()
        assert isinstance(metadata, PlateMetadata)
        assert is_one_line(metadata.name)
        assert metadata.instrument is None or is_one_line(metadata.instrument)
        assert metadata.pixel_size_um is None or _are_lengths(metadata.pixel_size_um)
        assert metadata.shape is None or _are_counts(metadata.shape)
        assert metadata.dtype is None or str(np.dtype(metadata.dtype)) == metadata.dtype
        assert (metadata.rows is None) is (metadata.columns is None)
        assert metadata.rows is None or _are_counts((metadata.rows, metadata.columns))

    def test_the_metadata_are_what_is_known_of_the_plate(self, folder: Path) -> None:
        metadata = self._reader(folder).metadata()
        facts = self.facts or {}
        assert {name: getattr(metadata, name) for name in facts} == dict(facts)

    @pytest.mark.parametrize("damage", ["cut in half", "empty"])
    def test_a_damaged_image_costs_its_own_planes_only(self, copy: Path, damage: str) -> None:
        index = self._reader(copy).index()
        first = self._ok_rows(index)[0]
        image = copy / index.file(first)
        whole = image.read_bytes()
        image.write_bytes(whole[: len(whole) // 2] if damage == "cut in half" else b"")
        plate = self._open(copy)
        _assert_same(plate.index, index)
        assert plate.metadata.name
        damaged = [row for row in self._ok_rows(index) if index.file(row) == index.file(first)]
        assert any(_is_damaged(plate, row) for row in damaged)
        others = [row for row in self._ok_rows(index) if row not in damaged]
        for row in _spread(others, self.most_planes_read):
            assert plate.read(row).ndim == 2, index.describe(row)

    def test_a_plane_that_is_gone_is_missing(self, copy: Path) -> None:
        index = self._reader(copy).index()
        file = _removable(index, self._ok_rows(index))
        if file is None:
            pytest.skip("no file of the plate has planes that other sites have too")
        (copy / file).unlink()
        after = self._reader(copy).index()
        gone = {index.describe(row) for row in range(len(index)) if index.file(row) == file}
        left = {after.describe(row) for row in self._ok_rows(after)}
        assert not left & gone
        assert left == {index.describe(row) for row in self._ok_rows(index)} - gone
        told = {after.describe(int(row)) for row in np.flatnonzero(after.status == _MISSING)}
        assert not self.reports_missing_planes or gone <= told

    @pytest.mark.parametrize("name", _ODD_FOLDERS)
    def test_a_plate_is_the_same_wherever_it_lies(
        self, folder: Path, tmp_path: Path, name: str
    ) -> None:
        moved = self._open(_copied(folder, tmp_path / name))
        here = self._open(folder)
        _assert_same(moved.index, here.index)
        assert moved.metadata == here.metadata
        row = self._ok_rows(here.index)[0]
        assert same(moved.read(row), here.read(row))

    def _reader(self, folder: Path) -> PlateReader:
        return self.reader(Listing.scan(folder))

    def _open(self, folder: Path) -> Plate:
        """Open a plate as if this reader were the only one that is installed."""
        others: dict[str, type[PlateReader]] = dict.fromkeys(MICROSCOPES, _Blind)
        with MICROSCOPES.overrides(**others | {self.reader.format: self.reader}):
            return open_plate(folder)

    def _ok_rows(self, index: PlateIndex) -> list[int]:
        return [int(row) for row in np.flatnonzero(index.status == _OK)]

    def _files(self, index: PlateIndex) -> set[str]:
        return {index.file(row) for row in range(len(index))}


def _copied(folder: Path, parent: Path) -> Path:
    """Copy a plate into another folder; its own name may be the plate's."""
    # Not the files' modes: a plate may be read-only, its copy is to be broken.
    copy = Path(shutil.copytree(folder, parent / folder.name, copy_function=shutil.copyfile))
    for path in [copy, *copy.rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    return copy


def _snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of everything below; a folder's time tells what came and went."""
    found = {str(path): path.stat() for path in [folder, *folder.rglob("*")]}
    return {name: (about.st_size, about.st_mtime_ns) for name, about in found.items()}


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    paths = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    writing = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
    try:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode & ~writing)
        yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


def _assert_same(found: PlateIndex, expected: PlateIndex) -> None:
    assert found.fingerprint() == expected.fingerprint()
    assert found.errors == expected.errors
    assert dict(found.ignored) == dict(expected.ignored)


def _confidence(reader: type[PlateReader], listing: Listing) -> float | None:
    evidence = reader.detect(listing)
    return None if evidence is None else evidence.confidence


def _is_damaged(plate: Plate, row: int) -> bool:
    try:
        plate.read(row)
    except DamagedPlaneError:
        return True
    return False


def _removable(index: PlateIndex, ok_rows: list[int]) -> str | None:
    """Return a file without which a reader can know what is missing.

    Its fields have planes in other files, and other fields have what it holds.
    """
    for file in natural_sort({index.file(row) for row in ok_rows if not index.projection[row]}):
        others = [row for row in ok_rows if index.file(row) != file]
        fields = {_field(index, row) for row in others}
        kinds = {_kind(index, row) for row in others}
        own = [row for row in ok_rows if index.file(row) == file]
        if all(_field(index, row) in fields and _kind(index, row) in kinds for row in own):
            return file
    return None


def _field(index: PlateIndex, row: int) -> tuple[int, int]:
    return int(index.well[row]), int(index.site[row])


def _kind(index: PlateIndex, row: int) -> tuple[int, int, int]:
    return int(index.channel[row]), int(index.z_index[row]), int(index.timepoint[row])


def _spread(rows: list[int], most: int) -> list[int]:
    """Return at most so many rows, from the first to the last."""
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    return [rows[place] for place in np.unique(places)]


def _are_lengths(numbers: tuple[float, ...]) -> bool:
    return len(numbers) == 2 and all(math.isfinite(size) and size > 0 for size in numbers)


def _are_counts(numbers: tuple[int | None, ...]) -> bool:
    return len(numbers) == 2 and all(isinstance(count, int) and count > 0 for count in numbers)

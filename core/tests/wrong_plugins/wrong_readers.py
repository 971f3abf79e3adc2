"""A plate reader that holds its contract, and readers that each break one promise."""

from __future__ import annotations

import glob
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pytest
import tifffile

from hcs_core.plates import (
    MICROSCOPES,
    Channel,
    Evidence,
    IndexBuilder,
    Listing,
    PlateIndex,
    PlateMetadata,
    PlateReader,
)
from hcs_core.testing import PlateReaderTests

NAME = re.compile(r"([A-Z]\d\d)_(\d+)_(\w+)\.tif")
MARKER = "plate.toy"


class ToyReader(PlateReader):
    """Reads ``A01_1_w1.tif``, beside a marker file that has the plate's name."""

    format: ClassVar[str] = "toy"
    complete: ClassVar[bool] = True

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        if MARKER in listing.folders[""] and (listing.root / MARKER).read_text():
            return Evidence(0.95, f"there is a {MARKER}")
        return None

    def index(self) -> PlateIndex:
        return self.indexed([name for _, name in self.listing.files()])

    def indexed(self, names: list[str]) -> PlateIndex:
        found = [match for name in names if (match := NAME.fullmatch(name))]
        builder = IndexBuilder(str(self.root))
        builder.extend(
            names=[match[0] for match in found],
            folder="",
            well=[match[1] for match in found],
            site=self.sites(found),
            channel=[match[3] for match in found],
        )
        return builder.build(channel_names={"w1": "DAPI"}, expect_complete=self.complete)

    def sites(self, found: list[re.Match[str]]) -> list[str]:
        return [match[2] for match in found]

    def metadata(self) -> PlateMetadata:
        name = (self.root / MARKER).read_text()
        return PlateMetadata(name=name, pixel_size_um=(0.5, 0.5), shape=(16, 12), dtype="uint16")


class ToyReaderTests(PlateReaderTests):
    wells = ("A01", "B02")
    counts: ClassVar = {"ok": 8}
    facts: ClassVar = {"name": "Toy"}
    caught_by: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture
    def plate_folder(self, tmp_path: Path) -> Path:
        root = tmp_path / "plate"
        root.mkdir()
        (root / MARKER).write_text("Toy")
        for number, place in enumerate(itertools.product(("A01", "B02"), "12", ("w1", "w2"))):
            pixels = np.full((16, 12), number, np.uint16)
            tifffile.imwrite(root / f"{'_'.join(place)}.tif", pixels)
        return root


class TestRight(ToyReaderTests):
    reader = ToyReader


class TestFormat(ToyReaderTests):
    caught_by = ("test_its_format_is_a_key",)

    class reader(ToyReader):  # noqa: N801 - the attribute of the suite
        format = "Toy 1"


class TestKey(ToyReaderTests):
    reader = ToyReader
    caught_by = ("test_it_is_registered_under_its_format",)

    @pytest.fixture(autouse=True)
    def _registered(self) -> Iterator[None]:
        with MICROSCOPES.overrides(**{"other-key": ToyReader}):
            yield


def _local_reader() -> type[ToyReader]:
    class Local(ToyReader):
        pass

    return Local


class TestLocalClass(ToyReaderTests):
    reader = _local_reader()
    caught_by = ("test_it_finds_its_own_module_again_in_another_process",)


class TestTooSure(ToyReaderTests):
    caught_by = (
        "test_it_says_why_its_own_plate_is_one",
        "test_an_empty_folder_is_no_plate",
        "test_a_folder_of_other_files_is_no_plate",
    )

    class reader(ToyReader):  # noqa: N801
        @classmethod
        def detect(cls, listing: Listing) -> Evidence | None:
            return Evidence(2.0, "of course")


class TestLooksItself(ToyReaderTests):
    caught_by = ("test_detecting_lists_nothing_again_and_opens_a_marker_file_at_most",)

    class reader(ToyReader):  # noqa: N801
        @classmethod
        def detect(cls, listing: Listing) -> Evidence | None:
            os.listdir(listing.root)
            return super().detect(listing)


class TestOpensAnImageToDetect(ToyReaderTests):
    caught_by = ("test_detecting_lists_nothing_again_and_opens_a_marker_file_at_most",)
    marker_files = 9

    class reader(ToyReader):  # noqa: N801
        @classmethod
        def detect(cls, listing: Listing) -> Evidence | None:
            for _, name in listing.files():
                (listing.root / name).read_bytes()
            return super().detect(listing)


class TestOpensImages(ToyReaderTests):
    caught_by = ("test_indexing_opens_no_image",)

    class reader(ToyReader):  # noqa: N801
        def index(self) -> PlateIndex:
            tifffile.imread(self.root / "A01_1_w1.tif")
            return super().index()


class TestReadsEveryHeader(ToyReaderTests):
    caught_by = (
        "test_the_metadata_costs_one_image_a_channel_at_most",
        "test_a_damaged_image_costs_its_own_planes_only",
    )

    class reader(ToyReader):  # noqa: N801
        def metadata(self) -> PlateMetadata:
            shapes = [tifffile.imread(file).shape for file in sorted(self.root.glob("*.tif"))]
            return replace(super().metadata(), shape=shapes[0])


class TestCaches(ToyReaderTests):
    caught_by = ("test_nothing_is_written_into_the_plate",)

    class reader(ToyReader):  # noqa: N801
        def index(self) -> PlateIndex:
            (self.root / "cache").touch()
            (self.root / "cache").unlink()
            return super().index()


class TestWantsToWrite(ToyReaderTests):
    caught_by = ("test_a_read_only_folder_is_read",)

    class reader(ToyReader):  # noqa: N801
        def index(self) -> PlateIndex:
            # By its mode, not by writing: root may write anywhere.
            if not self.root.stat().st_mode & 0o200:
                raise PermissionError(self.root)
            return super().index()


class TestBlind(ToyReaderTests):
    caught_by = ("test_open_plate_finds_it",)

    class reader(ToyReader):  # noqa: N801
        @classmethod
        def detect(cls, listing: Listing) -> Evidence | None:
            return None


class TestCounts(ToyReaderTests):
    caught_by = ("test_two_readings_are_the_same_in_any_order",)
    readings = itertools.count()

    class reader(ToyReader):  # noqa: N801
        def index(self) -> PlateIndex:
            return replace(super().index(), errors=(f"reading {next(TestCounts.readings)}",))


class TestNumbersFilesAsListed(ToyReaderTests):
    caught_by = ("test_the_order_in_which_the_system_lists_files_does_not_matter",)

    class reader(ToyReader):  # noqa: N801
        def sites(self, found: list[re.Match[str]]) -> list[str]:
            return [str(number) for number in range(len(found))]


class TestCannotTravel(ToyReaderTests):
    caught_by = ("test_an_index_and_metadata_survive_the_way_to_another_process",)

    class reader(ToyReader):  # noqa: N801
        def index(self) -> PlateIndex:
            return replace(super().index(), ignored=MappingProxyType({}))


class TestUnsorted(ToyReaderTests):
    caught_by = ("test_rows_are_sorted_and_each_plane_has_one",)

    class reader(ToyReader):  # noqa: N801
        def index(self) -> PlateIndex:
            index = super().index()
            return replace(index, well=index.well[::-1])


class TestInventsAWell(ToyReaderTests):
    caught_by = (
        "test_columns_point_to_labels_that_exist",
        "test_the_plate_has_what_is_known_of_it",
    )

    class reader(ToyReader):  # noqa: N801
        def index(self) -> PlateIndex:
            index = super().index()
            return replace(index, wells=(*index.wells, "H12"))


class TestLabels(ToyReaderTests):
    caught_by = ("test_labels_are_words_in_their_order",)

    class reader(ToyReader):  # noqa: N801
        def index(self) -> PlateIndex:
            channels = (Channel(0, "w1", ""), Channel(1, "w2"))
            return replace(super().index(), channels=channels)


class TestPromisesAPlane(ToyReaderTests):
    caught_by = ("test_every_plane_that_is_ok_has_a_file",)

    class reader(ToyReader):  # noqa: N801
        def index(self) -> PlateIndex:
            return self.indexed([*self.listing.folders[""], "C03_1_w1.tif"])


class TestMetadata(ToyReaderTests):
    caught_by = (
        "test_planes_that_are_ok_are_read_as_the_metadata_says",
        "test_the_metadata_are_sane",
        "test_the_metadata_are_what_is_known_of_the_plate",
    )

    class reader(ToyReader):  # noqa: N801
        def metadata(self) -> PlateMetadata:
            return PlateMetadata(name="", pixel_size_um=(0.0, 0.0), shape=(12, 16))


class TestForgets(ToyReaderTests):
    caught_by = ("test_a_plane_that_is_gone_is_missing",)

    class reader(ToyReader):  # noqa: N801
        complete = False


class TestGlobs(ToyReaderTests):
    caught_by = ("test_a_plate_is_the_same_wherever_it_lies",)

    class reader(ToyReader):  # noqa: N801
        def index(self) -> PlateIndex:
            files = glob.glob(f"{self.root}/*.tif")
            return self.indexed([Path(file).name for file in files])

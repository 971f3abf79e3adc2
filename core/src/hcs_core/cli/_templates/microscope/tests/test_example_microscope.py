"""The reader holds the contract of all readers, and finds what the microscope wrote."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tifffile
from hcs_core.plates import MICROSCOPES, open_plate
from hcs_core.testing import PlateReaderTests, assert_listing_imports_nothing

from example_microscope import ExampleMicroscopeReader
from example_microscope.reader import EXAMPLE


def file_name(well: str, site: int, channel: str, z: int) -> str:
    """Return what the microscope calls the file of a plane, below the folder of the plate."""
    return f"{well}_s{site}_{channel}_z{z}.tif"


def write_plate(folder: Path) -> Path:
    """Write 2 wells of 2 sites, channels and z; the grey level of a plane is its number."""
    planes = product(("A01", "B02"), (1, 2), ("DAPI", "GFP"), (1, 2))
    for number, plane in enumerate(planes):
        file = folder / file_name(*plane)
        file.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(file, np.full((4, 6), number, np.uint16))
    return folder


class TestExampleMicroscopeReader(PlateReaderTests):
    reader = ExampleMicroscopeReader
    wells = ("A01", "B02")
    sites = ("1", "2")
    channels = (("DAPI", None), ("GFP", None))
    z_indexes = ("1", "2")
    counts: ClassVar = {"ok": 16}
    facts: ClassVar = {"instrument": "example-microscope"}

    @pytest.fixture
    def plate_folder(self, tmp_path: Path) -> Path:
        return write_plate(tmp_path / "plate")


def test_the_plane_of_a_file_has_the_pixels_of_that_file(tmp_path: Path) -> None:
    plate = open_plate(write_plate(tmp_path / "plate"), "example-microscope")
    (row,) = plate.select(well="B02", site="1", channel="GFP", z_index="2")
    # 8 planes of A01, 2 of DAPI in B02, and z 1 come before it.
    assert plate.read(row).tolist() == [[11] * 6] * 4


def test_a_plane_that_other_sites_have_is_missing(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / "plate")
    (folder / file_name("A01", 2, "GFP", 1)).unlink()
    index = open_plate(folder, "example-microscope").index
    counts = index.counts()
    assert (counts["ok"], counts["missing"]) == (15, 1)


def test_a_file_that_is_no_plane_is_counted(tmp_path: Path) -> None:
    folder = write_plate(tmp_path / "plate")
    (folder / "scan.log").write_text("written by the microscope\n")
    index = open_plate(folder, "example-microscope").index
    assert dict(index.ignored) == {"other": 1}
    assert index.counts()["ok"] == 16


def test_the_example_that_users_are_shown_is_the_name_of_a_plane() -> None:
    assert file_name("A01", 1, "DAPI", 1) == EXAMPLE


def test_it_is_listed_and_listing_imports_nothing() -> None:
    info = MICROSCOPES.info("example-microscope")
    assert info.distribution == "example-microscope"
    assert_listing_imports_nothing()

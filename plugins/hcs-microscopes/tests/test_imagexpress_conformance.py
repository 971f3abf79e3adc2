"""The ImageXpress reader holds the contract of all plate readers, for both of its layouts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from hcs_core.testing import PlateReaderTests, SyntheticPlate, make_plate
from hcs_microscopes.imagexpress import ImageXpressReader

PLATE = SyntheticPlate(
    wells=("A01", "B12"),
    sites=2,
    z_indexes=2,
    shape=(32, 48),
    cells_per_site=1,
    radius_px=(4.0, 5.0),
    pixel_size_um=(0.5, 0.25),
)


class TestImageXpressExport(PlateReaderTests):
    reader = ImageXpressReader
    wells = ("A01", "B12")
    sites = ("1", "2")
    channels = (("w1", "DAPI"), ("w2", "GFP"))
    z_indexes = ("1", "2")
    timepoints = ("1",)
    counts: ClassVar = {"ok": 16}
    facts: ClassVar = {"name": "Synthetic", "pixel_size_um": (0.5, 0.25), "shape": (32, 48)}

    @pytest.fixture
    def plate_folder(self, tmp_path: Path) -> Path:
        return make_plate(tmp_path / "plate", PLATE).path


class TestImageXpressDatabase(PlateReaderTests):
    reader = ImageXpressReader
    channels = (("w1", None), ("w2", None))
    counts: ClassVar = {"ok": 16}
    facts: ClassVar = {"pixel_size_um": (0.5, 0.25), "dtype": "uint16"}

    @pytest.fixture
    def plate_folder(self, tmp_path: Path) -> Path:
        return make_plate(tmp_path / "plate", replace(PLATE, layout="database")).path

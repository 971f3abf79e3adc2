"""A plate and kernels of the tests' own: this addon is tested with the core alone."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from pipeline_toys.plates import LIBRARY, Pixels, ToyPlate, ToyReader, plane

from hcs_core.kernels import KERNELS
from hcs_core.plates import MICROSCOPES


@pytest.fixture
def make_toy_plate(tmp_path: Path, toy_plugins: None) -> Callable[..., ToyPlate]:
    """Return a function that writes a plate of the given size."""

    def make(
        wells: tuple[str, ...] = ("A01", "B02"),
        sites: int = 1,
        channels: int = 1,
        z_indexes: int = 1,
        timepoints: int = 1,
        content: Callable[[str, int, int, int, int], Pixels] = plane,
        projections: Container[str] = (),
        leave_out: Sequence[tuple[str, str]] = (),
        leave_out_sites: Container[tuple[str, int]] = (),
    ) -> ToyPlate:
        root = tmp_path / "plate"
        root.mkdir()
        plate = ToyPlate(root, {})
        for well in wells:
            for key in np.ndindex(sites, channels, z_indexes, timepoints):
                site, channel, z, t = (number + 1 for number in key)
                if (well, f"w{channel}") in leave_out or (well, site) in leave_out_sites:
                    continue
                if f"w{channel}" in projections:
                    z = 0  # the instrument's own; the same file for each z of the loop
                pixels = content(well, site, channel, z, t)
                plate.planes[well, site, channel, z, t] = pixels
                tifffile.imwrite(plate.file(well, site, channel, z, t), pixels)
        if leave_out:
            (root / "sparse").touch()
        return plate

    return make


@pytest.fixture
def toy_plugins() -> Iterator[None]:
    """Register the tests' reader and kernel library for the time of a test."""
    with MICROSCOPES.overrides(toy=ToyReader), KERNELS.overrides(toy=LIBRARY):
        yield

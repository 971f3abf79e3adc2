"""Packages that `hcs plugins new` has written, used together with all that comes with hcs."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hcs_core.testing.registry import write_distribution


@pytest.fixture
def packages(hcs: Callable[..., Any], tmp_path: Path) -> list[Path]:
    """Return a new plate reader and a new library of kernels, as installing them would."""
    for name, kind in (("our-scope", "microscope"), ("our-kernels", "kernels")):
        written = hcs("plugins", "new", name, "--kind", kind, "--folder", tmp_path)
        assert written.code == 0, written.err
        package = tmp_path / name
        project = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
        write_distribution(package / "src", name, project["entry-points"])
    return [tmp_path / "our-scope", tmp_path / "our-kernels"]


def write_plate(folder: Path) -> Path:
    """Write a site with a bright disk on a grey background, and one that is only background."""
    folder.mkdir()
    y, x = np.mgrid[:96, :96]
    image = np.random.default_rng(0).integers(300, 320, y.shape).astype(np.uint16)
    tifffile.imwrite(folder / "A01_s2_DAPI_z1.tif", image)
    image[(y - 48) ** 2 + (x - 48) ** 2 <= 100] += 2000
    tifffile.imwrite(folder / "A01_s1_DAPI_z1.tif", image)
    return folder


def test_a_pipeline_runs_the_new_kernels_over_a_plate_of_the_new_reader(
    hcs: Callable[..., Any], left: Any, packages: list[Path], tmp_path: Path
):
    plate = write_plate(tmp_path / "plate")
    path = os.pathsep.join(str(package / "src") for package in packages)
    readme = (packages[1] / "README.md").read_text("utf-8")
    (pipeline,) = re.findall(r"^```toml\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    (tmp_path / "pipeline.toml").write_text(pipeline)
    ended = hcs(
        *("run", tmp_path / "pipeline.toml", plate, tmp_path / "out"), env={"PYTHONPATH": path}
    )
    assert ended.code == 0, ended.err
    out = left(tmp_path / "out")
    covered = {row["site"]: float(row["covered_percent"]) for row in out.rows("images")}
    labels = out.labels(out.paths()["A01", "1"], "Nuclei")
    assert covered["1"] == 100 * np.count_nonzero(labels) / 96**2
    assert covered["1"] == pytest.approx(100 * np.pi * 10**2 / 96**2, rel=0.2)
    assert covered["2"] == 0

"""The synthetic plates that other tests trust."""

from __future__ import annotations

import hashlib
import math
import re
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hcs_core.errors import ParameterError
from hcs_core.testing import Fault, Plane, SyntheticPlate, make_plate

SMALL = SyntheticPlate(
    wells=("A01", "B02"), sites=2, z_indexes=3, shape=(96, 128), cells_per_site=6, seed=5
)


def hash_of_files(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def changed(**options: object) -> SyntheticPlate:
    """Return the small plate with some of its options changed."""
    values = {name: getattr(SMALL, name) for name in SMALL.__dataclass_fields__}
    return SyntheticPlate(**values | options)


def test_an_export_has_an_htd_and_a_file_for_each_plane(tmp_path: Path):
    truth = make_plate(tmp_path, SMALL)
    expected = {
        f"TimePoint_1/ZStep_{z}/Synthetic_{well}_s{site}_w{wave}.TIF"
        for well, site, wave, z in product(("A01", "B02"), (1, 2), (1, 2), (1, 2, 3))
    }
    assert set(truth.files.values()) == expected
    assert set(hash_of_files(tmp_path)) == expected | {
        "Synthetic.HTD",
        "TimePoint_1/Synthetic.HTD",
    }
    plane = Plane("B02", "2", "w1", "3", "1")
    assert truth.files[plane] == "TimePoint_1/ZStep_3/Synthetic_B02_s2_w1.TIF"


def test_the_htd_says_what_was_made(tmp_path: Path):
    make_plate(tmp_path, SMALL)
    text = (tmp_path / "Synthetic.HTD").read_bytes().decode("latin-1")
    lines = text.split("\r\n")
    assert lines[0] == '"HTSInfoFile", Version 1.0'
    assert lines[-2:] == ['"EndFile"', ""]
    assert '"ZSteps", 3' in lines
    assert '"XWells", 3' in lines
    assert '"WellsSelection1", TRUE, FALSE, FALSE' in lines
    assert '"WellsSelection2", FALSE, TRUE, FALSE' in lines
    assert '"SiteSelection1", TRUE, TRUE' in lines
    assert '"WaveName2", "GFP"' in lines
    assert "\n" not in text.replace("\r\n", "")


def test_a_database_has_guids_and_thumbnails_and_no_htd(tmp_path: Path):
    make_plate(tmp_path, changed(layout="database", channels=("DAPI",), z_indexes=1))
    names = list(hash_of_files(tmp_path))
    guid = r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}"
    planes = [name for name in names if "_thumb" not in name]
    assert len(planes) == len(names) - len(planes) == 4
    for name in planes:
        pattern = rf"2024-01-31/1001/Synthetic_(A01|B02)_s[12]{guid}\.tif"
        assert re.fullmatch(pattern, name)


def test_a_part_that_is_the_only_one_is_left_out_of_the_names(tmp_path: Path):
    truth = make_plate(tmp_path, changed(sites=1, channels=("DAPI",), z_indexes=1))
    assert set(truth.files.values()) == {
        "TimePoint_1/Synthetic_A01.TIF",
        "TimePoint_1/Synthetic_B02.TIF",
    }


def test_the_same_description_makes_the_same_bytes(tmp_path: Path):
    options = changed(layout="database", wells=("A01",), z_indexes=1)
    first = make_plate(tmp_path / "a", options)
    make_plate(tmp_path / "b", options)
    other = make_plate(tmp_path / "c", changed(layout="database", seed=6))
    assert hash_of_files(tmp_path / "a") == hash_of_files(tmp_path / "b")
    field = ("A01", "1")
    assert not np.array_equal(first.centers[field], other.centers[field])


def test_cells_lie_apart_and_whole_inside_the_image(tmp_path: Path):
    truth = make_plate(tmp_path, changed(cells_per_site=9))
    assert truth.counts == dict.fromkeys(product(("A01", "B02"), ("1", "2")), 9)
    for field, centers in truth.centers.items():
        radius = truth.radii[field].max()
        assert 6 <= truth.radii[field].min() <= radius <= 9
        for one, two in combinations(centers, 2):
            assert math.dist(one, two) >= SMALL.min_distance_px == 22
        assert (centers - radius >= 0).all()
        assert (centers + radius <= np.array(SMALL.shape) - 1).all()


def test_the_number_of_cells_may_vary_between_fields(tmp_path: Path):
    truth = make_plate(tmp_path, changed(cells_per_site=(2, 8), z_indexes=1, sites=4))
    assert set(truth.counts.values()) <= set(range(2, 9))
    assert len(set(truth.counts.values())) > 1


@pytest.mark.parametrize("wave", [1, 2])
def test_each_cell_stands_where_the_truth_says_in_every_channel(tmp_path: Path, wave: int):
    truth = make_plate(tmp_path, SMALL)
    for (well, site), centers in truth.centers.items():
        file = truth.files[Plane(well, site, f"w{wave}", truth.plate.focus_z)]
        pixels = tifffile.imread(tmp_path / file)
        assert (pixels.dtype.name, pixels.shape) == ("uint16", (96, 128))
        bright = pixels.astype(float) - np.median(pixels)
        for center, radii in zip(centers, truth.radii[well, site], strict=True):
            y, x = np.indices(pixels.shape) - center.reshape(2, 1, 1)
            weight = np.where(np.hypot(y, x) < radii.max() + 2, bright, 0)
            assert abs((weight * y).sum() / weight.sum()) < 0.3
            assert abs((weight * x).sum() / weight.sum()) < 0.3
            inside = np.hypot(y, x) < radii.min() - 3
            assert pixels[inside].min() > np.median(pixels) + 100


def test_the_background_is_noise_around_250_counts(tmp_path: Path):
    truth = make_plate(tmp_path, changed(cells_per_site=0))
    pixels = tifffile.imread(tmp_path / truth.files[Plane("A01")]).astype(float)
    # 150 counts of light and an offset of 100; photon noise sqrt(150), read noise 4.
    assert pixels.mean() == pytest.approx(250, abs=1)
    assert pixels.std() == pytest.approx(math.sqrt(150 + 16), rel=0.05)


def test_blur_grows_away_from_the_focus_and_keeps_the_light(tmp_path: Path):
    truth = make_plate(tmp_path, changed(z_indexes=5, wells=("A01",)))
    assert truth.plate.focus_z == "3"
    stack = [
        tifffile.imread(tmp_path / truth.files[Plane("A01", "1", "w1", z)]).astype(float)
        for z in "12345"
    ]
    sharpness = [np.abs(np.diff(plane, axis=0)).max() for plane in stack]
    assert sharpness.index(max(sharpness)) == 2
    assert sharpness[0] < sharpness[1] < sharpness[2] > sharpness[3] > sharpness[4]
    light = [plane.sum() - 250 * plane.size for plane in stack]
    assert min(light) > 0.97 * max(light)


def test_an_empty_field_has_no_cell(tmp_path: Path):
    truth = make_plate(tmp_path, changed(empty_fields=(("B02", "1"),)))
    assert truth.counts[("B02", "1")] == 0
    assert truth.counts[("B02", "2")] == 6
    pixels = tifffile.imread(tmp_path / truth.files[Plane("B02", "1", "w1", "2")])
    assert pixels.max() < 400


def test_the_pixel_size_is_in_the_metaseries_description(tmp_path: Path):
    truth = make_plate(tmp_path, changed(pixel_size_um=(0.5, 0.25)))
    with tifffile.TiffFile(tmp_path / truth.files[Plane("A01", "2")]) as tiff:
        metadata = tiff.metaseries_metadata
    assert metadata is not None
    info = metadata["PlaneInfo"]
    assert info["spatial-calibration-y"] == 0.5
    assert info["spatial-calibration-x"] == 0.25
    assert info["spatial-calibration-units"] == "um"
    assert info["stage-label"] == "A01 : Site 2"


FAULTY = Plane("B02", "1", "w2", "3", "1")
FILE = "TimePoint_1/ZStep_3/Synthetic_B02_s1_w2.TIF"


def test_a_fault_changes_one_file_and_no_other(tmp_path: Path):
    make_plate(tmp_path / "whole", SMALL)
    whole = hash_of_files(tmp_path / "whole")
    for kind in ("missing", "truncated", "shape"):
        fault = Fault(kind, FAULTY)
        truth = make_plate(tmp_path / kind, changed(faults=(fault,)))
        assert truth.faults == {fault: FILE}
        damaged = hash_of_files(tmp_path / kind)
        assert {file for file in whole if whole[file] != damaged.get(file)} == {FILE}
        assert set(damaged) <= set(whole)


def test_faults_are_what_they_are_called(tmp_path: Path):
    whole = make_plate(tmp_path / "whole", SMALL)
    full_size = (tmp_path / "whole" / whole.files[FAULTY]).stat().st_size
    make_plate(tmp_path / "missing", changed(faults=(Fault("missing", FAULTY),)))
    assert not (tmp_path / "missing" / FILE).exists()
    make_plate(tmp_path / "truncated", changed(faults=(Fault("truncated", FAULTY),)))
    assert (tmp_path / "truncated" / FILE).stat().st_size == full_size // 2
    make_plate(tmp_path / "shape", changed(faults=(Fault("shape", FAULTY),)))
    assert tifffile.imread(tmp_path / "shape" / FILE).shape == (96, 64)


def test_a_duplicate_has_the_same_pixels_under_a_second_name(tmp_path: Path):
    fault = Fault("duplicate", FAULTY)
    truth = make_plate(tmp_path, changed(faults=(fault,)))
    second = truth.faults[fault]
    assert second != truth.files[FAULTY] == FILE
    assert second.startswith("TimePoint_1/ZStep_3/Synthetic_B02_s1_w2")
    assert np.array_equal(tifffile.imread(tmp_path / second), tifffile.imread(tmp_path / FILE))


def test_wrong_requests_are_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(ValueError, match="no Plane"):
        make_plate(tmp_path, changed(faults=(Fault("missing", Plane("H12")),)))
    with pytest.raises(ValueError, match="no field"):
        make_plate(tmp_path, changed(empty_fields=(("A01", "9"),)))
    with pytest.raises(ValueError, match="do not fit"):
        make_plate(tmp_path, changed(cells_per_site=500))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"layout": "exprot"}, "layout must be one of export, database, got 'exprot'"),
        ({"faults": (Fault("lost", FAULTY),)}, "one of missing, truncated, duplicate, shape, got"),  # type: ignore[arg-type]
        ({"channels": ("DAPI", "核")}, "channels must be printable Latin-1"),
        ({"channels": ("DAPI", 'a"b')}, "without quotation marks"),
        ({"channels": ("DAPI", "a\nb")}, "printable"),
        ({"name": "пластина"}, "name must be printable Latin-1"),
        ({"name": "../above"}, "name must be a part of a file name"),
    ],
)
def test_a_word_that_cannot_be_used_is_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, Any], said: str
):
    with pytest.raises(ParameterError) as raised:
        make_plate(tmp_path / "plate", changed(**wrong))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", ["export", "database"])
def test_names_of_channels_need_not_be_ascii(tmp_path: Path, layout: str):
    truth = make_plate(tmp_path, changed(layout=layout, channels=("Größe µm", "Noyaux é")))
    with tifffile.TiffFile(tmp_path / truth.files[FAULTY]) as tiff:
        assert tiff.pages.first.description.count('"Noyaux é"') == 2
    if layout == "export":
        text = (tmp_path / "Synthetic.HTD").read_bytes().decode("latin-1")
        assert '"WaveName1", "Größe µm"' in text


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        make_plate(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

"""HTD files and the headers of MetaMorph's TIFFs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from hcs_core.plates import open_plate
from hcs_core.testing import SyntheticPlate, make_plate
from hcs_microscopes._htd import Htd, is_htd
from hcs_microscopes._metaseries import parse_metaseries, pixel_size, read_header

HTD = (
    b'"HTSInfoFile", Version 1.0\r\n"Description", "one, \x82\x81two"\r\n"TimePoints", 3\r\n'
    b'"ZSeries", TRUE\r\n"ZSteps", 5\r\n"XWells", 3\r\n"YWells", 2\r\n'
    b'"WellsSelection1", TRUE, FALSE, TRUE\r\n"WellsSelection2", FALSE, FALSE, TRUE\r\n'
    b'"Sites", TRUE\r\n"XSites", 2\r\n"YSites", 1\r\n"SiteSelection1", TRUE, TRUE\r\n'
    b'"Waves", TRUE\r\n"NWavelengths", 2\r\n"WaveName1", "DAPI"\r\n"WaveName2", "Texas Red"\r\n'
    b'"WaveCollect1", 1\r\n"EndFile"\r\n'
)


@pytest.fixture
def htd(tmp_path: Path) -> Path:
    path = tmp_path / "plate.HTD"
    path.write_bytes(HTD)
    return path


def test_an_htd_is_known_by_its_head(htd: Path, tmp_path: Path):
    assert is_htd(htd)
    (tmp_path / "other").write_bytes(b"Description\r\n")
    assert not is_htd(tmp_path / "other")
    assert not is_htd(tmp_path / "nowhere")


def test_values_of_an_htd_have_the_type_they_are_written_in(htd: Path):
    values = Htd.read(htd).values
    assert values["TimePoints"] == (3,)
    assert values["ZSeries"] == (True,)
    assert values["WaveName2"] == ("Texas Red",)
    assert values["WellsSelection1"] == (True, False, True)
    assert values["Description"] == ("one, \x82\x81two",)
    assert values["HTSInfoFile"] == ("Version 1.0",)


def test_an_htd_says_what_was_to_be_acquired(htd: Path):
    found = Htd.read(htd)
    assert found.plate_shape == (2, 3)
    assert found.channel_names == {1: "DAPI", 2: "Texas Red"}
    assert found.declared == {
        "wells": 3, "sites": 2, "channels": 2, "z_indexes": 5, "timepoints": 3,
    }  # fmt: skip


def test_without_sites_and_waves_there_is_one_of_each(tmp_path: Path):
    path = tmp_path / "plate.HTD"
    path.write_bytes(b'"Sites", FALSE\r\n"Waves", FALSE\r\n"ZSeries", FALSE\r\n"ZSteps", 0\r\n')
    assert Htd.read(path).declared == {
        "wells": None, "sites": 1, "channels": 1, "z_indexes": 1, "timepoints": None,
    }  # fmt: skip


@given(st.integers(0, len(HTD)), st.binary(max_size=6))
def test_a_damaged_htd_says_less_and_never_fails(cut: int, noise: bytes):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder, "plate.HTD")
        path.write_bytes(HTD[:cut] + noise + HTD[cut + len(noise) :])
        found = Htd.read(path)
    assert set(found.declared) == {"wells", "sites", "channels", "z_indexes", "timepoints"}
    assert found.plate_shape is None or min(found.plate_shape) > 0
    assert isinstance(found.channel_names, dict)


METASERIES = """<MetaData>
<prop id="ApplicationVersion" type="string" value="6.7.0.211"/>
<PlaneInfo>
<prop id="spatial-calibration-state" type="bool" value="{state}"/>
<prop id="spatial-calibration-x" type="float" value="{x}"/>
<prop id="spatial-calibration-y" type="float" value="0.5"/>
<prop id="spatial-calibration-units" type="string" value="{unit}"/>
<custom-prop id="ImageXpress Micro X" type="float" value="22985"/>
</PlaneInfo>
</MetaData>"""


def write_tiff(path: Path, description: str) -> Path:
    tifffile.imwrite(
        path,
        np.zeros((3, 5), np.uint8),
        description=description.encode(),
        software="MetaSeries",
        metadata=None,
        photometric="minisblack",
    )
    return path


@pytest.mark.parametrize(
    ("state", "x", "unit", "expected"),
    [
        ("on", "0.25", "um", (0.5, 0.25)),
        ("on", "0.25", "µm", (0.5, 0.25)),
        ("on", "0.25", "Microns", (0.5, 0.25)),
        ("on", "250", "nm", (0.0005, 0.25)),
        ("on", "0.25", "mm", (500, 250)),
        ("on", "0.25", "pixels", None),
        ("on", "0.25", "", None),
        ("off", "0.25", "um", None),
        ("on", "0", "um", None),
        ("on", "nan", "um", None),
        ("on", "wide", "um", None),
    ],
)
def test_the_pixel_size_is_taken_when_it_is_a_calibrated_length(
    tmp_path: Path, state: str, x: str, unit: str, expected: tuple[float, float] | None
):
    text = METASERIES.format(state=state, x=x, unit=unit)
    header = read_header(write_tiff(tmp_path / "a.tif", text))
    assert header.pixel_size_um == (pytest.approx(expected) if expected else None)
    assert (header.shape, header.dtype) == ((3, 5), "uint8")
    assert header.properties["ImageXpress Micro X"] == 22985
    assert header.properties["ApplicationVersion"] == "6.7.0.211"


def test_lines_of_text_in_an_older_image_are_properties(tmp_path: Path):
    text = (
        "Experiment base name:IXMtest\nExposure: 25 ms\nno colon\nRegion: 4 x 4, offset at (0, 0)"
    )
    header = read_header(write_tiff(tmp_path / "a.tif", text))
    assert header.properties == {
        "Experiment base name": "IXMtest",
        "Exposure": "25 ms",
        "Region": "4 x 4, offset at (0, 0)",
    }
    assert header.pixel_size_um is None


def test_a_plain_tiff_has_a_shape_and_no_pixel_size(tmp_path: Path):
    header = read_header(write_tiff(tmp_path / "a.tif", ""))
    assert (header.shape, header.pixel_size_um, header.properties) == ((3, 5), None, {})


@pytest.mark.parametrize(
    "text",
    [
        "<MetaData><PlaneInfo>",
        '<!DOCTYPE a [<!ENTITY e "eeeeeeee">]><MetaData>&e;</MetaData>',
        "<MetaData>&undefined;</MetaData>",
        "",
    ],
)
def test_damaged_or_dangerous_xml_says_nothing(text: str):
    assert parse_metaseries(text) == {}


def test_an_entity_bomb_is_refused_at_once():
    entities = "".join(f'<!ENTITY e{i + 1} "{f"&e{i};" * 10}">' for i in range(9))
    bomb = (
        f'<!DOCTYPE a [<!ENTITY e0 "e">{entities}]><MetaData><prop id="a" value="&e9;"/></MetaData>'
    )
    assert parse_metaseries(bomb) == {}


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_says_nothing(text: str):
    assert isinstance(parse_metaseries(f"<MetaData>{text}</MetaData>"), dict)


def test_a_pixel_size_needs_both_sides():
    assert pixel_size(0.5, None, "um") is None
    assert pixel_size(0.5, 0.25, "um") == (0.5, 0.25)


@pytest.mark.parametrize("layout", ["export", "database"])
def test_names_of_channels_are_latin_1(tmp_path: Path, layout: Literal["export", "database"]):
    asked = SyntheticPlate(
        channels=("Größe µm", "Noyaux é"), layout=layout, shape=(64, 64), cells_per_site=1
    )
    make_plate(tmp_path, asked)
    plate = open_plate(tmp_path)
    names = ("Größe µm", "Noyaux é") if layout == "export" else (None, None)
    assert tuple(channel.name for channel in plate.channels) == names
    images = plate.metadata.raw["images"]
    assert [images[label]["image-name"] for label in ("w1", "w2")] == ["Größe µm", "Noyaux é"]

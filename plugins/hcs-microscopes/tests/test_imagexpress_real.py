"""ImageXpress plates as instruments wrote them.

The expected values were read off the file names and headers by hand.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from hcs_core.errors import DamagedPlaneError
from hcs_core.plates import Channel, Listing, PlateIndex, open_plate
from hcs_microscopes.imagexpress import ImageXpressReader

SETS = (
    "plates/imagexpress-exported-3420",
    "plates/imagexpress-exported-3435",
    "plates/imagexpress-flat-noHTD",
    "plates/imagexpress-raw-singlechannel",
    "plates/imagexpress-raw-timepoints",
    "data/bbbc039/images",
)


def hash_of(folder: Path) -> str:
    """Return a hash of all names, contents and times below a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.stat()
        digest.update(f"{path.relative_to(folder)} {status.st_mtime_ns} {status.st_mode}".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def table(index: PlateIndex) -> dict[str, str]:
    """Return the description of every row by its file."""
    return {index.file(row): index.describe(row) for row in range(len(index))}


@pytest.mark.parametrize("name", SETS)
def test_every_set_opens_by_itself_and_is_left_as_it_was(shared: Path, name: str):
    before = hash_of(shared / name)
    plate = open_plate(shared / name)
    rows = range(len(plate.index))
    assert plate.format == "imagexpress"
    assert plate.index.counts()["missing"] == 0
    for row in (rows[0], rows[-1]):
        stored = tifffile.imread(plate.root / plate.index.file(row))
        assert np.array_equal(plate.read(row), stored)
        assert plate.metadata.shape == stored.shape
        assert plate.metadata.dtype == "uint16"
    assert hash_of(shared / name) == before


@pytest.mark.parametrize("name", SETS)
def test_one_image_a_channel_is_opened_for_the_metadata_and_none_for_the_index(
    shared: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    opened: list[str] = []
    original = tifffile.TiffFile.__init__

    def counting(self: tifffile.TiffFile, file: Path, **options: object) -> None:
        opened.append(str(file))
        original(self, file, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tifffile.TiffFile, "__init__", counting)
    plate = open_plate(shared / name)
    assert opened == []
    assert plate.metadata.pixel_size_um is not None
    assert plate.metadata is plate.metadata
    assert len(opened) == len(set(opened)) == len(plate.channels)


@pytest.mark.parametrize(
    "name",
    [
        "cellomics-tiff-names", "cq3k-metadata", "cv7000-4timelines-metadata",
        "cv7000-example-metadata", "cv8000-minimal", "generic-sbs-names",
        "imagexpress-hcsai-metadata", "leica-matrix-screener", "ome-xml-plates",
        "ome-zarr-v05-plate-json", "operetta-harmonyv5-phenix", "operetta-harmonyv7-index",
        "scanr-a", "scanr-metadata-ome",
    ],
)  # fmt: skip
def test_plates_of_other_instruments_are_not_claimed(shared: Path, name: str):
    assert ImageXpressReader.detect(Listing.scan(shared / "plates" / name)) is None


def test_export_3420_has_one_plane_that_names_neither_site_nor_wave(shared: Path):
    plate = open_plate(shared / "plates/imagexpress-exported-3420")
    assert table(plate.index) == {
        "TimePoint_1/9987_B02.TIF": "B02, site 1, channel w1, z 1, timepoint 1"
    }
    assert plate.channels == (Channel(0, "w1", "DAPI"),)
    found = plate.metadata
    assert found.name == "9987"
    assert found.pixel_size_um == (1.3672, 1.3672)
    assert found.shape == (256, 256)
    assert (found.rows, found.columns) == (8, 12)
    assert found.instrument == "ImageXpress Micro Confocal"
    assert found.raw["images"]["w1"]["stage-label"] == "B02 : Site 1"
    # The bytes 0x82 0x81 in it are neither UTF-8 nor cp1252.
    assert found.raw["htd"]["Description"] == ("1t-1w-1s-1c-1z\x82\x81DAPI: 1z",)


def test_export_3435_has_what_came_and_not_what_its_htd_promised(shared: Path):
    plate = open_plate(shared / "plates/imagexpress-exported-3435")
    expected = {
        f"TimePoint_{t}/9987_{well}_s{s}_w{w}.TIF":
            f"{well}, site {s}, channel w{w}, z 1, timepoint {t}"
        for well in ("B02", "B03") for s in (1, 2) for w in (1, 2) for t in (1, 2)
    }  # fmt: skip
    assert table(plate.index) == expected
    assert plate.channels == (Channel(0, "w1", "DAPI"), Channel(1, "w2", "FITC"))
    assert plate.index.timepoints == ("1", "2")
    assert plate.metadata.pixel_size_um == (1.3672, 1.3672)
    assert (plate.metadata.rows, plate.metadata.columns) == (8, 12)
    assert plate.metadata.raw["declared"] == {
        "wells": 2, "sites": 2, "channels": 4, "z_indexes": 1, "timepoints": 6,
    }  # fmt: skip


def test_a_timepoint_s_folder_opens_as_that_timepoint(shared: Path):
    plate = open_plate(shared / "plates/imagexpress-exported-3435/TimePoint_2")
    assert len(plate.index) == 8
    assert plate.index.timepoints == ("2",)
    assert plate.channels == (Channel(0, "w1", "DAPI"), Channel(1, "w2", "FITC"))


def test_the_flat_export_is_sparse_and_has_no_phantom_rows(shared: Path):
    plate = open_plate(shared / "plates/imagexpress-flat-noHTD")
    assert table(plate.index) == {
        "IM-Assays-EXP2_A01_s1_w1.TIF": "A01, site 1, channel w1, z 1, timepoint 1",
        "IM-Assays-EXP2_A01_s1_w3.TIF": "A01, site 1, channel w3, z 1, timepoint 1",
        "IM-Assays-EXP2_A02_s4_w1.TIF": "A02, site 4, channel w1, z 1, timepoint 1",
        "IM-Assays-EXP2_A02_s4_w3.TIF": "A02, site 4, channel w3, z 1, timepoint 1",
    }
    assert plate.channels == (Channel(0, "w1"), Channel(1, "w3"))
    found = plate.metadata
    assert found.name == "IM-Assays-EXP2"
    assert found.pixel_size_um == (0.645, 0.645)
    assert found.shape == (884, 1183)
    # No file says how large the plate is: the smallest with A02 has six wells.
    assert (found.rows, found.columns, found.raw["plate_size_guessed"]) == (2, 3, True)


def test_the_database_with_a_stack_has_projections_above_it_and_thumbnails_apart(shared: Path):
    plate = open_plate(shared / "plates/imagexpress-raw-singlechannel")
    index = plate.index
    guids = {
        (None, "E07", 1): "E94C24BD-45E4-450A-9919-257C714278F7",
        (None, "E07", 2): "DCFD1526-D063-4F8B-9E51-F1BD2EBD9F1A",
        (None, "E08", 1): "17654C10-92F1-4DFD-98AA-6A01BBD77557",
        (None, "E08", 2): "B38C01F5-0D36-4A29-9F5A-BE62B6F7F73F",
        (1, "E07", 1): "E78EB128-BD0D-4D94-A6AD-3FF28BB1B105",
        (1, "E07", 2): "AC08A410-4276-4921-9FDA-9CB1249B3156",
        (1, "E08", 1): "D73270D7-0918-4C49-8F3D-31C031A588ED",
        (1, "E08", 2): "084F795E-D6CB-4229-8A96-B5540E18EC20",
        (2, "E07", 1): "89A35A04-20E3-47AD-A1F9-8065B2840EFD",
        (2, "E07", 2): "19DACB95-CB7D-4899-9AB4-D4E10B44145D",
        (2, "E08", 1): "4864BA30-C5B9-45C7-B9F2-44179190F8AC",
        (2, "E08", 2): "E7EC7EF1-C7B0-4CB0-8CC3-AAEEC1C5E8B2",
    }
    expected = {}
    for (z, well, site), guid in guids.items():
        folder = f"2023-02-21/1334/ZStep_{z}" if z else "2023-02-21/1334"
        kind = f"z {z}" if z else "projection"
        expected[f"{folder}/Projection-Mix_{well}_s{site}{guid}.tif"] = (
            f"{well}, site {site}, channel w1, {kind}, timepoint 1"
        )
    assert table(index) == expected
    assert index.ignored["thumbnail"] == 12
    assert index.counts()["ok"] == 8
    assert int(index.projection.sum()) == 4
    assert index.z_indexes == ("1", "2")
    assert plate.metadata.name == "Projection-Mix"
    assert plate.metadata.pixel_size_um == (1.3668, 1.3668)
    assert plate.metadata.shape == (512, 512)
    assert (plate.metadata.rows, plate.metadata.columns) == (6, 8)


def test_the_database_with_timepoints_has_the_wave_before_the_guid(shared: Path):
    plate = open_plate(shared / "plates/imagexpress-raw-timepoints")
    name = "1well-3C-2S-Zmix-T_C07_"
    guids = {
        (1, 1, 1): "D5F8F51A-3E85-4358-AE51-A465AF87386F",
        (1, 1, 2): "DEF08320-F169-4D37-9B69-B2808D75614E",
        (1, 1, 3): "AA847666-9AC4-4326-A184-8FC928D4368A",
        (1, 2, 1): "EADF08BD-3BFB-44F3-8214-24B191F3D15C",
        (1, 2, 2): "9E8DE988-C6EC-49A6-8D1B-2BC852EA11E9",
        (1, 2, 3): "89413C08-5937-4585-B174-F903865B076F",
        (2, 1, 1): "401562CF-BD52-4C90-A944-83185F26B372",
        (2, 1, 2): "F6580B3E-0AC4-4968-81C5-BB26AA5F6981",
        (2, 1, 3): "A9E4E910-281E-4C24-96FB-36EAFA13348B",
        (2, 2, 1): "E6301319-2DF7-4022-B582-8BC88E254115",
        (2, 2, 2): "C12DAE22-104C-45A9-826F-A3C4BFF02513",
        (2, 2, 3): "612E2F5A-EDA4-45D6-AEBE-8BB16710CDD5",
    }
    assert table(plate.index) == {
        f"2024-04-22/1697/TimePoint_{t}/{name}s{s}_w{w}{guid}.tif":
            f"C07, site {s}, channel w{w}, z 1, timepoint {t}"
        for (t, s, w), guid in guids.items()
    }  # fmt: skip
    assert plate.channels == (Channel(0, "w1"), Channel(1, "w2"), Channel(2, "w3"))
    assert plate.metadata.pixel_size_um == (13.5504, 13.5504)
    lamps = {
        label: image["_IllumSetting_"] for label, image in plate.metadata.raw["images"].items()
    }
    assert lamps == {"w1": "FITC", "w2": "Cy3", "w3": "Texas Red"}


BBBC039 = """
A02s1 A16s2 A22s8 B05s5 B20s2 B22s8 C07s5 C21s9 D04s9 D10s2 E05s2 E15s5 F03s5 F12s5 F21s1
G06s3 G13s9 G22s5 H06s4 H11s6 I01s4 I11s6 I17s6 J02s8 J15s9 K01s3 K05s9 K12s7 L03s2 L10s6
L21s5 M20s3 N11s4 N18s2 O01s6 O09s2 O16s3 P05s5 P10s7 P21s4
"""


def test_bbbc039_has_forty_single_fields_of_one_channel(shared: Path):
    plate = open_plate(shared / "data/bbbc039/images")
    index = plate.index
    assert [description.split(", ") for description in table(index).values()] == [
        [field[:3], f"site {field[4:]}", "channel w1", "z 1", "timepoint 1"]
        for field in BBBC039.split()
    ]
    for file, description in table(index).items():
        well, site = description.split(", ")[:2]
        assert file.startswith(f"IXMtest_{well}_s{site[5:]}_w1")
    assert index.ignored == {}


def test_bbbc039_states_its_pixel_size_in_the_tags_of_an_stk_file(shared: Path):
    found = open_plate(shared / "data/bbbc039/images").metadata
    assert found.name == "IXMtest"
    assert found.pixel_size_um == (0.645, 0.645)
    assert found.shape == (520, 696)
    assert (found.rows, found.columns) == (16, 24)
    assert found.instrument == "ImageXpress Micro"
    image = found.raw["images"]["w1"]
    assert (image["Exposure"], image["Binning"]) == ("25 ms", "2 x 2")
    assert image["_MagSetting_"] == "20x Plan Fluor ELWD"


@pytest.mark.parametrize("name", SETS)
def test_a_real_image_cut_to_half_costs_its_own_plane(shared: Path, name: str, tmp_path: Path):
    plate = open_plate(shared / name)
    content = {
        file.relative_to(plate.root): file.read_bytes()
        for file in plate.root.rglob("*")
        if file.is_file()
    }
    for file, data in content.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(data)
    first = Path(plate.index.file(0))
    (tmp_path / first).write_bytes(content[first][: len(content[first]) // 2])
    copy = open_plate(tmp_path)
    with pytest.raises(DamagedPlaneError, match=first.name):
        copy.read(0)
    assert copy.index.fingerprint() == plate.index.fingerprint()
    if len(plate.index) > 1:
        assert np.array_equal(copy.read(1), plate.read(1))
        assert copy.metadata.pixel_size_um == plate.metadata.pixel_size_um
        assert copy.metadata.shape == plate.metadata.shape


OTHERS = (
    "cellomics-tiff-names", "cq3k-metadata", "cv7000-4timelines-metadata",
    "cv7000-example-metadata", "cv8000-minimal", "generic-sbs-names",
    "imagexpress-hcsai-metadata", "leica-matrix-screener", "ome-xml-plates",
    "ome-zarr-v05-plate-json", "operetta-harmonyv5-phenix", "operetta-harmonyv7-index",
    "scanr-a", "scanr-metadata-ome",
)  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_plates_of_other_makers_are_not_its_own(shared: Path, name: str):
    assert ImageXpressReader.detect(Listing.scan(shared / "plates" / name)) is None


def test_every_real_plate_is_tried(shared: Path):
    ours = {Path(name).name for name in SETS if name.startswith("plates/")}
    assert {path.name for path in (shared / "plates").iterdir()} == ours | set(OTHERS)

"""ImageXpress folders as they come: exports, databases, copies, mixtures and damage."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from hcs_core.errors import AmbiguousPlateError, DuplicatePlanesError
from hcs_core.plates import Channel, Listing, PlateIndex, open_plate
from hcs_core.testing import Fault, Plane, SyntheticPlate, make_plate
from hcs_microscopes.imagexpress import ImageXpressReader

HTD = '"HTSInfoFile", Version 1.0\r\n"XWells", 12\r\n"YWells", 8\r\n"EndFile"\r\n'
GUID = "9E8DE988-C6EC-49A6-8D1B-2BC852EA11E9"


def folder_with(root: Path, *files: str) -> Path:
    """Make empty files, and HTD files with content; the index opens no image."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HTD if file.upper().endswith(".HTD") else "")
    return root


def reader_of(root: Path) -> ImageXpressReader:
    return ImageXpressReader(Listing.scan(root))


def table(index: PlateIndex) -> dict[str, str]:
    return {index.file(row): index.describe(row) for row in range(len(index))}


@pytest.mark.parametrize(
    ("files", "confidence"),
    [
        (["P.HTD", "P_A01_s1_w1.TIF"], 0.95),
        (["TimePoint_1/P.htd", "TimePoint_1/P_A01.TIF"], 0.95),
        (["P_A01_s1_w1.TIF"], 0.6),
        (["P_A01_s1_w1.TIF", "overlay.tif", "notes.txt", "more.txt"], 0.6),
        (["P_A01.TIF"], 0.3),
        (["P_A01_s1_w1.TIF", "a.tif", "b.tif"], 0.4),
    ],
)
def test_it_is_as_sure_as_what_it_sees(tmp_path: Path, files: list[str], confidence: float):
    evidence = ImageXpressReader.detect(Listing.scan(folder_with(tmp_path, *files)))
    assert evidence is not None
    assert evidence.confidence == confidence


@pytest.mark.parametrize(
    "files",
    [
        [],
        ["notes.txt", "image.tif"],
        ["P_A01_s1_w1_thumb.TIF"],
        ["P_A01.TIF", "a.tif", "b.tif"],
        ["_A01_s1_w1.TIF"],
        ["experiment/run.jdce", "experiment/timepoint0/run_t0_C05_s0_w0.tif"],
    ],
)
def test_folders_of_other_files_are_not_its_own(tmp_path: Path, files: list[str]):
    assert ImageXpressReader.detect(Listing.scan(folder_with(tmp_path, *files))) is None


@pytest.mark.parametrize(
    ("others", "confidence", "counted"),
    [
        ([f"note_{i}.txt" for i in range(8000)], 0.6, {"other": 8000}),
        ([f"overlay_{i}.tif" for i in range(45)], 0.4, {"unrecognised": 45}),
        ([f"overlays/{i}.tif" for i in range(300)], 0.4, {"unrecognised": 300}),
    ],
    ids=["texts", "foreign images", "foreign images in a folder of their own"],
)
def test_what_else_lies_in_the_folder_hides_no_plate(
    tmp_path: Path, others: list[str], confidence: float, counted: dict[str, int]
):
    planes = [f"P_A{column:02d}_s1_w1{GUID}.tif" for column in range(1, 41)]
    listing = Listing.scan(folder_with(tmp_path, *others, *planes))
    evidence = ImageXpressReader.detect(listing)
    assert evidence is not None
    assert evidence.confidence == confidence
    index = ImageXpressReader(listing).index()
    assert (len(index), index.ignored) == (40, counted)


def test_the_reason_says_how_many_of_the_images_it_knows(tmp_path: Path):
    files = ["P_A01.tif", "P_A01_s1.tif", "a.tif", "b.tif", "P_A01_s1_thumb.tif", "c.TIFF"]
    evidence = ImageXpressReader.detect(Listing.scan(folder_with(tmp_path, *files)))
    assert evidence is not None
    assert evidence.reason == "names such as P_A01_s1.tif, 2 of 5 images"


def test_links_of_images_are_no_planes(tmp_path: Path):
    root = folder_with(tmp_path / "plate", "P_A01_s1_w1.TIF")
    elsewhere = folder_with(tmp_path / "elsewhere", "P_A02_s1_w1.TIF", "P.HTD")
    for file in elsewhere.iterdir():
        (root / file.name).symlink_to(file)
    index = reader_of(root).index()
    assert (index.wells, index.ignored) == (("A01",), {"link": 2})


@pytest.mark.skipif(os.name != "posix", reason="needs FIFOs")
def test_a_fifo_called_htd_does_not_hang(tmp_path: Path):
    root = folder_with(tmp_path, "P_A01_s1_w1.TIF")
    os.mkfifo(root / "P.HTD")
    os.mkfifo(root / "P_A02_s1_w1.TIF")
    plate = open_plate(root)
    assert (plate.wells, plate.index.ignored) == (("A01",), {"special": 2})
    assert plate.metadata.name == "P"


def test_a_file_called_htd_that_is_none_is_no_evidence(tmp_path: Path):
    (tmp_path / "notes.HTD").write_text("how to do it")
    assert ImageXpressReader.detect(Listing.scan(tmp_path)) is None


def test_zstep_zero_is_the_projection_of_an_export(tmp_path: Path):
    folders = [f"TimePoint_1/ZStep_{z}" for z in (0, 1, 2)]
    index = reader_of(folder_with(tmp_path, *(f"{f}/P_A01_w1.TIF" for f in folders))).index()
    assert table(index) == {
        "TimePoint_1/ZStep_0/P_A01_w1.TIF": "A01, site 1, channel w1, projection, timepoint 1",
        "TimePoint_1/ZStep_1/P_A01_w1.TIF": "A01, site 1, channel w1, z 1, timepoint 1",
        "TimePoint_1/ZStep_2/P_A01_w1.TIF": "A01, site 1, channel w1, z 2, timepoint 1",
    }


def test_channels_may_differ_in_z_and_may_be_projected_only(tmp_path: Path):
    kinds = [("", 1), ("ZStep_1/", 1), ("ZStep_2/", 1), ("", 3), ("ZStep_1/", 4)]
    files = [f"D/7/{z}P_{well}_w{wave}{GUID}.tif" for well in ("A01", "A02") for z, wave in kinds]
    index = reader_of(folder_with(tmp_path, *files)).index()
    assert len(index) == 10
    assert index.counts()["missing"] == 0
    assert int(index.projection.sum()) == 4


def test_the_folders_of_a_stack_decide_also_when_they_are_empty(tmp_path: Path):
    (tmp_path / "ZStep_1").mkdir()
    index = reader_of(folder_with(tmp_path, "P_A01_s1_w1.tif")).index()
    assert index.projection.tolist() == [True]


def test_folders_with_similar_names_are_never_merged(tmp_path: Path):
    root = folder_with(tmp_path, "ZStep_1/P_A01_w1.TIF", "ZStep_1b/P_A01_w1.TIF")
    with pytest.raises(AmbiguousPlateError) as raised:
        reader_of(root).index()
    assert raised.value.candidates == ("P in ZStep_1b", "P in the folder itself")


@pytest.mark.parametrize(
    ("files", "candidates"),
    [
        (["P_A01.tif", "Q_A01.tif"], ("P in the folder itself", "Q in the folder itself")),
        (["1/P_A01_s1.tif", "2/P_A02_s1.tif"], ("P in 1", "P in 2")),
        (["P_A01.tif", "a.HTD", "b.HTD"], ("a.HTD", "b.HTD")),
    ],
)  # fmt: skip
def test_several_plates_in_one_folder_are_listed(
    tmp_path: Path, files: list[str], candidates: tuple[str, ...]
):
    with pytest.raises(AmbiguousPlateError) as raised:
        reader_of(folder_with(tmp_path, *files)).index()
    assert raised.value.candidates == candidates
    assert "open the folder of one plate" in str(raised.value)


@pytest.mark.parametrize(
    "files",
    [
        ("P_A01_s1_w1.TIF", "P_A1_s1_w1.TIF"),
        ("P_A01_s01_w1.TIF", "P_A01_s1_w1.TIF"),
        ("P_A01_s1.TIF", "P_A01_s1_w1.TIF"),
        ("P_A01_s1_w1.TIF", "P_A01_s1_w1.tiff"),
        (f"P_A01_s1_w1{GUID}.tif", "P_A01_s1_w1.TIF"),
        ("ZStep_01/P_A01_s1_w1.TIF", "ZStep_1/P_A01_s1_w1.TIF"),
        ("P_A01_s1_w1.TIF", "TimePoint_1/P_A01_s1_w1.TIF"),
    ],
)
def test_two_files_for_one_plane_are_both_named(tmp_path: Path, files: tuple[str, str]):
    with pytest.raises(DuplicatePlanesError) as raised:
        reader_of(folder_with(tmp_path, *files)).index()
    assert set(raised.value.files) == set(files)


def test_rows_beyond_z_have_two_letters(tmp_path: Path):
    files = ["P_AF48_s1_w1.tif", "P_Z01_s1_w1.tif", "P_AA01_s1_w1.tif"]
    reader = reader_of(folder_with(tmp_path, *files))
    assert reader.index().wells == ("Z01", "AA01", "AF48")
    assert (reader.metadata().rows, reader.metadata().columns) == (32, 48)


@pytest.mark.parametrize(
    ("well", "plate"),
    [("B03", (2, 3)), ("C01", (3, 4)), ("A06", (4, 6)), ("F08", (6, 8)), ("H12", (8, 12)),
     ("A13", (16, 24)), ("Q01", (32, 48)), ("A60", (None, None))],
)  # fmt: skip
def test_without_an_htd_the_plate_is_the_smallest_that_fits(
    tmp_path: Path, well: str, plate: tuple[int | None, int | None]
):
    found = reader_of(folder_with(tmp_path, f"P_{well}_s1.tif")).metadata()
    assert (found.rows, found.columns) == plate
    assert found.raw["plate_size_guessed"]


def test_an_htd_that_has_no_such_well_is_not_believed(tmp_path: Path):
    found = reader_of(folder_with(tmp_path, "P.HTD", "P_P24_s1.tif")).metadata()
    assert (found.rows, found.columns, found.raw["plate_size_guessed"]) == (16, 24, True)


def test_the_htd_nearest_to_the_root_is_the_plate_s(tmp_path: Path):
    root = folder_with(tmp_path, "TimePoint_1/P.HTD", "TimePoint_1/P_A01_w1.TIF", "P.HTD")
    (root / "P.HTD").write_text(HTD + '"WaveName1", "root"\r\n')
    (root / "TimePoint_1/P.HTD").write_text(HTD + '"WaveName1", "below"\r\n')
    assert reader_of(root).index().channels == (Channel(0, "w1", "root"),)


def test_an_htd_that_cannot_be_read_costs_its_names_and_is_said(tmp_path: Path):
    reader = reader_of(folder_with(tmp_path, "P_A01_w1.TIF", "P.HTD"))
    (tmp_path / "P.HTD").unlink()
    index = reader.index()
    assert index.channels == (Channel(0, "w1"),)
    assert index.errors == ("P.HTD cannot be read: channel names and plate size are not known",)


def test_files_that_are_no_planes_are_counted_by_reason(tmp_path: Path):
    root = folder_with(
        tmp_path, "P.HTD", "P_A01_s1_w1.TIF", "P_A01_s1_w1_thumb.TIF", "overlay.tif",
        "notes.txt", "Thumbs.db", ".DS_Store",
    )  # fmt: skip
    assert reader_of(root).index().ignored == {
        "thumbnail": 1, "unrecognised": 1, "other": 1, "system": 1, "hidden": 1,
    }  # fmt: skip


def test_a_site_that_one_well_lacks_is_missing_when_an_htd_says_all_have_the_same(tmp_path: Path):
    files = ["P_A01_s1_w1.TIF", "P_A01_s2_w1.TIF", "P_A02_s1_w1.TIF"]
    assert reader_of(folder_with(tmp_path, *files)).index().counts()["missing"] == 0
    index = reader_of(folder_with(tmp_path, "P.HTD")).index()
    assert index.counts()["missing"] == 1
    assert table(index)[""] == "A02, site 2, channel w1, z 1, timepoint 1"


@pytest.mark.parametrize("layout", ["export", "database"])
def test_a_synthetic_plate_is_read_back_exactly(tmp_path: Path, layout: str):
    plate = SyntheticPlate(
        layout=layout,  # type: ignore[arg-type]
        wells=("A01", "H12"),
        sites=3,
        channels=("DAPI", "GFP", "Cy5"),
        z_indexes=2,
        timepoints=2,
        shape=(48, 64),
        cells_per_site=2,
        pixel_size_um=(0.5, 0.25),
    )
    truth = make_plate(tmp_path, plate)
    reader = reader_of(tmp_path)
    index = reader.index()
    words = ("{}", "site {}", "channel {}", "z {}", "timepoint {}")
    assert table(index) == {
        file: ", ".join(word.format(label) for word, label in zip(words, plane, strict=True))
        for plane, file in truth.files.items()
    }
    names = ("DAPI", "GFP", "Cy5") if layout == "export" else (None, None, None)
    assert tuple(channel.name for channel in index.channels) == names
    assert index.ignored == ({} if layout == "export" else {"thumbnail": 72})
    found = reader.metadata()
    assert (found.pixel_size_um, found.shape, found.dtype) == ((0.5, 0.25), (48, 64), "uint16")
    assert (found.rows, found.columns) == (8, 12)


TINY = SyntheticPlate(wells=("A01", "B02"), sites=2, shape=(48, 64), cells_per_site=1)


def with_fault(kind: str, plane: Plane) -> SyntheticPlate:
    return SyntheticPlate(
        wells=TINY.wells, sites=2, shape=TINY.shape, cells_per_site=1,
        faults=(Fault(kind, plane),),  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_missing_plane_is_a_row_of_its_own(tmp_path: Path):
    make_plate(tmp_path, with_fault("missing", Plane("B02", "2", "w1", "3")))
    index = reader_of(tmp_path).index()
    assert index.counts()["missing"] == 1
    assert table(index)[""] == "B02, site 2, channel w1, z 3, timepoint 1"


def test_a_duplicate_is_found_before_any_pixel_is_read(tmp_path: Path):
    fault = Fault("duplicate", Plane("B02", "2", "w1", "3"))
    truth = make_plate(tmp_path, with_fault(fault.kind, fault.plane))
    with pytest.raises(DuplicatePlanesError) as raised:
        reader_of(tmp_path).index()
    assert set(raised.value.files) == {truth.faults[fault], truth.files[fault.plane]}


def test_one_damaged_image_does_not_hide_what_the_others_say(tmp_path: Path):
    truth = make_plate(tmp_path, with_fault("truncated", Plane("A01")))
    (tmp_path / truth.files[Plane("A01")]).write_bytes(b"")
    found = reader_of(tmp_path).metadata()
    assert found.pixel_size_um == (0.65, 0.65)
    assert list(found.raw["unreadable"]) == [truth.files[Plane("A01")]]


def test_what_channels_disagree_about_is_not_known(tmp_path: Path):
    folder_with(tmp_path, "P_A01_w1.TIF", "P_A01_w2.TIF")
    tifffile.imwrite(tmp_path / "P_A01_w1.TIF", np.zeros((4, 6), np.uint16))
    tifffile.imwrite(tmp_path / "P_A01_w2.TIF", np.zeros((8, 12), np.uint16))
    found = reader_of(tmp_path).metadata()
    assert (found.shape, found.dtype, found.pixel_size_um) == (None, "uint16", None)


def test_the_index_opens_the_htd_and_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    make_plate(tmp_path, TINY)
    opened: list[str] = []

    def counting(file: Path, *args: object, **options: object) -> object:
        opened.append(Path(file).name)
        return original(file, *args, **options)  # type: ignore[call-overload]

    original = io.open
    monkeypatch.setattr(io, "open", counting)
    listing = Listing.scan(tmp_path)
    assert ImageXpressReader.detect(listing)
    assert len(ImageXpressReader(listing).index()) == 24
    assert opened == ["Synthetic.HTD", "Synthetic.HTD"]  # its head, then all of it


def test_nothing_is_written_into_the_plate(tmp_path: Path):
    make_plate(tmp_path, TINY)

    def content() -> dict[str, str]:
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            for path in sorted(tmp_path.rglob("*"))
        }

    before = content()
    reader = reader_of(tmp_path)
    reader.index()
    reader.metadata()
    assert content() == before

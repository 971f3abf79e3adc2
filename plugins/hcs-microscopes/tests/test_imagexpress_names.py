"""Names of ImageXpress files and folders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs_microscopes._imagexpress_names import (
    FolderPlace,
    NameCounts,
    count_names,
    one_spelling,
    parse_names,
    place_of_folder,
)

GUID = "9E8DE988-C6EC-49A6-8D1B-2BC852EA11E9"


def parts(name: str) -> tuple[str, str, str, str] | None:
    """Return (plate, well, site, wave) of a plane's name; None for another file."""
    found = parse_names([name])
    if not found.names:
        return None
    return found.plates[0], found.wells[0], found.sites[0], found.waves[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("9987_B02.TIF", ("9987", "B02", "", "")),
        ("9987_B02_s1_w2.TIF", ("9987", "B02", "1", "2")),
        (f"P_C07_s2_w2{GUID}.tif", ("P", "C07", "2", "2")),
        (f"P_C07_w12{GUID}.tif", ("P", "C07", "", "12")),
        (f"P_C07_s10{GUID}.tif", ("P", "C07", "10", "")),
        (f"P_C07{GUID}.tif", ("P", "C07", "", "")),
        (f"P_C07_s1_w1_[{GUID}].tif", ("P", "C07", "1", "1")),
        (f"P_C07_s1_w1{GUID.lower()}.tif", ("P", "C07", "1", "1")),
        ("P_AF48_s1_w1.tif", ("P", "AF48", "1", "1")),
        ("P_A1_s01_w1.tiff", ("P", "A1", "01", "1")),
        ("plate_A01_B02_s1.tif", ("plate_A01", "B02", "1", "")),
        ("with space, komma_H12_s1_w1.Tif", ("with space, komma", "H12", "1", "1")),
        ("zweite Zeile\n_H12_s1.tif", ("zweite Zeile\n", "H12", "1", "")),
    ],
)
def test_a_name_has_one_reading(name: str, expected: tuple[str, str, str, str]):
    assert parts(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt", "9987.HTD", "_B02_s1_w1.tif", "P_B00_s1.tif", "P_AG01_s1.tif", "P_b02_s1.tif",
        "movie_t01.tif", "P_B02_s1_w1.tif.txt", "P_B02_s1_w1_z1.tif", "P_B02_w1_s1.tif",
        "P_C03_T0001F001L01A01Z01C01.tif", "P_B02_s1_w19E8DE988-C6EC-49A6-8D1B.tif",
        "r02c03f01p01-ch1sk1fk1fl1.tiff", "AS_09125_O01f00d2.TIF", "test_t0_C05_s0_w0_z0.tif",
    ],
)  # fmt: skip
def test_other_names_are_no_planes(name: str):
    assert parts(name) is None


def test_thumbnails_are_counted_and_never_planes():
    names = [f"P_B02_s1_thumb{GUID}.tif", "P_B02_s1_w1_thumb.TIF", "P_B02_s1_w1.TIF", "a.tif"]
    found = parse_names(names)
    assert found.names == ("P_B02_s1_w1.TIF",)
    assert found.thumbnails == 2
    assert found.others == ("a.tif",)


def test_names_are_counted_by_what_they_say():
    names = ["P_B02.tif", "_B02_s1.tif", "P_B02_s1.TIF", "P_B02_w1_thumb.tif", "a.tiff", "n.txt"]
    assert count_names(names) == NameCounts(2, 1, 2, "P_B02_s1.TIF")
    assert count_names(names[:2]) == NameCounts(1, 0, 1, "P_B02.tif")


def test_no_names_are_no_planes():
    assert count_names([]) == NameCounts(0, 0, 0, "")
    found = parse_names([])
    assert (found.names, found.thumbnails, found.others) == ((), 0, ())


plates = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20
).filter(lambda text: not text.startswith("."))
wells = st.builds(
    lambda row, column: f"{row}{column:02d}",
    st.sampled_from([*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AF"]),
    st.integers(1, 48),
)
numbers = st.none() | st.integers(1, 999)
guids = st.none() | st.uuids().map(lambda guid: str(guid).upper())


@given(plates, wells, numbers, numbers, guids, st.booleans(), st.sampled_from(["tif", "TIF"]))
def test_a_name_made_by_the_rules_is_read_back(
    plate: str,
    well: str,
    site: int | None,
    wave: int | None,
    guid: str | None,
    thumbnail: bool,
    extension: str,
):
    name = f"{plate}_{well}"
    name += f"_s{site}" if site else ""
    name += f"_w{wave}" if wave else ""
    name += "_thumb" if thumbnail else ""
    found = parse_names([f"other_{plate}", f"{name}{guid or ''}.{extension}", "last"])
    assert found.thumbnails == thumbnail
    assert count_names([f"{name}{guid or ''}.{extension}"]).planes == (not thumbnail)
    if not thumbnail:
        assert list(found.names) == [f"{name}{guid or ''}.{extension}"]
        assert (found.plates[0], found.wells[0]) == (plate, well)
        assert (found.sites[0], found.waves[0]) == (str(site or ""), str(wave or ""))


@pytest.mark.parametrize(
    ("folder", "place"),
    [
        ("", FolderPlace(())),
        ("TimePoint_1", FolderPlace((), "1", None)),
        ("2024-04-22/1697/TimePoint_12/ZStep_3", FolderPlace(("2024-04-22", "1697"), "12", "3")),
        ("timepoint_2/zstep_0", FolderPlace((), "2", "0")),
        ("ZStep_1b", FolderPlace(("ZStep_1b",))),
        ("My_TimePoint_1", FolderPlace(("My_TimePoint_1",))),
    ],
)
def test_a_folder_says_where_its_planes_belong(folder: str, place: FolderPlace):
    assert place_of_folder(folder.split("/") if folder else []) == place


def test_a_number_has_one_label_however_it_is_padded():
    assert one_spelling(["01", "1", "10"]) == {"01": "1", "1": "1", "10": "10"}
    assert one_spelling(["01", "02"]) == {"01": "01", "02": "02"}
    assert one_spelling(["", "2"]) == {"": "1", "2": "2"}
    assert one_spelling(["", "01"]) == {"": "01", "01": "01"}

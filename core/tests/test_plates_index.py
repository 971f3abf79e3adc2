"""The index of a plate and how it is built."""

from __future__ import annotations

import os
import pickle
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcs_core.errors import DuplicatePlanesError
from hcs_core.plates import COMPONENTS, STATUSES, Channel, IndexBuilder, PlateIndex


def index_of(
    planes: Sequence[tuple[str, str, str, str | None]], *, expect_all_sites: bool = False
) -> PlateIndex:
    """Return the index of planes given as (well, site, channel, z)."""
    builder = IndexBuilder("plate")
    well, site, channel, z_index = zip(*planes, strict=True)
    names = ["_".join(map(str, plane)) + ".tif" for plane in planes]
    builder.extend(names=names, folder="", well=well, site=site, channel=channel, z_index=z_index)
    return builder.build(expect_all_sites=expect_all_sites)


def described(index: PlateIndex, status: str) -> list[str]:
    return [
        index.describe(row) for row in range(len(index)) if STATUSES[index.status[row]] == status
    ]


def test_rows_are_in_the_order_of_the_plate_and_of_natural_labels():
    index = index_of(
        [("AA01", "1", "w1", "1"), ("B01", "10", "w1", "1"), ("B01", "9", "w1", "1")],
    )
    assert index.wells == ("B01", "AA01")
    assert index.sites == ("1", "9", "10")
    assert index.name.tolist() == ["B01_9_w1_1.tif", "B01_10_w1_1.tif", "AA01_1_w1_1.tif"]
    assert index.well.tolist() == [0, 0, 1]
    assert index.site.tolist() == [1, 2, 0]


def test_columns_are_numbers_of_the_vendor_s_labels():
    index = index_of([("A01", "3", "w2", "7"), ("A01", "3", "w10", None)])
    assert index.channels == (Channel(0, "w2"), Channel(1, "w10"))
    assert index.z_indexes == ("7",)
    assert index.channel.tolist() == [0, 1]
    assert index.z_index.tolist() == [0, -1]
    assert index.projection.tolist() == [False, True]
    assert index.describe(0) == "A01, site 3, channel w2, z 7, timepoint 1"
    assert index.describe(1) == "A01, site 3, channel w10, projection, timepoint 1"


def test_batches_may_give_one_label_for_all_planes():
    builder = IndexBuilder("plate")
    builder.extend(names=["a.tif", "b.tif"], folder="t1", well=["A1", "A2"], page=3)
    builder.extend(names=["c.tif"], folder="t2", well="A01", timepoint="2", page=[5])
    index = builder.build(expect_complete=False)
    assert len(builder) == 3
    assert index.wells == ("A01", "A02")
    assert [index.file(row) for row in range(3)] == ["t1/a.tif", "t2/c.tif", "t1/b.tif"]
    assert index.timepoint.tolist() == [0, 1, 0]
    assert index.page.tolist() == [3, 5, 3]


def test_a_batch_of_unequal_columns_is_refused():
    with pytest.raises(ValueError, match="2 names, but 1 labels of site"):
        IndexBuilder("plate").extend(names=["a", "b"], folder="", well="A01", site=["1"])


def test_an_index_without_planes_is_empty():
    index = IndexBuilder("plate").build()
    assert len(index) == 0
    assert index.wells == ()
    assert index.counts()["ok"] == 0


def test_a_plane_that_other_fields_have_is_missing():
    index = index_of(
        [
            ("A01", "1", "w1", "1"), ("A01", "1", "w1", "2"), ("A01", "1", "w2", "1"),
            ("B02", "5", "w1", "1"), ("B02", "5", "w2", "1"),
        ]
    )  # fmt: skip
    assert described(index, "missing") == ["B02, site 5, channel w1, z 2, timepoint 1"]
    assert index.counts() == {"ok": 5, "missing": 1, "error": 0, "skipped": 0, "unindexed": 0}
    row = index.status.tolist().index(1)
    assert (row, index.file(row)) == (4, "")


def test_fields_and_wells_that_were_never_there_are_not_invented():
    index = index_of([("A01", "1", "w1", "1"), ("H12", "4", "w1", "1")])
    assert len(index) == 2


def test_a_site_that_the_metadata_promises_for_every_well_is_missing():
    planes = [("A01", "1", "w1", "1"), ("A01", "2", "w1", "1"), ("B01", "1", "w1", "1")]
    assert described(index_of(planes), "missing") == []
    index = index_of(planes, expect_all_sites=True)
    assert described(index, "missing") == ["B01, site 2, channel w1, z 1, timepoint 1"]


def test_a_channel_may_have_fewer_z_than_another_in_all_fields():
    kinds = [("w1", "1"), ("w1", "2"), ("w2", None)]
    planes = [(well, "1", channel, z) for well in ("A01", "A02") for channel, z in kinds]
    index = index_of(planes)
    assert index.counts()["missing"] == 0
    assert index.counts()["ok"] == 4  # projections are counted apart


def test_a_missing_projection_is_no_missing_plane_but_its_field_misses_its_planes():
    index = index_of(
        [("A01", "1", "w1", None), ("A01", "1", "w1", "1"), ("A02", "1", "w1", "1"),
         ("A03", "1", "w1", None)]
    )  # fmt: skip
    assert described(index, "missing") == ["A03, site 1, channel w1, z 1, timepoint 1"]


def test_two_files_of_one_plane_are_both_named():
    builder = IndexBuilder("plate")
    builder.extend(
        names=["z.tif", "b.tif", "c.tif"], folder=["x", "y", "y"], well=["A1", "A01", "A2"]
    )
    with pytest.raises(DuplicatePlanesError) as raised:
        builder.build()
    assert raised.value.files == ("x/z.tif", "y/b.tif")
    assert raised.value.count == 1
    assert "A01, site 1, channel 1, z 1" in str(raised.value)


def test_the_fingerprint_depends_on_the_planes_and_not_on_their_order():
    planes = [("A01", "1", "w1", "1"), ("A01", "2", "w1", "1"), ("B01", "1", "w1", "1")]
    forward, backward = index_of(planes), index_of(planes[::-1])
    assert forward.fingerprint() == backward.fingerprint()
    assert forward.fingerprint() != index_of(planes[:2]).fingerprint()


def test_the_fingerprint_takes_file_names_that_are_not_utf_8():
    def fingerprint(name: bytes) -> str:
        builder = IndexBuilder("plate")
        folder = os.fsdecode(b"caf\xe9")
        builder.extend(names=[os.fsdecode(name)], folder=folder, well="A01")
        return builder.build().fingerprint()

    assert fingerprint(b"\xe9.tif") == fingerprint(b"\xe9.tif")
    assert fingerprint(b"\xe9.tif") != fingerprint(b"\xe8.tif")


def test_the_fingerprint_is_the_same_in_every_version_of_python():
    # U+1FAE9 is new in Unicode 16, which Python 3.14 has and Python 3.13 has not.
    index = index_of([("A01", "1", "w1", "1"), ("A01", "1", "\U0001fae9", "1")])
    assert index.fingerprint() == (
        "6618146667577b2813fbbb7377247aad7efb8fccfab61349f564b9bcaec432fd"
    )


def test_an_index_survives_the_way_to_a_worker_process():
    index = index_of([("A01", "1", "w1", "1"), ("A02", "1", "w1", None)])
    assert pickle.loads(pickle.dumps(index)).fingerprint() == index.fingerprint()  # noqa: S301


def test_columns_cannot_be_changed():
    index = index_of([("A01", "1", "w1", "1")])
    with pytest.raises(ValueError, match="read-only"):
        index.site[0] = 3


def test_rows_can_be_ordered_by_any_components_first():
    index = index_of([(well, "1", channel, "1") for well in ("A01", "A02") for channel in "ab"])
    names = index.name[index.order_by(["channel"])]
    assert names.tolist() == ["A01_1_a_1.tif", "A02_1_a_1.tif", "A01_1_b_1.tif", "A02_1_b_1.tif"]


def test_a_channel_is_found_by_label_and_then_by_name():
    builder = IndexBuilder("plate")
    builder.extend(names=["a", "b"], folder="", well="A01", channel=["w1", "w2"])
    index = builder.build(channel_names={"w1": "w2", "w2": "DAPI"})
    assert index.find_channel("w2") == Channel(1, "w2", "DAPI")
    assert index.find_channel("DAPI") == Channel(1, "w2", "DAPI")
    assert index.find_channel("GFP") is None


@given(
    st.sets(
        st.tuples(
            st.sampled_from(["A01", "B03", "AA02"]),
            st.integers(1, 4),
            st.integers(1, 3),
            st.none() | st.integers(1, 3),
            st.integers(1, 2),
        ),
        min_size=1,
    )
)
def test_the_index_holds_what_was_added_and_what_fields_lack(
    planes: set[tuple[str, int, int, int | None, int]],
):
    rows = [(w, str(s), f"w{c}", z and str(z), str(t)) for w, s, c, z, t in planes]
    builder = IndexBuilder("plate")
    well, site, channel, z_index, timepoint = zip(*rows, strict=True)
    builder.extend(
        names=[str(row) for row in rows],
        folder="",
        well=well,
        site=site,
        channel=channel,
        z_index=z_index,
        timepoint=timepoint,
    )
    index = builder.build()
    fields = {row[:2] for row in rows}
    kinds = {row[2:] for row in rows if row[3] is not None}
    expected = {(*field, *kind) for field in fields for kind in kinds} | set(rows)
    found = {_labels(index, row): str(index.name[row]) for row in range(len(index))}
    assert set(found) == expected
    assert len(found) == len(index)
    assert {row for row, name in found.items() if name} == set(rows)
    assert all(name in ("", str(row)) for row, name in found.items())
    keys = np.stack([index.column(component) for component in COMPONENTS], axis=1).tolist()
    assert keys == sorted(keys)


def _labels(index: PlateIndex, row: int) -> tuple[str | None, ...]:
    numbers = [int(index.column(component)[row]) for component in COMPONENTS]
    return tuple(
        None if number < 0 else index.labels(component)[number]
        for component, number in zip(COMPONENTS, numbers, strict=True)
    )

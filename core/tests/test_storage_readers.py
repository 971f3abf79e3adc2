"""What is written opens in the readers that people use, with equal values and no warning.

Each reader is needed by its own tests only; ``nox -s full`` installs them all.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hcs_core.storage import ChannelStyle, FieldMetadata, OmeZarrPlate
from hcs_core.storage.backends.zarr import ZarrBackend

pytest.importorskip("tensorstore")

FIELDS = ("B/03/0", "B/03/1", "C/10/0", "C/10/1")
CHANNELS = ("DAPI", "GFP")
Z = 2
ROWS, COLUMNS = "ABCDEFGH", [f"{column:02d}" for column in range(1, 13)]
PIXEL_SIZE_UM = (0.65, 0.325)


def plane_of(field: str, channel: int, z: int) -> NDArray[np.uint16]:
    """Return pixels that no other plane has."""
    number = (FIELDS.index(field) * len(CHANNELS) + channel) * Z + z
    return (np.arange(40 * 56, dtype=np.uint16).reshape(40, 56) + 3000 * number) % 60000


def labels_of(field: str, z: int) -> NDArray[np.int32]:
    labels = np.zeros((40, 56), np.int32)
    labels[5:15, 5:20] = 1 + z
    labels[20:30, 30:50] = 70_000 + FIELDS.index(field)
    return labels


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two wells of two fields of two channels and two z planes, each with labels."""
    root = tmp_path_factory.mktemp("out") / "plate.zarr"
    made = OmeZarrPlate(root, name="Two wells")
    styles = tuple(ChannelStyle(name, (0.0, 40_000.0)) for name in CHANNELS)
    for field in FIELDS:
        planes = {(0, c, z): plane_of(field, c, z) for c in range(len(CHANNELS)) for z in range(Z)}
        made.write_image(field, planes, size=(1, len(CHANNELS), Z))
        labels = {(0, z): labels_of(field, z) for z in range(Z)}
        made.write_labels(field, "Nuclei", labels, size=(1, Z))
        metadata = FieldMetadata(field, styles, np.dtype("uint16"), PIXEL_SIZE_UM)
        made.publish_field(field, metadata, labels={"Nuclei": []})
    made.publish_plate({"C/10": [0, 1], "B/03": [0, 1]}, rows=ROWS, columns=COLUMNS)
    return root


def image_of(field: str) -> NDArray[np.uint16]:
    return np.array([[[plane_of(field, c, z) for z in range(Z)] for c in range(len(CHANNELS))]])


class Complaints(logging.Handler):
    """Every log record of a warning or worse."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.name}: {record.getMessage()}")


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """Collect what a reader logs, and every warning that it gives about our metadata."""
    handler = Complaints()
    logging.getLogger().addHandler(handler)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        yield handler.texts
        # Readers warn of their own imports, too; that is theirs.
        about = [str(w.message) for w in given if not issubclass(w.category, _OF_LIBRARIES)]
        handler.texts += about
    logging.getLogger().removeHandler(handler)
    assert handler.texts == []


_OF_LIBRARIES = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning)


# -- our own structure ----------------------------------------------------------------------


def attributes(plate: Path, group: str) -> dict[str, Any]:
    document = json.loads((plate / group / "zarr.json").read_text())
    assert (document["zarr_format"], document["node_type"]) == (3, "group")
    found: dict[str, Any] = document["attributes"]
    return found


def test_the_plate_lists_wells_by_row_and_column(plate):
    ome = attributes(plate, "")["ome"]
    assert ome["version"] == "0.5"
    assert [well["path"] for well in ome["plate"]["wells"]] == ["B/03", "C/10"]
    assert ome["plate"]["wells"][1] == {"path": "C/10", "rowIndex": 2, "columnIndex": 9}
    assert [row["name"] for row in ome["plate"]["rows"]] == list(ROWS)
    assert ome["plate"]["field_count"] == 2


def test_rows_of_two_letters_come_after_rows_of_one(tmp_path):
    rows = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB"]
    made = OmeZarrPlate(tmp_path, name="large")
    fields = {"AB/02": [0], "B/10": [0], "B/2": [0], "Z/2": [0]}
    made.publish_plate(fields, rows=rows, columns=["2", "10", "02"])
    wells = attributes(tmp_path, "")["ome"]["plate"]["wells"]
    assert [well["path"] for well in wells] == ["B/2", "B/10", "Z/2", "AB/02"]


def test_a_plate_without_a_field_is_not_written(tmp_path):
    OmeZarrPlate(tmp_path / "plate.zarr", name="empty").publish_plate(
        {"A/01": []}, rows=ROWS, columns=COLUMNS
    )
    assert not (tmp_path / "plate.zarr").exists()


def test_a_field_is_invisible_until_it_is_published(tmp_path):
    made = OmeZarrPlate(tmp_path, name="plate")
    made.write_image("A/01/0", {(0, 0, 0): plane_of(FIELDS[0], 0, 0)}, size=(1, 1, 1))
    assert not (tmp_path / "A/01/0/zarr.json").exists()
    assert (tmp_path / "A/01/0/0/zarr.json").exists()


def test_missing_planes_are_listed_and_a_plane_of_zeros_is_stored(tmp_path):
    made = OmeZarrPlate(tmp_path, name="plate")
    zeros = np.zeros((4, 5), np.uint16)
    made.write_image("A/01/0", {(0, 0, 0): zeros}, size=(1, 2, 1))
    metadata = FieldMetadata("A01", (), zeros.dtype)
    made.publish_field("A/01/0", metadata, missing=[(0, 1, 0)])
    assert attributes(tmp_path, "A/01/0")["hcs"] == {"missing_planes": [[0, 1, 0]]}
    assert (tmp_path / "A/01/0/0/c/0/0/0/0/0").is_file()
    assert not (tmp_path / "A/01/0/0/c/0/1/0/0/0").exists()


def test_each_labels_group_lists_the_planes_that_it_lacks(tmp_path):
    made = OmeZarrPlate(tmp_path, name="plate")
    plane = np.ones((4, 5), np.int32)
    made.write_image("A/01/0", {(0, 0, z): plane for z in (0, 1)}, size=(1, 1, 2))
    made.write_labels("A/01/0", "Nuclei", {(0, 1): plane}, size=(1, 2))
    made.write_labels("A/01/0", "Cells", {(0, z): plane for z in (0, 1)}, size=(1, 2))
    metadata = FieldMetadata("A01", (), plane.dtype)
    made.publish_field("A/01/0", metadata, labels={"Nuclei": [(0, 0)], "Cells": []})
    nuclei = attributes(tmp_path, "A/01/0/labels/Nuclei")
    assert nuclei["hcs"] == {"missing_planes": [[0, 0]]}
    assert "image-label" in nuclei["ome"]
    assert "hcs" not in attributes(tmp_path, "A/01/0/labels/Cells")
    assert "hcs" not in attributes(tmp_path, "A/01/0")
    assert attributes(tmp_path, "A/01/0/labels")["ome"]["labels"] == ["Cells", "Nuclei"]


@pytest.mark.parametrize(
    ("planes", "reason"),
    [
        ({}, "none"),
        ({(0, 0, 0): np.zeros((4, 5)), (0, 1, 0): np.zeros((4, 6))}, "differ"),
        ({(0, 0, 0): np.zeros((4, 5), "u1"), (0, 1, 0): np.zeros((4, 5), "u2")}, "differ"),
        ({(0, 2, 0): np.zeros((4, 5))}, "within"),
        ({(0, -1, 0): np.zeros((4, 5))}, "within"),
        ({(0, 0, 0): np.zeros(5)}, "shape"),
        ({(0, 0, 0): np.zeros((4, 0))}, "shape"),
        ({(0, 0, 0): np.zeros((4, 5), complex)}, "complex128"),
        ({(0, 0, 0): np.ma.masked_all((4, 5))}, "mask"),
    ],
)
def test_planes_that_would_be_cast_repeated_or_lost_are_refused(tmp_path, planes, reason):
    from hcs_core.errors import UnsavableValueError

    made = OmeZarrPlate(tmp_path, name="plate")
    with pytest.raises(UnsavableValueError, match=reason):
        made.write_image("A/01/0", planes, size=(1, 2, 1))
    assert list(tmp_path.iterdir()) == []


def test_an_image_of_another_shape_is_not_written_into_one_that_is_there(tmp_path):
    from hcs_core.errors import InvalidKeyError, UnsavableValueError

    made = OmeZarrPlate(tmp_path, name="plate")
    plane = np.ones((4, 5), np.uint16)
    made.write_image("A/01/0", {(0, 0, 0): plane}, size=(1, 2, 1))
    made.write_image("A/01/0", {(0, 1, 0): plane}, size=(1, 2, 1))  # the same, so it goes on
    with pytest.raises(UnsavableValueError, match="another array"):
        made.write_image("A/01/0", {(0, 0, 0): plane}, size=(1, 3, 1))
    with pytest.raises(UnsavableValueError, match="labels are integers"):
        made.write_labels("A/01/0", "Nuclei", {(0, 0): np.ones((4, 5))}, size=(1, 1))
    with pytest.raises(InvalidKeyError):
        made.write_image("../A/01/0", {(0, 0, 0): plane}, size=(1, 1, 1))


def test_a_well_outside_the_plate_is_refused_before_anything_is_written(tmp_path):
    from hcs_core.errors import UnsavableValueError

    made = OmeZarrPlate(tmp_path, name="plate")
    with pytest.raises(UnsavableValueError, match="no such row or column"):
        made.publish_plate({"A/01": [0], "Q/01": [0]}, rows=ROWS, columns=COLUMNS)
    assert list(tmp_path.iterdir()) == []


# -- zarr-python ----------------------------------------------------------------------------


def test_zarr_python_reads_equal_images_and_labels(plate):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(plate, mode="r")
    for field in FIELDS:
        array = group[f"{field}/0"]
        assert (array.shape, array.chunks) == ((1, 2, 2, 40, 56), (1, 1, 1, 40, 56))
        assert array.metadata.dimension_names == ("t", "c", "z", "y", "x")
        np.testing.assert_array_equal(array[:], image_of(field))
        labels = group[f"{field}/labels/Nuclei/0"]
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(
            labels[0].reshape(Z, 40, 56), [labels_of(field, z) for z in range(Z)]
        )
    assert sorted(group.group_keys()) == ["B", "C"]


@pytest.mark.parametrize(
    "dtype",
    [
        "bool",
        "int8",
        "uint8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "float16",
        "float32",
        "float64",
    ],
)
def test_zarr_python_reads_what_the_backend_saved(tmp_path, dtype):
    zarr = pytest.importorskip("zarr")
    value = np.arange(24).reshape(2, 3, 4).astype(dtype)
    ZarrBackend(tmp_path).save("plate/a", value)
    array = zarr.open_array(tmp_path / "plate/a", mode="r")
    assert array.dtype == value.dtype
    np.testing.assert_array_equal(array[:], value)


@pytest.mark.parametrize("shape", [(), (5,), (0, 3), (3, 4), (2, 2, 3, 4)])
def test_the_backend_reads_what_zarr_python_saved(tmp_path, shape):
    zarr = pytest.importorskip("zarr")
    value = np.arange(np.prod(shape, dtype=int), dtype=np.float32).reshape(shape)
    array = zarr.create_array(tmp_path / "a", shape=shape, dtype="float32")
    array[...] = value
    np.testing.assert_array_equal(ZarrBackend(tmp_path).load("a"), value)


def test_chunks_that_another_program_left_out_read_as_its_fill_value(tmp_path):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(
        tmp_path / "a", shape=(2, 3, 4), chunks=(1, 3, 4), dtype="uint16", fill_value=9
    )
    array[0] = np.ones((3, 4), np.uint16)
    loaded = ZarrBackend(tmp_path).load("a")
    assert (loaded[0] == 1).all()
    assert (loaded[1] == 9).all()


# -- other people's readers of OME-Zarr -------------------------------------------------------


@pytest.mark.slow
def test_ome_zarr_models_finds_plate_wells_images_and_labels_valid(plate, complaints):
    zarr = pytest.importorskip("zarr")
    models = pytest.importorskip("ome_zarr_models.v05")
    group = zarr.open_group(plate, mode="r")
    hcs = models.HCS.from_zarr(group)
    assert [well.path for well in hcs.ome_attributes.plate.wells] == ["B/03", "C/10"]
    for well in ("B/03", "C/10"):
        models.Well.from_zarr(group[well])
    for field in FIELDS:
        image = models.Image.from_zarr(group[field])
        assert [axis.name for axis in image.ome_attributes.multiscales[0].axes] == list("tczyx")
        models.Labels.from_zarr(group[f"{field}/labels"])
        labels = models.ImageLabel.from_zarr(group[f"{field}/labels/Nuclei"])
        assert [axis.name for axis in labels.ome_attributes.multiscales[0].axes] == list("tzyx")


@pytest.mark.slow
def test_ngio_opens_the_plate_its_images_and_labels(plate, complaints):
    ngio = pytest.importorskip("ngio")
    opened = ngio.open_ome_zarr_plate(plate, mode="r")
    assert sorted(opened.wells_paths()) == ["B/03", "C/10"]
    images = opened.get_images()
    assert sorted(images) == sorted(FIELDS)
    for field, container in images.items():
        image = container.get_image()
        assert image.channel_labels == list(CHANNELS)
        assert (image.pixel_size.y, image.pixel_size.x) == PIXEL_SIZE_UM
        np.testing.assert_array_equal(
            image.get_as_numpy(axes_order=["t", "c", "z", "y", "x"]), image_of(field)
        )
        assert container.list_labels() == ["Nuclei"]
        labels = container.get_label("Nuclei")
        np.testing.assert_array_equal(
            labels.get_as_numpy(axes_order=["z", "y", "x"]),
            [labels_of(field, z) for z in range(Z)],
        )


@pytest.mark.slow
def test_ome_zarr_py_reads_the_plate_and_each_field_with_its_labels(plate, complaints):
    pytest.importorskip("ome_zarr")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    nodes = list(Reader(parse_url(str(plate)))())
    assert nodes
    assert nodes[0].metadata["channel_names"] == list(CHANNELS)
    for field in FIELDS:
        found = list(Reader(parse_url(str(plate / field)))())
        arrays = {
            tuple(axis["name"] for axis in node.metadata["axes"]): node
            for node in found
            if node.data
        }
        np.testing.assert_array_equal(np.asarray(arrays[tuple("tczyx")].data[0]), image_of(field))
        labels = np.asarray(arrays[tuple("tzyx")].data[0])
        np.testing.assert_array_equal(
            labels.reshape(Z, 40, 56), [labels_of(field, z) for z in range(Z)]
        )


@pytest.mark.slow
def test_napari_ome_zarr_shows_the_plate_and_each_field_with_its_labels(plate, complaints):
    reader = pytest.importorskip("napari_ome_zarr")
    layers = layers_of(reader, plate)
    assert layers
    image, labels = layers
    assert [name.rpartition(" ")[2] for name in image[1]["name"]] == list(CHANNELS)
    # The channels become layers, so both lie on t, z, y, x.
    assert image[1]["axis_labels"] == labels[1]["axis_labels"] == ("t", "z", "y", "x")
    assert image[1]["scale"] == labels[1]["scale"] == [1.0, 1.0, *PIXEL_SIZE_UM]
    field = layers_of(reader, plate / FIELDS[0])
    kinds = [layer[2] for layer in field]
    assert kinds == ["image", "labels"]
    np.testing.assert_array_equal(np.asarray(field[0][0][0]), image_of(FIELDS[0]))
    labels = np.asarray(field[1][0][0])
    np.testing.assert_array_equal(
        labels.reshape(Z, 40, 56), [labels_of(FIELDS[0], z) for z in range(Z)]
    )


def layers_of(reader: Any, path: Path) -> Sequence[Any]:
    function = reader.napari_get_reader(str(path))
    assert function is not None
    layers: Sequence[Any] = function(str(path))
    return layers

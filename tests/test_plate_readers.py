"""The plate that a run leaves opens in other people's readers, without a warning.

Each reader is needed by its own test only; ``nox -s full`` installs them all.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcs_core.testing import SyntheticPlate, make_plate

CHANNELS = ["DAPI", "GFP"]
WELLS = ["A/01", "B/02"]
FIELDS = [f"{well}/{number}" for well in WELLS for number in (0, 1)]
PLATE = SyntheticPlate(
    wells=("A01", "B02"),
    sites=2,
    shape=(96, 128),
    channels=("DAPI", "GFP"),
    z_indexes=1,
    cells_per_site=4,
)
PIPELINE = """
name = "nuclei"
[[steps]]
name = "Nuclei"
func = {DAPI = "segment_nuclei"}
group_by = "channel"
save = ["labels"]
"""

# What the readers themselves deprecate is not our failure; what they say of our data is.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def out(hcs: Any, left: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One run over a plate of two wells, two fields and two channels."""
    folder = tmp_path_factory.mktemp("readers")
    (folder / "nuclei.toml").write_text(PIPELINE, "utf-8")
    plate = make_plate(folder / "plate", PLATE)
    outcome = hcs("run", folder / "nuclei.toml", plate.path, folder / "out")
    assert outcome.code == 0, outcome.err
    return left(folder / "out")


@pytest.fixture(autouse=True)
def _no_complaints(caplog: pytest.LogCaptureFixture) -> Any:
    """A warning is an error in all tests; what a reader logs is one here."""
    yield
    assert [
        record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING
    ] == []


def test_ome_zarr_models_finds_plate_wells_images_and_labels_valid(out: Any):
    models = pytest.importorskip("ome_zarr_models.v05")
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(out.path / "plate.zarr", mode="r")
    plate = models.HCS.from_zarr(group).ome_attributes.plate
    assert [well.path for well in plate.wells] == WELLS
    for well in WELLS:
        images = models.Well.from_zarr(group[well]).ome_attributes.well.images
        assert [image.path for image in images] == ["0", "1"]
    for field in FIELDS:
        image = models.Image.from_zarr(group[field]).ome_attributes
        assert [axis.name for axis in image.multiscales[0].axes] == list("tczyx")
        labels = models.Labels.from_zarr(group[f"{field}/labels"])
        assert labels.ome_attributes.labels == ["Nuclei"]
        nuclei = models.ImageLabel.from_zarr(group[f"{field}/labels/Nuclei"]).ome_attributes
        assert [axis.name for axis in nuclei.multiscales[0].axes] == list("tzyx")


@pytest.mark.slow
def test_ngio_reads_the_images_and_labels_that_are_stored(out: Any):
    ngio = pytest.importorskip("ngio")
    images = ngio.open_ome_zarr_plate(out.path / "plate.zarr", mode="r").get_images()
    assert sorted(images) == FIELDS
    for field, container in images.items():
        image = container.get_image()
        assert image.channel_labels == CHANNELS
        np.testing.assert_array_equal(
            image.get_as_numpy(axes_order=list("tczyx")), out.array(f"{field}/0")
        )
        assert container.list_labels() == ["Nuclei"]
        labels = container.get_label("Nuclei").get_as_numpy(axes_order=list("zyx"))
        np.testing.assert_array_equal(labels, out.labels(field, "Nuclei")[0])


@pytest.mark.slow
def test_napari_ome_zarr_shows_the_plate_and_each_field_with_its_labels(out: Any):
    reader = pytest.importorskip("napari_ome_zarr")

    def layers_of(path: Path) -> Any:
        return reader.napari_get_reader(str(path))(str(path))

    image, labels = layers_of(out.path / "plate.zarr")
    assert (image[2], labels[2]) == ("image", "labels")
    assert [name.rpartition(" ")[2] for name in image[1]["name"]] == CHANNELS
    for field in FIELDS:
        image, labels = layers_of(out.path / "plate.zarr" / field)
        np.testing.assert_array_equal(np.asarray(image[0][0]), out.array(f"{field}/0"))
        shown = np.asarray(labels[0][0]).reshape(out.labels(field, "Nuclei").shape)
        np.testing.assert_array_equal(shown, out.labels(field, "Nuclei"))

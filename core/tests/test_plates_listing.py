"""The listing of a plate's folder."""

from __future__ import annotations

import os
import pickle
import socket
from pathlib import Path

import pytest

from hcs_core.errors import PlateNotFoundError
from hcs_core.plates import Listing


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_files_are_listed_by_folder(tmp_path: Path):
    for file in ("a.tif", "Z_10/b.tif", "Z_2/c.tif", "Z_2/deep/d.tif"):
        touch(tmp_path / file)
    listing = Listing.scan(tmp_path)
    assert set(listing.files()) == {
        ("", "a.tif"), ("Z_2", "c.tif"), ("Z_2/deep", "d.tif"), ("Z_10", "b.tif"),
    }  # fmt: skip
    assert listing.file_count == 4


def test_folders_are_in_natural_order(tmp_path: Path):
    for folder in ("Z_10", "Z_2", "Z_1"):
        (tmp_path / folder).mkdir()
    folders = [folder for folder in Listing.scan(tmp_path).folders if folder]
    assert folders == ["Z_1", "Z_2", "Z_10"]


def test_a_listing_survives_the_way_to_a_worker_process(tmp_path: Path):
    touch(tmp_path / "z" / "a.tif")
    listing = Listing.scan(tmp_path)
    assert pickle.loads(pickle.dumps(listing)) == listing  # noqa: S301


def test_what_file_managers_leave_is_no_part_of_a_plate(tmp_path: Path):
    for file in ("a.tif", "Thumbs.db", "desktop.ini", ".DS_Store", "._a.tif", ".git/config"):
        touch(tmp_path / file)
    listing = Listing.scan(tmp_path)
    assert listing.folders == {"": ("a.tif",)}
    assert listing.ignored == {"system": 2, "hidden": 3}


def test_links_to_folders_are_not_followed(tmp_path: Path):
    plate = tmp_path / "plate"
    touch(plate / "a.tif")
    touch(tmp_path / "elsewhere" / "b.tif")
    (plate / "out").symlink_to(tmp_path / "elsewhere")
    (plate / "loop").symlink_to(plate)
    listing = Listing.scan(plate)
    assert listing.folders == {"": ("a.tif",)}
    assert listing.ignored == {"link": 2}


def test_links_to_files_are_not_followed_dead_ones_neither(tmp_path: Path):
    plate = tmp_path / "plate"
    touch(plate / "a.tif")
    touch(tmp_path / "elsewhere.tif")
    for name, target in (("b", "a.tif"), ("c", "gone.tif"), ("d", "../elsewhere.tif")):
        (plate / f"{name}.tif").symlink_to(target)
    listing = Listing.scan(plate)
    assert listing.folders == {"": ("a.tif",)}
    assert listing.ignored == {"link": 3}


@pytest.mark.skipif(os.name != "posix", reason="needs FIFOs")
def test_what_is_neither_file_nor_folder_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    touch(tmp_path / "a.tif")
    os.mkfifo(tmp_path / "b.tif")
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("c.tif")
        listing = Listing.scan(tmp_path)
    assert listing.folders == {"": ("a.tif",)}
    assert listing.ignored == {"special": 2}


def test_folders_below_the_depth_are_not_listed(tmp_path: Path):
    touch(tmp_path / "1/2/3/a.tif")
    assert set(Listing.scan(tmp_path, depth=2).folders) == {"", "1", "1/2"}


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(PlateNotFoundError, match="nowhere"):
        Listing.scan(tmp_path / "nowhere")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_named(tmp_path: Path):
    touch(tmp_path / "closed" / "a.tif")
    (tmp_path / "closed").chmod(0)
    try:
        with pytest.raises(PlateNotFoundError, match="closed"):
            Listing.scan(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_no_file_is_opened_or_asked_for_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path / "z" / "a.tif")

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a listing reads names only")

    for name in ("stat", "lstat", "open"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr("builtins.open", refuse)
    listing = Listing.scan(tmp_path)
    monkeypatch.undo()
    assert listing.folders == {"": (), "z": ("a.tif",)}

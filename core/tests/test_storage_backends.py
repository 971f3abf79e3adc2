"""The three backends of the core hold the contract of all backends, and what is their own."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hcs_core.errors import (
    CapabilityError,
    CorruptDataError,
    InvalidKeyError,
    KeyNotFoundError,
    StoreAccessError,
    UnknownFormatError,
    UnsavableValueError,
)
from hcs_core.storage import FORMATS, FileManager, Item, StorageBackend
from hcs_core.storage.backends.disk import DiskBackend
from hcs_core.storage.backends.memory import MemoryBackend
from hcs_core.storage.backends.zarr import ZarrBackend
from hcs_core.storage.formats.tiff import TiffFormat
from hcs_core.testing import StorageBackendTests

STACK = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)


class TestMemoryBackend(StorageBackendTests):
    suffix = ""

    @pytest.fixture
    def backend(self) -> StorageBackend:
        return MemoryBackend()

    def test_an_array_is_handed_out_as_a_view_that_nobody_can_write_to(self):
        backend = MemoryBackend()
        backend.save("a", STACK)
        first, second = backend.load_batch(["a", "a"])
        assert first.__array_interface__["data"][0] == second.__array_interface__["data"][0]
        assert not first.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            first[0, 0, 0] = 9

    def test_stored_arrays_start_at_a_multiple_of_64_bytes(self):
        backend = MemoryBackend()
        for size in range(1, 40):
            backend.save("a", np.zeros(size, np.uint8), mode="replace")
            assert backend.load("a").__array_interface__["data"][0] % 64 == 0

    def test_any_value_is_kept_as_a_copy(self):
        backend = MemoryBackend()
        table: dict[str, Any] = {"count": np.array([1, 2]), "names": ["a", None]}
        backend.save("table", table)
        table["count"][0] = 99
        backend.load("table")["names"].append("c")
        assert backend.load("table")["names"] == ["a", None]
        assert backend.load("table")["count"].tolist() == [1, 2]

    def test_none_is_a_value_too(self):
        backend = MemoryBackend()
        backend.save("nothing", None)
        assert backend.exists("nothing")
        assert backend.load("nothing") is None
        backend.delete("nothing")
        assert not backend.exists("nothing")

    def test_a_value_that_cannot_be_copied_is_refused_alone(self):
        backend = MemoryBackend()
        lines = (line for line in "ab")
        outcomes = backend.save_batch([Item("generator", lines), Item("number", 1)])
        assert isinstance(outcomes[0].error, UnsavableValueError)
        assert outcomes[1].ok

    def test_a_region_of_what_is_no_array_is_refused(self):
        backend = MemoryBackend()
        backend.save("text", "abc")
        with pytest.raises(CapabilityError, match="no array"):
            backend.load("text", region=(slice(0, 1),))


class TestDiskBackend(StorageBackendTests):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> StorageBackend:
        return DiskBackend(tmp_path / "store")


class TestDiskBackendOfTiff(StorageBackendTests):
    suffix = ".tif"

    @pytest.fixture
    def backend(self, tmp_path: Path) -> StorageBackend:
        pytest.importorskip("tifffile")
        return DiskBackend(tmp_path / "store")


class TestZarrBackend(StorageBackendTests):
    suffix = ""

    @pytest.fixture
    def backend(self, tmp_path: Path) -> StorageBackend:
        pytest.importorskip("tensorstore")
        return ZarrBackend(tmp_path / "store.zarr")


@pytest.fixture
def disk(tmp_path: Path) -> DiskBackend:
    return DiskBackend(tmp_path / "store")


@pytest.fixture
def zarr_store(tmp_path: Path) -> ZarrBackend:
    pytest.importorskip("tensorstore")
    return ZarrBackend(tmp_path / "store.zarr")


def test_the_format_of_a_file_follows_from_the_end_of_its_name(disk):
    disk.save("a.json", {"wells": ["A01"]})
    disk.save("b.CSV", {"count": np.array([1, 2])})
    assert json.loads((disk.root / "a.json").read_text()) == {"wells": ["A01"]}
    assert (disk.root / "b.CSV").read_text() == "count\n1\n2\n"


def test_a_dot_in_a_name_is_no_extension(disk):
    disk.save("plate_1.5_A01.npy", STACK)
    np.testing.assert_array_equal(disk.load("plate_1.5_A01.npy"), STACK)


def test_an_unknown_extension_names_the_known_ones(disk):
    disk.save("a.npy", STACK)
    (disk.root / "a.xyz").write_text("?")
    with pytest.raises(UnknownFormatError, match=r"\.csv, \.json, \.npy, \.tif"):
        disk.load("a.xyz")
    (outcome,) = disk.save_batch([Item("b.xyz", STACK)])
    assert isinstance(outcome.error, UnsavableValueError)
    assert not disk.exists("b.xyz")


def test_pixels_are_not_read_from_a_table(disk):
    disk.save("a.csv", {"count": np.array([1])})
    with pytest.raises(CapabilityError, match="pixels"):
        disk.load_plane("a.csv")


def test_a_damaged_file_is_corrupt_and_named(disk):
    disk.save("wells/a.json", {"a": 1})
    (disk.root / "wells/a.json").write_text('{"a": ')
    assert disk.exists("wells/a.json")
    with pytest.raises(CorruptDataError, match=r"wells/a\.json"):
        disk.load("wells/a.json")


def test_a_root_is_the_same_folder_after_the_working_directory_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backend = DiskBackend("store")
    backend.save("a.json", {"a": 1})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert backend.load("a.json") == {"a": 1}


@pytest.mark.parametrize("kind", ["disk", "zarr"])
def test_a_link_out_of_the_root_is_refused_by_every_operation(tmp_path, kind):
    if kind == "zarr":
        pytest.importorskip("tensorstore")
    made: Any = {"disk": DiskBackend, "zarr": ZarrBackend}[kind]
    suffix = {"disk": ".npy", "zarr": ""}[kind]
    outside = made(tmp_path / "outside")
    outside.save(f"secret{suffix}", STACK)
    store = made(tmp_path / "store")
    store.save(f"inside{suffix}", STACK)
    _link(store.root / "folder", outside.root)
    _link(store.root / f"file{suffix}", outside.root / f"secret{suffix}")
    for key in (f"folder/secret{suffix}", f"file{suffix}"):
        with pytest.raises(InvalidKeyError, match="link"):
            store.load(key)
        with pytest.raises(InvalidKeyError, match="link"):
            store.exists(key)
        with pytest.raises(InvalidKeyError, match="link"):
            store.delete(key)
        with pytest.raises(InvalidKeyError, match="link"):
            store.save(key, STACK + 1, mode="replace")
    with pytest.raises(InvalidKeyError, match="link"):
        store.save(f"folder/new{suffix}", STACK)
    assert list(store.list()) == [f"inside{suffix}"]
    assert list(outside.list()) == [f"secret{suffix}"]
    np.testing.assert_array_equal(outside.load(f"secret{suffix}"), STACK)


def test_a_link_that_stays_inside_is_followed(disk):
    disk.save("real/a.npy", STACK)
    _link(disk.root / "alias.npy", disk.root / "real/a.npy")
    np.testing.assert_array_equal(disk.load("alias.npy"), STACK)
    assert list(disk.list()) == ["alias.npy", "real/a.npy"]
    disk.save("alias.npy", STACK + 1, mode="replace")  # what it points to, not the link
    assert (disk.root / "alias.npy").is_symlink()
    np.testing.assert_array_equal(disk.load("real/a.npy"), STACK + 1)


def test_links_to_folders_pipes_and_dead_links_are_not_listed(disk):
    disk.save("real/a.npy", STACK)
    _link(disk.root / "loop", disk.root)
    _link(disk.root / "dead.npy", disk.root / "gone.npy")
    if hasattr(os, "mkfifo"):
        os.mkfifo(disk.root / "pipe.npy")
    assert list(disk.list()) == ["real/a.npy"]


def test_what_a_killed_write_left_is_not_listed(disk, zarr_store):
    disk.save("a.npy", STACK)
    (disk.root / "b.npy.hcs-tmp-0badcafe-1-00000000").write_bytes(b"half")
    assert list(disk.list()) == ["a.npy"]
    zarr_store.save("a", STACK)
    shutil.copytree(zarr_store.root / "a", zarr_store.root / "b.hcs-tmp-0badcafe-1-00000000")
    assert list(zarr_store.list()) == ["a"]


def test_a_file_where_a_folder_should_be_keeps_the_errno_of_the_system(disk):
    disk.save("a.npy", STACK)
    with pytest.raises(StoreAccessError) as caught:
        disk.save("a.npy/b.npy", STACK)
    assert caught.value.errno in (errno.ENOTDIR, errno.EEXIST)
    assert not disk.exists("a.npy/b.npy")
    with pytest.raises(KeyNotFoundError):
        disk.load("a.npy/b.npy")


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="needs users as POSIX has them")
def test_a_folder_without_permission_is_a_store_access_error(tmp_path):
    script = """
import os, sys, errno
from hcs_core.errors import StoreAccessError
from hcs_core.storage.backends.disk import DiskBackend
backend = DiskBackend(sys.argv[1])
from hcs_core.storage import FORMATS
dict(FORMATS)  # imported while that is still allowed
if os.getuid() == 0:
    os.setuid(65534)
try:
    backend.save("a.json", {"a": 1})
except StoreAccessError as error:
    print(error.errno == errno.EACCES)
"""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    done = subprocess.run(
        [sys.executable, "-c", script, folder], capture_output=True, text=True, check=False
    )
    if done.returncode and "StoreAccessError" not in done.stderr:
        pytest.skip("root's tests lie where no other user can go")
    assert done.stdout == "True\n", done.stderr


def test_a_very_long_name_can_be_saved(disk):
    key = f"{'w' * 240}.npy"
    disk.save(key, STACK)
    np.testing.assert_array_equal(disk.load(key), STACK)


def test_a_disk_save_leaves_nothing_but_the_file(disk):
    disk.save("A/a.npy", STACK)
    disk.save("A/a.npy", STACK + 1, mode="replace")
    disk.save_batch([Item("A/a.npy", STACK), Item("A/b.npy", object())])
    assert [path.name for path in (disk.root / "A").iterdir()] == ["a.npy"]


def test_replacing_a_group_of_zarr_arrays_is_refused(zarr_store):
    zarr_store.save("wells/A01", STACK)
    with pytest.raises(InvalidKeyError, match="other arrays"):
        zarr_store.save("wells", STACK, mode="replace")
    with pytest.raises(InvalidKeyError, match="'A01' is an array"):
        zarr_store.save("wells/A01/x", STACK)
    np.testing.assert_array_equal(zarr_store.load("wells/A01"), STACK)


def test_a_zarr_array_with_a_chunk_missing_is_corrupt_and_not_zero(zarr_store):
    zarr_store.save("a", STACK)
    (zarr_store.root / "a/c/1/0/0").unlink()
    with pytest.raises(CorruptDataError, match=r"c/1/0/0"):
        zarr_store.load("a")
    region = (slice(0, 1), slice(None), slice(None))
    np.testing.assert_array_equal(zarr_store.load("a", region=region), STACK[:1])


def test_a_zarr_plane_of_zeros_is_stored_too(zarr_store):
    zarr_store.save("a", np.zeros((2, 3, 4), np.uint16))
    assert (zarr_store.root / "a/c/1/0/0").is_file()
    np.testing.assert_array_equal(zarr_store.load("a"), np.zeros((2, 3, 4), np.uint16))


@pytest.mark.parametrize("length", [0, 1, 10, 40])
def test_a_zarr_chunk_cut_short_is_corrupt(zarr_store, length):
    zarr_store.save("a", np.random.default_rng(0).integers(0, 4096, (2, 32, 32), np.uint16))
    chunk = zarr_store.root / "a/c/0/0/0"
    chunk.write_bytes(chunk.read_bytes()[:length])
    with pytest.raises(CorruptDataError):
        zarr_store.load("a")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"node_type": "array"}', '{"node_type": 1}'])
def test_damaged_zarr_metadata_is_corrupt_and_can_be_listed_replaced_and_deleted(
    zarr_store, content
):
    zarr_store.save("a", STACK)
    zarr_store.save("b", STACK)
    (zarr_store.root / "a/zarr.json").write_text(content)
    assert list(zarr_store.list()) == ["a", "b"]
    with pytest.raises(CorruptDataError):
        zarr_store.load("a")
    zarr_store.save("a", STACK + 1, mode="replace")
    np.testing.assert_array_equal(zarr_store.load("a"), STACK + 1)
    (zarr_store.root / "a/zarr.json").write_text(content)
    zarr_store.delete("a")
    assert list(zarr_store.list()) == ["b"]


@pytest.mark.parametrize("shape", [(), (5,), (0,), (0, 3), (2, 0, 3), (3, 4), (2, 2, 3, 4)])
def test_a_zarr_array_of_any_shape_reads_back(zarr_store, shape):
    values = np.arange(np.prod(shape, dtype=int), dtype=np.int32).reshape(shape)
    zarr_store.save("a", values)
    loaded = zarr_store.load("a")
    assert loaded.shape == shape
    np.testing.assert_array_equal(loaded, values)


def test_zarr_planes_are_loaded_into_an_aligned_buffer(zarr_store):
    zarr_store.save("a", STACK)
    assert zarr_store.load("a").__array_interface__["data"][0] % 64 == 0


def test_a_zarr_array_is_a_chunk_for_each_plane(zarr_store):
    zarr_store.save("a", STACK)
    chunks = [
        p.relative_to(zarr_store.root / "a").as_posix() for p in _files(zarr_store.root / "a")
    ]
    assert chunks == ["c/0/0/0", "c/1/0/0", "zarr.json"]


def test_images_are_the_files_of_the_installed_image_formats(tmp_path):
    class Raw(TiffFormat):
        name = "raw"
        extensions = (".raw",)

    for name in ("a.tif", "b.TIFF", "c.npy", "d.png", "e.csv", "f.raw"):
        (tmp_path / name).touch()
    files = FileManager(tmp_path)
    assert files.list_image_files() == ["a.tif", "b.TIFF"]
    with FORMATS.overrides(raw=Raw):
        assert files.list_image_files() == ["a.tif", "b.TIFF", "f.raw"]


def test_the_file_manager_finds_backends_by_name(tmp_path):
    files = FileManager(tmp_path)
    files.save(STACK, "a.tif")
    files.save({"a": [1]}, "A/b.json", "disk")
    files.save(STACK, "a", "memory")
    assert files.list_files() == ["a.tif"]
    assert files.list_files(recursive=True) == ["a.tif", "A/b.json"]
    assert files.list_image_files(recursive=True) == ["a.tif"]
    assert files.exists("a", "memory")
    assert not files.exists("a", "disk")
    assert files.backend("memory") is files.backend("memory")
    assert files.load_batch(["A/b.json"]) == [{"a": [1]}]
    outcomes = files.save_batch({"a.tif": STACK, "c.json": {"c": 1}})
    assert [outcome.ok for outcome in outcomes] == [False, True]
    files.delete("a.tif")
    assert not files.exists("a.tif")
    with pytest.raises(LookupError, match="did you mean 'disk'"):
        files.load("a.tif", "dsik")


def _link(link: Path, target: Path) -> None:
    try:
        link.symlink_to(target)
    except (OSError, NotImplementedError):
        pytest.skip("needs the right to make links")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())

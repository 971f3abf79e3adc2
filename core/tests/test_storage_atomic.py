"""A write that ends badly leaves what was there before."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hcs_core.errors import KeyExistsError, KeyNotFoundError, StoreAccessError, UnsavableValueError
from hcs_core.storage import (
    Item,
    OmeZarrPlate,
    StorageBackend,
    atomic_write,
    has_ended,
    process_name,
    sweep_stale,
)
from hcs_core.storage.atomic import exchange, is_temporary, temporary_path
from hcs_core.storage.backends.disk import DiskBackend
from hcs_core.storage.backends.zarr import ZarrBackend

posix_only = pytest.mark.skipif(os.name == "nt", reason="needs signals and modes as POSIX has them")


def test_a_file_appears_when_the_block_has_ended(tmp_path):
    target = tmp_path / "a.txt"
    with atomic_write(target) as file:
        file.write(b"new")
        file.flush()
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path, kind):
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")

    def fail():
        with atomic_write(target) as file:
            file.write(b"half")
            raise kind

    with pytest.raises(kind):
        fail()
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_error_of_the_system_about_another_file_names_that_file(tmp_path):
    with (
        pytest.raises(StoreAccessError, match=r"source\.txt: No such file") as caught,
        atomic_write(tmp_path / "a.txt"),
        open(tmp_path / "source.txt", "rb"),
    ):
        pass
    assert caught.value.errno == errno.ENOENT


def test_our_own_errors_pass_unchanged(tmp_path):
    with pytest.raises(KeyNotFoundError, match="'b'"), atomic_write(tmp_path / "a.txt"):
        raise KeyNotFoundError("b", "memory")
    assert os.listdir(tmp_path) == []


def test_a_missing_directory_keeps_its_errno(tmp_path):
    with pytest.raises(StoreAccessError) as caught, atomic_write(tmp_path / "missing/a.txt"):
        pass
    assert caught.value.errno == errno.ENOENT
    assert "missing" in str(caught.value)


def test_a_taken_name_is_refused_without_replace_and_the_file_kept(tmp_path):
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")
    with pytest.raises(KeyExistsError), atomic_write(target, replace=False) as file:
        file.write(b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links_can_still_create_and_refuses_a_taken_name(
    tmp_path, monkeypatch, code
):
    def no_links(source, target):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("hcs_core.storage.atomic.os.link", no_links)
    target = tmp_path / "a.txt"
    with atomic_write(target, replace=False) as file:
        file.write(b"first")
    with pytest.raises(KeyExistsError), atomic_write(target, replace=False) as file:
        file.write(b"second")
    assert target.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_of_many_writers_that_create_one_file_exactly_one_wins(tmp_path):
    target = tmp_path / "a.txt"
    start, won, lost = threading.Barrier(8), [], []

    def create(number):
        start.wait()
        try:
            with atomic_write(target, replace=False) as file:
                file.write(str(number).encode() * 1000)
        except KeyExistsError:
            lost.append(number)
        else:
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert target.read_bytes() == str(won[0]).encode() * 1000
    assert os.listdir(tmp_path) == ["a.txt"]


@posix_only
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_the_permissions_of_a_new_file_follow_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "a.txt") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode


@posix_only
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o664])
def test_a_file_that_is_replaced_hands_on_its_permissions_before_anything_is_written(
    tmp_path, mode
):
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")
    target.chmod(mode)
    (tmp_path / "link.txt").symlink_to(target)
    before = os.umask(0o022)
    try:
        with atomic_write(tmp_path / "link.txt") as file:
            assert os.fstat(file.fileno()).st_mode & 0o777 == mode
            file.write(b"new")
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == mode
    assert target.read_bytes() == b"new"


@posix_only
def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.txt").write_bytes(b"old")
    (tmp_path / "a.txt").symlink_to(tmp_path / "real/a.txt")
    with atomic_write(tmp_path / "a.txt") as file:
        file.write(b"new")
    assert (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "real/a.txt").read_bytes() == b"new"


@posix_only
def test_durable_syncs_the_file_before_its_name_and_the_folder_after(tmp_path, monkeypatch):
    calls = []
    real_sync, real_replace = os.fsync, os.replace

    def sync(descriptor):
        is_folder = os.path.isdir(f"/proc/self/fd/{descriptor}")
        calls.append("sync folder" if is_folder else "sync file")
        real_sync(descriptor)

    def replace(source, target):
        calls.append("replace")
        real_replace(source, target)

    monkeypatch.setattr("hcs_core.storage.atomic.os.fsync", sync)
    monkeypatch.setattr("hcs_core.storage.atomic.os.replace", replace)
    with atomic_write(tmp_path / "a.txt", durable=True) as file:
        file.write(b"x")
    if os.path.isdir("/proc/self/fd"):
        assert calls == ["sync file", "replace", "sync folder"]
    assert len(calls) == 3
    calls.clear()
    with atomic_write(tmp_path / "a.txt") as file:
        file.write(b"y")
    assert calls == ["replace"]


# -- kill -9 --------------------------------------------------------------------------------

WRITERS = {
    "text": """
from hcs_core.storage import atomic_write
def write(number):
    with atomic_write(target + "/value.txt") as file:
        for _ in range(40):
            file.write(b"%03d" % number * 5000)
""",
    "tiff": """
import numpy as np
from hcs_core.storage.backends.disk import DiskBackend
store = DiskBackend(target)
def write(number):
    store.save("value.tif", np.full((3, 200, 300), number, np.uint16), mode="replace")
""",
    "zarr": """
import numpy as np
from hcs_core.storage.backends.zarr import ZarrBackend
store = ZarrBackend(target)
def write(number):
    store.save("value", np.full((3, 200, 300), number, np.uint16), mode="replace")
""",
}

LOOP = """
import sys
target = sys.argv[1]
{writer}
write(0)
print("ready", flush=True)
for number in range(1, 1000):
    write(number)
"""


def read_whole(kind: str, folder: Path) -> int:
    """Return the one number that the stored value consists of."""
    if kind == "text":
        content = (folder / "value.txt").read_bytes()
        assert len(content) == 40 * 5000 * 3
        assert content == content[:3] * (len(content) // 3)
        return int(content[:3])
    store = DiskBackend(folder) if kind == "tiff" else ZarrBackend(folder)
    value = store.load("value.tif" if kind == "tiff" else "value")
    assert value.shape == (3, 200, 300)
    assert np.unique(value).size == 1
    return int(value.flat[0])


def kill_while_writing(kind: str, folder: Path, rounds: int) -> list[int]:
    chance = random.Random(7)
    found = []
    for _ in range(rounds):
        writer = subprocess.Popen(
            [sys.executable, "-c", LOOP.format(writer=WRITERS[kind]), str(folder)],
            stdout=subprocess.PIPE,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.0, 0.03))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        found.append(read_whole(kind, folder))
    return found


@posix_only
def test_a_file_is_old_or_new_after_kill_9(tmp_path):
    found = kill_while_writing("text", tmp_path, 10)
    assert max(found) > 0  # the kill came while it was writing
    sweep_stale(tmp_path)
    assert os.listdir(tmp_path) == ["value.txt"]


@pytest.mark.slow
@posix_only
@pytest.mark.parametrize("kind", WRITERS)
def test_a_stored_value_is_old_or_new_after_many_kills(tmp_path, kind):
    if kind == "zarr":
        pytest.importorskip("tensorstore")
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        if not exchange(tmp_path / "a", tmp_path / "b"):
            pytest.skip("this file system cannot swap two folders in one step")
        for name in ("a", "b"):
            (tmp_path / name).rmdir()
    assert max(kill_while_writing(kind, tmp_path, 40)) > 0
    sweep_stale(tmp_path)
    assert [name for name in os.listdir(tmp_path) if is_temporary(name)] == []


# -- what is left behind --------------------------------------------------------------------


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@posix_only
def test_a_process_has_ended_when_it_is_known_to_be_gone():
    command = [sys.executable, "-c", "import hcs_core.storage as s; print(s.process_name())"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    name = process.communicate()[0].strip()
    assert has_ended(name)
    assert not has_ended(process_name())
    assert not has_ended(f"0badcafe-{process.pid}")  # another machine's process
    for nonsense in ("", "-", name + "-1", process_name().partition("-")[0], f"{name}x"):
        assert not has_ended(nonsense)


@posix_only
def test_a_sweep_removes_what_dead_processes_left_and_nothing_else(tmp_path):
    mark, me, rest = ".hcs-tmp-", str(os.getpid()), "00000000"
    machine = temporary_path("a").partition(mark)[2].partition("-")[0]
    dead = str(ended_process())
    names = {
        f"dead.txt{mark}{machine}-{dead}-{rest}": True,
        f"alive.txt{mark}{machine}-{me}-{rest}": False,
        f"elsewhere.txt{mark}0badcafe-{dead}-{rest}": False,  # another machine's process
        f"foreign.txt{mark}": False,
        f"odd.txt{mark}{machine}-x-{rest}": False,
        "value.txt": False,
    }
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    folder = tmp_path / f"array{mark}{machine}-{dead}-{rest}"
    (folder / "c").mkdir(parents=True)
    removed = sweep_stale(tmp_path)
    assert removed == sorted([folder.name, *(name for name, gone in names.items() if gone)])
    assert sorted(os.listdir(tmp_path)) == sorted(name for name, gone in names.items() if not gone)


def test_a_sweep_removes_what_is_old_whoever_made_it(tmp_path):
    old = tmp_path / "a.txt.hcs-tmp-0badcafe-1-00000000"
    old.write_bytes(b"x")
    assert sweep_stale(tmp_path) == []
    long_ago = time.time() - 100_000
    os.utime(old, (long_ago, long_ago))
    assert sweep_stale(tmp_path) == [old.name]


def test_a_sweep_of_a_folder_that_is_not_there_does_nothing(tmp_path):
    assert sweep_stale(tmp_path / "missing") == []


def test_a_temporary_name_fits_where_the_name_does(tmp_path):
    for name in ("a", "ä" * 127, "x" * 255):
        temporary = Path(temporary_path(tmp_path / name))
        assert temporary.parent == tmp_path
        assert is_temporary(temporary.name)
        assert len(os.fsencode(temporary.name)) <= 255
    assert temporary_path("a") != temporary_path("a")


@posix_only
def test_two_folders_change_names_in_one_step(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot swap")
    assert os.listdir(tmp_path / "a") == ["b"]
    assert os.listdir(tmp_path / "b") == ["a"]
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "missing")


def test_a_zarr_array_is_replaced_where_folders_cannot_be_swapped(tmp_path, monkeypatch):
    pytest.importorskip("tensorstore")
    monkeypatch.setattr("hcs_core.storage.backends.zarr.exchange", lambda first, second: False)
    store = ZarrBackend(tmp_path)
    for number in (1, 2):
        store.save("a", np.full((2, 3), number, np.uint8), mode="replace")
        assert (store.load("a") == number).all()
    assert os.listdir(tmp_path) == ["a"]


# -- a full disk ----------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs Linux and root to mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


BIG = np.random.default_rng(0).integers(0, 65536, (4, 512, 512), np.uint16)  # 2 MB of noise
SMALL = np.arange(12, dtype=np.uint16).reshape(3, 4)


@pytest.mark.parametrize("name", ["a.npy", "a.tif", "a.csv", "a.json", "zarr array"])
def test_a_full_disk_keeps_the_old_value_and_its_errno(small_disk, name):
    small, big = {
        "a.csv": ({"a": SMALL[0].astype(np.int64)}, {"a": BIG[0].ravel()}),
        "a.json": ({"a": 1}, {"a": "x" * 2_000_000}),
    }.get(name, (SMALL, BIG))
    store: StorageBackend = DiskBackend(small_disk)
    if name == "zarr array":
        pytest.importorskip("tensorstore")
        store = ZarrBackend(small_disk)
        name = "a"
    store.save(name, small)
    outcomes = store.save_batch([Item(name, big), Item(f"b/{name}", big)], mode="replace")
    for outcome in outcomes:
        assert isinstance(outcome.error, StoreAccessError)
        assert outcome.error.errno == errno.ENOSPC
    assert str(store.load(name)) == str(small)
    assert list(store.list()) == [name]
    left = [path.name for path in small_disk.rglob("*") if is_temporary(path.name)]
    assert left == []


def test_a_plate_on_a_full_disk_keeps_its_errno(small_disk):
    pytest.importorskip("tensorstore")
    plate = OmeZarrPlate(small_disk / "plate.zarr", name="plate")
    with pytest.raises(StoreAccessError) as caught:
        plate.write_image("A/01/0", {(0, c, 0): BIG[c] for c in range(4)}, size=(1, 4, 1))
    assert caught.value.errno == errno.ENOSPC


def test_a_write_into_a_folder_that_is_a_file_keeps_its_errno(tmp_path):
    pytest.importorskip("tensorstore")
    (tmp_path / "plate.zarr").write_bytes(b"")
    plate = OmeZarrPlate(tmp_path / "plate.zarr", name="plate")
    with pytest.raises((StoreAccessError, UnsavableValueError)):
        plate.write_image("A/01/0", {(0, 0, 0): SMALL}, size=(1, 1, 1))

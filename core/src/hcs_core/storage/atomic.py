"""Write a file so that a reader, a crash or a full disk sees the old one or the new one.

The new content goes to a temporary file in the same directory, which replaces the old
file in one step. ``durable`` also waits until file and directory are on the disk, which
survives a power cut and costs about 10 ms.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from hcs_core.errors import KeyExistsError, StorageError, StoreAccessError

_MARK = ".hcs-tmp-"
# Longer names leave no room for the mark in the 255 bytes that file systems allow.
_MOST_BYTES = 180
# A temporary file this old was left by a process that died; a live one is written to.
STALE_S = 24 * 3600.0

# How file systems say that they have no hard links (exFAT, some network shares).
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


@contextmanager
def atomic_write(
    path: str | os.PathLike[str], *, replace: bool = True, durable: bool = False
) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under `path` when the block ends well.

    Parameters
    ----------
    path : path
        The file. Its directory must exist. A link is followed, so that the file it
        points to is replaced and not the link. A file that is replaced hands on its
        permissions; those of a new one come from the user's umask.
    replace : bool
        Whether an existing file may be replaced.
    durable : bool
        Whether to wait until the content and the name are on the disk.

    Yields
    ------
    binary file
        Opened for reading and writing. When the block raises, it is removed and `path`
        is as it was.

    Raises
    ------
    KeyExistsError
        If the file exists and `replace` is False.
    StoreAccessError
        If the system refuses; `errno` is kept.
    """
    target = os.path.realpath(path)
    temporary = temporary_path(target)
    try:
        # "x" fails on a name that is taken.
        file = open(temporary, "x+b")  # noqa: SIM115 - closed below
    except OSError as cause:
        raise access_error(cause, target) from cause
    try:
        with file:
            if replace:
                _take_permissions(target, temporary)
            try:
                yield file
            except OSError as cause:
                if cause.errno is None:
                    _ask_again(file)
                raise
            file.flush()
            if durable:
                os.fsync(file.fileno())
        _publish(temporary, target, replace=replace)
        if durable:
            sync_folder(os.path.dirname(target))
    except OSError as cause:
        _remove(temporary)
        if isinstance(cause, StorageError):
            raise
        # The block may have failed at another file.
        other = isinstance(cause.filename, str) and cause.filename not in (temporary, target)
        raise access_error(cause, cause.filename if other else target) from cause
    except BaseException:
        _remove(temporary)
        raise


def temporary_path(target: str | os.PathLike[str]) -> str:
    """Return a new name beside `target` that says who made it, on which machine."""
    folder, name = os.path.split(os.fspath(target))
    if len(os.fsencode(name)) > _MOST_BYTES:
        name = ""
    unique = f"{process_name()}-{secrets.token_hex(4)}"
    return os.path.join(folder, f"{name}{_MARK}{unique}")


def process_name() -> str:
    """Return a name for this process that `has_ended` can be asked about later."""
    return f"{_here()}-{os.getpid()}"


def has_ended(process: str) -> bool:
    """Return whether the process that was called so by `process_name` is known to have ended.

    Nothing is known of a process on another machine or in another container, nor on
    Windows; then the answer is False, as for one that lives.
    """
    where, _, number = process.partition("-")
    return where == _here() and number.isdecimal() and not _is_alive(int(number))


def is_temporary(name: str) -> bool:
    """Return whether a file of this name is a write that has not ended, or never will."""
    return _MARK in name


def make_folders(folder: str | os.PathLike[str], *, durable: bool = False) -> None:
    """Make a folder and those above it; `durable` waits until their names are on the disk."""
    if not durable:
        os.makedirs(folder, exist_ok=True)
        return
    path = Path(folder)
    missing = [place for place in (path, *path.parents) if not place.is_dir()]
    for place in reversed(missing):
        place.mkdir(exist_ok=True)
        sync_folder(place.parent)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Wait until the names in a folder are on the disk; Windows does so by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_stale(folder: str | os.PathLike[str], *, older_than_s: float = STALE_S) -> list[str]:
    """Remove what writes of killed processes left in `folder`; return the names.

    A temporary file or folder is stale when it is older than `older_than_s`, or when the
    process that made it on this machine is gone.
    """
    removed: list[str] = []
    try:
        paths = list(Path(folder).iterdir())
    except FileNotFoundError:  # nothing has been stored there yet
        return removed
    for path in paths:
        if is_temporary(path.name) and _is_stale(path, older_than_s):
            with suppress(FileNotFoundError):  # another process sweeps as well
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                removed.append(path.name)
    return sorted(removed)


def exchange(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Swap two names in one step; return whether the system can do that."""
    swap = _swap_function()
    if swap is None:
        return False
    if swap(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    import ctypes

    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):  # this file system cannot
        return False
    raise OSError(code, os.strerror(code), os.fspath(first), None, os.fspath(second))


def access_error(cause: OSError, path: str | os.PathLike[str]) -> StoreAccessError:
    """Return our error for one of the system's, with its `errno`."""
    return StoreAccessError(cause.errno or 0, cause.strerror or str(cause), os.fspath(path))


def _take_permissions(source: str, target: str) -> None:
    """Give `target` the permissions of `source`, if that is there."""
    with suppress(FileNotFoundError):
        wanted = os.stat(source).st_mode & 0o777
        if os.stat(target).st_mode & 0o777 != wanted:  # some file systems refuse all changes
            os.chmod(target, wanted)


def _publish(temporary: str, target: str, *, replace: bool) -> None:
    if replace:
        os.replace(temporary, target)
        return
    try:
        if os.name == "nt":
            os.rename(temporary, target)  # refuses a taken name there, and only there
        else:
            _link(temporary, target)
    except FileExistsError as cause:
        raise KeyExistsError(os.path.basename(target), os.path.dirname(target)) from cause


def _link(temporary: str, target: str) -> None:
    """Give the file its name unless that is taken, which no rename can do."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError as cause:
        if cause.errno not in _NO_LINKS:
            raise
        # Not one step, so of two writers at the same moment both may win.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from cause
        os.replace(temporary, target)
    else:
        os.unlink(temporary)


def _is_stale(path: Path, older_than_s: float) -> bool:
    if has_ended(path.name.rpartition(_MARK)[2].rpartition("-")[0]):
        return True
    try:
        return time.time() - path.stat().st_mtime > older_than_s
    except FileNotFoundError:  # its writer has just finished
        return False


@cache
def _here() -> str:
    """Return a short name of this machine; a container counts as a machine of its own."""
    name = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    with suppress(OSError):  # Linux only: process numbers mean something in one namespace
        name += os.readlink("/proc/self/ns/pid")
    return f"{zlib.crc32(name.encode('utf-8', 'replace')):08x}"


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # signal 0 would end the process there; leave it to the age
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _ask_again(file: BinaryIO) -> None:
    """Raise the system's error about a file that could not be written, with its `errno`.

    NumPy's `tofile` says only how many of the bytes were written. The file is to be removed
    anyway, so writing to it once more does no harm.
    """
    os.lseek(file.fileno(), 0, os.SEEK_END)
    os.write(file.fileno(), bytes(1 << 20))


def _remove(temporary: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(temporary)


@cache
def _swap_function() -> Callable[[bytes, bytes], int] | None:
    """Return the C library's function that swaps two names, where there is one."""
    import ctypes

    folder, name, number = ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
    system: str = sys.platform
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if system == "linux":
            renameat2 = library.renameat2
            renameat2.argtypes = (folder, name, folder, name, number)
            here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
            return lambda first, second: int(renameat2(here, first, here, second, swap))
        if system == "darwin":
            renamex_np = library.renamex_np
            renamex_np.argtypes = (name, name, number)
            return lambda first, second: int(renamex_np(first, second, 2))  # RENAME_SWAP
    except (AttributeError, OSError, TypeError):  # another C library
        return None
    return None

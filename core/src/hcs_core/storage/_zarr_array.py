"""Zarr v3 arrays through tensorstore: atomic per chunk, one plane a chunk."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays import empty
from hcs_core.errors import (
    CorruptDataError,
    KeyNotFoundError,
    MissingLibraryError,
    StorageError,
    StoreAccessError,
    UnsavableValueError,
)
from hcs_core.storage._values import Region, checked_region

METADATA = "zarr.json"
# Written into the metadata of an array whose every chunk is stored: one that is missing
# then is damage, where Zarr would read zeros.
_COMPLETE = {"hcs": {"complete": True}}
_SYSTEM_ERROR = re.compile(r"os_error_code='(\d+)'")


def create_array(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    dimension_names: tuple[str, ...] | None = None,
    complete: bool = False,
) -> Any:
    """Create an array of chunks of one plane, or open it when it exists just like that.

    Parameters
    ----------
    path : Path
        Folder of the array.
    shape : tuple of int
        Its shape; the last two axes are y and x.
    dtype : dtype
        A plain number or bool.
    dimension_names : tuple of str, optional
        Names of the axes.
    complete : bool
        Whether all of it will be written, so that a missing chunk can be told from zeros.

    Returns
    -------
    tensorstore.TensorStore
        Chunks that are never written read as the fill value 0.

    Raises
    ------
    UnsavableValueError
        If there is an array of another shape or dtype.
    StoreAccessError
        If the system refuses to write.
    """
    codecs: list[dict[str, Any]] = [{"name": "bytes", "configuration": {"endian": "little"}}]
    if dtype.itemsize == 1:
        codecs = [{"name": "bytes"}]
    blosc = {"cname": "lz4", "clevel": 5, "shuffle": "bitshuffle", "typesize": dtype.itemsize}
    metadata: dict[str, Any] = {
        "shape": shape,
        "data_type": dtype.name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": _one_plane(shape)},
        },
        "codecs": [*codecs, {"name": "blosc", "configuration": blosc}],
        "fill_value": False if dtype.name == "bool" else 0,
        "attributes": _COMPLETE if complete else {},
    }
    if dimension_names is not None:
        metadata["dimension_names"] = list(dimension_names)
    # A plane of zeros is stored too, so that it differs from one that was never written.
    spec = {**_spec(path), "metadata": metadata, "store_data_equal_to_fill_value": True}
    library, context = _tensorstore()
    try:
        return library.open(spec, context=context, create=True, open=True).result()
    except ValueError as cause:
        error = system_error(cause, path)
        if error is not None:
            raise error from cause
        reason = f"another array is there already: {_first_line(cause)}"
        raise UnsavableValueError(str(path), "Zarr", reason) from cause


def write_planes(array: Any, planes: Mapping[tuple[int, ...], NDArray[Any]], path: Path) -> None:
    """Write planes, by their place in an opened array, at the same time, and wait for all.

    Also when one fails: nothing is written any more when this returns, or raises.

    Raises
    ------
    StoreAccessError
        If the system refuses.
    UnsavableValueError
        If the array does not take the planes.
    """
    writes = [array[at].write(np.asarray(plane, order="C")) for at, plane in planes.items()]
    failures = [cause for cause in map(_failure, writes) if cause is not None]
    for cause in failures:
        error = system_error(cause, path)
        raise error or UnsavableValueError(str(path), "Zarr", _first_line(cause)) from cause


def node_type(path: Path) -> str | None:
    """Return ``"array"``, ``"group"``, None where there is no node, or ``"damaged"``."""
    try:
        document = _document(path)
    except CorruptDataError:
        return "damaged"
    return None if document is None else str(document.get("node_type"))


def open_array(path: Path) -> Any:
    """Open an array that exists.

    Raises
    ------
    KeyNotFoundError
        If there is none.
    CorruptDataError
        If its metadata cannot be understood.
    StoreAccessError
        If the system refuses.
    """
    document = _document(path)
    if document is None or document.get("node_type") == "group":
        raise KeyNotFoundError(path.name, str(path.parent))
    attributes = document.get("attributes")
    is_complete = isinstance(attributes, dict) and attributes.get("hcs") == _COMPLETE["hcs"]
    spec = {**_spec(path), "fill_missing_data_reads": not is_complete}
    library, context = _tensorstore()
    try:
        return library.open(spec, context=context, open=True).result()
    except ValueError as cause:
        raise _read_error(cause, path) from cause


def read_array(array: Any, path: Path, region: Region | None = None) -> NDArray[Any]:
    """Return the values of an opened array, or of a region of it, in an aligned buffer.

    Raises
    ------
    CorruptDataError
        If a chunk is damaged, or missing where all were stored.
    ShapeError
        If the region does not lie inside the array.
    """
    library, _ = _tensorstore()
    part = array
    if region is not None:
        part = array[checked_region(region, array.shape)][library.d[:].translate_to[0]]
    values = empty(part.shape, part.dtype.numpy_dtype)
    try:
        library.array(values, copy=False).write(part).result()
    except ValueError as cause:
        raise _read_error(cause, path) from cause
    return values


def system_error(cause: Exception, path: Path) -> StoreAccessError | None:
    """Return our error if the system refused something; tensorstore says it in its text."""
    found = _SYSTEM_ERROR.search(str(cause))
    if found is None:
        return None
    code = int(found[1])
    return StoreAccessError(code, os.strerror(code), str(path))


def _failure(write: Any) -> ValueError | None:
    try:
        write.result()
    except ValueError as cause:  # tensorstore's one type for whatever goes wrong
        return cause
    return None


def _read_error(cause: Exception, path: Path) -> StorageError:
    return system_error(cause, path) or CorruptDataError(str(path), "Zarr", _first_line(cause))


def _document(path: Path) -> dict[str, Any] | None:
    """Return the metadata of a node, or None where there is no node."""
    file = path / METADATA
    try:
        document = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as cause:
        raise StoreAccessError(cause.errno or 0, cause.strerror or "", str(file)) from cause
    except (ValueError, RecursionError) as cause:
        raise CorruptDataError(str(file), "Zarr", str(cause)) from cause
    if not isinstance(document, dict) or not isinstance(document.get("node_type"), str):
        raise CorruptDataError(str(file), "Zarr", "it does not say what it describes")
    return document


def _one_plane(shape: tuple[int, ...]) -> list[int]:
    plane = [max(size, 1) for size in shape[-2:]]
    return [1] * (len(shape) - 2) + plane if len(shape) >= 2 else [max(n, 1) for n in shape]


def _spec(path: Path) -> dict[str, Any]:
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": os.fspath(path) + "/"}}


@cache
def _tensorstore() -> tuple[Any, Any]:
    """Return the library and a context that leaves syncing to the file system.

    With its default of one fsync per chunk, writing costs a quarter more and is no safer
    against a killed process: a chunk is renamed into place in either case.
    """
    try:
        import tensorstore  # optional: extra "zarr"
    except ImportError as cause:
        raise MissingLibraryError("tensorstore", "reading and writing Zarr", "zarr") from cause
    return tensorstore, tensorstore.Context({"file_io_sync": False})


def _first_line(cause: Exception) -> str:
    text = str(cause).partition(" [tensorstore_spec=")[0].partition("\n")[0]
    return text[:300] or type(cause).__name__

"""Zarr v3 arrays through tensorstore: atomic per chunk, one plane a chunk."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.errors import CorruptDataError, KeyNotFoundError, MissingLibraryError

_DTYPES = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()
)


def savable(dtype: np.dtype[Any]) -> bool:
    """Return whether a Zarr array can hold this dtype exactly."""
    return dtype.name in _DTYPES


def create_array(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    dimension_names: tuple[str, ...] | None = None,
    replace: bool = False,
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
    replace : bool
        Whether an array that exists is removed first.

    Returns
    -------
    tensorstore.TensorStore
        Chunks that are never written read as the fill value 0.
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
    }
    if dimension_names is not None:
        metadata["dimension_names"] = list(dimension_names)
    spec = {**_spec(path), "metadata": metadata}
    return _open(spec, path, create=True, open=not replace, delete_existing=replace)


def open_array(path: Path) -> Any:
    """Open an array that exists.

    Raises
    ------
    KeyNotFoundError
        If there is none.
    CorruptDataError
        If its metadata cannot be understood.
    """
    if not (path / "zarr.json").is_file():
        raise KeyNotFoundError(path.name, str(path.parent))
    return _open(_spec(path), path, open=True)


def read_array(array: Any, path: Path, region: tuple[slice, ...] | None = None) -> NDArray[Any]:
    """Return the values of an opened array, or of a region of it.

    Raises
    ------
    CorruptDataError
        If a chunk is damaged.
    """
    part = array if region is None else array[region]
    try:
        values: NDArray[Any] = np.asarray(part.read().result())
    except ValueError as cause:
        raise CorruptDataError(str(path), "Zarr", _first_line(cause)) from cause
    return values


def _one_plane(shape: tuple[int, ...]) -> list[int]:
    plane = [max(size, 1) for size in shape[-2:]]
    return [1] * (len(shape) - 2) + plane if len(shape) >= 2 else [max(n, 1) for n in shape]


def _spec(path: Path) -> dict[str, Any]:
    return {"driver": "zarr3", "kvstore": {"driver": "file", "path": os.fspath(path) + "/"}}


def _open(spec: dict[str, Any], path: Path, **how: bool) -> Any:
    library, context = _tensorstore()
    try:
        return library.open(spec, context=context, **how).result()
    except ValueError as cause:  # how tensorstore reports metadata that it cannot accept
        raise CorruptDataError(str(path), "Zarr", _first_line(cause)) from cause


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
    return str(cause).splitlines()[0][:300] if str(cause) else type(cause).__name__

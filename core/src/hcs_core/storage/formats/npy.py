"""NumPy's own file format, without objects."""

from __future__ import annotations

import math
from tokenize import TokenError
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hcs_core.errors import CorruptDataError
from hcs_core.storage._formats import FileFormat
from hcs_core.storage._values import checked_array, read_into_aligned

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# What NumPy raises on a header that is not one; it parses it as a Python literal.
_HEADER_ERRORS = (ValueError, TypeError, KeyError, SyntaxError, TokenError, RecursionError)


class NpyFormat(FileFormat):
    """Arrays of any shape and plain dtype; nothing is pickled, saving or loading."""

    name: ClassVar[str] = "npy"
    extensions: ClassVar[tuple[str, ...]] = (".npy",)

    def read(self, file: BinaryIO, *, path: str) -> NDArray[Any]:
        """Return the array, in an aligned buffer."""
        shape, fortran_order, dtype = _header(file, path)
        start = file.tell()
        stored = file.seek(0, 2) - start
        declared = math.prod(shape) * dtype.itemsize
        if stored != declared:
            reason = f"{declared} bytes of values are declared, {stored} stored"
            raise CorruptDataError(path, "NPY", reason)
        file.seek(start)
        array = read_into_aligned(file, shape[::-1] if fortran_order else shape, dtype)
        if array is None:
            raise CorruptDataError(path, "NPY", "it was cut short while it was read")
        return array.T if fortran_order else array

    def write(self, file: BinaryIO, value: Any, *, path: str) -> None:
        """Write the array."""
        npy.write_array(file, checked_array(value, path, "NPY"), allow_pickle=False)


def _header(file: BinaryIO, path: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether the values are in Fortran order, and dtype."""
    try:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            reason = f"its version {version} is for field names that are not Latin"
            raise CorruptDataError(path, "NPY", reason)
        shape, fortran_order, dtype = _HEADERS[version](file)
    except CorruptDataError:
        raise
    except _HEADER_ERRORS as cause:
        raise CorruptDataError(path, "NPY", str(cause).partition("\n")[0]) from cause
    if dtype.hasobject or not dtype.itemsize or any(axis < 0 for axis in shape):
        reason = f"it declares shape {shape} of {dtype}, which is not read"
        raise CorruptDataError(path, "NPY", reason)
    return shape, fortran_order, dtype

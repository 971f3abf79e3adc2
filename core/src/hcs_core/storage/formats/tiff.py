"""TIFF files, one or several pages: plain planes read directly, the rest through tifffile."""

from __future__ import annotations

import json
import math
import struct
import sys
from types import ModuleType
from typing import Any, BinaryIO, ClassVar

from numpy.typing import NDArray

from hcs_core.arrays import empty
from hcs_core.errors import CorruptDataError, MissingLibraryError, UnsavableValueError
from hcs_core.storage._formats import ImageFormat
from hcs_core.storage._values import checked_pixels, read_into_aligned
from hcs_core.storage.formats._tiff_structure import count_pages

# A page this large that takes this little room is no camera's: its size is damaged.
_HUGE_BYTES, _MOST_RATIO = 1 << 32, 10_000

_NATIVE = "<" if sys.byteorder == "little" else ">"


class TiffFormat(ImageFormat):
    """Stacks of grey-level planes, dtype and shape kept exactly.

    Values are in native byte order, whatever that of the file.
    """

    name: ClassVar[str] = "tiff"
    extensions: ClassVar[tuple[str, ...]] = (".tif", ".tiff")

    def read(self, file: BinaryIO, *, path: str) -> NDArray[Any]:
        """Return all pages, shape as written; of other programs' files (y, x) or (n, y, x).

        Raises
        ------
        CorruptDataError
            Also if the pages differ in shape or dtype; `read_plane` reads them one by one.
        """
        tifffile = _tifffile()
        try:
            number = count_pages(file)
            file.seek(0)
            with _opened(tifffile, file, path) as tif:
                if len(tif.pages) != number:
                    reason = f"it has {number} pages, of which {len(tif.pages)} can be read"
                    raise CorruptDataError(path, "TIFF", reason)
                for page in tif.pages:
                    _check_complete(page, tif.filehandle.size, path)
                return _all_pages(tif, path)
        except _decode_errors(tifffile) as cause:
            raise CorruptDataError(path, "TIFF", _reason(cause)) from cause

    def read_plane(self, file: BinaryIO, *, page: int = 0, path: str) -> NDArray[Any]:
        """Return one page, shape (y, x), dtype and values as stored."""
        tifffile = _tifffile()
        try:
            with _opened(tifffile, file, path) as tif:
                if page >= len(tif.pages):
                    number = count_pages(file)  # says so where the file is cut short
                    reason = f"it has {number} pages, page {page} is asked for"
                    raise CorruptDataError(path, "TIFF", reason)
                found = tif.pages[page]
                _check_complete(found, tif.filehandle.size, path)
                plane = _read_page(tif, found, file)
        except _decode_errors(tifffile) as cause:
            raise CorruptDataError(path, "TIFF", _reason(cause)) from cause
        if plane.ndim != 2:
            reason = f"page {page} has shape {plane.shape}, a plane is (y, x)"
            raise CorruptDataError(path, "TIFF", reason)
        return plane

    def write(self, file: BinaryIO, value: Any, *, path: str) -> None:
        """Write an array of shape (..., y, x) as grey levels, one page per plane."""
        pixels = checked_pixels(value, path, "TIFF")
        if pixels.ndim < 2 or not pixels.size:
            reason = "needs an array of at least one (y, x) plane with pixels"
            raise UnsavableValueError(path, "TIFF", reason)
        # tifffile would take 3 planes of integers for red, green, blue. With metadata of its
        # own it takes planes one pixel wide for rows, so the shape goes into the description
        # in the form in which tifffile writes it.
        _tifffile().imwrite(
            file,
            pixels.reshape((-1, *pixels.shape[-2:])),
            photometric="minisblack",
            description=json.dumps({"shape": pixels.shape}),
            metadata=None,
        )


def _read_page(tif: Any, page: Any, file: BinaryIO) -> NDArray[Any]:
    """Return a page's pixels, read straight into an aligned buffer where they lie in one piece."""
    plane: NDArray[Any] | None = None
    if page.is_contiguous and page.ndim == 2:
        file.seek(page.dataoffsets[0])
        plane = read_into_aligned(file, page.shape, page.dtype)
    if plane is None:
        return _native(page.asarray())
    if tif.byteorder != _NATIVE:
        plane.byteswap(inplace=True)
    return plane


def _tifffile() -> ModuleType:
    try:
        import tifffile  # optional: extra "tiff"
    except ImportError as cause:
        raise MissingLibraryError("tifffile", "reading and writing TIFF", "tiff") from cause
    return tifffile


def _opened(tifffile: ModuleType, file: BinaryIO, path: str) -> Any:
    # As OME-TIFF it would look for other files that this one names, and fill in zeros.
    return tifffile.TiffFile(file, name=path, is_ome=False)


def _decode_errors(tifffile: ModuleType) -> tuple[type[Exception], ...]:
    # What tifffile and its decoders raise on damaged files; IndexError for a missing page.
    return (
        tifffile.TiffFileError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        AssertionError,
        RuntimeError,
        struct.error,
        EOFError,
        ZeroDivisionError,
        OverflowError,
    )


def _all_pages(tif: Any, path: str) -> NDArray[Any]:
    first, number = tif.pages[0], len(tif.pages)
    metadata = tif.shaped_metadata[0] if tif.is_shaped else {}
    if tif.is_imagej or tif.is_stk or metadata.get("truncated"):  # one page stands for several
        whole: NDArray[Any] = tif.asarray()
        return _native(whole)
    if any(page.shape != first.shape or page.dtype != first.dtype for page in tif.pages):
        reason = "its pages differ in shape or dtype; read them one by one"
        raise CorruptDataError(path, "TIFF", reason)
    stack = empty((number, *first.shape), first.dtype)
    for page, place in zip(tif.pages, stack, strict=True):
        place[...] = page.asarray()
    if "shape" not in metadata:
        return stack[0] if number == 1 else stack
    if math.prod(metadata["shape"]) != stack.size:
        reason = f"shape {tuple(metadata['shape'])} is declared, {stack.shape} stored"
        raise CorruptDataError(path, "TIFF", reason)
    return stack.reshape(metadata["shape"])


def _native(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _check_complete(page: Any, size: int, path: str) -> None:
    """Refuse a page whose pixels do not all lie in the file: tifffile would fill in zeros."""
    counts = page.databytecounts
    if not counts or not math.prod(page.shape) or page.dtype is None:
        raise CorruptDataError(path, "TIFF", "a page of it has no pixels, or of no known kind")
    for offset, count in zip(page.dataoffsets, counts, strict=True):
        if not count or offset + count > size:
            reason = f"it ends at byte {size}, its pixels at byte {offset + count}"
            raise CorruptDataError(path, "TIFF", reason if count else "a part has no bytes")
    parts = 1 if page.is_contiguous else math.prod(page.chunked)
    if len(counts) < parts:
        raise CorruptDataError(path, "TIFF", f"it has {len(counts)} of {parts} parts")
    stored = sum(counts)
    if page.compression == 1 and stored < page.nbytes and page.bitspersample >= 8:
        reason = f"{page.nbytes} bytes of pixels are declared, {stored} stored"
        raise CorruptDataError(path, "TIFF", reason)
    if page.compression == 7:
        _check_jpegs(page, path)
    if page.nbytes > max(_HUGE_BYTES, stored * _MOST_RATIO):
        reason = f"{page.nbytes} bytes of pixels are declared, in {stored} bytes"
        raise CorruptDataError(path, "TIFF", reason)


def _check_jpegs(page: Any, path: str) -> None:
    """Refuse a part without JPEG's end mark: its decoder would paint the rest grey."""
    handle = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        seen = min(count, 64)  # zeros may follow the mark
        handle.seek(offset + count - seen)
        if b"\xff\xd9" not in handle.read(seen):
            raise CorruptDataError(path, "TIFF", f"the JPEG at byte {offset} has no end")


def _reason(cause: Exception) -> str:
    if isinstance(cause, CorruptDataError):
        return cause.reason
    return str(cause).splitlines()[0] if str(cause) else type(cause).__name__

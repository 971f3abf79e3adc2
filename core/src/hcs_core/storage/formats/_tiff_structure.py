"""The skeleton of a TIFF file: where its pages are, and plain pixels read straight from it.

Most planes of a screen are uncompressed grey levels in one piece. Finding and reading
those needs a dozen tags and takes two thirds of the time of tifffile, which reads all else.
The layout is that of the TIFF 6.0 specification (Adobe, 1992), sections 2 and 8.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hcs_core.storage._values import read_into_aligned

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_FILL_ORDER, _OFFSETS, _SAMPLES, _ROWS_PER_STRIP, _COUNTS = 266, 273, 277, 278, 279
_PREDICTOR, _SAMPLE_FORMAT = 317, 339
_WANTED = frozenset(
    {_WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _OFFSETS, _SAMPLES}
    | {_ROWS_PER_STRIP, _COUNTS, _PREDICTOR, _SAMPLE_FORMAT}
)
# What makes a page more than strips of grey levels: tiles, volumes, Zeiss LSM.
_UNUSUAL = frozenset({322, 323, 324, 325, 32997, 34412})
_KINDS = {1: "u", 2: "i", 3: "f"}
_TYPES = {3: ("H", 2), 4: ("I", 4)}  # SHORT, LONG: code of struct, bytes
_DTYPES = frozenset({"u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"})

# A damaged number of strips is not worth reading; a strip is a row at least.
_MOST_STRIPS = 1 << 20

_Tags = dict[int, tuple[int, ...]]


class BrokenChainError(ValueError):
    """A page of a TIFF file says that the next one lies where none can be."""


def count_pages(file: BinaryIO) -> int:
    """Return how many pages the file has, each of them within it.

    Raises
    ------
    BrokenChainError
        If the file is cut short, or its pages lead in a circle.
    """
    return sum(1 for _ in _pages(file))


def read_plain_plane(file: BinaryIO, page: int) -> NDArray[np.generic] | None:
    """Return one page, shape (y, x), in an aligned buffer of native byte order.

    Returns
    -------
    array or None
        None where the page is not one piece of uncompressed grey levels, or not there.
    """
    try:
        order = _byte_order(file)
        tags = _tags(file, order, page) if order else None
    except (struct.error, BrokenChainError):
        return None
    if tags is None or order is None:
        return None
    kind = f"{_KINDS.get(_one(tags, _SAMPLE_FORMAT, 1), '')}{_one(tags, _BITS, 1) // 8}"
    is_plain = (
        kind in _DTYPES
        and _one(tags, _BITS, 1) % 8 == 0
        and _one(tags, _COMPRESSION, 1) == _one(tags, _SAMPLES, 1) == 1
        and _one(tags, _FILL_ORDER, 1) == _one(tags, _PREDICTOR, 1) == 1
        and _one(tags, _PHOTOMETRIC, 0) in (0, 1)
    )
    if not is_plain:
        return None
    dtype = np.dtype(f"{order}{kind}")
    shape = _one(tags, _LENGTH, 0), _one(tags, _WIDTH, 0)
    start = _start_of_piece(tags, shape, dtype.itemsize)
    size = shape[0] * shape[1] * dtype.itemsize
    if start is None or start + size > file.seek(0, 2):
        return None
    file.seek(start)
    plane = read_into_aligned(file, shape, dtype.newbyteorder("="))
    if plane is not None and dtype.itemsize > 1 and order != _NATIVE:
        plane.byteswap(inplace=True)
    return plane


_NATIVE = "<" if sys.byteorder == "little" else ">"


def _byte_order(file: BinaryIO) -> str | None:
    """Return the byte order of a TIFF file of 32-bit offsets, or None for another file."""
    file.seek(0)
    return {b"II*\0": "<", b"MM\0*": ">"}.get(file.read(4))


def _pages(file: BinaryIO) -> Iterator[int]:
    """Yield the offset of each page."""
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    end = file.seek(0, 2)
    big = order is not None and len(head) == 16 and struct.unpack(f"{order}H", head[2:4])[0] == 43
    if order is None or len(head) < 8:
        raise BrokenChainError("it has no TIFF header")
    # Offset, then number of tags and size of one, in a big file and in a classic one.
    offset_code, count_code, tag_bytes = ("Q", "Q", 20) if big else ("I", "H", 12)
    offset_bytes, count_bytes = struct.calcsize(offset_code), struct.calcsize(count_code)
    at = 8 if big else 4
    (offset,) = struct.unpack(order + offset_code, head[at : at + offset_bytes])
    seen: set[int] = set()
    while offset:
        if offset in seen or offset + count_bytes > end:
            raise BrokenChainError(f"it ends at byte {end}, a page lies at byte {offset}")
        seen.add(offset)
        yield offset
        file.seek(offset)
        (tags,) = struct.unpack(order + count_code, file.read(count_bytes))
        if offset + count_bytes + tags * tag_bytes + offset_bytes > end:
            raise BrokenChainError(f"it ends at byte {end}, within the tags of a page")
        file.seek(offset + count_bytes + tags * tag_bytes)
        (offset,) = struct.unpack(order + offset_code, file.read(offset_bytes))


def _tags(file: BinaryIO, order: str, page: int) -> _Tags | None:
    """Return the numbers that describe a page, or None if it is not there or is unusual."""
    offset = next((at for number, at in enumerate(_pages(file)) if number == page), None)
    if offset is None:
        return None
    file.seek(offset)
    (count,) = struct.unpack(f"{order}H", file.read(2))
    tags: _Tags = {}
    for tag, kind, number, inline in struct.iter_unpack(f"{order}HHI4s", file.read(12 * count)):
        if tag in _UNUSUAL or tag in tags:
            return None
        if tag in _WANTED:
            if kind not in _TYPES or number > _MOST_STRIPS:
                return None
            code, size = _TYPES[kind]
            content = inline
            if number * size > 4:
                file.seek(struct.unpack(f"{order}I", inline)[0])
                content = file.read(number * size)
            tags[tag] = struct.unpack(f"{order}{number}{code}", content[: number * size])
    return tags


def _one(tags: _Tags, tag: int, default: int) -> int:
    """Return a tag's only value; -1, which nothing accepts, where it has several."""
    values = tags.get(tag, (default,))
    return values[0] if len(values) == 1 else -1


def _start_of_piece(tags: _Tags, shape: tuple[int, int], itemsize: int) -> int | None:
    """Return where the pixels begin, or None if they do not lie in one piece."""
    rows, width = shape
    offsets, counts = tags.get(_OFFSETS, ()), tags.get(_COUNTS, ())
    per_strip = min(_one(tags, _ROWS_PER_STRIP, rows), rows)
    if rows < 1 or width < 1 or per_strip < 1:
        return None
    strips = -(-rows // per_strip)
    if not len(offsets) == len(counts) == strips:  # before a damaged number makes a long list
        return None
    row_bytes = width * itemsize
    expected = [per_strip * row_bytes] * (strips - 1)
    expected.append((rows - per_strip * (strips - 1)) * row_bytes)
    if list(counts) != expected:
        return None
    piece = all(a + n == b for a, n, b in zip(offsets, counts, offsets[1:], strict=False))
    return offsets[0] if piece else None

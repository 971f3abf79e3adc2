"""The chain of pages of a TIFF file, followed to its end.

tifffile stops without an error at a page that lies outside the file, so that a file that
was cut short looks as if it had fewer pages. The layout is that of the TIFF 6.0
specification (Adobe, 1992), section 2, and of BigTIFF.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO


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

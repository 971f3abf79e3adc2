"""Tables as comma-separated text: UTF-8, one header line, values that read back exactly."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.errors import CorruptDataError, UnsavableValueError
from hcs_core.storage._formats import FileFormat
from hcs_core.storage._values import PIXEL_DTYPES, checked_array

# Numbers without leading zeros: well "007" and barcode "00123" are names.
_INTEGERS = re.compile(r"(?:-?(?:0|[1-9]\d*)\n)*", re.ASCII)
_NUMBERS = re.compile(
    r"(?:(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|-?inf|nan)?\n)*", re.ASCII
)
_BOOLEANS = re.compile(r"(?:(?:True|False)\n)*")
_NEEDS_QUOTES = re.compile(r'[",\r\n]')
_EMPTY = '""'


class CsvFormat(FileFormat):
    """A mapping of column name to a one-dimensional array.

    Numbers are written so that they read back as the same value (the shortest decimal
    that does). CSV has no types, so a column is read as what all of its values look
    like: integers (int64, or uint64 where it needs that), numbers (float64, an empty
    field is NaN), True and False, and text otherwise. Text of nothing but numbers
    therefore reads back as numbers, unless they have leading zeros.

    The last line ends like all others. A table that was cut short is noticed by this,
    but for one that was cut exactly between two lines.
    """

    name: ClassVar[str] = "csv"
    extensions: ClassVar[tuple[str, ...]] = (".csv",)

    def read(self, file: BinaryIO, *, path: str) -> dict[str, NDArray[Any]]:
        """Return the table."""
        try:
            text = file.read().decode("utf-8-sig")
            rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as cause:
            raise CorruptDataError(path, "CSV", str(cause)) from cause
        if not rows:
            raise CorruptDataError(path, "CSV", "it has no header line")
        if not text.endswith(("\n", "\r")):
            reason = "its last line has no end, so it may have been cut; add one if it was not"
            raise CorruptDataError(path, "CSV", reason)
        header, *body = rows
        _check_rectangle(header, body, path)
        columns = list(zip(*body, strict=True)) or [()] * len(header)
        return {name: _typed(words) for name, words in zip(header, columns, strict=True)}

    def write(self, file: BinaryIO, value: Any, *, path: str) -> None:
        """Write the table; every column is checked before the first byte is written."""
        columns = _checked(value, path)
        lines = [",".join(map(_quoted, columns)), *map(",".join, _rows(columns))]
        # A line of one empty field would read as no line.
        text = "".join(f"{line or _EMPTY}\n" for line in lines)
        try:
            content = text.encode("utf-8")
        except UnicodeEncodeError as cause:
            raise UnsavableValueError(path, "CSV", str(cause)) from cause
        file.write(content)


def _check_rectangle(header: list[str], body: list[list[str]], path: str) -> None:
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise CorruptDataError(path, "CSV", f"column {twice!r} stands twice")
    for number, row in enumerate(body, start=2):
        if len(row) != len(header):
            reason = f"line {number} has {len(row)} fields, the header {len(header)}"
            raise CorruptDataError(path, "CSV", reason)


def _checked(value: Any, path: str) -> dict[str, NDArray[Any]]:
    if not isinstance(value, Mapping) or not value:
        reason = "needs a mapping of column name to one-dimensional array"
        raise UnsavableValueError(path, "CSV", reason)
    columns: dict[str, NDArray[Any]] = {}
    for name, values in value.items():
        if not isinstance(name, str):
            raise UnsavableValueError(path, "CSV", f"column name {name!r} is no text")
        if name.startswith("\ufeff"):
            raise UnsavableValueError(path, "CSV", "a column name starts with a byte order mark")
        column = checked_array(np.asanyarray(values), path, f"CSV (column {name!r})")
        is_text = column.dtype.kind == "U"
        if column.ndim != 1 or not (is_text or column.dtype.name in PIXEL_DTYPES):
            reason = f"column {name!r} is {column.ndim}-dimensional {column.dtype}"
            raise UnsavableValueError(path, "CSV", reason)
        columns[name] = column
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise UnsavableValueError(path, "CSV", f"its columns have lengths {sorted(lengths)}")
    return columns


def _rows(columns: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, ...]]:
    return zip(*(_words(column) for column in columns.values()), strict=True)


def _words(column: NDArray[Any]) -> list[str]:
    if column.dtype.kind == "f":
        return ["" if value != value else repr(value) for value in column.tolist()]
    if column.dtype.kind == "U":
        return [_quoted(word) for word in column.tolist()]
    return [str(value) for value in column.tolist()]


def _quoted(word: str) -> str:
    # csv.writer leaves a bare carriage return unquoted before Python 3.13.
    return '"' + word.replace('"', '""') + '"' if _NEEDS_QUOTES.search(word) else word


def _typed(words: tuple[str, ...]) -> NDArray[Any]:
    lines = "".join(f"{word}\n" for word in words)
    text = np.array(words, dtype=np.str_)
    if lines.count("\n") > len(words):  # a word of several lines is no number
        return text
    if _INTEGERS.fullmatch(lines):
        for kind in (np.int64, np.uint64):
            try:
                return text.astype(kind)
            except (ValueError, OverflowError):
                continue
        return text  # as floats they would be rounded
    if _NUMBERS.fullmatch(lines):
        return np.array([word or "nan" for word in words], dtype=np.str_).astype(np.float64)
    if _BOOLEANS.fullmatch(lines):
        return np.equal(text, "True")
    return text

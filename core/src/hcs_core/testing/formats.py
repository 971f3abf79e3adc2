"""What every file format must hold: inherit `FileFormatTests`, give it values."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from hcs_core.errors import CorruptDataError, UnsavableValueError
from hcs_core.storage import FileFormat, ImageFormat
from hcs_core.testing._samples import same


class FileFormatTests:
    """Tests that a file format passes.

    Subclass it in a test module and give it `format`, `values` and, where there are such,
    `unsavable`.

    Examples
    --------
    >>> class TestMyFormat(FileFormatTests):
    ...     format = MyFormat()
    ...     values = (np.zeros((2, 3), np.uint16),)
    """

    format: FileFormat
    values: tuple[Any, ...]
    """Values that must read back exactly."""
    unsavable: tuple[Any, ...] = (None, object())
    """Values that the format cannot hold exactly."""
    undetected_cuts: bool = False
    """Whether a file that was cut may read as a shorter value; say why in the format's doc."""

    def test_its_extensions_are_lower_case_and_start_with_a_dot(self) -> None:
        assert self.format.name
        assert self.format.extensions
        for extension in self.format.extensions:
            assert extension == extension.lower()
            assert extension.startswith(".")

    def test_values_read_back_exactly(self) -> None:
        for value in self.values:
            assert same(self.read(self.written(value)), value), value

    def test_the_same_value_is_written_as_the_same_bytes(self) -> None:
        for value in self.values:
            assert self.written(value) == self.written(value)

    def test_what_it_cannot_hold_is_refused_and_nothing_is_written(self) -> None:
        for value in self.unsavable:
            file = io.BytesIO()
            with pytest.raises(UnsavableValueError, match=r"some/file"):
                self.format.write(file, value, path="some/file")
            assert file.getvalue() == b"", value

    def test_an_empty_file_is_corrupt(self) -> None:
        with pytest.raises(CorruptDataError, match=r"some/file"):
            self.read(b"")

    def test_random_bytes_are_corrupt(self) -> None:
        noise = np.random.default_rng(1).integers(0, 256, 4096, dtype=np.uint8).tobytes()
        with pytest.raises(CorruptDataError, match=r"some/file"):
            self.read(noise)

    def test_a_file_cut_short_is_corrupt_and_never_a_part_of_the_value(self) -> None:
        for value in self.values:
            whole = self.written(value)
            for length in _lengths(len(whole)):
                self.check_cut(whole[:length], value)

    def check_cut(self, content: bytes, value: Any) -> None:
        """Fail if a file that was cut reads as anything but the whole value."""
        try:
            found = self.read(content)
        except CorruptDataError:
            return
        # Only padding may be missing.
        assert self.undetected_cuts or same(found, value), (len(content), found)

    def test_a_plane_of_a_file_cut_short_is_whole_or_corrupt(self) -> None:
        if not isinstance(self.format, ImageFormat):
            return
        for value in self.values:
            if value.ndim < 2:
                continue
            whole = self.written(value)
            first = self.format.read_plane(io.BytesIO(whole), path="some/file")
            for length in _lengths(len(whole)):
                content = io.BytesIO(whole[:length])
                try:
                    plane = self.format.read_plane(content, path="some/file")
                except CorruptDataError:
                    continue
                assert same(plane, first), length

    def written(self, value: Any) -> bytes:
        """Return the content of a file of this value."""
        file = io.BytesIO()
        self.format.write(file, value, path="some/file")
        return file.getvalue()

    def read(self, content: bytes) -> Any:
        """Return the value in a file of this content."""
        return self.format.read(io.BytesIO(content), path="some/file")


def _lengths(size: int) -> Iterator[int]:
    """Yield lengths to cut a file to: all near its ends, and some between."""
    step = max(1, size // 60)
    yield from sorted(
        {*range(min(size, 40)), *range(0, size, step), *range(max(0, size - 12), size)}
    )

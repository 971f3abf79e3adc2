"""File formats, found by the longest extension of a file's name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, BinaryIO, ClassVar

from numpy.typing import NDArray

from hcs_core.errors import PluginConflictError, PluginLoadError, UnknownFormatError
from hcs_core.registry import Registry


class FileFormat(ABC):
    """Reads and writes values of one kind as files, exactly or not at all."""

    name: ClassVar[str]
    extensions: ClassVar[tuple[str, ...]]
    """Lower case, with the dot; compared without case."""

    @abstractmethod
    def read(self, file: BinaryIO, *, path: str) -> Any:
        """Return the value in an open file; `path` is for errors.

        Raises
        ------
        CorruptDataError
            If the file is damaged or cut short.
        """

    @abstractmethod
    def write(self, file: BinaryIO, value: Any, *, path: str) -> None:
        """Write a value into an open file; `path` is for errors.

        Raises
        ------
        UnsavableValueError
            If the format cannot hold the value exactly; nothing has been written then.
        """


class ImageFormat(FileFormat):
    """A format whose values are pixels."""

    @abstractmethod
    def read_plane(self, file: BinaryIO, *, page: int = 0, path: str) -> NDArray[Any]:
        """Return one page, shape (y, x), dtype and values as stored."""


FORMATS: Registry[type[FileFormat]] = Registry("hcs.formats", api=1, doc="file formats")


def format_for(name: str) -> FileFormat:
    """Return the format of a file name: the longest extension that fits wins.

    Raises
    ------
    UnknownFormatError
        If no installed format has such an extension.
    PluginConflictError
        If several formats have it.
    """
    return FormatTable().get(name)


def image_suffixes() -> tuple[str, ...]:
    """Return the extensions of the installed formats that hold images."""
    return tuple(
        extension
        for extension, formats in sorted(_formats_by_extension().items())
        if any(issubclass(file_format, ImageFormat) for file_format in formats)
    )


class FormatTable:
    """The installed formats by extension, imported when the first file is asked for."""

    def __init__(self) -> None:
        self._by_extension: dict[str, list[type[FileFormat]]] = {}
        self._made: dict[str, FileFormat] = {}

    def get(self, name: str) -> FileFormat:
        """Return the format of a file name; as `format_for`."""
        extension = self._extension_of(name)
        if extension is None:  # read the registry at first, and again after a new format
            self._by_extension = _formats_by_extension()
            extension = self._extension_of(name)
        if extension is None:
            raise UnknownFormatError(name, tuple(sorted(self._by_extension)))
        if extension not in self._made:
            self._made[extension] = self._only(extension)()
        return self._made[extension]

    def _extension_of(self, name: str) -> str | None:
        """Return the longest known extension of a name: from its first dot to its last."""
        ending = name.rpartition("/")[2].lower()
        while ending:
            _, dot, ending = ending.partition(".")
            if dot and f".{ending}" in self._by_extension:
                return f".{ending}"
        return None

    def _only(self, extension: str) -> type[FileFormat]:
        formats = self._by_extension[extension]
        if len(formats) > 1:
            claims = tuple(f"{f.__module__}:{f.__qualname__}" for f in formats)
            raise PluginConflictError(FORMATS.kind, extension, claims)
        return formats[0]


def _formats_by_extension() -> dict[str, list[type[FileFormat]]]:
    known: dict[str, list[type[FileFormat]]] = {}
    for key in FORMATS:
        try:
            file_format = FORMATS[key]
        except (PluginLoadError, PluginConflictError):  # it breaks only itself; `doctor` tells
            continue
        for extension in file_format.extensions:
            known.setdefault(extension, []).append(file_format)
    return known

"""File formats, found by the longest extension of a file's name."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Any, BinaryIO, ClassVar

from numpy.typing import NDArray

from hcs_core.errors import (
    PluginConflictError,
    PluginLoadError,
    PluginWarning,
    UnknownFormatError,
)
from hcs_core.registry import AutoRegisterMeta, Registry

FORMATS: Registry[type[FileFormat]] = Registry("hcs.formats", api=1, doc="file formats")


class FileFormat(ABC, metaclass=AutoRegisterMeta, registry=FORMATS):
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


FORMATS.expect(FileFormat, attribute="name")

EXTENSIONS = FORMATS.secondary("extensions")
"""The formats by file extension, known without importing one."""


class ImageFormat(FileFormat):
    """A format whose values are pixels."""

    @abstractmethod
    def read_plane(self, file: BinaryIO, *, page: int = 0, path: str) -> NDArray[Any]:
        """Return one page, shape (y, x), dtype and values as stored."""


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
        for extension, keys in sorted(_keys_by_extension().items())
        if any(_is_image_format(key) for key in keys)
    )


def _is_image_format(key: str) -> bool:
    try:
        return issubclass(FORMATS[key], ImageFormat)
    except PluginLoadError:  # it breaks only itself; `hcs plugins doctor` tells
        return False


class FormatTable:
    """The installed formats by extension, each imported when its first file is asked for."""

    def __init__(self) -> None:
        self._by_extension: dict[str, list[str]] = {}
        self._made: dict[str, FileFormat] = {}

    def get(self, name: str) -> FileFormat:
        """Return the format of a file name; as `format_for`."""
        extension = self._extension_of(name)
        if extension is None:  # read the registry at first, and again after a new format
            self._by_extension = _keys_by_extension()
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
        return FORMATS[EXTENSIONS.one_of(extension, self._by_extension[extension])]


def _keys_by_extension() -> dict[str, list[str]]:
    """Return the keys of the formats of each extension.

    What is declared in the entry-point group ``hcs.formats.extensions.v1`` is known without
    importing it; a format that declares no extension there is asked for them.
    """
    known = {extension: list(keys) for extension, keys in EXTENSIONS.all_candidates().items()}
    declared = {key for keys in known.values() for key in keys}
    for key in FORMATS:
        if key not in declared:
            try:
                extensions = FORMATS[key].extensions
            except (PluginLoadError, PluginConflictError):  # it breaks only itself
                continue
            for extension in extensions:
                if extension in known and known[extension][0] in declared:
                    _warn_of_undeclared(key, extension, known[extension][0])
                else:
                    known.setdefault(extension, []).append(key)
    return known


def _warn_of_undeclared(key: str, extension: str, declared: str) -> None:
    """Tell that a format's claim on an extension does not count against a declared one."""
    origin, group = FORMATS.info(key).origin, f"{EXTENSIONS.kind}.v{FORMATS.api}"
    text = (
        f"file format {key!r} of {origin} reads {extension} too, which {declared!r} declares and "
        f"keeps; to choose between them {origin} must declare it in {group}"
    )
    warnings.warn(text, PluginWarning, stacklevel=5)

"""JSON documents, UTF-8, two spaces, keys in the order given."""

from __future__ import annotations

import json
from typing import Any, BinaryIO, ClassVar, NoReturn

from hcs_core.errors import CorruptDataError, UnsavableValueError
from hcs_core.storage._formats import FileFormat


class JsonFormat(FileFormat):
    """Mappings and lists of text, numbers, booleans and None.

    NaN and infinity are refused, for JSON has none; so is a document that is a bare number,
    because one that was cut short would be another number.
    """

    name: ClassVar[str] = "json"
    extensions: ClassVar[tuple[str, ...]] = (".json",)

    def read(self, file: BinaryIO, *, path: str) -> Any:
        """Return the document."""
        try:
            return json.loads(
                file.read().decode("utf-8-sig"),
                parse_constant=_refused,
                object_pairs_hook=_without_repeats,
            )
        except (ValueError, RecursionError) as cause:
            raise CorruptDataError(path, "JSON", str(cause)) from cause

    def write(self, file: BinaryIO, value: Any, *, path: str) -> None:
        """Write the document; it is encoded whole before the first byte is written."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            reason = "a bare number, cut short, is another number; put it into a mapping"
            raise UnsavableValueError(path, "JSON", reason)
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2)
            content = text.encode("utf-8") + b"\n"
            same = json.loads(text) == value
        except (TypeError, ValueError, RecursionError) as cause:
            raise UnsavableValueError(path, "JSON", str(cause)) from cause
        if not same:
            reason = "it would not read back as it is: keys must be text, sequences lists"
            raise UnsavableValueError(path, "JSON", reason)
        file.write(content)


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} stands twice in one object")
    return document

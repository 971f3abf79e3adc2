"""HTD files: what MetaXpress was told to acquire."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Value = str | bool | int | float
Values = tuple[Value, ...]

# Written by MetaXpress 6.7: `"Key", value, value` on each line, CRLF at its end.
_LINE = re.compile(r'\s*"(\w+)"\s*,(.*)')
_VALUE = re.compile(r'"([^"]*)"|([^,\s][^,]*)')
_WORDS = {"TRUE": True, "FALSE": False}
_MARK = '"HTSInfoFile"'
# A 1536-well plate needs 12 kB; what is much longer is another kind of file.
_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Htd:
    """The settings of one acquisition; what was acquired may be less.

    Parameters
    ----------
    values : Mapping of str to tuple
        Every key of the file with its values, as written.
    """

    values: Mapping[str, Values]

    @classmethod
    def read(cls, path: Path) -> Htd:
        """Read an HTD file.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        # Descriptions hold the bytes 0x82 0x81 for a line break (seen in 6.7 exports):
        # neither UTF-8 nor cp1252 decodes them.
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("latin-1")
        matches = (_LINE.match(line) for line in text.splitlines())
        return cls({match[1]: _values(match[2]) for match in matches if match})

    @property
    def plate_shape(self) -> tuple[int, int] | None:
        """Rows and columns of the physical plate."""
        rows, columns = self._number("YWells"), self._number("XWells")
        return (rows, columns) if rows and columns else None

    @property
    def channel_names(self) -> dict[int, str]:
        """Names of the wavelengths, by number: ``{1: "DAPI"}``."""
        names: dict[int, str] = {}
        for key, values in self.values.items():
            if key.startswith("WaveName") and key[8:].isdecimal() and values:
                name = str(values[0]).strip()
                if name:
                    names[int(key[8:])] = name
        return names

    @property
    def declared(self) -> dict[str, int | None]:
        """How many wells, sites, channels, z and timepoints were to be acquired."""
        return {
            "wells": self._selected("WellsSelection"),
            # An acquisition of one site may have no SiteSelection at all.
            "sites": self._selected("SiteSelection") if self._is("Sites") else 1,
            "channels": self._number("NWavelengths") if self._is("Waves") else 1,
            "z_indexes": self._number("ZSteps") if self._is("ZSeries") else 1,
            "timepoints": self._number("TimePoints"),
        }

    def _is(self, key: str) -> bool:
        return self.values.get(key) == (True,)

    def _number(self, key: str) -> int | None:
        value = self.values.get(key, (None,))[0:1]
        return value[0] if value and type(value[0]) is int and value[0] > 0 else None

    def _selected(self, key: str) -> int | None:
        """Return how many flags of a grid are set; its rows have keys of their own."""
        rows = [values for name, values in self.values.items() if name.startswith(key)]
        return sum(value is True for row in rows for value in row) if rows else None


def is_htd(path: Path) -> bool:
    """Return whether the head of the file is that of an HTD file."""
    try:
        with path.open("rb") as file:
            return file.read(64).decode("latin-1").lstrip("\ufeff \t").startswith(_MARK)
    except OSError:
        return False  # whether it is readable matters when it is read, and is said then


def _values(text: str) -> Values:
    return tuple(
        match[1] if match[2] is None else _value(match[2].strip())
        for match in _VALUE.finditer(text)
    )


def _value(word: str) -> Value:
    if word in _WORDS:
        return _WORDS[word]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word

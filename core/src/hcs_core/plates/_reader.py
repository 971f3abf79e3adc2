"""The contract of a plate reader: recognise a folder, index it, read nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hcs_core.plates._index import PlateIndex
from hcs_core.plates._listing import Listing
from hcs_core.registry import AutoRegisterMeta, Registry

MICROSCOPES: Registry[type[PlateReader]] = Registry("hcs.microscopes", api=1, doc="plate readers")


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a reader believes that a folder is its own.

    Parameters
    ----------
    confidence : float
        0 to 1; 0.9 and more when a marker file was found, 0.6 for names alone.
    reason : str
        What was seen, for people.
    """

    confidence: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlateMetadata:
    """What is known of a plate as a whole; None where the vendor's files do not say.

    Parameters
    ----------
    name : str
        The plate's name.
    pixel_size_um : tuple of float, optional
        Height and width of a pixel on the specimen.
    shape : tuple of int, optional
        Height and width of a plane in pixels.
    dtype : str, optional
        NumPy name of the pixels as stored.
    instrument : str, optional
        Maker or model.
    rows, columns : int, optional
        Size of the physical plate in wells.
    raw : Mapping
        The vendor's own words, as parsed.
    """

    name: str
    pixel_size_um: tuple[float, float] | None = None
    shape: tuple[int, int] | None = None
    dtype: str | None = None
    instrument: str | None = None
    rows: int | None = None
    columns: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


class PlateReader(ABC, metaclass=AutoRegisterMeta, registry=MICROSCOPES):
    """Reads one vendor's plates.

    A reader is two pure functions of what lies in the folder. It never writes there,
    and opens no image except one per channel for the metadata.

    Parameters
    ----------
    listing : Listing
        What lies in the plate's folder.

    Attributes
    ----------
    format : str
        Its key.
    looks_for : str
        The marker file or the names by which it knows a plate, for a person whose folder
        it does not know.
    """

    format: ClassVar[str]
    looks_for: ClassVar[str] = ""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing

    @property
    def root(self) -> Path:
        """The plate's folder."""
        return self.listing.root

    @classmethod
    @abstractmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        """Return why the listed folder is a plate of this format, or None.

        Only the listing may be used, and the head of a marker file that it names.
        """

    @abstractmethod
    def index(self) -> PlateIndex:
        """Return the planes of the plate.

        Raises
        ------
        PlateError
            If the folder cannot be understood; the error names the file.
        """

    @abstractmethod
    def metadata(self) -> PlateMetadata:
        """Return what the vendor's files say of the plate as a whole."""


MICROSCOPES.expect(PlateReader, attribute="format")

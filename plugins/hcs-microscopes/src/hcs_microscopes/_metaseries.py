"""What MetaMorph and MetaXpress write into the header of a TIFF."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lxml import etree

if TYPE_CHECKING:
    from tifffile import TiffPage

_UIC1 = 33628
_UM_PER_UNIT = {
    "um": 1.0, "µm": 1.0, "\u03bcm": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "micrometers": 1.0, "nm": 1e-3, "mm": 1e3,
}  # fmt: skip
_KINDS: dict[str, Callable[[str], float | bool]] = {
    "float": float,
    "int": int,
    "bool": lambda text: text == "on",
}


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What the header of one image says; None where it does not.

    Parameters
    ----------
    shape : tuple of int
        Height and width in pixels.
    dtype : str or None
        NumPy name of the pixels as stored.
    pixel_size_um : tuple of float or None
        Height and width of a pixel on the specimen.
    properties : Mapping
        The vendor's own words.
    """

    shape: tuple[int, int]
    dtype: str | None
    pixel_size_um: tuple[float, float] | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


def read_header(path: Path) -> ImageHeader:
    """Read the header of a TIFF, none of its pixels.

    MetaXpress writes XML into ImageDescription (seen: 6.2 to 6.7). MetaMorph before it
    wrote lines of text there and the calibration into STK tags (seen: 3.1).

    Raises
    ------
    OSError, ValueError
        If the file cannot be read or is no complete TIFF.
    """
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        shape = (int(page.imagelength), int(page.imagewidth))
        dtype = None if page.dtype is None else page.dtype.name
        properties, pixel_size_um = _described(page)
    return ImageHeader(shape, dtype, pixel_size_um, properties)


def _described(page: TiffPage) -> tuple[dict[str, Any], tuple[float, float] | None]:
    """Return the properties of an image and the pixel size that they state."""
    description = page.description.strip()
    if description.startswith("<MetaData>"):
        found = parse_metaseries(description)
        on, unit = found.get("spatial-calibration-state"), found.get("spatial-calibration-units")
        y, x = found.get("spatial-calibration-y"), found.get("spatial-calibration-x")
    else:
        found = _text_lines(description) | _stk(page)
        on, unit = found.get("SpatialCalibration"), found.get("CalibrationUnits")
        y, x = found.get("YCalibration"), found.get("XCalibration")
    return found, pixel_size(y, x, unit) if on else None


def parse_metaseries(description: str) -> dict[str, Any]:
    """Return the properties in MetaSeries XML, by their id; empty when it is damaged."""
    if "<!DOCTYPE" in description:  # MetaXpress writes none; entities could fill the memory
        return {}
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(description.encode(), parser)
    except etree.XMLSyntaxError:
        return {}
    found: dict[str, Any] = {}
    for prop in root.iter("prop", "custom-prop"):
        text = prop.get("value", "")
        kind = _KINDS.get(prop.get("type", ""))
        try:
            found[prop.get("id", "")] = kind(text) if kind else text
        except ValueError:
            found[prop.get("id", "")] = text
    return found


def pixel_size(y: object, x: object, unit: object) -> tuple[float, float] | None:
    """Return the size of a pixel in um, (y, x); None when it is not a length."""
    factor = _UM_PER_UNIT.get(str(unit).strip().lower())
    sizes = [side for side in (y, x) if isinstance(side, int | float)]
    if factor is None or len(sizes) != 2 or not all(0 < s < math.inf for s in sizes):
        return None
    return sizes[0] * factor, sizes[1] * factor


def _text_lines(description: str) -> dict[str, Any]:
    """Return the lines ``Exposure: 25 ms`` of an older image."""
    parts = (line.split(":", 1) for line in description.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in parts}


def _stk(page: TiffPage) -> dict[str, Any]:
    """Return the values of an STK file's first UIC tag, the plain ones only."""
    value = page.tags.valueof(_UIC1)
    if not isinstance(value, dict):
        return {}
    found = {key: item for key, item in value.items() if isinstance(item, str | int | float)}
    for prop in value.get("PlaneProperty", ()):
        found[prop["name"]] = prop["value"]
    return found

"""Names, HTD file and TIFF description of an ImageXpress plate, as MetaXpress writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from hcs_core.plates import column_of_well, row_of_well

PLATE_SHAPES = ((2, 3), (3, 4), (4, 6), (6, 8), (8, 12), (16, 24), (32, 48))


def file_name(
    plate: str,
    well: str,
    *,
    site: int | None,
    wave: int | None,
    thumbnail: bool = False,
    guid: str = "",
    extension: str = ".TIF",
) -> str:
    """Return a file name; a site or wave that is the only one is left out (None)."""
    parts = [
        f"{plate}_{well}",
        f"_s{site}" if site is not None else "",
        f"_w{wave}" if wave is not None else "",
        "_thumb" if thumbnail else "",
    ]
    return "".join(parts) + guid + extension


def folder_name(*, timepoint: int | None, z_index: int | None) -> str:
    """Return the folder below the plate: ``TimePoint_1/ZStep_2``, each part where it is."""
    time = f"TimePoint_{timepoint}" if timepoint is not None else ""
    z = f"ZStep_{z_index}" if z_index is not None else ""
    return "/".join(filter(None, (time, z)))


def htd_text(
    *,
    wells: Sequence[str],
    sites: int,
    channels: Sequence[str],
    z_indexes: int,
    timepoints: int,
    description: str,
) -> str:
    """Return the content of an HTD file, keys in the order of MetaXpress 6.7."""
    site_rows = _site_grid(sites)
    lines = [
        '"HTSInfoFile", Version 1.0',
        f'"Description", "{description}"',
        '"PlateType", 2',
        f'"TimePoints", {timepoints}',
        f'"ZSeries", {_flag(z_indexes > 1)}',
        f'"ZSteps", {z_indexes if z_indexes > 1 else 0}',
        '"ZProjection", FALSE',
        *_well_lines(wells),
        f'"Sites", {_flag(sites > 1)}',
        f'"XSites", {len(site_rows[0])}',
        f'"YSites", {len(site_rows)}',
        *(_flags(f"SiteSelection{i + 1}", row) for i, row in enumerate(site_rows) if sites > 1),
        f'"Waves", {_flag(len(channels) > 1)}',
        f'"NWavelengths", {len(channels)}',
        *(f'"WaveName{i + 1}", "{name}"' for i, name in enumerate(channels)),
        *(f'"WaveCollect{i + 1}", 1' for i in range(len(channels))),
        '"EndFile"',
    ]
    return "\r\n".join([*lines, ""])


def metaseries_xml(
    *,
    shape: tuple[int, int],
    pixel_size_um: tuple[float, float],
    channel: str,
    well: str,
    site: int,
    z_um: float,
) -> str:
    """Return the ImageDescription of one plane, a part of what MetaXpress 6.7 writes."""
    properties = [
        ("plane-type", "string", "plane"),
        ("pixel-size-x", "int", shape[1]),  # a count of pixels, in spite of its name
        ("pixel-size-y", "int", shape[0]),
        ("bits-per-pixel", "int", 16),
        ("spatial-calibration-state", "bool", "on"),
        ("spatial-calibration-x", "float", pixel_size_um[1]),
        ("spatial-calibration-y", "float", pixel_size_um[0]),
        ("spatial-calibration-units", "string", "um"),
        ("image-name", "string", channel),
        ("stage-label", "string", f"{well} : Site {site}"),
        ("z-position", "float", z_um),
        ("_IllumSetting_", "string", channel),
    ]
    lines = [
        "<MetaData>",
        _property("ApplicationName", "string", "MetaMorph"),
        "<PlaneInfo>",
        *(_property(*item) for item in properties),
        "</PlaneInfo>",
        "<SetInfo>",
        _property("number-of-planes", "int", 1),
        "</SetInfo>",
        "</MetaData>",
    ]
    return "\r\n".join(lines)


def plate_shape(wells: Sequence[str]) -> tuple[int, int]:
    """Return rows and columns of the smallest plate that has all these wells.

    Raises
    ------
    ValueError
        If even a 1536-well plate has not.
    """
    rows = 1 + max(map(row_of_well, wells))
    columns = 1 + max(map(column_of_well, wells))
    for shape in PLATE_SHAPES:
        if rows <= shape[0] and columns <= shape[1]:
            return shape
    raise ValueError(f"no plate has {rows} rows and {columns} columns; the largest has 32 and 48")


def _well_lines(wells: Sequence[str]) -> list[str]:
    rows, columns = plate_shape(wells)
    used = {(row_of_well(well), column_of_well(well)) for well in wells}
    selection = ([(row, column) in used for column in range(columns)] for row in range(rows))
    return [
        f'"XWells", {columns}',
        f'"YWells", {rows}',
        *(_flags(f"WellsSelection{i + 1}", row) for i, row in enumerate(selection)),
    ]


def _site_grid(sites: int) -> list[list[bool]]:
    """Return which places of a nearly square grid are sites, row by row."""
    columns = math.ceil(math.sqrt(sites))
    rows = math.ceil(sites / columns)
    return [[row * columns + column < sites for column in range(columns)] for row in range(rows)]


def _flags(key: str, values: Sequence[bool]) -> str:
    return f'"{key}", ' + ", ".join(map(_flag, values))


def _flag(value: bool) -> str:
    return "TRUE" if value else "FALSE"


def _property(name: str, kind: str, value: object) -> str:
    return f'<prop id={quoteattr(name)} type="{kind}" value={quoteattr(str(value))}/>'

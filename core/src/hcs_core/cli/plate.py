"""`hcs plate`: what a plate holds."""

from __future__ import annotations

from typing import Any

import click

from hcs_core.cli._group import Group
from hcs_core.cli._output import common_options, print_json, stdout
from hcs_core.plates import Plate, open_plate


@click.group(cls=Group)
def plate() -> None:
    """What a plate holds."""


@plate.command()
@click.argument("path", type=click.Path())
@click.option("--format", "format_", default="auto", help="The reader; found by itself.")
@common_options
def show(path: str, format_: str, as_json: bool) -> None:
    """Show the format, wells, channels and planes of the plate at PATH."""
    opened = open_plate(path, format_)
    document = _document(opened)
    if as_json:
        print_json(document)
    else:
        _print(opened, document)


def _document(opened: Plate) -> dict[str, Any]:
    index, metadata = opened.index, opened.metadata
    return {
        "format": opened.format,
        "path": str(opened.root),
        "name": metadata.name,
        "wells": list(index.wells),
        "sites": len(index.sites),
        "z_indexes": len(index.z_indexes),
        "timepoints": len(index.timepoints),
        "channels": [{"index": c.index, "label": c.label, "name": c.name} for c in index.channels],
        "planes": index.counts(),
        "projections": int(index.projection.sum()),
        "ignored": dict(index.ignored),
        "errors": list(index.errors),
        "pixel_size_um": None if metadata.pixel_size_um is None else list(metadata.pixel_size_um),
        "shape": None if metadata.shape is None else list(metadata.shape),
        "dtype": metadata.dtype,
        "instrument": metadata.instrument,
    }


def _print(opened: Plate, document: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, text in _lines(opened, document):
        table.add_row(name, text)
    stdout().print(table)


def _lines(opened: Plate, document: dict[str, Any]) -> list[tuple[str, str]]:
    planes = ", ".join(f"{n} {status}" for status, n in document["planes"].items() if n)
    size = document["pixel_size_um"]
    channels = [c.label if c.name is None else f"{c.label} ({c.name})" for c in opened.channels]
    ignored = ", ".join(f"{n} {reason}" for reason, n in document["ignored"].items())
    lines = [
        ("plate", document["name"]),
        ("path", document["path"]),
        ("format", document["format"]),
        ("instrument", document["instrument"] or "not stated"),
        ("wells", f"{len(document['wells'])}: {' '.join(document['wells'])}"),
        ("sites", ", ".join(opened.index.sites)),
        ("channels", ", ".join(channels)),
        ("z", str(document["z_indexes"])),
        ("timepoints", str(document["timepoints"])),
        ("planes", planes),
        ("projections", str(document["projections"])),
        ("ignored", ignored or "nothing"),
        ("pixels", _pixels(opened)),
        ("pixel size", "not stated" if size is None else f"{size[0]:g} x {size[1]:g} um (y, x)"),
    ]
    return lines + [("error", text) for text in document["errors"]]


def _pixels(opened: Plate) -> str:
    shape, dtype = opened.metadata.shape, opened.metadata.dtype
    size = "" if shape is None else f"{shape[0]} x {shape[1]} (y, x) "
    return f"{size}{dtype or ''}".strip() or "not stated"

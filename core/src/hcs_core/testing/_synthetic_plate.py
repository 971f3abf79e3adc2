"""Make a plate whose every cell is known, in the layout of an ImageXpress, faults on request."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from hcs_core.errors import MissingLibraryError, ParameterError
from hcs_core.testing import _imagexpress_files as names
from hcs_core.testing._synthetic_cells import Cells, draw_cells, expose, place_cells

Field = tuple[str, str]
FaultKind = Literal["missing", "truncated", "duplicate", "shape"]
Layout = Literal["export", "database"]

_DATABASE_FOLDER = "2024-01-31/1001"
_THUMBNAIL_SHAPE = (64, 80)
_BLUR_IN_FOCUS_PX = 1.0
_BLUR_PER_STEP_PX = 1.5
_Z_STEP_UM = 2.0
# Between the outlines of two cells of the largest radius: their edges stay apart in focus.
_GAP_PX = 4.0
# Streams of random numbers: what is asked for in one never changes another.
_LAYOUT, _NOISE, _NAMES = range(3)


class Plane(NamedTuple):
    """Which plane, in the labels that a reader gives: ``Plane("A01", "1", "w2", "3", "1")``."""

    well: str
    site: str = "1"
    channel: str = "w1"
    z_index: str = "1"
    timepoint: str = "1"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to be wrong with a plate.

    Parameters
    ----------
    kind : str
        ``missing``: the plane has no file. ``truncated``: its file is cut to half its
        bytes. ``duplicate``: a second file has the same plane. ``shape``: the plane has
        half of the columns of the others.
    plane : Plane
        The plane that has it.
    """

    kind: FaultKind
    plane: Plane


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticPlate:
    """What a plate shall look like; the same description makes the same bytes.

    Parameters
    ----------
    wells : tuple of str
        Names of the wells.
    sites, z_indexes, timepoints : int
        How many there are in each well.
    channels : tuple of str
        Names of the channels, in Latin-1, as MetaXpress writes them; their labels are
        ``w1``, ``w2``, ...
    shape : tuple of int
        Height and width of a plane.
    cells_per_site : int, or tuple of two int
        How many cells each field has, or the least and the most.
    radius_px : tuple of float
        The least and the largest half axis of a cell, in pixels.
    empty_fields : tuple of (well, site)
        Fields without a cell.
    pixel_size_um : tuple of float
        Height and width of a pixel on the specimen.
    layout : str
        ``export``: an HTD file, and ``TimePoint_t/ZStep_z`` below it. ``database``: no HTD,
        a date and a number above the planes, GUIDs in the names and a thumbnail beside
        every plane.
    guids, thumbnails : bool, optional
        Whether names have GUIDs, and planes thumbnails; None leaves it to the layout.
    faults : tuple of Fault
        What is wrong with it.
    name : str
        The plate's name.
    seed : int
        Where the random numbers start.
    """

    wells: tuple[str, ...] = ("A01", "B02")
    sites: int = 4
    channels: tuple[str, ...] = ("DAPI", "GFP")
    z_indexes: int = 3
    timepoints: int = 1
    shape: tuple[int, int] = (256, 256)
    cells_per_site: int | tuple[int, int] = 20
    radius_px: tuple[float, float] = (6.0, 9.0)
    empty_fields: tuple[Field, ...] = ()
    pixel_size_um: tuple[float, float] = (0.65, 0.65)
    layout: Layout = "export"
    guids: bool | None = None
    thumbnails: bool | None = None
    faults: tuple[Fault, ...] = ()
    name: str = "Synthetic"
    seed: int = 0

    @property
    def min_distance_px(self) -> float:
        """No two centres are nearer to each other: outlines of cells do not touch."""
        return 2 * self.radius_px[1] + _GAP_PX

    @property
    def focus_z(self) -> str:
        """The z in focus; blur grows with every step away from it."""
        return str((self.z_indexes + 1) // 2)

    def fields(self) -> Iterator[Field]:
        """Yield (well, site) of every field."""
        return product(self.wells, _labels(self.sites))

    def planes(self) -> Iterator[Plane]:
        """Yield every plane the plate should have."""
        channels = [f"w{label}" for label in _labels(len(self.channels))]
        axes = (self.wells, _labels(self.sites), channels)
        return map(Plane._make, product(*axes, _labels(self.z_indexes), _labels(self.timepoints)))


@dataclass(frozen=True, slots=True)
class PlateTruth:
    """What is known of a plate that was made.

    Parameters
    ----------
    path : Path
        Its folder.
    plate : SyntheticPlate
        What was asked for.
    centers : Mapping of (well, site) to array, shape (cells, 2)
        (y, x) of every cell in pixels, the centre of the first pixel being (0, 0); the
        same in all channels, z and timepoints.
    radii : Mapping of (well, site) to array, shape (cells, 2)
        Half axes of every cell in pixels.
    files : Mapping of Plane to str
        The file of every plane, relative to the folder, also where it was left out.
    faults : Mapping of Fault to str
        The file that has the fault; of a duplicate, the second one.
    """

    path: Path
    plate: SyntheticPlate
    centers: Mapping[Field, NDArray[np.float64]]
    radii: Mapping[Field, NDArray[np.float64]]
    files: Mapping[Plane, str]
    faults: Mapping[Fault, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[Field, int]:
        """How many cells each field has."""
        return {place: len(centers) for place, centers in self.centers.items()}


def make_plate(path: str | os.PathLike[str], plate: SyntheticPlate | None = None) -> PlateTruth:
    """Write a plate and return what is known of it.

    Cells are ellipses with soft edges on a constant background, with photon and read
    noise, uint16. They lie whole inside the image and never touch, so that their number
    is exact.

    Parameters
    ----------
    path : path
        A folder; it must not exist, or be empty.
    plate : SyntheticPlate, optional
        What to make; by default two wells of 4 sites, 2 channels and 3 z.

    Raises
    ------
    FileExistsError
        If something lies in the folder.
    ValueError
        If so many cells do not fit, a fault or an empty field names no part of the plate, the
        layout or the kind of a fault is none of ours, or a name cannot be written.
    """
    plate = plate or SyntheticPlate()
    root = Path(path)
    if root.exists() and any(root.iterdir()):
        raise FileExistsError(f"{root} is not empty; name a new folder for the plate")
    _check(plate)
    cells = {place: _cells_of(plate, place) for place in plate.fields()}
    writer = _Writer(root, plate)
    for plane in plate.planes():
        writer.write(plane, cells[plane.well, plane.site])
    writer.write_htd()
    return PlateTruth(
        path=root,
        plate=plate,
        centers={place: found.centers for place, found in cells.items()},
        radii={place: found.radii for place, found in cells.items()},
        files=writer.files,
        faults=writer.faults,
    )


class _Writer:
    """Writes the files of one plate."""

    def __init__(self, root: Path, plate: SyntheticPlate) -> None:
        self._tifffile = _tifffile()
        self._root = root
        self._plate = plate
        self._number = {well: i for i, well in enumerate(plate.wells)}
        database = plate.layout == "database"
        self._guids = database if plate.guids is None else plate.guids
        self._thumbnails = database if plate.thumbnails is None else plate.thumbnails
        self._faults: dict[Plane, list[Fault]] = {}
        for fault in plate.faults:
            self._faults.setdefault(fault.plane, []).append(fault)
        self.files: dict[Plane, str] = {}
        self.faults: dict[Fault, str] = {}

    def write(self, plane: Plane, cells: Cells) -> None:
        """Write one plane, its thumbnail and its faults."""
        guids = self._stream(_NAMES, plane)
        file = self._file(plane, guids if self._guids else None)
        faults = {fault.kind: fault for fault in self._faults.get(plane, ())}
        second = self._file(plane, guids) if "duplicate" in faults else file
        self.files[plane] = file
        self.faults |= {
            fault: second if kind == "duplicate" else file for kind, fault in faults.items()
        }
        if "missing" in faults:
            return
        pixels = self._pixels(plane, cells)
        if "shape" in faults:
            pixels = pixels[:, : pixels.shape[1] // 2]
        for name in {file, second}:
            self._save(name, plane, pixels)
        if self._thumbnails:
            name = self._file(plane, guids if self._guids else None, thumbnail=True)
            self._save(name, plane, _thumbnail(pixels))
        if "truncated" in faults:
            path = self._root / file
            os.truncate(path, path.stat().st_size // 2)

    def write_htd(self) -> None:
        """Write the HTD file of an export, at the root and again in every timepoint."""
        plate = self._plate
        if plate.layout != "export":
            return
        text = names.htd_text(
            wells=plate.wells,
            sites=plate.sites,
            channels=plate.channels,
            z_indexes=plate.z_indexes,
            timepoints=plate.timepoints,
            description=f"{plate.name}, made with seed {plate.seed}",
        )
        folders = ["", *(f"TimePoint_{label}" for label in _labels(plate.timepoints))]
        for folder in folders:
            target = self._root / folder / f"{plate.name}.HTD"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode("latin-1"))

    def _file(
        self, plane: Plane, guids: np.random.Generator | None, *, thumbnail: bool = False
    ) -> str:
        plate = self._plate
        export = plate.layout == "export"
        folder = names.folder_name(
            timepoint=int(plane.timepoint) if export or plate.timepoints > 1 else None,
            z_index=int(plane.z_index) if plate.z_indexes > 1 else None,
        )
        name = names.file_name(
            plate.name,
            plane.well,
            site=int(plane.site) if plate.sites > 1 else None,
            wave=int(plane.channel[1:]) if len(plate.channels) > 1 else None,
            thumbnail=thumbnail,
            guid=str(uuid.UUID(bytes=guids.bytes(16), version=4)).upper() if guids else "",
            extension=".TIF" if export else ".tif",
        )
        return "/".join(filter(None, ("" if export else _DATABASE_FOLDER, folder, name)))

    def _pixels(self, plane: Plane, cells: Cells) -> NDArray[np.uint16]:
        steps = abs(int(plane.z_index) - int(self._plate.focus_z))
        light = draw_cells(
            cells,
            self._plate.shape,
            channel=int(plane.channel[1:]) - 1,
            blur_px=_BLUR_IN_FOCUS_PX + _BLUR_PER_STEP_PX * steps,
        )
        return expose(self._stream(_NOISE, plane), light)

    def _save(self, file: str, plane: Plane, pixels: NDArray[np.uint16]) -> None:
        plate = self._plate
        description = names.metaseries_xml(
            shape=(pixels.shape[0], pixels.shape[1]),
            pixel_size_um=plate.pixel_size_um,
            channel=plate.channels[int(plane.channel[1:]) - 1],
            well=plane.well,
            site=int(plane.site),
            z_um=_Z_STEP_UM * int(plane.z_index),
        )
        target = self._root / file
        target.parent.mkdir(parents=True, exist_ok=True)
        self._tifffile.imwrite(
            target,
            pixels,
            photometric="minisblack",
            description=description.encode("latin-1"),  # tifffile takes a str in ASCII only
            software="MetaSeries",
            metadata=None,
        )

    def _stream(self, purpose: int, plane: Plane) -> np.random.Generator:
        numbers = [self._number[plane.well], int(plane.site), int(plane.channel[1:])]
        rest = [int(plane.z_index), int(plane.timepoint)]
        return np.random.default_rng([self._plate.seed, purpose, *numbers, *rest])


def _cells_of(plate: SyntheticPlate, place: Field) -> Cells:
    well, site = place
    rng = np.random.default_rng([plate.seed, _LAYOUT, plate.wells.index(well), int(site)])
    asked = plate.cells_per_site
    count = asked if isinstance(asked, int) else int(rng.integers(*asked, endpoint=True))
    return place_cells(
        rng,
        0 if place in plate.empty_fields else count,
        plate.shape,
        radius_px=plate.radius_px,
        min_distance_px=plate.min_distance_px,
    )


def _check(plate: SyntheticPlate) -> None:
    _check_one_of("layout", plate.layout, get_args(Layout))
    for fault in plate.faults:
        _check_one_of("the kind of a fault", fault.kind, get_args(FaultKind))
    _check_names(plate)
    fields, planes = set(plate.fields()), set(plate.planes())
    for place in plate.empty_fields:
        if place not in fields:
            raise ValueError(f"the plate has no field {place}; fields are such as {min(fields)}")
    for fault in plate.faults:
        if fault.plane not in planes:
            raise ValueError(f"the plate has no {fault.plane}; planes are such as {min(planes)}")


def _check_one_of(parameter: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ParameterError("make_plate", parameter, value, f"one of {', '.join(known)}")


def _check_names(plate: SyntheticPlate) -> None:
    """Refuse what cannot stand in a file name, or in Latin-1 between quotation marks."""
    if not plate.name.isprintable() or "/" in plate.name:
        raise ParameterError("make_plate", "name", plate.name, "a part of a file name")
    written = {"channels": plate.channels, "name": (plate.name,) * (plate.layout == "export")}
    for parameter, texts in written.items():
        for text in texts:
            fits = text.encode("latin-1", "ignore").decode("latin-1") == text
            if not fits or not text.isprintable() or '"' in text:
                wanted = "printable Latin-1 without quotation marks"
                raise ParameterError("make_plate", parameter, text, wanted)


def _thumbnail(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    rows, columns = (
        np.linspace(0, size - 1, count).astype(int)
        for size, count in zip(pixels.shape, _THUMBNAIL_SHAPE, strict=True)
    )
    small: NDArray[np.uint16] = pixels[np.ix_(rows, columns)]
    return small


def _labels(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(1, count + 1))


def _tifffile() -> ModuleType:
    try:
        import tifffile
    except ImportError as cause:
        raise MissingLibraryError("tifffile", "making a synthetic plate", "tiff") from cause
    return tifffile

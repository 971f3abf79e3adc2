"""ImageXpress plates (Molecular Devices, MetaXpress): database folders, exports, copies.

All three have one TIFF for each plane, in ``[TimePoint_t/][ZStep_z/]``; an export has an
HTD file beside them. Planes are what the folders hold, never what the HTD promises.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import PurePosixPath
from typing import ClassVar, NamedTuple, TypeVar

from hcs_core.errors import AmbiguousPlateError
from hcs_core.plates import (
    Evidence,
    IndexBuilder,
    Listing,
    PlateIndex,
    PlateMetadata,
    PlateReader,
    column_of_well,
    plate_shape,
    row_of_well,
)
from hcs_microscopes._htd import Htd, is_htd
from hcs_microscopes._imagexpress_names import (
    FolderPlace,
    NamedPlanes,
    count_names,
    one_spelling,
    parse_names,
    place_of_folder,
)
from hcs_microscopes._metaseries import ImageHeader, read_header

T = TypeVar("T")

# Seen in MetaSeries properties; the most special first.
_MODELS = (
    ("IXConfocal", "ImageXpress Micro Confocal"),
    ("ImageXpress Micro", "ImageXpress Micro"),
)


class _Folder(NamedTuple):
    path: str
    place: FolderPlace
    planes: NamedPlanes


class ImageXpressReader(PlateReader):
    """Reads plates of the ImageXpress family that MetaXpress wrote.

    Labels are the vendor's: site ``"7"``, channel ``"w2"``, z ``"1"``, timepoint ``"1"``; a
    part that the names leave out, because there is one only, has number 1. Files in
    ``ZStep_0``, and above the ``ZStep_n`` of a stack, are projections.
    """

    format: ClassVar[str] = "imagexpress"
    looks_for: ClassVar[str] = "an HTD file, or names such as Plate_A01_s1_w1.tif"

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        """Return how sure it is that MetaXpress wrote this folder: by its HTD, or by names."""
        beside = list(_not_images(listing))
        if any(name.endswith(".jdce") for _, name in beside):
            return None  # HCS.ai, the successor: names alike, but counted from zero
        for folder, name in beside:
            if _is_htd_name(name) and is_htd(listing.root / folder / name):
                return Evidence(0.95, f"{name} is an HTD file")
        return _evidence_of_names(listing)

    def index(self) -> PlateIndex:
        """Return the planes of the plate.

        Raises
        ------
        AmbiguousPlateError
            If the folder holds several plates.
        DuplicatePlanesError
            If two files have the same well, site, channel, z and timepoint.
        """
        return self._index

    def metadata(self) -> PlateMetadata:
        """Return what the HTD file says, and the header of one image per channel."""
        headers, unreadable = self._headers
        plate_shape, guessed = self._plate_shape
        rows, columns = plate_shape or (None, None)
        return PlateMetadata(
            name=self._plate_name,
            pixel_size_um=_agreed(header.pixel_size_um for header in headers.values()),
            shape=_agreed(header.shape for header in headers.values()),
            dtype=_agreed(header.dtype for header in headers.values()),
            instrument=_model(headers.values()),
            rows=rows,
            columns=columns,
            raw={
                "htd": dict(self._htd.values) if self._htd else {},
                "declared": self._htd.declared if self._htd else {},
                "plate_size_guessed": guessed,
                "images": {label: dict(header.properties) for label, header in headers.items()},
                "unreadable": unreadable,
            },
        )

    @cached_property
    def _index(self) -> PlateIndex:
        folders = self._folders
        self._refuse_several_plates()
        site = one_spelling(_used(folder.planes.sites for folder in folders))
        wave = one_spelling(_used(folder.planes.waves for folder in folders))
        channel = {word: f"w{label}" for word, label in wave.items()}
        timepoint = one_spelling(folder.place.timepoint or "" for folder in folders)
        z_index = one_spelling(folder.place.z_index or "" for folder in folders)
        builder = IndexBuilder(str(self.root))
        for path, place, planes in folders:
            builder.ignored += _reasons(planes)
            if not planes.names:
                continue
            builder.extend(
                names=planes.names,
                folder=path,
                well=planes.wells,
                site=[*map(site.__getitem__, planes.sites)],
                channel=[*map(channel.__getitem__, planes.waves)],
                z_index=None if self._is_projection(place) else z_index[place.z_index or ""],
                timepoint=timepoint[place.timepoint or ""],
            )
        return builder.build(
            channel_names=self._channel_names(channel.values()),
            ignored=self.listing.ignored,
            errors=self._errors,
            # The HTD selects sites for the plate, not for each well.
            expect_all_sites=self._htd is not None,
        )

    @cached_property
    def _folders(self) -> list[_Folder]:
        # Opened by itself, the folder TimePoint_2 still holds timepoint 2.
        above: list[str] = []
        for part in reversed(self.root.parts):
            if place_of_folder([part]).plate:
                break
            above.insert(0, part)
        return [
            _Folder(path, place_of_folder([*above, *PurePosixPath(path).parts]), parse_names(names))
            for path, names in self.listing.folders.items()
        ]

    def _refuse_several_plates(self) -> None:
        plates = {
            f"{name} in {'/'.join(folder.place.plate) or 'the folder itself'}"
            for folder in self._folders
            for name in set(folder.planes.plates)
        }
        htds = {PurePosixPath(file).stem.lower(): file for file in self._htd_files}
        advice = "open the folder of one plate, or move the files of the others away"
        if len(plates) > 1:
            raise AmbiguousPlateError(str(self.root), tuple(sorted(plates)), advice)
        if len(htds) > 1:
            raise AmbiguousPlateError(str(self.root), tuple(sorted(htds.values())), advice)

    def _is_projection(self, place: FolderPlace) -> bool:
        if place.z_index is not None:
            return int(place.z_index) == 0
        return self._has_stacks

    @cached_property
    def _has_stacks(self) -> bool:
        return any(folder.place.z_index is not None for folder in self._folders)

    def _channel_names(self, labels: Iterable[str]) -> dict[str, str]:
        names = self._htd.channel_names if self._htd else {}
        return {label: names[int(label[1:])] for label in labels if int(label[1:]) in names}

    @cached_property
    def _htd_files(self) -> list[str]:
        """The HTD files, the one nearest to the root first."""
        files = [
            f"{folder}/{name}".lstrip("/")
            for folder, name in _not_images(self.listing)
            if _is_htd_name(name)
        ]
        return sorted(files, key=lambda file: file.count("/"))

    @cached_property
    def _htd(self) -> Htd | None:
        # An export repeats the file in its subfolders; the root's is the plate's.
        for file in self._htd_files:
            try:
                return Htd.read(self.root / file)
            except OSError:
                continue  # said in the index's errors
        return None

    @cached_property
    def _errors(self) -> tuple[str, ...]:
        """What is wrong with the HTD file; the planes are known without it."""
        if not self._htd_files:
            return ()
        file = self._htd_files[0]
        if self._htd is None:
            return (f"{file} cannot be read: channel names and plate size are not known",)
        return ()

    @property
    def _plate_name(self) -> str:
        return next(
            (folder.planes.plates[0] for folder in self._folders if folder.planes.names), ""
        )

    @cached_property
    def _plate_shape(self) -> tuple[tuple[int, int] | None, bool]:
        """Rows and columns of the plate, and whether that is a guess from the wells used."""
        rows = 1 + max(map(row_of_well, self._index.wells), default=0)
        columns = 1 + max(map(column_of_well, self._index.wells), default=0)
        stated = self._htd.plate_shape if self._htd else None
        if stated and rows <= stated[0] and columns <= stated[1]:
            return stated, False
        return plate_shape(self._index.wells), True

    @cached_property
    def _headers(self) -> tuple[dict[str, ImageHeader], dict[str, str]]:
        """The header of one image per channel, and the files that had none to read."""
        headers: dict[str, ImageHeader] = {}
        unreadable: dict[str, str] = {}
        for channel in self._index.channels:
            for file in self._examples(channel.index):
                try:
                    headers[channel.label] = read_header(self.root / file)
                    break
                except Exception as cause:  # noqa: BLE001 - tifffile fails in many ways on damage
                    unreadable[file] = f"{type(cause).__name__}: {cause}"
        return headers, unreadable

    def _examples(self, channel: int) -> list[str]:
        """Return a few images of a channel, far from each other: damage comes in runs."""
        index = self._index
        rows = ((index.channel == channel) & (index.name != "")).nonzero()[0]
        return [index.file(int(rows[i])) for i in sorted({0, len(rows) // 2, len(rows) - 1})]


def _evidence_of_names(listing: Listing) -> Evidence | None:
    """Return how much the names look like those of MetaXpress.

    All names count, for the planes may lie among thousands of a user's own files.
    """
    counts = [count_names(names) for names in listing.folders.values()]
    planes = sum(count.planes for count in counts)
    numbered = sum(count.numbered for count in counts)
    foreign = sum(count.foreign for count in counts)
    # Many programs write plate_B02.tif; a site or a wave says more.
    if not planes or (foreign > planes and not numbered):
        return None
    best = max(counts, key=lambda count: (bool(count.numbered), bool(count.planes)))
    reason = f"names such as {best.example}"
    if foreign > planes:
        return Evidence(0.4, f"{reason}, {planes} of {planes + foreign} images")
    return Evidence(0.6 if numbered else 0.3, reason)


def _not_images(listing: Listing) -> Iterator[tuple[str, str]]:
    """Yield folder and name of the files that cannot be TIFFs."""
    for folder, names in listing.folders.items():
        # All names of a plate pass here: their last letter is the cheapest thing to look at.
        for name in [name for name in names if name[-1] not in "fF"]:
            yield folder, name


def _is_htd_name(name: str) -> bool:
    return name.lower().endswith(".htd")


def _reasons(planes: NamedPlanes) -> Counter[str]:
    """Count the files of a folder that are no planes; the HTD is part of the plate."""
    foreign = [name.lower() for name in planes.others if not _is_htd_name(name)]
    images = sum(name.endswith((".tif", ".tiff")) for name in foreign)
    counts = {
        "thumbnail": planes.thumbnails,
        "unrecognised": images,
        "other": len(foreign) - images,
    }
    return Counter({reason: count for reason, count in counts.items() if count})


def _used(columns: Iterable[Iterable[str]]) -> set[str]:
    return set().union(*columns)


def _agreed(values: Iterable[T | None]) -> T | None:
    """Return the value that all images state that state one; None when they differ."""
    stated = {value for value in values if value is not None}
    return stated.pop() if len(stated) == 1 else None


def _model(headers: Iterable[ImageHeader]) -> str:
    """Return the model of the instrument, as far as the images name it."""
    names = [name for header in headers for name in header.properties]
    for start, model in _MODELS:
        if any(name.startswith(start) for name in names):
            return model
    return "ImageXpress"

"""Write one plate as OME-Zarr 0.5: arrays through tensorstore, hierarchy as JSON.

The order of writing is the promise: chunks first, then the JSON of the field that makes
them visible, and the JSON of wells and plate last. What was cut short is never listed.

The layout is that of the OME-NGFF specification 0.5, https://ngff.openmicroscopy.org/0.5.
Axes are always t, c, z, y, x and the level is called "0", because readers in use demand it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_core.errors import UnsavableValueError
from hcs_core.storage._keys import Folder
from hcs_core.storage._natural import natural_sort
from hcs_core.storage._values import checked_pixels
from hcs_core.storage._zarr_array import create_array, write_planes
from hcs_core.storage.backends.disk import DiskBackend

_VERSION = "0.5"
_AXES = ("t", "c", "z", "y", "x")
_LABEL_AXES = ("t", "z", "y", "x")
_AXIS_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
# One hue per channel in the order in which people mix them; white when there is one.
_COLORS = ("0000FF", "00FF00", "FF0000", "00FFFF", "FF00FF", "FFFF00", "FFFFFF")


@dataclass(frozen=True, slots=True)
class ChannelStyle:
    """How a viewer shows one channel.

    Parameters
    ----------
    label : str
        The channel's name.
    window : tuple of float
        The values shown as black and as full brightness.
    color : str, optional
        RGB in hexadecimal; by position in the image when not given.
    """

    label: str
    window: tuple[float, float]
    color: str | None = None


@dataclass(frozen=True, slots=True)
class FieldMetadata:
    """What a viewer must know of one field.

    Parameters
    ----------
    name : str
        The field's name.
    channels : tuple of ChannelStyle
        One per channel of the image, in its order.
    dtype : dtype
        Of the image.
    pixel_size_um : tuple of float, optional
        Height and width of a pixel; None writes no unit.
    """

    name: str
    channels: tuple[ChannelStyle, ...]
    dtype: np.dtype[Any]
    pixel_size_um: tuple[float, float] | None = None


class OmeZarrPlate:
    """A plate that is being written.

    Parameters
    ----------
    root : path
        The folder, such as ``OUT/plate.zarr``.
    name : str
        The plate's name.
    """

    def __init__(self, root: str | os.PathLike[str], *, name: str) -> None:
        self._folder = Folder(root)
        self.root = self._folder.root
        self.name = name
        self._documents = DiskBackend(root)

    def write_image(
        self,
        field: str,
        planes: Mapping[tuple[int, int, int], NDArray[Any]],
        *,
        size: Sequence[int],
    ) -> None:
        """Write planes of a field's image, one chunk each.

        Parameters
        ----------
        field : str
            The field's group, ``"A/02/0"``.
        planes : Mapping of (t, c, z) to array, shape (y, x)
            The planes, all of one shape and dtype.
        size : sequence of int
            How many timepoints, channels and z planes the image has.

        Raises
        ------
        UnsavableValueError
            If the planes differ in shape or dtype, or lie outside `size`; or if another
            image is there already.
        StoreAccessError
            If the system refuses to write.
        """
        self._write(f"{field}/0", planes, size, _AXES)

    def write_labels(
        self,
        field: str,
        name: str,
        planes: Mapping[tuple[int, int], NDArray[Any]],
        *,
        size: Sequence[int],
    ) -> None:
        """Write object masks of a field under ``<field>/labels/<name>/0``.

        Parameters
        ----------
        field, name : str
            The field's group and the labels' name.
        planes : Mapping of (t, z) to array, shape (y, x), int32
            The planes.
        size : sequence of int
            How many timepoints and z planes there are.

        Raises
        ------
        UnsavableValueError, StoreAccessError
            As `write_image`; also if the masks are no integers.
        """
        key = f"{field}/labels/{name}/0"
        for plane in planes.values():
            if plane.dtype.kind not in "iu":
                raise UnsavableValueError(key, "Zarr", f"labels are integers, not {plane.dtype}")
        self._write(key, planes, size, _LABEL_AXES)

    def publish_field(
        self,
        field: str,
        metadata: FieldMetadata,
        *,
        labels: Mapping[str, Sequence[tuple[int, int]]] | None = None,
        missing: Sequence[tuple[int, int, int]] = (),
    ) -> None:
        """Write the JSON that makes a field's image and labels visible, the field's last.

        Parameters
        ----------
        field : str
            The field's group, ``"A/02/0"``.
        metadata : FieldMetadata
            What viewers are told of it.
        labels : Mapping of str to sequence of (t, z), optional
            Names of its labels, each with its planes that were not written.
        missing : sequence of (t, c, z)
            Planes of the image that were not written.

        Notes
        -----
        Readers show planes that were not written as zeros. Those of the image and of each of
        the labels are listed in that group's attributes under ``hcs.missing_planes``.
        """
        labels = labels or {}
        for name, planes in labels.items():
            document = _labels_document(name, metadata)
            self._group(f"{field}/labels/{name}", document, missing=planes)
        if labels:
            self._group(f"{field}/labels", {"labels": natural_sort(labels)})
        self._group(field, _image_document(metadata), missing=missing)

    def publish_plate(
        self, fields: Mapping[str, Sequence[int]], *, rows: Sequence[str], columns: Sequence[str]
    ) -> None:
        """Write the JSON of the wells and, last and durably, of the plate.

        Parameters
        ----------
        fields : Mapping of str to sequence of int
            Well group (``"A/02"``) to the numbers of its published fields; wells without
            a field are left out. Without any field nothing is written, for no reader
            opens a plate without wells.
        rows, columns : sequence of str
            Names of the rows and columns of the physical plate, in their order.

        Raises
        ------
        UnsavableValueError
            If a well lies outside these rows and columns; nothing has been written then.
        """
        wells = {path: sorted(numbers) for path, numbers in fields.items() if numbers}
        if not wells:
            return
        document = self._plate_document(wells, rows, columns)
        for row in {path.partition("/")[0] for path in wells}:
            self._group(row, None)
        for path, numbers in wells.items():
            images = [{"path": str(number), "acquisition": 0} for number in numbers]
            self._group(path, {"well": {"images": images}})
        self._group("", {"plate": document}, durable=True)

    def _plate_document(
        self, wells: Mapping[str, Sequence[int]], rows: Sequence[str], columns: Sequence[str]
    ) -> dict[str, Any]:
        listed = []
        for path in wells:
            row, _, column = path.partition("/")
            if row not in rows or column not in columns:
                raise UnsavableValueError(path, "OME-Zarr", "the plate has no such row or column")
            place = {"rowIndex": rows.index(row), "columnIndex": columns.index(column)}
            listed.append({"path": path, **place})
        most = max(map(len, wells.values()))
        return {
            "version": _VERSION,  # of no use beside that of the group, but a reader warns
            "name": self.name,
            "rows": [{"name": name} for name in rows],
            "columns": [{"name": name} for name in columns],
            "wells": sorted(listed, key=itemgetter("rowIndex", "columnIndex")),
            "field_count": most,
            "acquisitions": [{"id": 0, "maximumfieldcount": most}],
        }

    def _write(
        self,
        key: str,
        planes: Mapping[Any, NDArray[Any]],
        size: Sequence[int],
        axes: tuple[str, ...],
    ) -> None:
        path = self._folder.path(key)
        shape, dtype = _common(planes, size, key)
        array = create_array(path, (*size, *shape), dtype, dimension_names=axes)
        write_planes(array, planes, path)

    def _group(
        self,
        key: str,
        ome: dict[str, Any] | None,
        missing: Sequence[tuple[int, ...]] = (),
        *,
        durable: bool = False,
    ) -> None:
        attributes: dict[str, Any] = {}
        if ome is not None:
            attributes["ome"] = {"version": _VERSION, **ome}
        if missing:
            attributes["hcs"] = {"missing_planes": [list(plane) for plane in missing]}
        document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        path = f"{key}/zarr.json" if key else "zarr.json"
        self._documents.save(path, document, mode="replace", durable=durable)


def _common(
    planes: Mapping[Any, NDArray[Any]], size: Sequence[int], key: str
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and dtype that all planes have; a plane is never cast or repeated."""
    found: set[tuple[tuple[int, ...], np.dtype[Any]]] = set()
    for position, plane in planes.items():
        checked_pixels(plane, key, "Zarr")
        found.add((plane.shape, plane.dtype.newbyteorder("=")))
        inside = all(0 <= at < most for at, most in zip(position, size, strict=True))
        if plane.ndim != 2 or not plane.size or not inside:
            reason = f"plane {position} has shape {plane.shape}, within {tuple(size)} planes"
            raise UnsavableValueError(key, "Zarr", reason)
    if len(found) != 1:
        kinds = ", ".join(sorted(f"{shape} {dtype}" for shape, dtype in found))
        raise UnsavableValueError(key, "Zarr", f"planes of one image differ: {kinds or 'none'}")
    return found.pop()


def _multiscale(
    name: str, axes: tuple[str, ...], pixel_size_um: tuple[float, float] | None
) -> dict[str, Any]:
    """Return one image's axes and scale; a unit stands only where the size is known."""
    entries: list[dict[str, str]] = []
    for axis in axes:
        entry = {"name": axis, "type": _AXIS_TYPES[axis]}
        if axis in "yx" and pixel_size_um is not None:
            entry["unit"] = "micrometer"
        entries.append(entry)
    scale = [1.0] * (len(axes) - 2) + list(pixel_size_um or (1.0, 1.0))
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
    return {"name": name, "axes": entries, "datasets": [dataset]}


def _image_document(metadata: FieldMetadata) -> dict[str, Any]:
    return {
        "multiscales": [_multiscale(metadata.name, _AXES, metadata.pixel_size_um)],
        "omero": {
            "id": 1,
            "name": metadata.name,
            "version": _VERSION,
            "channels": _channel_documents(metadata),
            "rdefs": {"defaultT": 0, "defaultZ": 0, "model": "color"},
        },
    }


def _channel_documents(metadata: FieldMetadata) -> list[dict[str, Any]]:
    low, high = _range_of(metadata.dtype)
    documents = []
    for number, channel in enumerate(metadata.channels):
        color = _COLORS[number % len(_COLORS)] if len(metadata.channels) > 1 else "FFFFFF"
        start, end = channel.window
        documents.append(
            {
                "active": True,
                "color": channel.color or color,
                "label": channel.label,
                "window": {
                    "min": min(low, start),
                    "max": max(high, end),
                    "start": start,
                    "end": end,
                },
            }
        )
    return documents


def _labels_document(name: str, metadata: FieldMetadata) -> dict[str, Any]:
    return {
        "multiscales": [_multiscale(name, _LABEL_AXES, metadata.pixel_size_um)],
        "image-label": {"source": {"image": "../../"}},
    }


def _range_of(dtype: np.dtype[Any]) -> tuple[float, float]:
    if dtype.kind in "ui":
        limits = np.iinfo(dtype)
        return float(limits.min), float(limits.max)
    return 0.0, 1.0

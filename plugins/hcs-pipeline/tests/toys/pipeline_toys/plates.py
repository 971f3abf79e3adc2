"""A reader and a kernel library of the tests' own: this addon is tested with the core alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays import Value
from hcs_core.kernels import Kernel, KernelLibrary, Parameter
from hcs_core.plates import (
    Evidence,
    IndexBuilder,
    Listing,
    PlateIndex,
    PlateMetadata,
    PlateReader,
)

NAME = re.compile(
    r"(?P<well>[A-Z]\d\d)_s(?P<site>\d+)_c(?P<channel>\w+)_z(?P<z>\d+)_t(?P<t>\d+).tif"
)
SHAPE = (6, 8)

Pixels = NDArray[np.uint16]


class ToyReader(PlateReader):
    """Reads ``B02_s1_cw1_z1_t1.tif``; z 0 is a projection; a file ``sparse`` allows gaps."""

    format: ClassVar[str] = "toy"

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        named = any(NAME.fullmatch(name) for _, name in listing.files())
        return Evidence(0.6, "names of the tests") if named else None

    def index(self) -> PlateIndex:
        builder = IndexBuilder(str(self.root))
        for folder, name in self.listing.files():
            match = NAME.fullmatch(name)
            if match is not None:
                builder.extend(
                    names=[name],
                    folder=folder,
                    well=match["well"],
                    site=match["site"],
                    channel=match["channel"],
                    z_index=None if match["z"] == "0" else match["z"],
                    timepoint=match["t"],
                )
        # A channel that a whole well lacks was not taken there; single planes are missing.
        names = {name for _, name in self.listing.files()}
        sparse = any("sparse" in name for name in names)
        return builder.build(channel_names={"w1": "DAPI", "w2": "GFP"}, expect_complete=not sparse)

    def metadata(self) -> PlateMetadata:
        return PlateMetadata(name="toy", pixel_size_um=(0.5, 0.25), shape=SHAPE, dtype="uint16")


def plane(well: str, site: int, channel: int, z: int, t: int) -> Pixels:
    """Return a plane whose every pixel says where it belongs, and where it is."""
    base = 1000 * (ord(well[0]) - 65) + 400 * site + 100 * channel + 10 * z + t
    return (base + np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE)).astype(np.uint16)


class ToyPlate:
    """A folder of planes, and what is in each of them."""

    def __init__(self, root: Path, planes: Mapping[tuple[str, int, int, int, int], Pixels]) -> None:
        self.root = root
        self.planes = dict(planes)

    def file(self, well: str, site: int = 1, channel: int = 1, z: int = 1, t: int = 1) -> Path:
        return self.root / f"{well}_s{site}_cw{channel}_z{z}_t{t}.tif"


_IMAGE, _LABELS, _TABLE = (Value(kind, kind) for kind in ("image", "labels", "table"))

LIBRARY = KernelLibrary(
    "toy",
    (
        Kernel(
            name="add",
            category="tests",
            doc="the plane plus a number",
            parameters=(
                Parameter(name="amount", type=int, default=1, minimum=0, maximum=100, doc="levels"),
            ),
            implementations={"numpy": "pipeline_toys.kernels:add"},
        ),
        Kernel(
            name="brightest",
            category="tests",
            doc="maximum over the stack",
            stack="across",
            implementations={"numpy": "pipeline_toys.kernels:brightest"},
        ),
        Kernel(
            name="minus_stack_minimum",
            category="tests",
            doc="the stack less its lowest value",
            stack="volume",
            implementations={"numpy": "pipeline_toys.kernels:minus_stack_minimum"},
        ),
        Kernel(
            name="halves",
            category="tests",
            doc="two objects: the left and the right half",
            outputs=(_LABELS,),
            implementations={"numpy": "pipeline_toys.kernels:halves"},
        ),
        Kernel(
            name="grow",
            category="tests",
            doc="labels of labels: each number plus 10",
            inputs=(_LABELS,),
            outputs=(_LABELS,),
            implementations={"numpy": "pipeline_toys.kernels:grow"},
        ),
        Kernel(
            name="measure",
            category="tests",
            doc="area and mean of each object",
            inputs=(_IMAGE, _LABELS),
            outputs=(_TABLE,),
            context=("pixel_size_um",),
            implementations={"numpy": "pipeline_toys.kernels:measure"},
        ),
        Kernel(
            name="count",
            category="tests",
            doc="number of objects",
            inputs=(_LABELS,),
            outputs=(_TABLE,),
            implementations={"numpy": "pipeline_toys.kernels:count"},
        ),
    ),
)

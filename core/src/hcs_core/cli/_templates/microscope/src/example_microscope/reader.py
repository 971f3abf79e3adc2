"""The folder that the microscope writes, and what its files are called."""

from __future__ import annotations

import re
from typing import ClassVar

from hcs_core.plates import Evidence, IndexBuilder, Listing, PlateIndex, PlateMetadata, PlateReader

# The file of a plane, below the folder of the plate; each group is a component of the plane.
EXAMPLE = "A01_s1_DAPI_z1.tif"
PLANE = re.compile(
    r"(?P<well>[A-P][0-9]{2})_s(?P<site>[0-9]+)_(?P<channel>[A-Za-z0-9]+)_z(?P<z>[0-9]+)\.tif"
)


class ExampleMicroscopeReader(PlateReader):
    """Reads plates of one file a plane; all that is known of a plane is in its name."""

    format: ClassVar[str] = "example-microscope"
    looks_for: ClassVar[str] = f"names such as {EXAMPLE}"

    @classmethod
    def detect(cls, listing: Listing) -> Evidence | None:
        """Return why this is a plate of the microscope, or None."""
        for folder, name in listing.files():
            if _plane(folder, name):
                return Evidence(0.6, f"files such as {EXAMPLE}")
        return None

    def index(self) -> PlateIndex:
        """Return the planes of the plate, those that are missing among them."""
        builder = IndexBuilder(str(self.root))
        for folder, name in self.listing.files():
            if plane := _plane(folder, name):
                builder.extend(
                    names=[name],
                    folder=folder,
                    well=plane["well"],
                    site=plane["site"],
                    channel=plane["channel"],
                    z_index=plane["z"],
                )
            else:
                builder.ignored["other"] += 1
        return builder.build(ignored=self.listing.ignored)

    def metadata(self) -> PlateMetadata:
        """Return what is known of the plate as a whole."""
        return PlateMetadata(name=self.root.name, instrument="example-microscope")


def _plane(folder: str, name: str) -> re.Match[str] | None:
    """Return the parts of a plane's name, or None where the file is no plane."""
    return PLANE.fullmatch(f"{folder}/{name}" if folder else name)

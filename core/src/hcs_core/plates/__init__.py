"""Plates: what planes there are, which exist, and how to read them."""

from hcs_core.plates._builder import IndexBuilder
from hcs_core.plates._components import (
    COMPONENTS,
    Component,
    column_of_well,
    normal_well,
    plate_shape,
    row_of_well,
    well_name,
)
from hcs_core.plates._hooks import PLATE_OPENED
from hcs_core.plates._index import STATUSES, Channel, PlateIndex
from hcs_core.plates._listing import Listing
from hcs_core.plates._open import open_plate
from hcs_core.plates._plate import Plate
from hcs_core.plates._reader import MICROSCOPES, Evidence, PlateMetadata, PlateReader

__all__ = [
    "COMPONENTS",
    "MICROSCOPES",
    "PLATE_OPENED",
    "STATUSES",
    "Channel",
    "Component",
    "Evidence",
    "IndexBuilder",
    "Listing",
    "Plate",
    "PlateIndex",
    "PlateMetadata",
    "PlateReader",
    "column_of_well",
    "normal_well",
    "open_plate",
    "plate_shape",
    "row_of_well",
    "well_name",
]

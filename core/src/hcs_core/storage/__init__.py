"""Storage that never tears a file and never returns something else than was saved."""

from hcs_core.storage._formats import EXTENSIONS, FORMATS, FileFormat, ImageFormat, format_for
from hcs_core.storage._keys import check_key, check_keys
from hcs_core.storage._manager import FileManager
from hcs_core.storage._natural import natural_key, natural_sort
from hcs_core.storage._ome_zarr import ChannelStyle, FieldMetadata, OmeZarrPlate
from hcs_core.storage._roles import (
    STORAGE,
    Capability,
    DataSink,
    DataSource,
    Item,
    Mode,
    Outcome,
    StorageBackend,
)
from hcs_core.storage.atomic import atomic_write, has_ended, process_name, sweep_stale

__all__ = [
    "EXTENSIONS",
    "FORMATS",
    "STORAGE",
    "Capability",
    "ChannelStyle",
    "DataSink",
    "DataSource",
    "FieldMetadata",
    "FileFormat",
    "FileManager",
    "ImageFormat",
    "Item",
    "Mode",
    "OmeZarrPlate",
    "Outcome",
    "StorageBackend",
    "atomic_write",
    "check_key",
    "check_keys",
    "format_for",
    "has_ended",
    "natural_key",
    "natural_sort",
    "process_name",
    "sweep_stale",
]

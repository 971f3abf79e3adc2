"""What tests of this project and of its plugins need.

Plates whose content is known, and the test classes that an adapter inherits to show that
it holds its contract. Those need pytest, and are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hcs_core.testing._synthetic_plate import (
    Fault,
    Plane,
    PlateTruth,
    SyntheticPlate,
    make_plate,
)

if TYPE_CHECKING:
    from hcs_core.testing.formats import FileFormatTests
    from hcs_core.testing.storage import StorageBackendTests

__all__ = [
    "Fault",
    "FileFormatTests",
    "Plane",
    "PlateTruth",
    "StorageBackendTests",
    "SyntheticPlate",
    "make_plate",
]


def __getattr__(name: str) -> object:
    if name == "FileFormatTests":
        from hcs_core.testing.formats import FileFormatTests

        return FileFormatTests
    if name == "StorageBackendTests":
        from hcs_core.testing.storage import StorageBackendTests

        return StorageBackendTests
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

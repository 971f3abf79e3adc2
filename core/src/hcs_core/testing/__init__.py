"""What tests of this project and of its plugins need.

Plates whose content is known, and the test classes that a plugin inherits to show that it
holds its contract. Those need pytest, and are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hcs_core.errors import MissingLibraryError
from hcs_core.testing._synthetic_plate import (
    Fault,
    Plane,
    PlateTruth,
    SyntheticPlate,
    make_plate,
)
from hcs_core.testing.registry import (
    IsolatedRegistry,
    assert_listing_imports_nothing,
    fake_distribution,
    isolated_registry,
)

if TYPE_CHECKING:
    from hcs_core.testing.arrays import ArrayAdapterTests
    from hcs_core.testing.commands import CommandTests
    from hcs_core.testing.formats import FileFormatTests
    from hcs_core.testing.kernels import KernelLibraryTests
    from hcs_core.testing.plates import PlateReaderTests
    from hcs_core.testing.storage import StorageBackendTests

__all__ = [
    "ArrayAdapterTests",
    "CommandTests",
    "Fault",
    "FileFormatTests",
    "IsolatedRegistry",
    "KernelLibraryTests",
    "Plane",
    "PlateReaderTests",
    "PlateTruth",
    "StorageBackendTests",
    "SyntheticPlate",
    "assert_listing_imports_nothing",
    "fake_distribution",
    "isolated_registry",
    "make_plate",
]

# The module of each name that is imported when it is first used.
_LAZY = {
    "ArrayAdapterTests": "arrays",
    "CommandTests": "commands",
    "FileFormatTests": "formats",
    "KernelLibraryTests": "kernels",
    "PlateReaderTests": "plates",
    "StorageBackendTests": "storage",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import sys
    from importlib import import_module

    module = f"{__name__}.{_LAZY[name]}"
    if module not in sys.modules:
        try:
            import pytest
        except ImportError as cause:
            raise MissingLibraryError("pytest", name, "testing") from cause
        pytest.register_assert_rewrite(module)  # a failure shows the values it compared
    return getattr(import_module(module), name)

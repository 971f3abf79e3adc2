"""The core of hcs: a plugin registry, an array bridge and storage that never tears a file.

Importing this package loads the standard library only; every name below is imported from
its room when it is first used (PEP 562).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcs_core._version import __version__
    from hcs_core.arrays import convert, describe
    from hcs_core.errors import HcsError
    from hcs_core.plates import Plate, open_plate
    from hcs_core.registry import AutoRegisterMeta, PluginInfo, Registry
    from hcs_core.storage import FileManager

_ROOM_OF = {
    "AutoRegisterMeta": "hcs_core.registry",
    "FileManager": "hcs_core.storage",
    "HcsError": "hcs_core.errors",
    "Plate": "hcs_core.plates",
    "PluginInfo": "hcs_core.registry",
    "Registry": "hcs_core.registry",
    "__version__": "hcs_core._version",
    "convert": "hcs_core.arrays",
    "describe": "hcs_core.arrays",
    "open_plate": "hcs_core.plates",
}

__all__ = [
    "AutoRegisterMeta",
    "FileManager",
    "HcsError",
    "Plate",
    "PluginInfo",
    "Registry",
    "__version__",
    "convert",
    "describe",
    "open_plate",
]


def __getattr__(name: str) -> object:
    room = _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(room), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

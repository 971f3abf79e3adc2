"""Which adapter an array or a framework's name belongs to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module

from hcs_core.arrays._adapter import ARRAYS, ArrayAdapter
from hcs_core.errors import (
    FrameworkOrderError,
    MissingLibraryError,
    PluginConflictError,
    PluginLoadError,
    UnknownPluginError,
    UnsupportedArrayError,
)

_ADAPTERS: dict[str, ArrayAdapter] = {}
_ADAPTER_OF_TYPE: dict[type, ArrayAdapter] = {}


def adapter_of(value: object) -> ArrayAdapter:
    """Return the adapter that owns an array; imports no framework.

    Raises
    ------
    UnsupportedArrayError
        If no installed adapter owns it.
    """
    kind = type(value)
    adapter = _ADAPTER_OF_TYPE.get(kind)
    # An adapter may have been replaced since, for a test or by a new installation.
    if adapter is not None and _ADAPTERS.get(adapter.name) is adapter and _is_current(adapter):
        return adapter
    root = kind.__module__.partition(".")[0]
    # Subclasses live in modules of their own, so every adapter is asked in the end.
    for adapter in sorted(usable_adapters(), key=lambda each: root not in each.module_names):
        if adapter.owns(value):
            if lasts(kind):
                _ADAPTER_OF_TYPE[kind] = adapter
            return adapter
    found = f"{kind.__module__}.{kind.__qualname__}"
    raise UnsupportedArrayError(found, tuple(ARRAYS))


def lasts(kind: type) -> bool:
    """Return whether a type lives as long as its module, so that it may be remembered."""
    module = kind.__module__  # in a session at a prompt it may be written anew at any time
    found = getattr(sys.modules.get(module), kind.__qualname__, None)
    return found is kind and module != "__main__"


def adapter_for(name: str) -> ArrayAdapter:
    """Return the one adapter of a framework; imports no framework.

    Raises
    ------
    UnknownPluginError
        If no adapter is called so.
    """
    kind = ARRAYS[name]
    adapter = _ADAPTERS.get(name)
    if type(adapter) is not kind:
        adapter = _ADAPTERS[name] = kind()
    assert adapter is not None
    return adapter


def loadable_adapter_for(name: str) -> ArrayAdapter:
    """Return the adapter of a framework that is loaded, or can be.

    Raises
    ------
    FrameworkOrderError
        If importing the framework now would crash the process.
    """
    adapter = adapter_for(name)
    for other in adapter.import_before:
        if other in sys.modules and not adapter.is_loaded():
            raise FrameworkOrderError(name, other)
    return adapter


def load(adapter: ArrayAdapter) -> None:
    """Import an adapter's framework.

    Raises
    ------
    MissingLibraryError
        If it is not installed.
    """
    if adapter.is_loaded():
        return
    library = adapter.module_names[0]
    try:
        import_module(library)
    except ModuleNotFoundError as cause:
        if cause.name != library:  # it is there, and lacks something itself
            raise
        extra = adapter.name if type(adapter).__module__.startswith("hcs_core.") else ""
        purpose = f"the array framework {adapter.name!r}"
        raise MissingLibraryError(library, purpose, extra) from None


def loaded_adapter(name: str) -> ArrayAdapter:
    """Return the adapter of a framework, which is imported if it is not yet.

    Raises
    ------
    UnknownPluginError
        If no adapter is called so.
    FrameworkOrderError
        If importing the framework now would crash the process.
    MissingLibraryError
        If it is not installed.
    """
    adapter = loadable_adapter_for(name)
    load(adapter)
    return adapter


def usable_adapters() -> Iterator[ArrayAdapter]:
    """Yield the adapter of every framework whose adapter can be loaded."""
    for key in ARRAYS:
        try:
            yield adapter_for(key)
        except (PluginLoadError, PluginConflictError):  # it breaks only itself; `doctor` tells
            continue


def loaded_adapters() -> Iterator[ArrayAdapter]:
    """Yield the adapter of every framework that this process has imported."""
    return (adapter for adapter in usable_adapters() if adapter.is_loaded())


def _is_current(adapter: ArrayAdapter) -> bool:
    try:  # asking whether the name is there first would take thrice as long
        return ARRAYS[adapter.name] is type(adapter)
    except UnknownPluginError:
        return False

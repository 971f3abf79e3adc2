"""Plugins that stand in for others for the time of a test."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hcs_core.registry._registry import Registry


class Overrides:
    """See `Registry.overrides`; contextlib costs more to import than a scan."""

    def __init__(self, registry: Registry[Any], plugins: dict[str, Any]) -> None:
        self._registry = registry
        self._plugins = plugins
        self._before: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def __enter__(self) -> None:
        registry = self._registry
        for table in (registry._added, registry._loaded):
            self._before.append((table, {k: table[k] for k in self._plugins if k in table}))
        for key, plugin in self._plugins.items():
            registry._loaded[key] = plugin  # first: whoever finds the key finds the plugin
            registry._added[key] = registry._info_of(plugin, key)

    def __exit__(self, *error: object) -> None:
        for table, before in self._before:
            for key in self._plugins:
                table.pop(key, None)
            table.update(before)
        self._before.clear()

"""Plugins that are registered in this process: a class statement, a decorator, a call."""

from __future__ import annotations

from hcs_core.errors import PluginConflictError
from hcs_core.registry._loading import check_expected
from hcs_core.registry._registry import value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hcs_core.registry._info import PluginInfo
    from hcs_core.registry._registry import Registry


def add(registry: Registry[Any], plugin: Any, key: str, *, override: bool) -> None:
    """Do what `Registry.add` says."""
    if type(key) is not str or not key.isprintable() or key != key.strip() or not key:
        raise TypeError(f"a plugin's key is a text in one line, not empty, got {key!r}")
    value = value_of(plugin)
    if registry._expected is not None:
        try:
            check_expected(plugin, key, *registry._expected)
        except TypeError as cause:
            text = f"{value} cannot be {registry.kind}:{key}: {cause}"
            raise TypeError(text) from None
    claims = registry._claims(key)
    if not override and _is_declared(registry, claims, key, value):
        # It is found by its declaration, once its module has been imported to the end; or
        # not found, where it is one of two or the user does not want it.
        registry._enrolled[key] = plugin
        if key in registry._loaded and key not in registry._added:
            registry._loaded[key] = plugin
        return
    taken = [info for info in claims if not _is_same(registry, info, plugin, value)]
    if taken and not override:
        origins = (*(f"{info.origin} ({info.value})" for info in taken), f"this process ({value})")
        advice = "choose another key, or pass override=True to take this one over"
        raise PluginConflictError(registry.kind, key, origins, advice)
    registry._failed.pop(key, None)
    registry._loaded[key] = plugin  # first: whoever finds the key finds the plugin
    registry._added[key] = registry._info_of(plugin, key)


def _is_declared(registry: Registry[Any], claims: list[PluginInfo], key: str, value: str) -> bool:
    """Return whether metadata, or the source of the registry's package, declare the plugin."""
    declared = [info for info in claims if info.location or info.distribution]
    declared += registry._table().others_of(key)
    return any(info.value == value for info in declared)


def _is_same(registry: Registry[Any], info: PluginInfo, plugin: Any, value: str) -> bool:
    """Return whether a plugin is the one that is there, defined again perhaps."""
    if hasattr(plugin, "__qualname__"):
        return info.value == value
    return registry._loaded.get(info.key) is plugin  # objects have no name of their own

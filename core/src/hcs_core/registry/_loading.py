"""What surrounds the import of a plugin: whether to, and whether it is what was declared."""

from __future__ import annotations

import sys

from hcs_core.errors import PluginConflictError, PluginLoadError, UnknownPluginError, one_line
from hcs_core.registry._known import ADDON_OF, install_hint
from hcs_core.registry._metadata import name_of
from hcs_core.registry._scanner import Found, marks_of, read_bytes, read_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hcs_core.registry._discovery import Table
    from hcs_core.registry._info import PluginInfo
    from hcs_core.registry._registry import Registry
    from hcs_core.registry._scanner import Claim


class Failure:
    """How the import of a plugin failed: texts alone, for an error holds its callers' arrays.

    Attributes
    ----------
    claim : Claim
        What was imported.
    discovery : Discovery
        What was installed then.
    fields : tuple of str
        Those of the PluginLoadError.
    """

    __slots__ = ("claim", "discovery", "fields")

    def __init__(self, claim: Claim, table: Table, error: PluginLoadError) -> None:
        self.claim = claim
        self.discovery = table.discovery
        self.fields = (error.kind, error.key, error.origin, error.value, error.cause)


def is_worth_importing(registry: Registry[Any], claim: Claim, table: Table) -> bool:
    """Return whether to import; False when the registry has been read again instead.

    The persistent index alone never makes anything be imported: the distribution's own
    metadata, or the source of an application's own package, must say the same.

    Raises
    ------
    PluginLoadError
        If its import failed before, and nothing has been installed since.
    """
    key, value, where, _ = claim
    failed = registry._failed.get(key)
    if failed is not None and value.partition(":")[0] not in sys.modules:
        if not failed.discovery.may_have_changed():
            raise PluginLoadError(*failed.fields)
        del registry._failed[key]
        registry._look_again()
        return False
    if table.discovery.index is None or (table.discovery.is_live and name_of(where)):
        return True
    if _is_said(registry, claim):
        return True
    registry.refresh()
    return False


def _is_said(registry: Registry[Any], claim: Claim) -> bool:
    """Return whether who makes a claim says so now."""
    where = claim[2]
    if not name_of(where):
        from hcs_core.registry._package import is_in_source

        return is_in_source(registry, claim)
    found = Found()
    content = read_bytes(f"{where}/entry_points.txt")
    read_lines(found, where, content, marks_of([registry.kind]))
    return claim in (found.claims.get(registry.kind) or ())


def refusal(registry: Registry[Any], key: str) -> PluginConflictError | UnknownPluginError:
    """Return the error that says why a key cannot be used, and what to do."""
    table = registry._table()
    if key in table.conflicts:
        infos = table.conflicts[key]
        claims = tuple(f"{info.origin} ({info.value})" for info in infos)
        advice = "" if all(info.distribution for info in infos) else "give one another key"
        return PluginConflictError(registry.kind, key, claims, advice)
    hint = ""
    addon = ADDON_OF.get((registry.kind, key))
    others = table.others_of(key)
    if others:
        hint = f"{others[0].origin} declares it, but {others[0].error}"
    elif addon:
        hint = f"{key} comes with {addon}; {install_hint(addon)}"
    return UnknownPluginError(registry.kind, key, tuple(registry), hint)


def check_expected(plugin: Any, key: str, base: type, attribute: str, instances: bool) -> None:
    """Refuse an object that is not the plugin that was declared.

    Raises
    ------
    TypeError
        If it is no subclass (or instance) of `base`, lacks a method, or has another key.
    """
    is_class = isinstance(plugin, type)
    if not instances and not is_class:
        raise TypeError(f"it must be a class, but is {_described(plugin)}")
    if not (isinstance(plugin, base) if instances else issubclass(plugin, base)):
        raise TypeError(f"it is no {base.__name__}, but {_described(plugin)}")
    missing = getattr(plugin, "__abstractmethods__", ()) if is_class else ()
    if missing:
        raise TypeError(f"it lacks {', '.join(sorted(missing))}")
    names = [getattr(plugin, "__dict__", {}).get("_hcs_key", key)]
    names += [getattr(plugin, attribute, None)] if attribute else []
    for name in names:
        if name != key:
            raise TypeError(f"it is declared as {key!r} but calls itself {name!r}")


def broken(info: PluginInfo, cause: BaseException) -> PluginLoadError:
    """Return the error that says in one line why a plugin cannot be loaded."""
    return PluginLoadError(info.kind, info.key, info.origin, info.value, one_line(cause))


def forget_importers() -> None:
    """Let the import system look at its directories again, while other threads do so too."""
    from importlib import invalidate_caches

    while True:
        try:
            return invalidate_caches()
        except KeyError:  # its loop deletes what another thread's has just deleted
            continue


def has_moved(registry: Registry[Any], claim: Claim, table: Table) -> bool:
    """Return whether a plugin that cannot be imported is declared otherwise by now.

    As after an upgrade while the process runs.
    """
    if not table.discovery.may_have_changed():
        return False
    registry._look_again()
    return registry._table().claim(claim[0]) not in (claim, None)


def forget_module(module: str) -> None:
    """Forget what a module registered before its import failed."""
    from hcs_core.registry._registry import every_registry

    for registry in every_registry():
        for key, info in list(registry._added.items()):
            if info.value.partition(":")[0] == module and module not in sys.modules:
                registry._added.pop(key, None)
                registry._loaded.pop(key, None)


def _described(plugin: object) -> str:
    if isinstance(plugin, type):
        return f"a subclass of {', '.join(base.__name__ for base in plugin.__bases__)}"
    return f"of type {type(plugin).__name__}"

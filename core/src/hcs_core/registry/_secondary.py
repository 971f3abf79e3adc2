"""The plugins of a kind by other keys than their own, such as file extensions."""

from __future__ import annotations

from _collections_abc import Mapping

from hcs_core.registry._discovery import Table, current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeVar

    from hcs_core.registry._registry import Registry

    T = TypeVar("T")


class SecondaryKeys(Mapping[str, "T"]):
    """Plugins by a secondary key; listing imports none. See `Registry.secondary`.

    Parameters
    ----------
    registry : Registry
        Whose plugins they are.
    name : str
        What these keys are: the group is ``<kind>.<name>.v<api>``.
    """

    def __init__(self, registry: Registry[T], name: str) -> None:
        self.kind = f"{registry.kind}.{name}"
        self._registry = registry
        self._name = name

    def __getitem__(self, name: str) -> T:
        return self._registry[self.key(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._primary()))

    def __len__(self) -> int:
        return len(self._primary())

    def __contains__(self, name: object) -> bool:
        return name in self._primary()

    def __repr__(self) -> str:
        return f"SecondaryKeys({self.kind!r}, {', '.join(self) or 'none'})"

    def key(self, name: str) -> str:
        """Return the key of the plugin that has this secondary key, importing nothing.

        Raises
        ------
        UnknownPluginError
            If no plugin has it.
        PluginConflictError
            If several have it.
        """
        keys = self.candidates(name)
        if not keys:
            from hcs_core.errors import UnknownPluginError

            raise UnknownPluginError(self.kind, name, tuple(self))
        if len(keys) > 1:
            from hcs_core.errors import PluginConflictError

            infos = [self._registry.info(key) for key in keys]
            origins = tuple(f"{info.key} of {info.origin} ({info.value})" for info in infos)
            raise PluginConflictError(self.kind, name, origins)
        return keys[0]

    def candidates(self, name: str) -> tuple[str, ...]:
        """Return the keys of all plugins that have this secondary key."""
        return tuple(self._primary().get(name, ()))

    def of(self, key: str) -> tuple[str, ...]:
        """Return the secondary keys of a plugin."""
        return tuple(name for name, keys in sorted(self._primary().items()) if key in keys)

    def _primary(self) -> dict[str, list[str]]:
        """Return the keys of the plugins by secondary key."""
        registry = self._registry
        table = Table(self.kind, (registry.api,), current(f"{registry.kind}."), is_secondary=True)
        found: dict[str, list[str]] = {}
        keys = {(info.value, info.location): info.key for info in registry.infos()}
        for name, value, folder in _declared(table):
            key = keys.get((value, folder), "")
            if key in registry and key not in registry._added:
                found.setdefault(name, []).append(key)
        for key in list(registry._added):  # a plugin of this process says it itself
            for name in getattr(registry._loaded[key], self._name, ()):
                found.setdefault(name, []).append(key)
        return found


def _declared(table: Table) -> Iterator[tuple[str, str, str]]:
    """Yield each secondary key with the value and the metadata folder of its declaration."""
    for name in table.usable:
        claim = table.claim(name)
        if claim is not None:
            yield claim[:3]
    for name, infos in table.conflicts.items():
        for info in infos:
            yield name, info.value, info.location

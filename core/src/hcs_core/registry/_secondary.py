"""The plugins of a kind by other keys than their own, such as file extensions."""

from __future__ import annotations

from _collections_abc import Mapping

from hcs_core.registry._discovery import current
from hcs_core.registry._table import Table

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
        primary = self._primary()
        if name not in primary:
            from hcs_core.errors import UnknownPluginError

            raise UnknownPluginError(self.kind, name, tuple(self))
        if not primary[name]:
            from hcs_core.errors import PluginConflictError

            claims = self._table().conflicts[name]
            origins = tuple(f"{info.origin} ({info.value})" for info in claims)
            raise PluginConflictError(self.kind, name, origins)
        return primary[name]

    def of(self, key: str) -> tuple[str, ...]:
        """Return the secondary keys of a plugin."""
        return tuple(name for name, primary in sorted(self._primary().items()) if primary == key)

    def _table(self) -> Table:
        discovery = current(f"{self._registry.kind}.")
        return Table(self.kind, (self._registry.api,), discovery)

    def _primary(self) -> dict[str, str]:
        """Return the key of each secondary key, nothing where several plugins have it."""
        registry, table = self._registry, self._table()
        primary = registry._table()
        claims = [claim for key in primary.usable if (claim := primary.claim(key))]
        keys = {claim[1:3]: claim[0] for claim in claims}
        found = dict.fromkeys(table.conflicts, "")
        for name in table.usable:
            claim = table.claim(name)
            key = keys.get(claim[1:3], "") if claim else ""
            if key and key not in registry._added:
                found[name] = key
        for key in list(registry._added):  # this process knows best
            for name in getattr(registry._loaded[key], self._name, ()):
                found[name] = key
        return found

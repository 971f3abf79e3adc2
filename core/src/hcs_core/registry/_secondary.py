"""The plugins of a kind by other keys than their own, such as file extensions."""

from __future__ import annotations

from _collections_abc import Mapping

from hcs_core.registry._discovery import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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
        if not name.isidentifier():
            raise TypeError(f"secondary keys have a name such as 'extensions', got {name!r}")
        self.kind = f"{registry.kind}.{name}"
        self._registry = registry
        self._name = name
        self._found: tuple[Table, dict[str, list[str]]] | None = None

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
        return self.one_of(name, keys)

    def one_of(self, name: str, keys: Sequence[str]) -> str:
        """Return the one of several plugins that a secondary key stands for.

        Raises
        ------
        PluginConflictError
            If there is more than one, and the user prefers none.
        """
        infos = [self._registry.info(key) for key in keys]
        selection = self._registry._table().discovery.selection
        if len(keys) > 1 and selection is not None:
            preferred = selection.preferred(self.kind, name)
            infos = [info for info in infos if info.distribution == preferred] or infos
        if len(infos) > 1:
            from hcs_core.errors import PluginConflictError

            origins = tuple(f"{info.key} of {info.origin} ({info.value})" for info in infos)
            raise PluginConflictError(self.kind, name, origins)
        return infos[0].key

    def candidates(self, name: str) -> tuple[str, ...]:
        """Return the keys of all plugins that have this secondary key."""
        return self._primary().get(name, ())

    def all_candidates(self) -> dict[str, tuple[str, ...]]:
        """Return the keys of all plugins by secondary key."""
        return self._primary()

    def of(self, key: str) -> tuple[str, ...]:
        """Return the secondary keys of a plugin."""
        return tuple(name for name, keys in sorted(self._primary().items()) if key in keys)

    def _primary(self) -> dict[str, tuple[str, ...]]:
        """Return the keys of the plugins by secondary key."""
        registry = self._registry
        found: dict[str, tuple[str, ...]] = {}
        if registry.parent is not None:
            for name, keys in SecondaryKeys(registry.parent, self._name)._primary().items():
                _add(found, name, [key for key in keys if not registry._has(key)])
        for name, declared in self._of_declarations().items():
            _add(found, name, [key for key in declared if key not in registry._added])
        for key in list(registry._added):  # a plugin of this process says it itself
            names = getattr(registry._loaded.get(key), self._name, ())
            for name in (names,) if isinstance(names, str) else names:
                _add(found, name, [key])
        return found

    def _of_declarations(self) -> dict[str, list[str]]:
        """Return the same of what is declared, found once for a table."""
        registry, primary = self._registry, self._registry._table()
        if self._found is None or self._found[0] is not primary:
            keys: dict[tuple[str, str], list[str]] = {}
            for info in primary.infos():
                if info.key in registry:
                    keys.setdefault((info.value, info.location), []).append(info.key)
            apis = (registry.api, *registry._adapters)
            table = Table(self.kind, apis, primary.discovery, is_secondary=True)
            found: dict[str, list[str]] = {}
            for name, value, folder in _declared(table):
                found.setdefault(name, []).extend(keys.get((value, folder), ()))
            self._found = primary, found
        return self._found[1]


def _add(found: dict[str, tuple[str, ...]], name: str, keys: list[str]) -> None:
    if keys:
        found[name] = (*found.get(name, ()), *keys)


def _declared(table: Table) -> Iterator[tuple[str, str, str]]:
    """Yield each secondary key with the value and the metadata folder of its declaration."""
    for name in table.usable:
        claim = table.claim(name)
        if claim is not None:
            yield claim[:3]
    for name, infos in table.conflicts.items():
        for info in infos:
            yield name, info.value, info.location

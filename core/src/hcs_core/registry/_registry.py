"""The one way to look up a plugin: a read-only mapping from key to plugin.

Nothing is locked: a table is complete before it is assigned and keeps its rows, of which
only the states change. So two threads may scan at the same time and come to the same
result, and a fork inherits no lock.
"""

from __future__ import annotations

from _collections_abc import Mapping  # loaded at start-up; collections.abc is its alias

from hcs_core.errors import PluginConflictError, PluginLoadError, UnknownPluginError
from hcs_core.registry._info import PluginInfo
from hcs_core.registry._scanner import Declaration, scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Any, TypeAlias, TypeVar

    T = TypeVar("T")
    _Table: TypeAlias = dict[str, tuple[PluginInfo, ...]]

# The API majors of the core's own kinds, for a listing that imports none of their rooms.
API_OF = dict.fromkeys(
    ("hcs.arrays", "hcs.cli", "hcs.formats", "hcs.kernels", "hcs.microscopes", "hcs.storage"), 1
)

# First-party addons by what they provide: a hint for a key that is not installed.
ADDON_OF = {
    ("hcs.microscopes", "imagexpress"): "hcs-microscopes",
    ("hcs.kernels", "hcs"): "hcs-gpu-kernels",
    ("hcs.cli", "compile"): "hcs-pipeline",
    ("hcs.cli", "demo"): "hcs-pipeline",
    ("hcs.cli", "run"): "hcs-pipeline",
    ("hcs.cli", "status"): "hcs-pipeline",
}


def install_hint(distribution: str) -> str:
    """Return how to install one of our addons beside the core, from a checkout."""
    return f"install it from the checkout: python -m pip install ./core ./plugins/{distribution}"


class Registry(Mapping[str, "T"]):
    """The plugins of one kind, by key.

    Listing (``in``, ``len``, iteration, `infos`) imports no plugin; ``registry[key]``
    imports the one module that the key's entry point names.

    Parameters
    ----------
    kind : str
        The extension point, such as ``"hcs.storage"``.
    api : int
        The API major; plugins of the entry-point group ``<kind>.v<api>`` are usable,
        those of another major are listed as incompatible and never imported.
    doc : str
        What the plugins are, in the plural, for people.
    """

    def __init__(self, kind: str, *, api: int = 1, doc: str = "") -> None:
        self.kind = kind
        self.api = api
        self.doc = doc
        # The table and the scan that it was made from, assigned together.
        self._table: tuple[tuple[Declaration, ...] | None, _Table] = (None, {})
        self._loaded: dict[str, T] = {}
        self._added: dict[str, PluginInfo] = {}
        _KINDS[kind] = self

    def __getitem__(self, key: str) -> T:
        if key in self._loaded:
            return self._loaded[key]
        info = self._usable(key)
        return self._loaded.setdefault(key, self._load(info))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._declared(), *self._added}))

    def __len__(self) -> int:
        return len({*self._declared(), *self._added})

    def __contains__(self, key: object) -> bool:
        return key in self._added or key in self._declared()

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}, {', '.join(self) or 'none'})"

    def info(self, key: str) -> PluginInfo:
        """Return what is known of one plugin, without importing it.

        Raises
        ------
        UnknownPluginError
            If no such key is declared or added.
        """
        claims = self._claims(key)
        if not claims:
            raise UnknownPluginError(self.kind, key, tuple(self), self._hint(key))
        return claims[0]

    def infos(self) -> tuple[PluginInfo, ...]:
        """Return every plugin of this kind, also those that cannot be used."""
        declared = self._declared(usable_only=False)
        rows = [info for claims in declared.values() for info in claims]
        rows += self._added.values()
        return tuple(sorted(rows, key=lambda info: (info.key, info.distribution)))

    def add(self, plugin: T, *, key: str, override: bool = False) -> None:
        """Register a plugin of this process under `key`.

        Raises
        ------
        PluginConflictError
            If the key belongs to something else and `override` is not set. A class
            defined again under its own qualified name (a reload, a notebook cell)
            replaces itself.
        """
        value = _value_of(plugin)
        taken = [info for info in self._claims(key) if info.value != value]
        if taken and not override:
            origins = (*(info.origin for info in taken), f"this process ({value})")
            raise PluginConflictError(self.kind, key, origins)
        declared = self._declared().get(key, ())
        if len(declared) == 1 and declared[0].value == value:
            declared[0].state, declared[0].error = "loaded", None
        else:
            self._added[key] = self._info_of(plugin, key)
        self._loaded[key] = plugin

    def register(self, key: str) -> Callable[[T], T]:
        """Return a decorator that registers a class or function under `key`."""

        def decorate(plugin: T) -> T:
            self.add(plugin, key=key)
            return plugin

        return decorate

    def overrides(self, /, **plugins: T) -> AbstractContextManager[None]:
        """Return a context in which these plugins are what the registry has under their keys.

        Afterwards each of the keys is what it was before. For tests, of plugins too: a key
        that no Python name can be goes in as ``overrides(**{"opera-phenix": Reader})``.

        Examples
        --------
        >>> THINGS = Registry("example.things")
        >>> with THINGS.overrides(toy=dict):
        ...     list(THINGS)
        ['toy']
        >>> list(THINGS)
        []
        """
        return _Overrides(self, plugins)

    def refresh(self) -> bool:
        """Read the environment again; return whether the declared plugins changed."""
        from importlib import invalidate_caches

        before = self._table_of(_current_scan())
        invalidate_caches()  # what was installed since must be importable too
        after = self._table_of(_new_scan())
        for key in tuple(self._loaded):
            if key not in self._added and _values(before, key) != _values(after, key):
                del self._loaded[key]
        return _identities(before) != _identities(after)

    def _declared(self, *, usable_only: bool = True) -> _Table:
        """Return the declared plugins by key; a key with several claims is a conflict."""
        table = self._table_of(_current_scan())
        if not usable_only:
            return table
        return {k: c for k, c in table.items() if c[0].state != "incompatible"}

    def _table_of(self, declarations: tuple[Declaration, ...]) -> _Table:
        """Return the plugins of a scan by key, made once for each scan."""
        source, table = self._table
        if source is not declarations:
            table = _tabulate(self.kind, self.api, declarations)
            for key in self._loaded:
                if len(table.get(key, ())) == 1 and key not in self._added:
                    table[key][0].state = "loaded"
            self._table = declarations, table
        return table

    def _claims(self, key: str) -> tuple[PluginInfo, ...]:
        if key in self._added:
            return (self._added[key],)
        return self._declared().get(key, ())

    def _usable(self, key: str) -> PluginInfo:
        """Return the one plugin of this key, reading the environment again on a miss."""
        claims = self._claims(key)
        if not claims and self.refresh():
            claims = self._claims(key)
        if not claims:
            raise UnknownPluginError(self.kind, key, tuple(self), self._hint(key))
        if len(claims) > 1:
            origins = tuple(f"{claim.origin} ({claim.value})" for claim in claims)
            raise PluginConflictError(self.kind, key, origins)
        return claims[0]

    def _load(self, info: PluginInfo) -> T:
        from importlib import import_module

        module, _, attribute = info.value.partition(":")
        try:
            plugin = import_module(module)
            for name in attribute.split(".") if attribute else ():
                plugin = getattr(plugin, name)
        # A plugin is foreign code: whatever it raises, sys.exit() too, is its state.
        except (Exception, SystemExit) as cause:
            info.state = "broken"
            info.error = f"{type(cause).__name__}: {cause}".partition("\n")[0]
            raise PluginLoadError(
                self.kind, info.key, info.origin, info.value, info.error
            ) from cause
        info.state, info.error = "loaded", None
        return plugin  # type: ignore[return-value]  # the group's name is the promise of T

    def _info_of(self, plugin: T, key: str) -> PluginInfo:
        """Return what is known of a plugin of this process."""
        return PluginInfo(self.kind, key, _value_of(plugin), "", "", self.api, state="loaded")

    def _hint(self, key: str) -> str:
        incompatible = self._declared(usable_only=False).get(key, ())
        if incompatible:
            return f"{incompatible[0].origin} declares it, but {incompatible[0].error}"
        addon = ADDON_OF.get((self.kind, key))
        return f"{key} comes with {addon}; {install_hint(addon)}" if addon else ""


class _Overrides:
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
            registry._added[key] = registry._info_of(plugin, key)
            registry._loaded[key] = plugin

    def __exit__(self, *error: object) -> None:
        for table, before in self._before:
            for key in self._plugins:
                table.pop(key, None)
            table.update(before)
        self._before.clear()


_KINDS: dict[str, Registry[Any]] = {}
_scan: tuple[Declaration, ...] | None = None  # the last scan of this process


def registries() -> dict[str, Registry[Any]]:
    """Return the registries that exist in this process, by kind."""
    return dict(sorted(_KINDS.items()))


def all_infos() -> tuple[PluginInfo, ...]:
    """Return every plugin of every ``hcs.*`` group in the environment, importing none.

    Groups whose registry has not been created in this process are listed too; where that
    is an addon's, which API major it has is not known, and none is called incompatible.
    """
    declared = _current_scan()
    kinds = {*_KINDS, *(_split_group(item.group)[0] for item in declared)}
    rows: list[PluginInfo] = []
    for kind in sorted(kinds):
        registry = _KINDS.get(kind)
        if registry is not None:
            rows.extend(registry.infos())
        else:
            for claims in _tabulate(kind, API_OF.get(kind), declared).values():
                rows.extend(claims)
    return tuple(rows)


def _current_scan() -> tuple[Declaration, ...]:
    return _new_scan() if _scan is None else _scan


def _new_scan() -> tuple[Declaration, ...]:
    global _scan  # noqa: PLW0603 - one value for all registries, assigned whole
    _scan = declarations = scan()
    return declarations


def _values(table: _Table, key: str) -> list[str]:
    return [claim.value for claim in table.get(key, ())]


def _identities(table: _Table) -> list[tuple[str, str, str]]:
    """Return all that distinguishes one set of installed plugins from another."""
    return [(c.key, c.value, c.origin) for claims in table.values() for c in claims]


def _split_group(group: str) -> tuple[str, int]:
    """Return kind and API major of a group name: ``hcs.storage.v1`` -> hcs.storage, 1."""
    kind, _, major = group.rpartition(".v")
    return (kind, int(major)) if kind and major.isdecimal() else (group, 0)


def _tabulate(kind: str, api: int | None, declared: tuple[Declaration, ...]) -> _Table:
    """Return the plugins of one kind by key, with conflicts and API majors marked."""
    by_key: dict[str, list[PluginInfo]] = {}
    for item in declared:
        item_kind, major = _split_group(item.group)
        if item_kind == kind:
            info = PluginInfo(kind, item.key, item.value, item.distribution, item.version, major)
            by_key.setdefault(item.key, []).append(info)
    return {key: _judge(claims, api) for key, claims in sorted(by_key.items())}


def _judge(claims: list[PluginInfo], api: int | None) -> tuple[PluginInfo, ...]:
    """Mark what cannot be used; usable claims come first."""
    usable = [claim for claim in claims if api is None or claim.api == api]
    for claim in claims:
        if claim not in usable:
            claim.state = "incompatible"
            older = "hcs-core" if claim.api > (api or 0) else claim.distribution
            needs = f"it needs API {claim.api} of {claim.kind}, this core has {api}"
            claim.error = f"{needs}; update {older}"
    if not usable:
        return tuple(claims)
    same = {(c.distribution, c.value) for c in usable}
    if len(same) > 1:
        for claim in usable:
            claim.state = "conflict"
            claim.error = f"declared by {', '.join(sorted(c.origin for c in usable))}"
        return tuple(usable)
    return (usable[0],)


def _value_of(plugin: object) -> str:
    owner = plugin if hasattr(plugin, "__qualname__") else type(plugin)
    return f"{owner.__module__}:{owner.__qualname__}"

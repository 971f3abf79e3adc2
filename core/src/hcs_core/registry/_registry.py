"""The one way to look up a plugin: a read-only mapping from key to plugin.

Nothing is locked: what is declared is one value, assigned whole, and no lock is held while
a plugin is imported. So two threads may look at the same time and come to the same result,
and a fork inherits no lock.
"""

from __future__ import annotations

import sys
from _collections_abc import Mapping  # loaded at start-up; collections.abc is its alias
from _weakref import ref

from hcs_core.registry._discovery import Discovery, Table, current, discover, look_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, ItemsView, Iterator, ValuesView
    from contextlib import AbstractContextManager
    from typing import Any, TypeVar

    from hcs_core.errors import PluginConflictError, UnknownPluginError
    from hcs_core.registry._info import PluginInfo
    from hcs_core.registry._loading import Failure
    from hcs_core.registry._report import LoadReport
    from hcs_core.registry._scanner import Claim
    from hcs_core.registry._secondary import SecondaryKeys

    T = TypeVar("T")


class Registry(Mapping[str, "T"]):
    """The plugins of one kind, by key.

    Listing (``in``, ``len``, iteration, `infos`) imports no plugin; ``registry[key]``
    imports the one module that the key's entry point names.

    Examples
    --------
    >>> FILTERS = Registry("acme.filters", doc="filters")
    >>> @FILTERS.register("invert")
    ... def invert(image): return ~image
    >>> list(FILTERS)
    ['invert']
    >>> FILTERS["invert"] is invert
    True

    Parameters
    ----------
    kind : str
        The extension point, such as ``"hcs.storage"``. Kinds of other projects begin with
        their own name: ``"acme.filters"``.
    api : int
        The API major; plugins of the entry-point group ``<kind>.v<api>`` are usable,
        those of another major are listed as incompatible and never imported.
    doc : str
        What the plugins are, in the plural, for people.
    index : bool
        Whether the persistent index may be used, where the user has it on.
    package : str
        A package of an application whose modules hold plugins that need no entry point;
        they are read, not imported.
    suffix : str
        Ends the names of classes that are registered by their name: with ``"Handler"`` the
        class ``ImageXpressHandler`` has the key ``imagexpress``.
    parent : Registry, optional
        Has the plugins that are found where this registry has none of that key.
    adapters : dict of int to callable, optional
        For each older API major that is still served, a function: it is given the plugin
        that was imported, once, and returns one of this API.

    Attributes
    ----------
    kind, api, doc, package, suffix, parent
        As given.
    """

    def __init__(
        self,
        kind: str,
        *,
        api: int = 1,
        doc: str = "",
        index: bool = True,
        package: str = "",
        suffix: str = "",
        parent: Registry[T] | None = None,
        adapters: Mapping[int, Callable[[Any], T]] | None = None,
    ) -> None:
        if not _is_kind(kind) or type(api) is not int or api < 1:
            wanted = "a kind such as 'acme.filters' and an API from 1"
            raise TypeError(f"a registry has {wanted}, got {kind!r} and {api!r}")
        if not (parent is None or isinstance(parent, Registry)):
            raise TypeError(f"the parent of {kind} must be a registry, got {parent!r}")
        self.kind = kind
        self.api = api
        self.doc = doc
        self.package = package
        self.suffix = suffix
        self.parent = parent
        self._adapters = dict(adapters or {})
        self._live = not index
        self._module: str = sys._getframe(1).f_globals.get("__name__", "")
        self._expected: tuple[type, str, bool] | None = None
        self._table_now: Table | None = None
        self._loaded: dict[str, T] = {}
        self._added: dict[str, PluginInfo] = {}
        self._failed: dict[str, Failure] = {}
        self._enrolled: dict[str, T] = {}  # declared, and seen to register themselves here
        self._missed: frozenset[str] = frozenset()
        _KINDS[kind] = self
        _made.append(ref(self))
        look_for(f"{kind}.")

    def __getitem__(self, key: str) -> T:
        """Return a plugin, importing the one module that holds it when it is used first.

        Raises
        ------
        UnknownPluginError
            If there is none, or it cannot be used; a KeyError. The environment is looked
            at again before.
        PluginConflictError
            If several distributions declare the key.
        PluginLoadError
            If it cannot be imported, or is not what it declares. So do ``dict(registry)``
            and ``registry.get(key)``; `load_all` does not.
        """
        try:
            return self._loaded[key]
        except KeyError:
            pass  # what is raised below has nothing to do with it
        return self._find(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())

    def __contains__(self, key: object) -> bool:
        return self._has(key) or (self.parent is not None and key in self.parent)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}, {', '.join(self) or 'none'})"

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        """Pickle as the kind: another process has the plugins of its own environment."""
        return _registry_of, (self.kind, self._module)

    def values(self) -> ValuesView[T]:
        """Return the plugins that can be loaded; a warning names each that cannot."""
        return self._loadable().values()

    def items(self) -> ItemsView[str, T]:
        """Return keys and plugins that can be loaded; a warning names each that cannot."""
        return self._loadable().items()

    def load_all(self) -> LoadReport[T]:
        """Import every plugin and return those that could be, and why the others could not."""
        from hcs_core.registry._report import load_all

        return load_all(self)

    def info(self, key: str) -> PluginInfo:
        """Return what is known of one plugin, without importing it.

        Of a key that several distributions declare it is the first, in state ``conflict``.

        Raises
        ------
        UnknownPluginError
            If the key is not declared, or what declares it is disabled or incompatible.
        """
        table = self._table()
        if key in self._added:
            return self._added[key].copy()
        if key in table.conflicts:
            return table.conflicts[key][0].copy()
        claim = table.claim(key)
        if claim is not None:
            return self._with_state(table.info(claim))
        if self.parent is not None and key in self.parent:
            return self.parent.info(key)
        raise self._refusal(key)

    def infos(self, *, all: bool = False) -> tuple[PluginInfo, ...]:
        """Return every plugin of this kind: declared, loaded, broken, conflict, incompatible.

        Parameters
        ----------
        all : bool
            Whether to return also those that are disabled or shadowed.
        """
        table = self._table()
        rows = [self._with_state(info) for info in table.infos(all=all)]
        rows += [info.copy() for info in list(self._added.values())]
        if self.parent is not None:
            rows += [info for info in self.parent.infos(all=all) if not self._has(info.key)]
        return tuple(sorted(rows, key=lambda info: (info.key, info.distribution)))

    def add(self, plugin: T, *, key: str, override: bool = False) -> None:
        """Register a plugin of this process under `key`.

        A class or function defined again under its own qualified name (a reload, a
        notebook cell) replaces itself. One that an entry point declares under this key
        stays the plugin of its distribution.

        Raises
        ------
        PluginConflictError
            If the key belongs to something else and `override` is not set.
        TypeError
            If it is not what every plugin of this kind is; see `expect`.
        """
        from hcs_core.registry._adding import add

        add(self, plugin, key, override=override)

    def register(self, key: str = "", *, override: bool = False) -> Callable[[T], T]:
        """Return a decorator that registers a class or function under `key`.

        Without a key, that of a class comes from its name; see `suffix`.
        """
        if not isinstance(key, str):
            raise TypeError(f"write @register('...') above {value_of(key)}, with its key")

        def decorate(plugin: T) -> T:
            name = key or self.key_from(getattr(plugin, "__name__", ""))
            if not name:
                raise TypeError(f"{value_of(plugin)} needs a key: @register('...')")
            self.add(plugin, key=name, override=override)
            return plugin

        return decorate

    def key_from(self, name: str) -> str:
        """Return the key that a class name gives, ``""`` where none is taken from names."""
        stem = name.removesuffix(self.suffix) if self.suffix else ""
        return "" if name == stem or name.startswith("_") else stem.lower()

    def expect(self, base: type, *, attribute: str = "", instances: bool = False) -> None:
        """Say what every plugin of this kind is; one that is loaded and is not is refused.

        Parameters
        ----------
        base : type
            The class of which it is a subclass, with all methods.
        attribute : str
            The name of an attribute whose value must be the plugin's key, such as
            ``"format"``.
        instances : bool
            Whether it is an instance of `base` instead.
        """
        # A layer below the base may have the same registry; only the base may say more, or
        # be defined again.
        if self._expected is None or value_of(self._expected[0]) == value_of(base):
            self._expected = base, attribute, instances

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
        from hcs_core.registry._overrides import Overrides

        return Overrides(self, plugins)

    def secondary(self, name: str) -> SecondaryKeys[T]:
        """Return the plugins by other keys, such as file extensions, importing none.

        Parameters
        ----------
        name : str
            What these keys are. They are declared in the entry-point group
            ``<kind>.<name>.v<api>`` with the same values as the plugins; for a plugin of
            this process they are in its attribute of this name.
        """
        from hcs_core.registry._secondary import SecondaryKeys

        return SecondaryKeys(self, name)

    def refresh(self) -> bool:
        """Read the environment again; return whether the declared plugins changed.

        Broken plugins get another try. A loaded one whose declaration has changed is
        forgotten, and imported as it is declared now when it is used; modules that were
        imported stay so, as do plugins that were added at run time.
        """
        for registry in every_registry():
            registry._failed.clear()
            registry._missed = frozenset()
        return self._look_again()

    def _look_again(self) -> bool:
        """Read the environment again, for all registries."""
        from hcs_core.registry._loading import forget_importers

        before = self._table()
        forget_importers()  # what was installed since must be importable too
        discover(f"{self.kind}.")
        is_changed = _identities(before) != _identities(self._table())
        for registry in every_registry():
            if registry._loaded or registry._failed:
                try:
                    registry._table()  # which forgets what has changed
                except ImportError:  # its package is gone: told when it is used
                    continue
        return is_changed

    def _discovery(self) -> Discovery:
        return current(f"{self.kind}.", live=self._live)

    def _table(self) -> Table:
        """Return the declared plugins, sorted once for each discovery."""
        discovery, table = self._discovery(), self._table_now
        if table is None or table.discovery is not discovery:
            table = Table(self.kind, (self.api, *self._adapters), discovery)
            if self.package:
                from hcs_core.registry._package import add_package

                add_package(self, table)
            if self._table_now is not None:
                self._forget_changed(self._table_now, table)
            self._table_now = table
        return table

    def _forget_changed(self, before: Table, after: Table) -> None:
        """Unload what another declaration stands for now."""
        for key in list(self._loaded):
            if key not in self._added and _value(before, key) != _value(after, key):
                self._loaded.pop(key, None)  # another thread may have been faster
        for key, failure in list(self._failed.items()):
            if failure.claim != after.claim(key):
                self._failed.pop(key, None)

    def _names(self) -> tuple[str, ...]:
        """Return the keys, sorted once for a table where nothing else has any."""
        table = self._table()
        if not table.names:
            table.names = tuple(sorted((*table.usable, *table.conflicts)))
        if self.parent is None and not self._added:
            return table.names
        others = () if self.parent is None else self.parent._names()
        return tuple(sorted({*table.names, *list(self._added), *others}))

    def _has(self, key: object) -> bool:
        """Return whether the key is our own, not the parent's."""
        table = self._table()
        return key in self._added or key in table.usable or key in table.conflicts

    def _claims(self, key: str) -> list[PluginInfo]:
        """Return what claims a key of our own."""
        table = self._table()
        if key in self._added:
            return [self._added[key]]
        claim = table.claim(key)
        return table.conflicts.get(key, [] if claim is None else [table.info(claim)])

    def _with_state(self, info: PluginInfo) -> PluginInfo:
        """Return an info of a declared plugin with what became of it in this process."""
        if info.state != "declared":
            return info
        failed = self._failed.get(info.key)
        if failed is not None:
            info.state, info.error = "broken", failed.fields[-1]
        elif info.key in self._loaded:
            info.state = "loaded"
        return info

    def _find(self, key: str) -> T:
        """Return a plugin that is not loaded yet, looking again on a miss."""
        table = self._table()
        if not self._has(key) and self._is_worth_a_look(key):
            self._look_again()
            table = self._table()
            if not self._has(key):
                self._missed |= {key}
        claim = table.claim(key)
        if claim is not None:
            return self._load(claim, table)
        if self.parent is not None and key not in table.conflicts and key in self.parent:
            return self.parent[key]
        raise self._refusal(key)

    def _is_worth_a_look(self, key: str) -> bool:
        """Return whether an unknown key may be known by now."""
        if self.parent is not None and key in self.parent:
            return False
        return key not in self._missed or self._discovery().may_have_changed()

    def _load(self, claim: Claim, table: Table) -> T:
        """Import one plugin; whatever it does becomes its state, and harms no other."""
        key, value, _, api = claim
        if key in self._failed or table.discovery.index is not None:
            from hcs_core.registry._loading import is_worth_importing

            if not is_worth_importing(self, claim, table):
                return self[key]  # by what the distributions say now
        module, _, attribute = value.partition(":")
        try:
            __import__(module)
            plugin: Any = sys.modules[module]
            for name in attribute.split(".") if attribute else ():
                plugin = getattr(plugin, name)
            if self.package:
                from hcs_core.registry._package import check_enrolled

                check_enrolled(self._enrolled, claim)
            if api != self.api:
                plugin = self._adapters[api](plugin)
            if self._expected is not None:
                from hcs_core.registry._loading import check_expected

                check_expected(plugin, key, *self._expected)
        except KeyboardInterrupt:
            raise
        # A plugin is foreign code: sys.exit() and a panic of compiled code are its state too.
        except BaseException as cause:
            from hcs_core.registry._loading import Failure, broken, forget_module, has_moved

            forget_module(module)
            if has_moved(self, claim, table):
                return self[key]
            error = broken(table.info(claim), cause)
            self._failed[key] = Failure(claim, table, error)
            raise error from cause
        self._failed.pop(key, None)
        return self._loaded.setdefault(key, plugin)

    def _loadable(self) -> dict[str, T]:
        from hcs_core.registry._report import warn_of

        report = self.load_all()
        warn_of(report.failed)
        return report.ok

    def _info_of(self, plugin: T, key: str) -> PluginInfo:
        """Return what is known of a plugin of this process."""
        from hcs_core.registry._info import PluginInfo

        return PluginInfo(self.kind, key, value_of(plugin), "", "", self.api, state="loaded")

    def _refusal(self, key: str) -> PluginConflictError | UnknownPluginError:
        from hcs_core.registry._loading import refusal

        return refusal(self, key)


_KINDS: dict[str, Registry[Any]] = {}
_made: list[ref[Registry[Any]]] = []


def every_registry() -> list[Registry[Any]]:
    """Return every registry that exists, also several of a kind.

    A program that is run and imported as well, or a notebook's cell that is run again, makes
    its registries twice.
    """
    _made[:] = [made for made in _made if made() is not None]
    return [registry for made in _made if (registry := made()) is not None]


def registries() -> dict[str, Registry[Any]]:
    """Return the registries that exist in this process, by kind."""
    return dict(sorted(_KINDS.items()))


def _registry_of(kind: str, module: str) -> Registry[Any]:
    """Return the registry of a kind, importing the module that makes it."""
    if kind not in _KINDS and module:
        __import__(module)
    if kind not in _KINDS:
        from hcs_core.errors import UnknownPluginError

        hint = f"import the module that makes it (it was pickled in {module})"
        raise UnknownPluginError("registries", kind, tuple(_KINDS), hint)
    return _KINDS[kind]


def _value(table: Table, key: str) -> str:
    claim = table.claim(key)
    return "" if claim is None else claim[1]


def _identities(table: Table) -> list[tuple[str, str, str, str]]:
    """Return all that distinguishes one set of plugins from another."""
    return [(info.key, info.value, info.origin, info.state) for info in table.infos(all=True)]


def value_of(plugin: object) -> str:
    """Return ``module:name`` of a class or function, of another object that of its type."""
    owner = plugin if hasattr(plugin, "__qualname__") else type(plugin)
    return f"{owner.__module__}:{owner.__qualname__}"


def _is_kind(kind: object) -> bool:
    """Return whether a text is dotted words, of which the last is no API major."""
    if type(kind) is not str:
        return False
    *_, last = parts = kind.split(".")
    is_major = last[:1] == "v" and last[1:].isdecimal()
    return not is_major and all(part.replace("-", "_").isidentifier() for part in parts)

"""Classes that register themselves when they are defined."""

from __future__ import annotations

from abc import ABCMeta

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hcs_core.registry._registry import Registry

_REGISTRY = "_hcs_registry"
_KEY = "_hcs_key"


class AutoRegisterMeta(ABCMeta):
    """Metaclass that adds a class to a registry when the class says ``key="..."``.

    The base class names the registry; classes below it inherit that, or name another. A
    class without ``key`` is not registered, so abstract layers and classes that an entry
    point declares need nothing. Where the registry takes keys from class names (`suffix`),
    a class without ``key`` is registered if its name ends so and no method is missing;
    ``key=None`` says that it is no plugin. ``override=True`` takes a key over.

    Examples
    --------
    >>> READERS = Registry("example.readers", suffix="Reader")
    >>> class Reader(metaclass=AutoRegisterMeta, registry=READERS): ...
    >>> class Mine(Reader, key="my-own"): ...
    >>> class ImageXpressReader(Reader): ...
    >>> sorted(READERS)
    ['imagexpress', 'my-own']
    >>> READERS["my-own"] is Mine
    True
    """

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        registry: Registry[Any] | None = None,
        key: str | None = "",
        override: bool = False,
        **options: Any,
    ) -> AutoRegisterMeta:
        return super().__new__(mcs, name, bases, namespace, **options)

    def __init__(
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        registry: Registry[Any] | None = None,
        key: str | None = "",
        override: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(name, bases, namespace, **options)
        _enrol(cls, registry, key, override=override)


class AutoRegister:
    """Mixin that registers classes as `AutoRegisterMeta` does, without a metaclass.

    For classes that have another metaclass already, such as those of Qt and of pydantic.

    Examples
    --------
    >>> PANELS = Registry("example.panels")
    >>> class Panel(AutoRegister, registry=PANELS): ...
    >>> class Histogram(Panel, key="histogram"): ...
    >>> PANELS["histogram"] is Histogram
    True
    """

    def __init_subclass__(
        cls,
        *,
        registry: Registry[Any] | None = None,
        key: str | None = "",
        override: bool = False,
        **options: Any,
    ) -> None:
        super().__init_subclass__(**options)
        _enrol(cls, registry, key, override=override)


def missing_methods(plugin: type) -> list[str]:
    """Return the abstract methods that a class does not implement, also while it is made."""
    names = getattr(plugin, "__abstractmethods__", None)
    if names is None:  # not made by ABCMeta, or not yet: it counts them at the very end
        names = [name for name in dir(plugin) if _is_abstract(plugin, name)]
    return sorted(names)


def _is_abstract(plugin: type, name: str) -> bool:
    return bool(getattr(getattr(plugin, name, None), "__isabstractmethod__", False))


def _enrol(cls: type, registry: Registry[Any] | None, key: str | None, *, override: bool) -> None:
    """Note the registry of a base class, or add a class that has a key."""
    if registry is not None:
        setattr(cls, _REGISTRY, registry)
        registry.expect(cls)
    owner: Registry[Any] | None = getattr(cls, _REGISTRY, None)
    missing = missing_methods(cls)
    if key == "" and _KEY in cls.__dict__:
        # @dataclass(slots=True) makes the class a second time, out of what is in the first.
        key, override = cls.__dict__[_KEY], True
    if key == "" and registry is None and owner is not None and not missing:
        key = owner.key_from(cls.__name__)
    if not key:
        return
    if missing:
        lacks = ", ".join(missing)
        raise TypeError(f"{cls.__name__} cannot be registered as {key!r}: it lacks {lacks}")
    if owner is None:
        raise TypeError(f"{cls.__name__} has key={key!r} but no base class names a registry")
    setattr(cls, _KEY, key)
    owner.add(cls, key=key, override=override)

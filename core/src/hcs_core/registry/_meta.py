"""Classes that register themselves when they are defined."""

from __future__ import annotations

from abc import ABCMeta

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hcs_core.registry._registry import Registry


class AutoRegisterMeta(ABCMeta):
    """Metaclass that adds a class to a registry when the class says ``key="..."``.

    The base class names the registry; a subclass without ``key`` is not registered, so
    abstract layers and classes that an entry point declares need nothing.

    Examples
    --------
    >>> READERS = Registry("example.readers")
    >>> class Reader(metaclass=AutoRegisterMeta, registry=READERS): ...
    >>> class Mine(Reader, key="mine"): ...
    >>> READERS["mine"] is Mine
    True
    """

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        registry: Registry[Any] | None = None,
        key: str | None = None,
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
        key: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(name, bases, namespace, **options)
        if registry is not None:
            cls._registry = registry
        if key is None:
            return
        if cls.__abstractmethods__:
            missing = ", ".join(sorted(cls.__abstractmethods__))
            raise TypeError(f"{name} cannot be registered as {key!r}: it lacks {missing}")
        owner: Registry[Any] | None = getattr(cls, "_registry", None)
        if owner is None:
            raise TypeError(f"{name} has key={key!r} but no base class names a registry")
        owner.add(cls, key=key)

"""All plugins of a kind at once: those that load, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

from hcs_core.errors import HcsError, PluginWarning

if TYPE_CHECKING:
    from hcs_core.registry._registry import Registry

T = TypeVar("T")


class LoadReport(Generic[T]):
    """What came of importing every plugin of a kind.

    Attributes
    ----------
    ok : dict of str to plugin
        Those that could be loaded.
    failed : dict of str to HcsError
        Why the others could not: a `PluginLoadError` or a `PluginConflictError`.
    """

    __slots__ = ("failed", "ok")

    def __init__(self, ok: dict[str, T], failed: dict[str, HcsError]) -> None:
        self.ok = ok
        self.failed = failed

    def __repr__(self) -> str:
        return f"LoadReport(ok: {list(self.ok)}, failed: {list(self.failed)})"


def load_all(registry: Registry[T]) -> LoadReport[T]:
    """Import every plugin of a registry."""
    report: LoadReport[T] = LoadReport({}, {})
    for key in registry:
        try:
            report.ok[key] = registry[key]
        except HcsError as cause:
            report.failed[key] = cause
    return report


def warn_of(failed: Mapping[str, HcsError]) -> None:
    """Warn of each plugin that could not be loaded."""
    import warnings

    for cause in failed.values():
        warnings.warn(str(cause), PluginWarning, stacklevel=4)

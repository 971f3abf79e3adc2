"""What `hcs plugins list` lists."""

from __future__ import annotations

from hcs_core.registry import all_infos
from hcs_core.registry._discovery import HIDDEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcs_core.registry import PluginInfo


def listed_infos(kind: str | None, *, with_hidden: bool) -> tuple[list[PluginInfo], int]:
    """Return the plugins of a kind, or of all, and how many more are hidden."""
    every = [info for info in all_infos(all=True) if kind in (None, info.kind)]
    shown = [info for info in every if with_hidden or info.state not in HIDDEN]
    return shown, len(every) - len(shown)


def documents(kind: str | None = None, *, with_hidden: bool) -> list[dict[str, str | int | None]]:
    """Return the same as JSON objects."""
    return [info.as_dict() for info in listed_infos(kind, with_hidden=with_hidden)[0]]

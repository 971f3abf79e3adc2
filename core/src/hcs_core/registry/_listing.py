"""Everything that is declared in the environment, of all kinds."""

from __future__ import annotations

from hcs_core.registry._discovery import Table, current
from hcs_core.registry._known import API_OF
from hcs_core.registry._registry import registries
from hcs_core.registry._scanner import OUR_PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from hcs_core.registry._discovery import Discovery
    from hcs_core.registry._info import PluginInfo
    from hcs_core.registry._registry import Registry


def kinds() -> tuple[str, ...]:
    """Return every kind of plugins: the core's, those declared, and those of this process.

    Of the kinds of other projects those whose registry has been made in this process;
    groups of secondary keys are no kinds.
    """
    discovery = current()
    declared = (*discovery.claims, *discovery.shadowed)
    found = {kind for kind in declared if kind.startswith(OUR_PREFIX)} | {*registries(), *API_OF}
    # What extends the name of a kind are secondary keys of its plugins.
    secondary = {kind for kind in found if kind.rpartition(".")[0] in found} - {*registries()}
    return tuple(sorted(found - secondary))


def all_infos(*, all: bool = False) -> tuple[PluginInfo, ...]:
    """Return every plugin of every ``hcs.*`` group in the environment, importing none.

    Kinds whose registry has not been made in this process are listed too. Which API major
    an addon's kind has is known only then; before, none of its plugins is incompatible.

    Parameters
    ----------
    all : bool
        Whether to return also those that are disabled or shadowed.
    """
    discovery, made = current(), registries()
    rows: list[PluginInfo] = []
    for kind in kinds():
        rows += _infos_of(kind, made.get(kind), discovery, all=all)
    return tuple(rows)


def _infos_of(
    kind: str, registry: Registry[Any] | None, discovery: Discovery, *, all: bool
) -> Iterable[PluginInfo]:
    if registry is not None:
        try:
            return registry.infos(all=all)
        except ImportError:  # its own package is gone: told when it is used
            pass
    apis = (API_OF[kind],) if kind in API_OF else None
    return Table(kind, apis, discovery).infos(all=all)

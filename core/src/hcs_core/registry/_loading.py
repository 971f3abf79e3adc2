"""What is looked at before a plugin is imported: a failure before, and the index's word."""

from __future__ import annotations

import sys

from hcs_core.registry._discovery import Found, read_bytes, read_lines
from hcs_core.registry._metadata import name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hcs_core.registry._discovery import Claim
    from hcs_core.registry._registry import Registry
    from hcs_core.registry._table import Table


def is_worth_importing(registry: Registry[Any], claim: Claim, table: Table) -> bool:
    """Return whether to import; False when the registry has been read again instead.

    The persistent index alone never makes anything be imported: the distribution's own
    metadata, or the source of an application's own package, must say the same.

    Raises
    ------
    PluginLoadError
        If its import failed before, and nothing has been installed since.
    """
    key, value, where, _ = claim
    failed = registry._failed.get(key)
    if failed is not None and value.partition(":")[0] not in sys.modules:
        if not table.discovery.may_have_changed():
            raise type(failed)(*failed.args) from failed.__cause__
        registry.refresh()
        return False
    if table.discovery.index is None or (table.discovery.is_live and name_of(where)):
        return True
    if _is_said(registry, claim):
        return True
    registry.refresh()
    return False


def _is_said(registry: Registry[Any], claim: Claim) -> bool:
    """Return whether who makes a claim says so now."""
    where = claim[2]
    if not name_of(where):
        from hcs_core.registry._package import is_in_source

        return is_in_source(registry, claim)
    found = Found()
    read_lines(found, where, read_bytes(f"{where}/entry_points.txt"), (registry.kind,))
    return claim in (found.claims.get(registry.kind) or ())

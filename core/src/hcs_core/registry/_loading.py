"""What is looked at before a plugin is imported: a failure before, and the index's word."""

from __future__ import annotations

import sys

from hcs_core.registry._scanner import lines_of, read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hcs_core.registry._discovery import Claim
    from hcs_core.registry._registry import Registry
    from hcs_core.registry._table import Table


def is_worth_importing(registry: Registry[Any], claim: Claim, table: Table) -> bool:
    """Return whether to import; False when the registry has been read again instead.

    The persistent index alone never makes anything be imported: the distribution's own
    metadata must say the same.

    Raises
    ------
    PluginLoadError
        If its import failed before, and nothing has been installed since.
    """
    key, value, source, api = claim
    failed = registry._failed.get(key)
    if failed is not None and value.partition(":")[0] not in sys.modules:
        if not table.discovery.may_have_changed():
            raise type(failed)(*failed.args) from failed.__cause__
        registry.refresh()
        return False
    if table.discovery.is_live or not source.name:
        return True
    lines = lines_of(read_bytes(f"{source.folder}/entry_points.txt"), (registry.kind,))
    if (f"{registry.kind}.v{api}", key, value) in lines:
        return True
    registry.refresh()
    return False

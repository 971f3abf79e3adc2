"""Know every installed plugin without importing one.

Only the registry itself is imported here; the other names when they are first used, for
listing what is installed must cost next to nothing.
"""

from __future__ import annotations

import sys

from hcs_core.registry._registry import Registry, registries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hcs_core.registry._hooks import (
        OBSERVERS,
        Connection,
        Hook,
        ObserverFailure,
        hookimpl,
        hooks,
    )
    from hcs_core.registry._info import PluginInfo
    from hcs_core.registry._listing import all_infos, kinds
    from hcs_core.registry._meta import AutoRegister, AutoRegisterMeta
    from hcs_core.registry._report import LoadReport
    from hcs_core.registry._secondary import SecondaryKeys

_MODULE_OF = {
    "OBSERVERS": "_hooks",
    "AutoRegister": "_meta",
    "AutoRegisterMeta": "_meta",
    "Connection": "_hooks",
    "Hook": "_hooks",
    "LoadReport": "_report",
    "ObserverFailure": "_hooks",
    "PluginInfo": "_info",
    "SecondaryKeys": "_secondary",
    "all_infos": "_listing",
    "hookimpl": "_hooks",
    "hooks": "_hooks",
    "kinds": "_listing",
}

__all__ = [
    "OBSERVERS",
    "AutoRegister",
    "AutoRegisterMeta",
    "Connection",
    "Hook",
    "LoadReport",
    "ObserverFailure",
    "PluginInfo",
    "Registry",
    "SecondaryKeys",
    "all_infos",
    "hookimpl",
    "hooks",
    "kinds",
    "registries",
]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    path = f"{__name__}.{module}"
    __import__(path)  # not importlib, which listing does without
    value: object = getattr(sys.modules[path], name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

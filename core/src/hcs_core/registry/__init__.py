"""Know every installed plugin without importing one."""

from hcs_core.registry._info import PluginInfo
from hcs_core.registry._meta import AutoRegisterMeta
from hcs_core.registry._registry import Registry, all_infos, registries

__all__ = ["AutoRegisterMeta", "PluginInfo", "Registry", "all_infos", "registries"]

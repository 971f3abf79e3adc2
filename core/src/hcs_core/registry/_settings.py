"""Where a user's settings are, found without importing what reads them.

The places are those of platformdirs, whose import costs more than a scan; on Linux and
macOS they are worked out here, and a test holds both to be the same.
"""

from __future__ import annotations

import os
import sys

# Read when plugins are first looked for, and again by `Registry.refresh`.
DISABLE = "HCS_PLUGINS_DISABLE"
ONLY = "HCS_PLUGINS_ONLY"
PREFER = "HCS_PLUGINS_PREFER"
INDEX = "HCS_PLUGIN_INDEX"
CONFIG = "HCS_CONFIG"

_APPLICATION = "hcs"
_INDEX_MODES = ("off", "auto", "on")


def config_file() -> str:
    """Return the path of the configuration file, which need not be there."""
    folder = _user_folder("XDG_CONFIG_HOME", "~/.config", "~/Library/Application Support")
    return os.environ.get(CONFIG) or f"{folder or _from_platformdirs('config')}/config.toml"


def cache_folder() -> str:
    """Return the folder for what can be made anew, which need not be there."""
    folder = _user_folder("XDG_CACHE_HOME", "~/.cache", "~/Library/Caches")
    return folder or _from_platformdirs("cache")


def is_selecting() -> bool:
    """Return whether the user has said anything of which plugins to use."""
    return any(map(os.environ.get, (DISABLE, ONLY, PREFER))) or os.path.exists(config_file())


def index_mode() -> str:
    """Return how the persistent index is used: ``off``, ``auto`` or ``on``.

    Raises
    ------
    SettingError
        If the environment variable says something else.
    """
    mode = os.environ.get(INDEX, "").strip().lower() or "off"
    if mode not in _INDEX_MODES:
        from hcs_core.errors import SettingError

        raise SettingError(f"the environment variable {INDEX}", mode, "auto, on or off")
    return mode


def _user_folder(variable: str, on_linux: str, on_macos: str) -> str:
    """Return our folder in one of the user's, or nothing where platformdirs must say it."""
    told = os.environ.get(variable, "").strip()
    if sys.platform == "linux" and "ANDROID_ROOT" not in os.environ:
        return os.path.join(told or os.path.expanduser(on_linux), _APPLICATION)
    if sys.platform == "darwin" and not told:
        return os.path.join(os.path.expanduser(on_macos), _APPLICATION)
    return ""


def _from_platformdirs(kind: str) -> str:
    import platformdirs

    if kind == "config":
        return platformdirs.user_config_dir(_APPLICATION, appauthor=False)
    return platformdirs.user_cache_dir(_APPLICATION, appauthor=False)

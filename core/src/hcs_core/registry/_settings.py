"""Where a user's settings and our cache are, and how the persistent index is used.

The places are those of platformdirs, whose import costs more than a scan; on Linux and
macOS they are worked out here, and a test holds both to be the same.
"""

from __future__ import annotations

import os
import sys

from hcs_core.registry._discovery import (
    CONFIG,
    DISABLE,
    INDEX,
    ONLY,
    PREFER,
    config_file,
)

__all__ = [
    "CONFIG",
    "DISABLE",
    "INDEX",
    "ONLY",
    "PREFER",
    "cache_folder",
    "config_file",
    "config_folder",
    "index_mode",
]

_APPLICATION = "hcs"
_INDEX_MODES = ("off", "auto", "on")


def config_folder() -> str:
    """Return the folder of the configuration file, which need not be there."""
    if sys.platform == "darwin" and not os.environ.get("XDG_CONFIG_HOME", "").strip():
        return os.path.join(os.path.expanduser("~/Library/Application Support"), _APPLICATION)
    import platformdirs

    return platformdirs.user_config_dir(_APPLICATION, appauthor=False)


def cache_folder() -> str:
    """Return the folder for what can be made anew, which need not be there."""
    told = os.environ.get("XDG_CACHE_HOME", "").strip()
    if sys.platform == "linux" and "ANDROID_ROOT" not in os.environ:
        return os.path.join(told or os.path.expanduser("~/.cache"), _APPLICATION)
    if sys.platform == "darwin" and not told:
        return os.path.join(os.path.expanduser("~/Library/Caches"), _APPLICATION)
    import platformdirs

    return platformdirs.user_cache_dir(_APPLICATION, appauthor=False)


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

"""Where our cache is, and how the persistent index is used."""

from __future__ import annotations

import os

from hcs_core.registry._discovery import INDEX, folder_of_user

_APPLICATION = "hcs"
_INDEX_MODES = ("off", "auto", "on")


def cache_folder() -> str:
    """Return the folder for what can be made anew, which need not be there."""
    folder = folder_of_user("XDG_CACHE_HOME", ".cache", "Library/Caches")
    return folder or folder_of_platformdirs("cache")


def folder_of_platformdirs(kind: str) -> str:
    """Return the user's folder for configuration (``"config"``) or cache."""
    import platformdirs

    place = platformdirs.user_config_dir if kind == "config" else platformdirs.user_cache_dir
    try:
        folder = place(_APPLICATION, appauthor=False)
    except RuntimeError:  # a user whom the system does not know has no home, as on some clusters
        folder = ""
    return folder if os.path.isabs(folder) else os.devnull  # below which nothing can be


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

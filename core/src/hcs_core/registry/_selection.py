"""Which plugins the user wants: switched off, the only ones, or preferred over others.

Imported only where an environment variable or the configuration file says something.
"""

from __future__ import annotations

import os

from hcs_core.errors import SettingError, near
from hcs_core.registry._discovery import CONFIG, DISABLE, ONLY, PREFER, config_file
from hcs_core.registry._metadata import normalised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

CORE = "hcs-core"
TABLE = "plugins"
_OF_DISTRIBUTION = "dist:"
_GRAMMAR = "kind:key, such as storage:omero, a kind, or dist:name"


class Selector:
    """What is meant by ``hcs.storage:omero``, ``storage`` or ``dist:acme-tools``."""

    __slots__ = ("distribution", "key", "kind", "source", "text")

    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source
        self.kind = self.key = self.distribution = ""
        if text.startswith(_OF_DISTRIBUTION):
            self.distribution = normalised(text.removeprefix(_OF_DISTRIBUTION))
        else:
            kind, _, key = text.partition(":")
            self.kind, self.key = kind.strip(), key.strip().removesuffix("*")
        if not (self.kind or self.distribution) or "*" in text.removesuffix(":*"):
            raise SettingError(source, text, _GRAMMAR)

    def takes(self, kind: str, key: str, distribution: str) -> bool:
        """Return whether it means this plugin."""
        if self.distribution:
            return distribution == self.distribution
        return self.kind in (kind, kind.removeprefix("hcs.")) and self.key in ("", key)


class Selection:
    """The user's choice among the installed plugins.

    Attributes
    ----------
    disable, only : tuple of Selector
        What is off, and what alone is on where that is said.
    prefer : dict of str to str
        For ``kind:key`` the distribution that wins a conflict; kinds without ``hcs.``.
    """

    __slots__ = ("_only_source", "disable", "only", "prefer")

    def __init__(
        self,
        disable: tuple[Selector, ...],
        only: tuple[Selector, ...] | None,
        prefer: Mapping[str, str],
        *,
        only_source: str = ONLY,
    ) -> None:
        self.disable = disable
        self.only = only
        self.prefer = dict(prefer)
        self._only_source = only_source

    def reason_against(self, kind: str, key: str, distribution: str) -> str:
        """Return what switches a plugin off, nothing where it is on.

        The core's own plugins stay on when others are the only ones: without its commands
        nobody could ask what is there.
        """
        for selector in self.disable:
            if selector.takes(kind, key, distribution):
                return f"it is switched off by {selector.source}: {selector.text}"
        if self.only is None or distribution in (CORE, ""):  # "": of an application's package
            return ""
        if any(selector.takes(kind, key, distribution) for selector in self.only):
            return ""
        named = ", ".join(selector.text for selector in self.only) or "none"
        return f"it is switched off by {self._only_source}, which names only {named}"

    def preferred(self, kind: str, key: str) -> str:
        """Return the distribution that the user prefers for a key, or nothing."""
        return self.prefer.get(f"{kind.removeprefix('hcs.')}:{key}", "")


def read_selection() -> Selection:
    """Return what the environment and the configuration file say.

    Raises
    ------
    SettingError
        If one of them says it in a way that cannot be understood.
    """
    table, file = _configured()
    disable = [*_listed(DISABLE), *_from_list(table, "disable", file)]
    only: Iterable[Selector] | None = None
    only_source = f"the environment variable {ONLY}"
    named = _listed(ONLY)
    if named:  # blanks and commas alone say as little as an empty variable
        only = named
    elif "only" in table:
        only, only_source = _from_list(table, "only", file), f"only in {file}"
    prefer = _checked_preferences(table.get("prefer", {}), file) | _preferences()
    only = None if only is None else tuple(only)
    return Selection(tuple(disable), only, prefer, only_source=only_source)


def _listed(variable: str) -> list[Selector]:
    """Return the selectors of an environment variable, separated by commas."""
    texts = os.environ.get(variable, "").split(",")
    source = f"the environment variable {variable}"
    return [Selector(text.strip(), source) for text in texts if text.strip()]


def _preferences() -> dict[str, str]:
    """Return the preferences of the environment: ``storage:zarr=acme-zarr, ...``."""
    found = {}
    for text in filter(None, map(str.strip, os.environ.get(PREFER, "").split(","))):
        name, _, distribution = text.partition("=")
        if not _is_preference(name, distribution):
            source = f"the environment variable {PREFER}"
            raise SettingError(source, text, "kind:key=distribution, separated by commas")
        found[_short(name)] = normalised(distribution)
    return found


def _is_preference(name: str, distribution: object) -> bool:
    kind, _, key = name.partition(":")
    told = isinstance(distribution, str) and distribution.strip()
    return bool(kind.strip() and key.strip() and told)


def _configured() -> tuple[dict[str, Any], str]:
    """Return the table ``[plugins]`` of the configuration file, and the file."""
    file = config_file()
    if not os.path.exists(file):
        if os.environ.get(CONFIG):
            wanted = "the path of a configuration file that is there"
            raise SettingError(f"the environment variable {CONFIG}", file, wanted)
        return {}, file
    table = _document(file).get(TABLE, {})
    known = ("disable", "only", "prefer")
    if not isinstance(table, dict):
        raise SettingError(f"plugins in {file}", str(table), "a table")
    for name in table:
        if name not in known:
            raise SettingError(
                f"[plugins] in {file}", name, f"one of {', '.join(known)}{near(name, known)}"
            )
    return table, file


def unread_tables() -> tuple[str, tuple[str, ...]]:
    """Return the configuration file, and the names in it that nothing reads.

    Raises
    ------
    SettingError
        If it is no file that can be read.
    """
    file = config_file()
    if not os.path.exists(file):
        return file, ()
    return file, tuple(name for name in _document(file) if name != TABLE)


def _document(file: str) -> dict[str, Any]:
    import tomllib  # 10 ms, only for those who have such a file

    try:
        with open(file, "rb") as opened:
            return tomllib.load(opened)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise SettingError(file, " ".join(str(cause).split()), "a readable TOML file") from cause


def _from_list(table: dict[str, Any], name: str, file: str) -> list[Selector]:
    texts = table.get(name, [])
    source = f"{name} in {file}"
    if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        raise SettingError(source, str(texts), f"a list of {_GRAMMAR}")
    return [Selector(text.strip(), source) for text in texts]


def _checked_preferences(table: object, file: str) -> dict[str, str]:
    if not isinstance(table, dict) or not all(_is_preference(*item) for item in table.items()):
        wanted = 'a table such as {"storage:zarr" = "acme-zarr"}'
        raise SettingError(f"prefer in {file}", str(table), wanted)
    return {_short(name): normalised(distribution) for name, distribution in table.items()}


def _short(name: str) -> str:
    """Return ``kind:key`` as both spellings of a kind have it."""
    kind, _, key = name.partition(":")
    return f"{kind.strip().removeprefix('hcs.')}:{key.strip()}"

"""What a user means by a kind, and by the key of a plugin; and what to do about its state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hcs_core.errors import UnknownPluginError, UsageError, listed, near
from hcs_core.registry import PluginInfo, all_infos, kinds
from hcs_core.registry._discovery import current

if TYPE_CHECKING:
    from hcs_core.registry._discovery import Discovery

CORE = "hcs-core"
USABLE = ("declared", "loaded")

# The one that counts comes first.
_ORDER = (*USABLE, "broken", "conflict", "incompatible", "disabled", "shadowed")


def short(kind: str) -> str:
    """Return a kind as users type it."""
    return kind.removeprefix("hcs.")


def kind_named(asked: str) -> str:
    """Return the kind that is meant by ``storage`` or ``hcs.storage``.

    Raises
    ------
    UsageError
        If there is no such kind.
    """
    known = kinds()
    for kind in known:
        if asked in (kind, short(kind)):
            return kind
    names = (*map(short, known), *known)
    raise UsageError(
        f"there is no kind of plugins {asked!r}{near_in_any_case(asked, names)} "
        f"(available: {listed(known)}); pick one of these"
    )


def near_in_any_case(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` as `near` does, also for ``X``."""
    from difflib import get_close_matches  # 2 ms, only when something went wrong

    names = tuple(known)
    told = near(name, names)
    if not told:
        by_fold = {known.casefold(): known for known in reversed(names)}
        (close,) = get_close_matches(name.casefold(), by_fold, n=1) or [""]
        told = f"; did you mean {by_fold[close]!r}?" if close else ""
    return told


def claims_on(asked: str, kind: str = "") -> list[list[PluginInfo]]:
    """Return what is declared under ``key`` or ``kind:key``, by kind and key.

    The claim that counts comes first; none is imported. Where no plugin has that key, the
    plugins are returned that have it as a secondary one, such as ``.tif``.

    Parameters
    ----------
    asked : str
        What the user has typed.
    kind : str
        The kind that they must be of, if any.

    Raises
    ------
    UnknownPluginError
        If there is none.
    """
    infos = [info for info in all_infos(all=True) if kind in ("", info.kind)]
    key = asked
    if ":" in asked and not any(info.key == asked for info in infos):
        named, _, key = asked.partition(":")
        of = kind_named(named)
        if kind not in ("", of):  # asked for both --kind storage and formats:csv
            raise _unknown(asked, kind, infos)
        infos = [info for info in infos if info.kind == of]
        kind = of
    found: dict[tuple[str, str], list[PluginInfo]] = {}
    keys = {(info.kind, key) for info in infos if info.key == key} or _having(key, infos)
    for info in infos:
        if (info.kind, info.key) in keys:
            found.setdefault((info.kind, info.key), []).append(info)
    if not found:
        raise _unknown(key, kind or "hcs", infos)
    return [sorted(claims, key=lambda info: _ORDER.index(info.state)) for claims in found.values()]


def _having(name: str, infos: Iterable[PluginInfo]) -> set[tuple[str, str]]:
    """Return kind and key of the plugins with a secondary key."""
    having = {
        (info.kind.rpartition(".")[0], info.value, info.location)
        for info in secondary_infos(current())
        if info.key == name
    }
    return {
        (info.kind, info.key) for info in infos if (info.kind, info.value, info.location) in having
    }


def secondary_infos(discovery: Discovery) -> Iterator[PluginInfo]:
    """Yield the secondary keys of all kinds, such as file extensions, as they are declared."""
    from hcs_core.registry._discovery import Table
    from hcs_core.registry._scanner import OUR_PREFIX

    declared = {*discovery.claims, *discovery.shadowed} - {*kinds()}
    for kind in sorted(declared):
        if kind.startswith(OUR_PREFIX):
            yield from Table(kind, None, discovery).infos()


def advice_on(info: PluginInfo, among: Iterable[PluginInfo] = ()) -> str:
    """Return what a user can do about the state of a plugin, nothing where all is well.

    Parameters
    ----------
    info : PluginInfo
        The plugin.
    among : iterable of PluginInfo
        All that claims its key: nobody is told to prefer another one to the core's own.
    """
    name = info.distribution or info.origin
    if info.state == "broken":
        return f"update or uninstall {name}; the others are not affected"
    if info.state == "conflict":
        name = CORE if any(other.distribution == CORE for other in among) else name
        choice = f"HCS_PLUGINS_PREFER={short(info.kind)}:{info.key}={name}"
        return f"uninstall all but one, or choose: {choice}"
    if info.state == "incompatible" and not info.api:
        return f"its entry-point group must end with a version: {info.kind}.v1"
    if info.state == "incompatible":
        return "until then it is not used; the others are not affected"
    if info.state == "disabled":
        return "take that setting back to use it"
    if info.state == "shadowed" and (info.error or "").endswith("is preferred"):
        return "take that preference back to use it"
    if info.state == "shadowed":
        return f"uninstall {name} until none is left, then install it once"
    return ""


def switched_off(infos: Iterable[PluginInfo]) -> str:
    """Return which of the plugins the user has switched off, and how; nothing if none is."""
    off = [info for info in infos if info.state == "disabled"]
    return (
        listed([f"{short(i.kind)}:{i.key} of {i.origin} ({i.error})" for i in off]) if off else ""
    )


def _unknown(key: str, kind: str, infos: Iterable[PluginInfo]) -> UnknownPluginError:
    from hcs_core.registry._known import ADDON_OF, install_hint

    keys = tuple(sorted({info.key for info in infos}))
    hint = ""
    if not near(key, keys):
        secondary = {info.key for info in secondary_infos(current())} if key[:1] == "." else ()
        hint = near_in_any_case(key, (*keys, *secondary)).removeprefix("; ")
    for (of_kind, of_key), addon in ADDON_OF.items():
        if of_key == key and kind in ("hcs", of_kind):
            hint = f"{short(of_kind)}:{key} comes with {addon}; {install_hint(addon)}"
    elsewhere = sorted({short(i.kind) for i in all_infos(all=True) if i.key == key})
    if elsewhere:  # else it would have been found without the kind
        hint = f"there is {listed([f'{other}:{key}' for other in elsewhere])}"
    return UnknownPluginError(kind, key, keys, hint)

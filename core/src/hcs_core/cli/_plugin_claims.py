"""What a user means by a kind, and by the key of a plugin; and what to do about its state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hcs_core.errors import UnknownPluginError, UsageError, listed, near
from hcs_core.registry import PluginInfo, all_infos, kinds

if TYPE_CHECKING:
    from hcs_core.registry._discovery import Discovery

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
        f"there is no kind of plugins {asked!r}{near(asked, names)} "
        f"(available: {listed(known)}); pick one of these"
    )


def claims_on(asked: str) -> list[list[PluginInfo]]:
    """Return what is declared under ``key`` or ``kind:key``, by kind.

    Of each kind the claim that counts comes first; none is imported.

    Raises
    ------
    UnknownPluginError
        If there is none.
    """
    infos = all_infos(all=True)
    key = asked
    if ":" in asked and not any(info.key == asked for info in infos):
        named, _, key = asked.partition(":")
        kind = kind_named(named)
        infos = tuple(info for info in infos if info.kind == kind)
    found: dict[str, list[PluginInfo]] = {}
    for info in infos:
        if info.key == key:
            found.setdefault(info.kind, []).append(info)
    if not found:
        raise _unknown(key, kind if key != asked else "hcs", infos)
    return [sorted(claims, key=lambda info: _ORDER.index(info.state)) for claims in found.values()]


def secondary_infos(discovery: Discovery) -> Iterator[PluginInfo]:
    """Yield the secondary keys of all kinds, such as file extensions, as they are declared."""
    from hcs_core.registry._discovery import Table
    from hcs_core.registry._scanner import OUR_PREFIX

    declared = {*discovery.claims, *discovery.shadowed} - {*kinds()}
    for kind in sorted(declared):
        if kind.startswith(OUR_PREFIX):
            yield from Table(kind, None, discovery).infos()


def advice_on(info: PluginInfo) -> str:
    """Return what a user can do about the state of a plugin, nothing where all is well."""
    name = info.distribution or info.origin
    if info.state == "broken":
        return f"update or uninstall {name}; the others are not affected"
    if info.state == "conflict":
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


def _unknown(key: str, kind: str, infos: Iterable[PluginInfo]) -> UnknownPluginError:
    from hcs_core.registry._known import ADDON_OF, install_hint

    hint = ""
    for (of_kind, of_key), addon in ADDON_OF.items():
        if of_key == key and kind in ("hcs", of_kind):
            hint = f"{short(of_kind)}:{key} comes with {addon}; {install_hint(addon)}"
    return UnknownPluginError(kind, key, tuple(sorted({info.key for info in infos})), hint)

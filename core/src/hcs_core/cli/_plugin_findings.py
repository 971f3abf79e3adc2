"""What is wrong with the installed plugins, and what a user can do about it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from keyword import iskeyword
from typing import Literal

from hcs_core.cli._plugin_claims import advice_on, secondary_infos, short
from hcs_core.cli._plugin_places import (
    has_metadata,
    metadata_folders,
    missing_source,
    remnants,
)
from hcs_core.cli._plugin_probes import Probe
from hcs_core.errors import SettingError, near
from hcs_core.registry import PluginInfo
from hcs_core.registry._discovery import Discovery
from hcs_core.registry._known import API_OF
from hcs_core.registry._metadata import name_of, version_of
from hcs_core.registry._selection import TABLE, Selector, unread_tables

# What looks as if it were to be the version of an entry-point group.
_BAD_VERSION = re.compile(r"\.(v?\d.*|v[^.]?)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Parameters
    ----------
    severity : str
        ``error``: something that is installed cannot be used. ``warning``: all else.
    what : str
        Which kind of fault it is, in one word.
    subject : str
        What it is about.
    message, advice : str
        What is wrong with it, and what to do.
    """

    severity: Literal["error", "warning"]
    what: str
    subject: str
    message: str
    advice: str

    def as_dict(self) -> dict[str, str]:
        """Return it as a JSON object."""
        return asdict(self)


def of_settings(errors: Iterable[SettingError]) -> Iterator[Finding]:
    """Yield what cannot be read of the settings."""
    for cause in errors:
        advice = "correct it; without it all else was looked at"
        message = f"is {cause.value!r}, but must be {cause.wanted}"
        yield Finding("error", "setting", cause.setting, message, advice)


def of_states(infos: Sequence[PluginInfo]) -> Iterator[Finding]:
    """Yield what cannot be used as it is declared, before any import."""
    conflicts: dict[tuple[str, str], list[PluginInfo]] = {}
    for info in infos:
        if info.state == "conflict":
            conflicts.setdefault((info.kind, info.key), []).append(info)
        elif info.state == "incompatible":
            yield Finding("error", info.state, _subject(info), str(info.error), advice_on(info))
    for (kind, key), claims in conflicts.items():
        message, advice = str(claims[0].error), advice_on(claims[0], claims)
        yield Finding("error", "conflict", f"{kind}:{key}", message, advice)


def of_probes(probes: Iterable[Probe]) -> Iterator[Finding]:
    """Yield what came to light when the plugins were imported."""
    for probe in probes:
        info = probe.info
        if probe.error:
            yield _of_failure(probe, probe.error)
        if probe.threads:
            names = ", ".join(probe.threads)
            message = f"its import starts what a program waits for before it can end: {names}"
            advice = f"tell the authors of {info.distribution}: importing must start no thread"
            yield Finding("warning", "thread", _subject(info), message, advice)
        if probe.left_running:
            message = "its import starts a process that outlives it; it was ended"
            advice = f"tell the authors of {info.distribution}: importing must start nothing"
            yield Finding("warning", "process", _subject(info), message, advice)


def of_distributions(infos: Sequence[PluginInfo], discovery: Discovery) -> Iterator[Finding]:
    """Yield what installers have left, and distributions that lie there twice."""
    for path in remnants(discovery):
        message = "is what pip has renamed in order to remove it"
        yield Finding("warning", "leftover", path, message, "delete it")
    copies: dict[str, list[str]] = {}
    for folder in metadata_folders(discovery):
        if has_metadata(folder):
            copies.setdefault(name_of(folder), []).append(folder)
        elif os.path.isdir(folder):  # an old distribution may have a file of this name
            message = "has neither METADATA nor PKG-INFO: an installation that was not completed"
            yield Finding("warning", "leftover", folder, message, "delete it, and install again")
    for name in sorted({info.distribution for info in infos if info.distribution}):
        if len(copies.get(name, ())) > 1:
            yield from _of_copies(name, copies[name], infos)


def of_selection(infos: Sequence[PluginInfo], discovery: Discovery) -> Iterator[Finding]:
    """Yield what the user switches off, or prefers, and is not there."""
    selection = discovery.selection
    if selection is None:
        return
    infos = [*infos, *secondary_infos(discovery)]
    for selector in (*selection.disable, *(selection.only or ())):
        if not any(_is_taken(selector, info) for info in infos):
            message = f"{selector.text!r} is no plugin{near(selector.text, _selectable(infos))}"
            yield Finding("warning", "selector", selector.source, message, "correct it, or drop it")
    for name, distribution in selection.prefer.items():
        claims = [info for info in infos if name in _names(info)]
        if not any(info.distribution == distribution for info in claims):
            known = tuple(info.distribution for info in claims)
            message = f"{distribution} declares no {name}{near(distribution, known)}"
            advice = "correct it, or drop it"
            yield Finding("warning", "selector", f"preference for {name}", message, advice)


def of_unread_tables() -> Iterator[Finding]:
    """Yield what the configuration file has beside the one table that is read."""
    file, names = unread_tables()
    for name in names:
        message = f"nothing reads [{name}]{near(name, (TABLE,))}"
        yield Finding("warning", "setting", file, message, "correct it, or drop it")


def of_names(
    infos: Sequence[PluginInfo], discovery: Discovery, probes: Sequence[Probe]
) -> Iterator[Finding]:
    """Yield what is declared under a name that nothing reads."""
    hooks = {name for probe in probes for name in probe.hooks}
    read = {*API_OF, *(kind for probe in probes for kind in probe.kinds)}
    for info in infos:
        hook = info.key.partition(".")[0]
        if info.kind == "hcs.hooks" and hook not in hooks:
            message = f"no installed package has a hook {hook!r}{near(hook, tuple(hooks))}"
            advice = "it is never called: install what calls it, or correct the name"
            yield Finding("warning", "hook", _subject(info), message, advice)
    secondary = list(secondary_infos(discovery))
    yield from _of_groups([*infos, *secondary], read)
    yield from _of_secondary_keys(infos, [info for info in secondary if info.api])


def _of_groups(infos: Sequence[PluginInfo], read: set[str]) -> Iterator[Finding]:
    """Yield the kinds that nothing reads; what has no version ends up as one, or as a key."""
    origins: dict[tuple[str, bool], set[str]] = {}
    kinds = read | {info.kind for info in infos}
    for info in infos:
        is_secondary = info.kind.rpartition(".")[0] in kinds
        if info.kind not in read and not (info.api and is_secondary):
            origins.setdefault((info.kind, info.api > 0), set()).add(info.origin)
    for (kind, has_version), declaring in sorted(origins.items()):
        authors = f"tell the authors of {', '.join(sorted(declaring))}"
        if has_version:
            message = f"no installed package reads plugins of this kind{_near_kind(kind, read)}"
            yield Finding("warning", "kind", kind, message, f"install what does, or {authors}")
            continue
        meant = _BAD_VERSION.sub("", kind)
        message = "the entry-point group does not end with a version: .v and a whole number"
        is_known = not read.isdisjoint((meant, meant.rpartition(".")[0]))
        message += "" if is_known else _near_kind(meant, read)
        advice = f"nothing reads it; {authors}: it may be meant to be {meant}.v1"
        yield Finding("warning", "kind", kind, message, advice)


def _near_kind(kind: str, read: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` without regard to what all kinds begin with."""
    by_name = {short(known): known for known in sorted(read)}
    close = get_close_matches(short(kind).casefold(), by_name, n=1)
    return f"; did you mean {by_name[close[0]]!r}?" if close else ""


def _of_secondary_keys(
    infos: Sequence[PluginInfo], secondary: Sequence[PluginInfo]
) -> Iterator[Finding]:
    plugins = {(info.kind, info.distribution, info.value) for info in infos}
    for info in secondary:
        kind = info.kind.rpartition(".")[0]
        if info.state == "conflict":
            among = [other for other in secondary if _names(other) == _names(info)]
            advice = advice_on(info, among)
            yield Finding("warning", "secondary", _subject(info), str(info.error), advice)
        elif (kind, info.distribution, info.value) not in plugins:
            message = f"{info.distribution} declares no plugin {info.value} of {kind}"
            advice = "it finds nothing: give it the value of a plugin"
            yield Finding("warning", "secondary", _subject(info), message, advice)


def _of_copies(name: str, folders: Sequence[str], infos: Sequence[PluginInfo]) -> Iterator[Finding]:
    """Yield each copy of a distribution's metadata but the one that counts."""
    ours = [info for info in infos if info.distribution == name]
    counting = [info for info in ours if info.state != "shadowed"]
    used = counting[0].location if counting else folders[0]
    there = {(info.kind, info.key, info.value) for info in counting}
    for folder in folders:
        if os.path.normpath(folder) == os.path.normpath(used):
            continue
        hidden = sorted(
            f"{short(info.kind)}:{info.key}"
            for info in ours
            if info.state == "shadowed"
            and info.location == folder
            and (info.kind, info.key, info.value) not in there
        )
        message = f"{version_of(folder)} in {folder} is hidden by {version_of(used)} in {used}"
        message += f", and with it {', '.join(hidden)}" if hidden else ""
        yield Finding("warning", "shadowed" if hidden else "duplicate", name, message, _of(folder))


def _of(folder: str) -> str:
    """Return what to do about a second copy of a distribution's metadata."""
    if folder.endswith(".egg-info"):
        return f"delete {folder}, which a build or an editable installation has left"
    return f"run: python -m pip uninstall {name_of(folder)}; until none is left; install it once"


def _of_failure(probe: Probe, error: str) -> Finding:
    """Return why a plugin cannot be used, and how to see more of it."""
    info = probe.info
    module = info.value.partition(":")[0]
    advice = f"update or uninstall {info.distribution}"
    gone = "" if probe.is_imported else missing_source(info.location)
    if gone:
        error += f"; {info.distribution} was installed from {gone}, which is not there"
        advice = f"put that folder back, install it again, or uninstall {info.distribution}"
    elif not probe.is_imported and _can_be_written(module):
        option = "" if probe.modules is not None else "-X faulthandler "
        advice = f"for a closer look: python {option}-c 'import {module}'; {advice}"
    return Finding("error", "broken", _subject(info), error, advice)


def _can_be_written(module: str) -> bool:
    """Return whether a name can stand in an import statement."""
    return all(part.isidentifier() and not iskeyword(part) for part in module.split("."))


def _subject(info: PluginInfo) -> str:
    return f"{info.kind}:{info.key} of {info.origin}"


def _is_taken(selector: Selector, info: PluginInfo) -> bool:
    return selector.takes(info.kind, info.key, info.distribution)


def _names(info: PluginInfo) -> tuple[str, str]:
    return f"{info.kind}:{info.key}", f"{short(info.kind)}:{info.key}"


def _selectable(infos: Iterable[PluginInfo]) -> tuple[str, ...]:
    """Return all that a selector may say."""
    found: set[str] = set()
    for info in infos:
        found |= {*_names(info), info.kind, short(info.kind), f"dist:{info.distribution}"}
    return tuple(sorted(found))

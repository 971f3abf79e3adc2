"""`hcs plugins show` and `which`: one plugin as it is declared; it is not imported."""

from __future__ import annotations

import os
import sys
from email.message import Message
from email.parser import HeaderParser
from typing import Any

import click

from hcs_core.cli._output import print_json
from hcs_core.cli._plugin_claims import USABLE, advice_on, claims_on, secondary_infos, short
from hcs_core.cli._plugin_places import missing_source, module_file
from hcs_core.cli._plugin_table import print_pairs
from hcs_core.registry import PluginInfo
from hcs_core.registry._discovery import current


def show_plugins(key: str, *, as_json: bool) -> None:
    """Print what is known of the plugins under a key."""
    documents = [_document(claims) for claims in claims_on(key)]
    if as_json:
        print_json(documents)
        return
    for number, document in enumerate(documents):
        if number:
            click.echo()
        print_pairs(_lines(document))


def print_files(key: str, *, as_json: bool) -> None:
    """Print the file of each plugin under a key; end with 1 if one cannot be used."""
    documents = [_provider(claims) for claims in claims_on(key)]
    if as_json:
        print_json(documents)
    for document in documents:
        if document["error"] is None and not as_json:
            click.echo(document["file"])
        elif document["error"] is not None:
            name = f"{short(document['kind'])}:{document['key']}"
            sys.stderr.write(f"{name} cannot be used: {document['error']}\n")
    if any(document["error"] for document in documents):
        click.get_current_context().exit(1)


def _provider(claims: list[PluginInfo]) -> dict[str, Any]:
    """Return the file of a plugin, or why it cannot be used."""
    info = claims[0]
    file, error = _file(info), None
    if info.state not in USABLE:
        error = f"{info.state}: {info.error}; {advice_on(info, claims)}"
    elif file is None:
        error = f"{_no_module(info)}; update or uninstall {info.origin}"
    about = {"kind": info.kind, "key": info.key, "state": info.state}
    return about | {"file": file, "error": error}


def _document(claims: list[PluginInfo]) -> dict[str, Any]:
    info, *others = claims
    about = _metadata(info)
    urls = [url.partition(",")[2].strip() for url in about.get_all("Project-URL", [])]
    return info.as_dict() | {
        "group": _group(info),
        "location": info.location or None,
        "file": _file(info),
        "secondary": _secondary(info),
        "summary": about["Summary"],
        "home_page": about["Home-page"] or next(iter(urls), None),
        "requires": about.get_all("Requires-Dist", []),
        "advice": advice_on(info, claims) or None,
        "others": [
            other.as_dict()
            | {"location": other.location or None, "advice": advice_on(other, claims)}
            for other in others
        ],
    }


def _no_module(info: PluginInfo) -> str:
    gone = missing_source(info.location)
    reason = f": it was installed from {gone}, which is not there" if gone else ""
    return f"there is no module {_module(info)}{reason}"


def _group(info: PluginInfo) -> str:
    return f"{info.kind}.v{info.api}" if info.api else info.kind


def _module(info: PluginInfo) -> str:
    return info.value.partition(":")[0]


def _file(info: PluginInfo) -> str | None:
    return module_file(_module(info))


def _secondary(info: PluginInfo) -> dict[str, list[str]]:
    """Return the plugin's secondary keys by what they are: ``{"extensions": [".tif"]}``."""
    found: dict[str, list[str]] = {}
    for other in secondary_infos(current()):
        kind, _, name = other.kind.rpartition(".")
        if (kind, other.value, other.location) == (info.kind, info.value, info.location):
            found.setdefault(name, []).append(other.key)
    return found


def _metadata(info: PluginInfo) -> Message:
    """Return what the distribution says of itself; nothing where its metadata are in no folder."""
    for name in ("METADATA", "PKG-INFO") if info.location else ():
        try:
            path = os.path.join(info.location, name)
            with open(path, encoding="utf-8", errors="replace") as opened:
                return HeaderParser().parse(opened)
        except OSError:  # the other name, or a distribution in a zip file
            continue
    return Message()


def _lines(document: dict[str, Any]) -> list[tuple[str, str]]:
    origin = f"{document['distribution']} {document['version']}".strip()
    lines = [
        ("plugin", f"{document['kind']}:{document['key']}"),
        ("state", _said(document)),
        ("object", document["value"]),
        ("file", document["file"] or "there is no such module"),
        ("group", f"{document['group']} (API {document['api']})"),
        ("comes with", origin),
        ("metadata", document["location"] or "in no folder"),
    ]
    lines += [(name, " ".join(keys)) for name, keys in document["secondary"].items()]
    for name in ("summary", "home_page"):
        if document[name]:
            lines.append((name.replace("_", " "), document[name]))
    needed = [text for text in document["requires"] if "extra ==" not in text]
    lines.append(("requires", ", ".join(needed) or "nothing"))
    for other in document["others"]:
        origin = f"{other['distribution']} {other['version']} ({other['value']})"
        lines.append(("also", f"{origin} {_said(other)}"))
    return lines


def _said(document: dict[str, Any]) -> str:
    """Return a state, why it is that, and what to do."""
    texts = (document["error"], document["advice"])
    return ": ".join([document["state"], *["; ".join(filter(None, texts))] * any(texts)])

"""`hcs plugins doctor`: what is broken, where it comes from, and what to do."""

from __future__ import annotations

import os
import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import click

import hcs_core
from hcs_core.cli import _plugin_findings as findings
from hcs_core.cli._output import print_json
from hcs_core.cli._plugin_claims import USABLE, claims_on, kind_named
from hcs_core.cli._plugin_findings import Finding
from hcs_core.cli._plugin_places import metadata_folders
from hcs_core.cli._plugin_probes import Probe, probe_all
from hcs_core.cli._plugin_settings import readable_settings
from hcs_core.cli._plugin_table import print_table
from hcs_core.errors import SettingError
from hcs_core.registry import PluginInfo, all_infos
from hcs_core.registry._discovery import INDEX, WORTH_AN_INDEX_S, Discovery, discover
from hcs_core.registry._settings import index_mode


def examine(keys: Sequence[str], kind: str | None, *, timeout_s: float, as_json: bool) -> None:
    """Print what is known of the plugins and what is wrong; end with 1 if something is."""
    with readable_settings() as unreadable:
        document = _examined(keys, kind, timeout_s, unreadable)
    if as_json:
        print_json(document)
    else:
        _print(document)
    if not document["ok"]:
        click.get_current_context().exit(1)


def _examined(
    keys: Sequence[str], kind: str | None, timeout_s: float, unreadable: list[SettingError]
) -> dict[str, Any]:
    discovery = discover(with_index=True)
    infos = _asked(keys, kind)
    usable = [info for info in infos if info.state in USABLE]
    with _progress(len(usable)) as tell:
        probes = probe_all(usable, timeout_s=timeout_s, tell=tell)
    found = [*findings.of_settings(unreadable), *findings.of_states(infos)]
    found += findings.of_probes(probes)
    found += findings.of_selection(all_infos(all=True), discovery)
    found += findings.of_unread_tables()
    if not keys and kind is None:
        found += findings.of_distributions(infos, discovery)
        found += findings.of_names(infos, discovery, probes)
    return _document(_rows(infos, probes), found, _described(discovery))


def _asked(keys: Sequence[str], kind: str | None) -> list[PluginInfo]:
    """Return all plugins, or those under these keys and of this kind."""
    name = "" if kind is None else kind_named(kind)
    if not keys:
        return [info for info in all_infos(all=True) if name in ("", info.kind)]
    named = (info for key in keys for claims in claims_on(key, name) for info in claims)
    return list(dict.fromkeys(named))


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], object]]:
    """Show on a terminal how many plugins have been imported, until all have been."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    numbers = count(1)

    def show(text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    try:
        yield lambda: show(f"imported {next(numbers)} of {total} plugins")
    finally:
        show("")


def _rows(infos: Sequence[PluginInfo], probes: Sequence[Probe]) -> list[dict[str, Any]]:
    by_plugin = {id(probe.info): probe for probe in probes}
    return [_row(info, by_plugin.get(id(info))) for info in infos]


def _row(info: PluginInfo, probe: Probe | None) -> dict[str, Any]:
    row: dict[str, Any] = dict(info.as_dict())
    if probe is not None:
        row |= {"state": "broken" if probe.error else "loaded", "error": probe.error}
    measured = ("import_ms", "memory_mb", "modules")
    return row | {name: getattr(probe, name, None) for name in measured}


def _described(discovery: Discovery) -> dict[str, Any]:
    """Return where plugins were looked for, how long it took, and in which Python."""
    mode, index = index_mode(), discovery.index
    from_index = sum(place.from_index for place in discovery.places)
    scan_ms = round(discovery.seconds * 1000, 2)
    is_slow = mode == "off" and scan_ms > WORTH_AN_INDEX_S * 1000
    return {
        "index": {
            "mode": mode,
            "file": None if index is None else index.file,
            "state": "off" if index is None else index.state,
        },
        "directories": len(discovery.places),
        "from_index": from_index,
        "scanned": len(discovery.places) - from_index,
        "distributions": len(metadata_folders(discovery)),
        "scan_ms": scan_ms,
        "advice": f"the scan is slow here; {INDEX}=auto keeps what it finds" if is_slow else None,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "hcs_core": {"version": hcs_core.__version__, "file": os.fspath(hcs_core.__file__)},
    }


def _document(
    rows: list[dict[str, Any]], found: Sequence[Finding], discovery: dict[str, Any]
) -> dict[str, Any]:
    return {
        "plugins": rows,
        "findings": [finding.as_dict() for finding in found],
        "discovery": discovery,
        "ok": not any(finding.severity == "error" for finding in found),
    }


def _print(document: dict[str, Any]) -> None:
    titles = ("kind", "key", "distribution", "version", "state", "import", "memory")
    rows = [
        (
            *(row["kind"], row["key"], row["distribution"], row["version"]),
            "ok" if row["state"] == "loaded" else row["state"],
            "-" if row["import_ms"] is None else f"{row['import_ms']:.1f} ms",
            "-" if row["memory_mb"] is None else f"{row['memory_mb']:.1f} MB",
        )
        for row in document["plugins"]
    ]
    print_table(titles, rows, spare=("version", "memory"))
    lines = [_line(finding) for finding in document["findings"]]
    click.echo("\n".join(["", *lines, *[""] * bool(lines), *_summary(document)]))


def _line(finding: dict[str, str]) -> str:
    colour = "red" if finding["severity"] == "error" else "yellow"
    text = f"{finding['subject']}: {finding['message']}; {finding['advice']}"
    return f"{click.style(finding['severity'], fg=colour)}: {' '.join(text.split())}"


def _counted(numbers: Counter[str], name: str) -> str:
    return f"{numbers[name]} {name}{'' if numbers[name] == 1 else 's'}"


def _summary(document: dict[str, Any]) -> list[str]:
    """Return how many are well, where they were looked for, and by which Python."""
    where, severities = document["discovery"], Counter(f["severity"] for f in document["findings"])
    well = sum(row["state"] == "loaded" for row in document["plugins"])
    index = where["index"]
    file = f" ({index['file']})" if index["file"] else ""
    advice = f"; {where['advice']}" if where["advice"] else ""
    core = where["hcs_core"]
    return [
        f"{well} of {len(document['plugins'])} plugins can be used; "
        f"{_counted(severities, 'error')}, {_counted(severities, 'warning')}",
        f"found among {where['distributions']} distributions in {where['directories']} directories"
        f" in {where['scan_ms']:.1f} ms, {where['from_index']} of them out of the index, which is "
        f"{index['state']}{file}{advice}",
        f"hcs-core {core['version']} in {os.path.dirname(core['file'])}, "
        f"Python {where['python']} ({where['executable']}) on {where['platform']}",
    ]

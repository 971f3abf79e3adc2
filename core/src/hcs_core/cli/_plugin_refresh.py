"""`hcs plugins refresh`: read the environment again, and write its index anew."""

from __future__ import annotations

import os
from typing import Any

import click

from hcs_core.cli._output import print_json
from hcs_core.cli._plugin_places import metadata_folders
from hcs_core.registry import all_infos
from hcs_core.registry._discovery import INDEX
from hcs_core.registry._index import rebuild_index
from hcs_core.registry._settings import index_mode

_TEMPORARY = 75  # what a disk that is full, or may not be written, ends with


def refresh_plugins(*, as_json: bool) -> None:
    """Rebuild the index, and say what became of it."""
    document = _rebuilt()
    if as_json:
        print_json(document)
    else:
        click.echo(_told(document))
    if document["action"] == "failed":
        click.get_current_context().exit(_TEMPORARY)


def _rebuilt() -> dict[str, Any]:
    mode = index_mode()
    discovery, index = rebuild_index()
    folders = [place.path for place in discovery.places if place.is_folder]
    kept = [folder for folder in folders if index.segment(folder) is not None]
    failed = index.state.startswith("not written")
    if failed:
        action = "failed"
    elif mode == "off":
        action = "nothing" if index.state == "absent" else "removed"
    else:
        action = "written" if kept else "nothing"
    return {
        "action": action,
        "mode": mode,
        "file": index.file,
        "state": index.state,
        "plugins": len(all_infos(all=True)),
        "distributions": len(metadata_folders(discovery)),
        "directories": len(folders),
        "kept": 0 if failed else len(kept),
        "scan_ms": round(discovery.seconds * 1000, 3),
    }


def _told(document: dict[str, Any]) -> str:
    found = (
        "{plugins} plugins of {distributions} distributions in {directories} directories, "
        "read in {scan_ms:.1f} ms"
    ).format_map(document)
    return f"{found}\n{_became(document)}"


def _became(document: dict[str, Any]) -> str:
    file = os.fspath(document["file"])
    if document["action"] == "failed":
        return f"the index could not be written: {document['state'].partition(': ')[2]}"
    if document["mode"] == "off":
        what = f"{file} is removed" if document["action"] == "removed" else "there was none"
        return f"the index is off ({INDEX}=auto or on has one): {what}"
    left = document["directories"] - document["kept"]
    young = f"; {left} changed in the last 2 s and are read again next time" if left else ""
    if document["action"] == "nothing":
        return f"no index is written{young}"
    return f"{file} is written, with {document['kept']} directories{young}"

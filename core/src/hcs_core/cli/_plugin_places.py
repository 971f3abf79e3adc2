"""What lies in the directories of the path, seen without importing it: modules and metadata."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from pkgutil import get_importer
from typing import TYPE_CHECKING

from hcs_core.registry._scanner import METADATA_FOLDERS, SITE_FOLDERS

if TYPE_CHECKING:
    from hcs_core.registry._discovery import Discovery


def module_file(module: str) -> str | None:
    """Return the file that a module would be imported from; neither it nor a parent is.

    Every finder is asked, as by an import: editable installs have their own.
    """
    spec: ModuleSpec | None = None
    folders: list[str] | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = _spec(name, folders)
        if spec is None:
            return None
        folders = list(spec.submodule_search_locations or ())
    return None if spec is None or spec.loader is None else spec.origin


def metadata_folders(discovery: Discovery) -> list[str]:
    """Return the metadata folder of every distribution on the path, the first on it first."""
    return [
        os.path.join(folder, name)
        for folder, names in _listings(discovery)
        for name in names
        if name.endswith(METADATA_FOLDERS) and not name.startswith("~")
    ]


def has_metadata(folder: str) -> bool:
    """Return whether a metadata folder is of a distribution that is installed completely."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in ("METADATA", "PKG-INFO"))


def missing_source(metadata: str) -> str:
    """Return the folder of an editable installation where it is gone, else nothing.

    pip keeps in `direct_url.json` what it has installed from (PEP 610).
    """
    try:
        with open(os.path.join(metadata, "direct_url.json"), encoding="utf-8") as opened:
            origin = json.load(opened)
        if not origin["dir_info"]["editable"]:
            return ""
        from urllib.parse import urlsplit
        from urllib.request import url2pathname  # 30 ms, for this one alone

        folder = url2pathname(urlsplit(origin["url"]).path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""  # from an index, in a zip file, or what no installer writes
    return "" if os.path.isdir(folder) else folder


def remnants(discovery: Discovery) -> list[str]:
    """Return what pip has renamed in order to remove it, and left.

    Only where packages are installed is any such folder pip's; an editor may have its own.
    """
    found: list[str] = []
    for folder, names in _listings(discovery):
        is_site = folder.endswith(SITE_FOLDERS)
        paths = [
            os.path.join(folder, name)
            for name in names
            if name.startswith("~") and (is_site or name.endswith(METADATA_FOLDERS))
        ]
        found += filter(os.path.isdir, paths)
    return found


def _listings(discovery: Discovery) -> Iterable[tuple[str, list[str]]]:
    for place in discovery.places:
        if place.is_folder:
            try:
                yield place.path, sorted(os.listdir(place.path))
            except OSError:  # unreadable, or gone since: no place of plugins, as for imports
                continue


def _spec(name: str, folders: list[str] | None) -> ModuleSpec | None:
    for finder in list(sys.meta_path):
        try:
            if finder is PathFinder:
                spec = _spec_on_path(name, sys.path if folders is None else folders)
            else:
                spec = finder.find_spec(name, folders)
        except Exception:  # noqa: BLE001 - a foreign finder that fails has not found it
            continue
        if spec is not None:
            return spec
    return None


def _spec_on_path(name: str, folders: Iterable[str]) -> ModuleSpec | None:
    """Return what `PathFinder` would, which imports the parents of namespace packages."""
    namespace = ModuleSpec(name, None, is_package=True)
    portions = namespace.submodule_search_locations = []
    for folder in folders:
        finder = get_importer(folder or os.getcwd())
        spec = None if finder is None else finder.find_spec(name)
        if spec is not None and spec.loader is not None:
            return spec
        if spec is not None:
            portions += spec.submodule_search_locations or ()
    return namespace if portions else None

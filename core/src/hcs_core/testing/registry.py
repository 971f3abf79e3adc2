"""Plugins that exist for the time of a test, and a check that listing them imports none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import invalidate_caches
from pathlib import Path
from typing import Any
from unittest import mock

from hcs_core.registry import _discovery, _registry
from hcs_core.registry._metadata import name_of, normalised
from hcs_core.registry._scanner import Claims, Found

EntryPoints = Mapping[str, Mapping[str, str]]
"""Keys and values (``"module:attribute"``) by entry-point group."""

_STATE = ("_loaded", "_added", "_enrolled", "_failed", "_missed")
_SCANS = ("scan_folder", "scan_other", "scan_finders")
_VARIABLES = (*_discovery.SELECTING, _discovery.INDEX)

_LISTING = """
import json, sys
started = set(sys.modules)
from hcs_core.registry import all_infos
infos = all_infos(all=True)
told = [
    [info.kind, info.key, info.origin, info.value.partition(":")[0], info.location]
    for info in infos
]
print(json.dumps([told, sorted(set(sys.modules) - started)]))
"""


_isolated: list[IsolatedRegistry] = []  # the innermost last


class IsolatedRegistry:
    """Where `isolated_registry` installs: a folder on the path that goes away again.

    Attributes
    ----------
    folder : Path
        The folder.
    """

    def __init__(self, folder: Path, *distributions: str) -> None:
        self.folder = folder
        self._seen = {normalised(name) for name in ("hcs-core", *distributions)}

    def install(
        self,
        name: str,
        entry_points: EntryPoints,
        files: Mapping[str, str] | None = None,
        *,
        version: str = "1.0",
    ) -> Path:
        """Install a distribution; see `fake_distribution`."""
        self._seen.add(normalised(name))
        written = write_distribution(self.folder, name, entry_points, files, version=version)
        invalidate_caches()
        _discovery.discover()
        return written

    def _only_seen(self, scan: Callable[..., Found]) -> Callable[..., Found]:
        """Return a function that finds only what is to be seen of what another finds."""

        def scan_seen(*arguments: Any) -> Found:
            found = scan(*arguments)
            seen = Found(entry for entry in found.entries if name_of(entry) in self._seen)
            for kind, claims in found.claims.items():
                kept = seen.claims[kind] = Claims()
                for claim in claims:
                    if name_of(claim[2]) in self._seen:
                        kept.add(claim)
            return seen

        return scan_seen


@contextmanager
def isolated_registry(*distributions: str) -> Iterator[IsolatedRegistry]:
    """Have registries that know the core's plugins, and none but those that the test names.

    Neither what else is installed, nor what this process has registered, nor the user's
    settings are seen inside; all of it is back afterwards.

    Parameters
    ----------
    *distributions : str
        Installed distributions that are seen beside the core.

    Yields
    ------
    IsolatedRegistry
        Installs distributions for the time of the test.

    Examples
    --------
    >>> from hcs_core.storage import FORMATS
    >>> with isolated_registry() as environment:
    ...     _ = environment.install("acme", {"hcs.formats.v1": {"toy": "acme_toy:Toy"}})
    ...     FORMATS.info("toy").origin
    'acme 1.0'
    >>> "toy" in FORMATS
    False
    """
    with ExitStack() as stack:
        stack.enter_context(_own_state())
        folder = stack.enter_context(_folder_on_path())
        environment = IsolatedRegistry(folder, *distributions)
        for name in _SCANS:
            only_seen = environment._only_seen(getattr(_discovery, name))
            stack.enter_context(mock.patch.object(_discovery, name, only_seen))
        stack.enter_context(_own_environment())
        _isolated.append(environment)
        stack.callback(_isolated.remove, environment)
        yield environment


@contextmanager
def fake_distribution(
    name: str,
    entry_points: EntryPoints,
    files: Mapping[str, str] | None = None,
    *,
    version: str = "1.0",
) -> Iterator[Path]:
    """Install a distribution for the time of a block, beside what is there.

    Parameters
    ----------
    name : str
        Its name.
    entry_points : mapping
        What it declares, by group: ``{"hcs.formats.v1": {"toy": "acme_toy:Toy"}}``.
    files : mapping of str to str, optional
        Its modules: path to source.
    version : str
        Its version.

    Yields
    ------
    Path
        The folder that it lies in, on `sys.path` before all others.

    Examples
    --------
    >>> from hcs_core.storage import FORMATS
    >>> with fake_distribution("acme", {"hcs.formats.v1": {"toy": "acme_toy:Toy"}}):
    ...     "toy" in FORMATS
    True
    """
    with _own_state(cleared=False), _folder_on_path() as folder:
        for isolated in _isolated[-1:]:  # seen there too
            isolated._seen.add(normalised(name))
        write_distribution(folder, name, entry_points, files, version=version)
        invalidate_caches()
        yield folder


def write_distribution(
    folder: Path,
    name: str,
    entry_points: EntryPoints,
    files: Mapping[str, str] | None = None,
    *,
    version: str = "1.0",
) -> Path:
    """Write a distribution into a folder as an installer would, and return its metadata's folder.

    See `fake_distribution`, which also puts the folder on the path.
    """
    about = folder / f"{normalised(name).replace('-', '_')}-{version}.dist-info"
    if about.exists():
        raise ValueError(f"{name} {version} is installed in {folder} already; say version=")
    about.mkdir(parents=True)
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
    )
    lines = []
    for group, declared in entry_points.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in declared.items())]
    (about / "entry_points.txt").write_text("\n".join((*lines, "")), encoding="utf-8")
    for path, source in (files or {}).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source, encoding="utf-8")
    return about


def assert_listing_imports_nothing(*folders: str | os.PathLike[str]) -> None:
    """Fail if listing all plugins imports a module of one, in a process of its own.

    Parameters
    ----------
    *folders : path
        What that process has on its path before all that this one has; each must hold a
        plugin.
    """
    import json

    path = [*(str(folder) for folder in folders), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, "-c", _LISTING],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    plugins, imported = json.loads(done.stdout)
    for folder in folders:
        place = str(Path(folder).resolve())
        shown = [plugin for plugin in plugins if plugin[4].startswith(place)]
        assert shown, f"no plugin is installed in {folder}, so that listing them shows nothing"
    assert plugins, "no plugin is installed, so that listing them shows nothing"
    guilty = [
        f"{kind}:{key} of {origin}"
        for kind, key, origin, module, _ in plugins
        if module in imported
    ]
    assert not guilty, f"listing imported {', '.join(guilty)}"
    foreign = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    assert foreign <= {"hcs_core"}, f"listing imported {', '.join(sorted(foreign))}"


@contextmanager
def _folder_on_path() -> Iterator[Path]:
    """Make a folder that modules are imported from, and forget them afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="hcs-plugins-")).resolve()
    sys.path.insert(0, str(folder))
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(str(folder)):
                del sys.modules[name]
        shutil.rmtree(folder, ignore_errors=True)  # Windows may hold a file open
        invalidate_caches()


@contextmanager
def _own_environment() -> Iterator[None]:
    """Take the user's settings away."""
    before = {name: os.environ.pop(name, None) for name in (*_VARIABLES, _discovery.CONFIG)}
    os.environ[_discovery.CONFIG] = os.devnull
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _own_state(*, cleared: bool = True) -> Iterator[None]:
    """Give every registry a state of its own, which ends with the block."""
    kinds, modules = dict(_registry._KINDS), set(sys.modules)
    before: dict[str, dict[str, Any]] = {}
    for kind, registry in kinds.items():
        before[kind] = {name: getattr(registry, name) for name in _STATE}
        for name in _STATE:
            now = type(before[kind][name])
            setattr(registry, name, now() if cleared else now(before[kind][name]))
    _discovery._current = None
    try:
        yield
    finally:
        for kind, registry in kinds.items():
            for name in _STATE:
                setattr(registry, name, before[kind][name])
        for kind, registry in list(_registry._KINDS.items()):
            if kind in kinds:
                _registry._KINDS[kind] = kinds[kind]
            elif registry._module not in modules:  # of a room that was imported first here
                loaded = {k: v for k, v in registry._loaded.items() if k in registry._added}
                registry._loaded, registry._failed, registry._table_now = loaded, {}, None
            else:
                del _registry._KINDS[kind]
        _discovery._current = None

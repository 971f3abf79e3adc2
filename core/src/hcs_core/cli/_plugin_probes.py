"""Each plugin imported in a process of its own, which may do what it likes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from hcs_core.cli._children import ending, search_path
from hcs_core.registry import PluginInfo

_PROBE = Path(__file__).with_name("_probe.py")
_OBSERVERS = "hcs.hooks"
_POLL_S = 0.01
# Helpers of multiprocessing end by themselves, a moment after what has started them.
_GRACE_S = 0.3


@dataclass(frozen=True, slots=True)
class Probe:
    """What came of importing one plugin.

    Parameters
    ----------
    info : PluginInfo
        The plugin, as declared.
    error : str or None
        Why it cannot be used.
    import_ms, memory_mb : float or None
        What its import took, and by how much the process grew at most; None where the
        process did not live to tell.
    modules : int or None
        How many modules were imported.
    kinds : tuple of str
        The registries that what was imported declares.
    hooks : dict of str to str
        The hooks, with the module that declares each.
    left_running : bool
        Whether a process that the import started outlived it.
    is_imported : bool
        Whether the import of its module was completed.
    threads : tuple of str
        The threads that the import left running, and that a program waits for.
    """

    info: PluginInfo
    error: str | None
    import_ms: float | None = None
    memory_mb: float | None = None
    modules: int | None = None
    kinds: tuple[str, ...] = ()
    hooks: Mapping[str, str] = field(default_factory=dict)
    left_running: bool = False
    is_imported: bool = False
    threads: tuple[str, ...] = ()


def probe_all(
    infos: Sequence[PluginInfo], *, timeout_s: float, tell: Callable[[], object]
) -> list[Probe]:
    """Import plugins, as many at once as there are processors; return what came of each.

    Whatever happens, no process that was started here is left. Observers of hooks come last:
    which modules declare the hooks is known from the others.

    Parameters
    ----------
    infos : sequence of PluginInfo
        The plugins.
    timeout_s : float
        How long one may take.
    tell : callable
        Is called whenever one is done.
    """
    observers = [(n, info) for n, info in enumerate(infos) if info.kind == _OBSERVERS]
    others = [(n, info) for n, info in enumerate(infos) if info.kind != _OBSERVERS]
    with tempfile.TemporaryDirectory(prefix="hcs-doctor-") as name:
        start = partial(_Child, folder=Path(name), timeout_s=timeout_s)
        probes = dict(_probed(others, start, tell))
        modules = {module for probe in probes.values() for module in probe.hooks.values()}
        probes |= _probed(observers, partial(start, modules=sorted(modules)), tell)
    return [probes[number] for number in range(len(infos))]


def _probed(
    waiting: list[tuple[int, PluginInfo]],
    start: Callable[[int, PluginInfo], _Child],
    tell: Callable[[], object],
) -> Iterator[tuple[int, Probe]]:
    running: dict[int, _Child] = {}
    try:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                number, info = waiting.pop(0)
                running[number] = start(number, info)
            for number, child in list(running.items()):
                probe = child.probe()
                if probe is not None:
                    del running[number]
                    tell()
                    yield number, probe
            sleep(_POLL_S if running else 0)
    finally:  # Ctrl-C too
        for child in running.values():
            child.end()


class _Child:
    """A process that imports a plugin, with a group of its own for all that it starts."""

    def __init__(
        self,
        number: int,
        info: PluginInfo,
        *,
        folder: Path,
        timeout_s: float,
        modules: Sequence[str] = (),
    ) -> None:
        self._info = info
        self._result = folder / f"{number}.json"
        self._timeout_s = timeout_s
        self._ends = monotonic() + timeout_s
        self._ended: float | None = None
        # -P: the folder of the probe is no place of modules.
        command = [sys.executable, "-P", str(_PROBE), info.kind, info.key, info.value]
        self._process = subprocess.Popen(
            [*command, str(info.api), str(self._result), str(timeout_s), *modules],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": search_path()},
            **_OWN_GROUP,
        )

    def probe(self) -> Probe | None:
        """Return what came of it, None while it runs."""
        if self._process.poll() is None:
            if monotonic() < self._ends:
                return None
            self.end()
            limit = f"{self._timeout_s:g} s"
            return Probe(self._info, f"its import took more than {limit} and was ended")
        self._ended = self._ended or monotonic()
        left = _is_group_left(self._process.pid)
        if left and monotonic() < self._ended + _GRACE_S:
            return None
        self.end()
        return self._told(left_running=left)

    def end(self) -> None:
        """End the process, and those that it has started."""
        _kill_group(self._process)
        self._process.wait()

    def _told(self, *, left_running: bool) -> Probe:
        """Return what the process has written, or how it ended instead."""
        try:
            result: dict[str, Any] = json.loads(self._result.read_bytes())
        except FileNotFoundError:
            error = f"its import ended the process: {ending(self._process.returncode)}"
            return Probe(self._info, error, left_running=left_running)
        return Probe(
            self._info,
            result["error"] or None,
            result["import_ms"],
            result["memory_mb"],
            result["modules"],
            tuple(result["kinds"]),
            result["hooks"],
            left_running,
            result["is_imported"],
            tuple(result["threads"]),
        )


if sys.platform == "win32":
    _OWN_GROUP: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}

    def _is_group_left(group: int) -> bool:
        return False  # cannot be asked

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        command = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
        subprocess.run(command, capture_output=True, check=False)

else:
    _OWN_GROUP: dict[str, Any] = {"start_new_session": True}

    def _is_group_left(group: int) -> bool:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of zombies
            return False
        return True

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):  # all have ended by themselves
            os.killpg(process.pid, signal.SIGKILL)

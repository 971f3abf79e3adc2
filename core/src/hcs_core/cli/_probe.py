"""Import one plugin and write down what came of it; a program of its own.

`hcs plugins doctor` runs this file. The plugin is imported before anything else of hcs is:
some libraries fail, or change others, when they are not the first.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter

# What makes the registry of a kind; those of addons are made by the plugins that need them.
ROOM_OF = {
    "hcs.arrays": "hcs_core.arrays",
    "hcs.cli": "hcs_core.cli._main",
    "hcs.formats": "hcs_core.storage",
    "hcs.hooks": "hcs_core.plates",  # imports the arrays too: the core's hooks are in both
    "hcs.kernels": "hcs_core.kernels",
    "hcs.microscopes": "hcs_core.plates",
    "hcs.storage": "hcs_core.storage",
}

# How long a thread may take that an import starts and does not wait for.
_GRACE_S = 0.3


def main() -> None:
    """Import the plugin that the arguments name, write a JSON document, and end at once."""
    kind, key, value, api, target, limit_s, *others = sys.argv[1:]
    del sys.argv[1:]  # they are no plugin's business
    process = os.getpid()
    _end_without_doctor(float(limit_s))
    result = _imported(value.partition(":")[0])
    result["threads"] = _threads()
    result["error"] = result["error"] or _failure_of([*filter(None, [ROOM_OF.get(kind)]), *others])
    result |= _known()
    result["error"] = result["error"] or _refusal(kind, key, int(api))
    if os.getpid() == process:  # a plugin that forks comes here twice
        _write(target, result)
    os._exit(0)  # what it has left running, or registered for the end, is not waited for


def _end_without_doctor(limit_s: float) -> None:
    """Have the system end this process should the doctor be killed before it can."""
    import signal

    if hasattr(signal, "alarm"):
        signal.alarm(int(limit_s) + 5)


def _imported(module: str) -> dict[str, object]:
    """Import a module; return why it failed, what it took, and what it brought."""
    error = ""
    modules, memory, started = len(sys.modules), _peak_bytes(), perf_counter()
    try:
        __import__(module)
    except BaseException as cause:  # noqa: BLE001 - foreign code; what it raises is the result
        error = _line(cause)
    seconds = perf_counter() - started
    grown = None if memory is None else ((_peak_bytes() or memory) - memory) / 1e6
    return {
        "error": error,
        "is_imported": not error,
        "import_ms": round(seconds * 1000, 1),
        "memory_mb": None if grown is None else round(grown, 1),
        "modules": len(sys.modules) - modules,
    }


def _threads() -> list[str]:
    """Return the names of what still runs, and keeps a program from ending, a moment later."""
    threading = sys.modules.get("threading")
    if threading is None:
        return []
    ends, names = perf_counter() + _GRACE_S, []
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.main_thread():
            thread.join(max(0.0, ends - perf_counter()))
            names += [thread.name] * thread.is_alive()
    return names


def _failure_of(modules: list[str]) -> str:
    """Import what reads the plugin; return why that failed, or nothing."""
    try:
        for module in modules:
            __import__(module)
    except BaseException as cause:  # noqa: BLE001 - foreign code; what it raises is the result
        return _line(cause)
    return ""


def _peak_bytes() -> int | None:
    """Return the most memory that this process has had, None where it cannot be known."""
    try:
        # ru_maxrss may be that of the process that has started this one.
        with open("/proc/self/status", encoding="ascii") as opened:
            for line in opened:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:  # no Linux
        return _peak_of_rusage()
    return _peak_of_rusage()


def _peak_of_rusage() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def _refusal(kind: str, key: str, api: int) -> str:
    """Return why the registry refuses the plugin, or nothing."""
    from hcs_core.errors import PluginLoadError
    from hcs_core.registry import Registry, registries

    try:
        made = registries()  # of an addon whose kind nobody here has made, only the import tells
        plugin = (made[kind] if kind in made else Registry(kind, api=api))[key]
        return _refusal_of_observer(key, plugin) if kind == "hcs.hooks" else ""
    except PluginLoadError as cause:
        return cause.cause
    except BaseException as cause:  # noqa: BLE001 - foreign code; what it raises is the result
        return _line(cause)


def _refusal_of_observer(key: str, function: object) -> str:
    """Return why a hook cannot call a function, or nothing."""
    from hcs_core.errors import ParameterError
    from hcs_core.registry import hooks

    hook = hooks().get(key.partition(".")[0])
    if hook is None:  # of an addon that this process does not know
        return ""
    try:
        hook.connect(function).disconnect()  # type: ignore[arg-type]
    except ParameterError as cause:
        return f"it must be {cause.wanted}"
    return ""


def _known() -> dict[str, object]:
    """Return the kinds that what has been imported declares, and the hooks with their modules.

    Asked before a registry is made here for a kind that nobody else reads.
    """
    from hcs_core.registry import hooks, registries

    return {
        "kinds": list(registries()),
        "hooks": {name: h.spec.__module__ for name, h in hooks().items()},
    }


def _line(cause: BaseException) -> str:
    from hcs_core.errors import one_line  # after the plugin, which is imported first

    return one_line(cause)


def _write(target: str, result: dict[str, object]) -> None:
    """Write the document whole, so that a half of one is never read."""
    import json

    with open(f"{target}.part", "w", encoding="ascii") as opened:
        json.dump(result, opened)
    os.replace(f"{target}.part", target)


if __name__ == "__main__":
    main()

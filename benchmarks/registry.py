"""Finding plugins, and loading one, side by side with the other ways to do it.

Each sample is a fresh process of an interpreter without distributions of its own; the made
distributions are on its PYTHONPATH behind the folder of the one way that it measures. What
counts is CPU time over ``python -c pass`` under an equally long PYTHONPATH. The files are in
the page cache and all modules are compiled.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks._common import SkippedError, print_table, shared_path
from benchmarks._registry_environments import (
    ENVIRONMENTS,
    GENERATOR,
    Environment,
    install_ours,
    make_interpreter,
)
from benchmarks._registry_lookup import (
    FIRST_USE,
    IMPORT_ROUNDS,
    LOOKUPS,
    PLAIN_IMPORT,
    first_use,
    lookups,
)
from benchmarks._registry_peers import INDEX, LIVE, PEERS, STANDARD, Peer, install, versions
from benchmarks._registry_samples import (
    BARE,
    Job,
    clean_environment,
    cpu_over_bare,
    memory_over_bare,
    warmed,
)

ROUNDS = 15
MEMORY_ROUNDS = 3
# A directory that changed less than two seconds ago may change again unseen: no index is kept.
SETTLED_S = 2.5

REAL = next(environment for environment in ENVIRONMENTS if environment.name == "real")

Table = dict[str, dict[str, float]]  # environment, then case


@dataclass(frozen=True)
class Bench:
    """The folders that the samples share."""

    work: Path
    python: Path
    ours: Path
    peers: Mapping[str, Path]

    @property
    def empty(self) -> Path:
        return self.work / "empty"

    def site(self, environment: Environment) -> Path:
        return self.work / f"site-{environment.name}"

    def job(self, code: str, *path: Path, expected: str | None = None, **settings: str) -> Job:
        """Return ``python -c code`` with folders on its path."""
        variables = clean_environment(self.work, *path, **settings)
        return Job((str(self.python), "-c", code), variables, expected)


def main() -> None:
    """Measure everything, and print it with what it shall be."""
    if not hasattr(os, "posix_spawn"):
        raise SkippedError("needs posix_spawn, which this system does not have")
    shared_path(GENERATOR)  # before anything is installed
    with tempfile.TemporaryDirectory(prefix="hcs-bench-") as folder:
        work = Path(folder).resolve()
        bench = Bench(work, make_interpreter(work / "venv"), work / "ours", install())
        install_ours(bench.ours)
        bench.empty.mkdir()
        (work / "cwd").mkdir()  # on the path of every sample: nothing is written there
        for environment in ENVIRONMENTS:
            environment.make(bench.site(environment))
        time.sleep(SETTLED_S)
        with contextlib.chdir(work / "cwd"):
            _measure(bench)


def _measure(bench: Bench) -> None:
    print(f"Peers: {', '.join(versions(dict(bench.peers)))}\n")
    cpu: Table = {}
    memory: Table = {}
    for environment in ENVIRONMENTS:
        jobs = _listing_jobs(bench, environment)
        cpu[environment.name] = cpu_over_bare(jobs, rounds=ROUNDS)
        memory[environment.name] = memory_over_bare(jobs, rounds=MEMORY_ROUNDS)
    _print_listings(cpu, memory)
    verdicts = [*_judge_listings(cpu), *_judge_lookups(bench), *_judge_command(bench)]
    _print_imports(bench)
    print("Targets:\n")
    print_table(["what", "measured", "target", "verdict"], verdicts)


def _listing_jobs(bench: Bench, environment: Environment) -> dict[str, Job]:
    """Return the samples that list the plugins of an environment, each run once before."""
    site = bench.site(environment)
    cache = bench.work / f"cache-{environment.name}"
    jobs = {BARE: bench.job("pass", bench.empty, site)}
    for peer in PEERS:
        if peer.requirement and peer.requirement not in bench.peers:
            continue
        code = f"{peer.code}\nprint(len(names))".replace("{work}", str(cache))
        jobs[peer.name] = bench.job(
            code,
            _folder_of(peer, bench),
            site,
            expected=str(environment.plugins),
            XDG_CACHE_HOME=str(cache / peer.name),
            **peer.settings,
        )
    jobs = warmed(jobs, required=(BARE, LIVE, STANDARD))
    if INDEX in jobs and not any(path.is_file() for path in (cache / INDEX).rglob("*")):
        print(f"{INDEX}: left out: no index was written", file=sys.stderr)
        del jobs[INDEX]
    return jobs


def _folder_of(peer: Peer, bench: Bench) -> Path:
    if peer.name in (LIVE, INDEX):
        return bench.ours
    return bench.peers[peer.requirement] if peer.requirement else bench.empty


def _print_listings(cpu: Table, memory: Table) -> None:
    print(f"{'; '.join(environment.title for environment in ENVIRONMENTS)}.\n")
    print(f"CPU time until the names are there, ms over `python -c pass`, best of {ROUNDS}:\n")
    _print_by_environment(cpu, lambda row, name: f"{row[name]:.1f}")
    print("How many times faster than importlib.metadata:\n")
    _print_by_environment(cpu, lambda row, name: f"{row[STANDARD] / row[name]:.1f}")
    print("How many times slower than our live scan:\n")
    _print_by_environment(cpu, lambda row, name: f"{row[name] / row[LIVE]:.1f}")
    if all(memory.values()):
        print(f"Memory over `python -c pass`, MB, median of {MEMORY_ROUNDS}:\n")
        _print_by_environment(memory, lambda row, name: f"{row[name]:.1f}")


def _judge_listings(cpu: Table) -> list[list[str]]:
    real, many = cpu["real"], cpu["500"]
    rows = [
        _at_least("importlib.metadata / ours live, real", real[STANDARD] / real[LIVE], 14),
        _at_least("importlib.metadata / ours live, 500", many[STANDARD] / many[LIVE], 11),
    ]
    for name, row in (("real", real), ("500", many)):
        if INDEX in row:
            ratio = row[INDEX] / row[LIVE]
            rows.append(_at_most(f"ours with index / ours live, {name}", ratio, 1.0))
    return rows


def _judge_lookups(bench: Bench) -> list[list[str]]:
    """Measure one plugin at its first use and afterwards, where the environment is real."""
    site = bench.site(REAL)
    plain, ours, modules = first_use(
        bench.job(PLAIN_IMPORT.format(module=REAL.module), bench.ours, site),
        bench.job(FIRST_USE.format(key=REAL.key), bench.ours, site),
    )
    empty, in_dict, in_ours = lookups(bench.job(LOOKUPS.format(key=REAL.key), bench.ours, site))
    print(f"One plugin, the names being known, best of {IMPORT_ROUNDS} processes:\n")
    rows = [
        ["import_module(module)", f"{1e6 * plain:.0f} µs", "1.00"],
        ["registry[key], first use", f"{1e6 * ours:.0f} µs", f"{ours / plain:.2f}"],
        ["dict[key], loop included", f"{1e9 * in_dict:.1f} ns", "1.00"],
        ["registry[key], loop included", f"{1e9 * in_ours:.1f} ns", f"{in_ours / in_dict:.2f}"],
        ["the loop alone", f"{1e9 * empty:.1f} ns", f"{empty / in_dict:.2f}"],
    ]
    print_table(["what", "time", "ratio"], rows)
    return [
        _at_most("first use / import_module", ours / plain, 1.3),
        _at_most("plugin modules imported by one use", modules, 1),
        _at_most("registry[key] / dict[key]", in_ours / in_dict, 4),
    ]


def _judge_command(bench: Bench) -> list[list[str]]:
    """Measure `hcs plugins list` where this benchmark runs, alone and with the real plugins."""
    script = Path(sys.executable).with_name("hcs")
    if not script.is_file():
        print("hcs plugins list: left out: the command is not installed", file=sys.stderr)
        return []
    cache = str(bench.work / "cache-command")
    command = (str(script), "plugins", "list")
    rows: list[list[str]] = []
    verdicts: list[list[str]] = []
    for where, path in (("as installed", ()), ("and the 250 of real", (bench.site(REAL),))):
        variables = clean_environment(bench.work, *path, XDG_CACHE_HOME=cache)
        jobs = {
            BARE: Job((sys.executable, "-c", "pass"), variables),
            "hcs plugins list --json": Job((*command, "--json"), variables),
            "hcs plugins list": Job(command, variables),
        }
        best = cpu_over_bare(warmed(jobs, required=jobs), rounds=ROUNDS)
        rows += [[name, where, f"{time_ms:.1f}"] for name, time_ms in best.items()]
        if not path:  # the targets are for what is installed
            verdicts = [
                _at_most(f"{name}, ms", time_ms, goal)
                for (name, time_ms), goal in zip(best.items(), (40, 80), strict=True)
            ]
    print(f"The command, CPU time, ms over `python -c pass`, best of {ROUNDS}:\n")
    print_table(["command", "environment", "ms"], rows)
    return verdicts


def _print_imports(bench: Bench) -> None:
    jobs = {BARE: bench.job("pass", bench.ours)}
    for module in ("hcs_core", "hcs_core.registry"):
        jobs[f"import {module}"] = bench.job(f"import {module}", bench.ours)
    memory = memory_over_bare(jobs, rounds=MEMORY_ROUNDS)
    rows = [
        [name, f"{time_ms:.2f}", f"{memory[name]:.2f}" if memory else "not known"]
        for name, time_ms in cpu_over_bare(jobs, rounds=IMPORT_ROUNDS).items()
    ]
    print("Imports, CPU time, ms, and memory, MB, over `python -c pass`:\n")
    print_table(["what", "ms", "MB"], rows)


def _print_by_environment(table: Table, cell: Callable[[dict[str, float], str], str]) -> None:
    """Print one row for each peer, and one column for each environment."""
    rows = []
    for peer in PEERS:
        cells = [cell(row, peer.name) if peer.name in row else "-" for row in table.values()]
        rows.append([peer.name, *cells])
    print_table(["names", *table], rows)


def _at_least(what: str, measured: float, goal: float) -> list[str]:
    verdict = "met" if measured >= goal else "not met"
    return [what, f"{measured:.2f}", f">= {goal:g}", verdict]


def _at_most(what: str, measured: float, goal: float) -> list[str]:
    verdict = "met" if measured <= goal else "not met"
    return [what, f"{measured:.2f}".removesuffix(".00"), f"<= {goal:g}", verdict]

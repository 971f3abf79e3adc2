"""What a sample of the array benchmark is, how its microseconds are timed, how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from timeit import Timer

from benchmarks._common import print_table

Cases = Mapping[str, Callable[[], object]]
Times = dict[str, float]  # seconds of each case

FLOOR = "floor"
OURS = "ours"
PEER = "arraybridge"
NATIVE = "framework's own"


@dataclass
class Sample:
    """Seconds of each row's cases, and what else there is to say; all of it plain JSON."""

    times: dict[str, Times] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def best_per_call(rows: Mapping[str, Cases], *, rounds: int, calls: int) -> dict[str, Times]:
    """Return the seconds of one call of each row's cases, the best of several rounds.

    A round is a batch of calls of every case, during which no garbage is collected. All rows
    take turns, so that a busy second of the machine falls on all of them.
    """
    timers = {
        row: {name: Timer(case) for name, case in cases.items()} for row, cases in rows.items()
    }
    best = {row: dict.fromkeys(cases, float("inf")) for row, cases in rows.items()}
    for _ in range(rounds):
        for row, named in timers.items():
            for name, timer in named.items():
                best[row][name] = min(best[row][name], timer.timeit(calls) / calls)
    return best


def working(cases: Cases, row: str, notes: list[str]) -> dict[str, Callable[[], object]]:
    """Call each case once, and return those that work; note which do not, and why."""
    usable = {}
    for name, case in cases.items():
        try:
            case()
        except Exception as reason:  # noqa: BLE001 - whatever a framework or the peer raises
            text = (str(reason).strip() or type(reason).__name__).splitlines()[0]
            notes.append(f"{row}, {name}: left out: {text[:160]}")
        else:
            usable[name] = case
    return usable


def of_row(best: Times, row: str) -> Times:
    """Return what was measured of a row, where all rows were one: ``"row/case"``."""
    start = f"{row}/"
    return {name.removeprefix(start): t for name, t in best.items() if name.startswith(start)}


def print_part(header: Sequence[str], rows: Sequence[Sequence[str]], sample: Sample) -> None:
    """Print a table in Markdown, and the sample's notes under it."""
    print_table(header, rows)
    for note in sample.notes:
        print(f"- {note}")
    if sample.notes:
        print()

"""What `hcs arrays` shows to people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from hcs_core.cli._plugin_table import print_table

_NO_PAIRS = "no pairs: a conversion needs two frameworks that can be used here"


def print_frameworks(frameworks: Sequence[dict[str, Any]]) -> None:
    """Print each framework, with its devices or why it cannot be used."""
    rows = [
        (row["name"], row["state"], row["reason"] or ", ".join(row["devices"]))
        for row in frameworks
    ]
    _print(("framework", "state", "devices"), rows)


def print_matrix(found: dict[str, Any]) -> None:
    """Print what each conversion does and takes, for both promises, and why it copies."""
    click.echo()
    if not found["pairs"]:
        click.echo(_NO_PAIRS)
        return
    by_pair: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for pair in found["pairs"]:
        ends = _place(pair, "source"), _place(pair, "target")
        by_pair.setdefault(ends, {})[pair["memory"]] = pair
    titles = ("from", "to", "writable memory", "frozen memory", "why it is not shared")
    rows = [
        (*ends, _cell(each["writable"]), _cell(each["frozen"]), _why(each))
        for ends, each in by_pair.items()
    ]
    _print(titles, rows)
    size = " x ".join(map(str, found["shape"]))
    click.echo(f"\none {found['dtype']} plane of {size}, the best of several conversions")


def print_devices(frameworks: Sequence[dict[str, Any]]) -> None:
    """Print each device with its memory, and what cannot be used with the reason."""
    rows = []
    for row in frameworks:
        rows += [
            (row["name"], each["device"], _size(each["used_bytes"]), _size(each["free_bytes"]), "")
            for each in row["devices"]
        ]
        if not row["devices"]:
            rows.append((row["name"], "-", "", "", f"{row['state']}: {row['reason']}"))
    _print(("framework", "device", "used", "free", "reason"), rows)


def _print(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose last column has texts, which is left out where there are none."""
    if any(row[-1] for row in rows):
        print_table(titles, rows, text=titles[-1])
    else:
        print_table(titles[:-1], [row[:-1] for row in rows])


def _place(pair: dict[str, Any], end: str) -> str:
    device = pair[f"{end}_device"]
    return str(pair[end]) if device == "cpu" else f"{pair[end]} {device}"


def _cell(pair: dict[str, Any]) -> str:
    if pair["fault"]:
        return "FAULT"
    if pair["action"] is None:
        return "refused"
    return f"{pair['action']:5} {pair['microseconds']:8.1f} us"


def _why(pair: dict[str, dict[str, Any]]) -> str:
    """Return the reasons of both promises, once where they are the same."""
    reasons: dict[str, str] = {name: each["fault"] or each["reason"] for name, each in pair.items()}
    both = {reason for reason in reasons.values() if reason}
    if len(both) == 1 and all(reasons.values()):
        return both.pop()
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason)


def _size(nbytes: int | None) -> str:
    return "-" if nbytes is None else f"{nbytes / 2**30:.1f} GiB"

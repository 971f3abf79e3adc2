"""Devices by name: of which kind one is, and which one of that kind."""

from __future__ import annotations

from typing import overload


@overload
def full_name(device: str) -> str: ...


@overload
def full_name(device: None) -> None: ...


def full_name(device: str | None) -> str | None:
    """Return the one name under which a device is listed; None, for none, stays None.

    Examples
    --------
    >>> full_name("cuda"), full_name("cuda:1"), full_name("mps")
    ('cuda:0', 'cuda:1', 'mps:0')
    >>> full_name("cpu:0")
    'cpu'
    """
    if device == "cpu:0":
        return "cpu"
    is_full = not device or device == "cpu" or ":" in device
    return device if is_full else f"{device}:0"


def kind_of(device: str) -> str:
    """Return what kind of device one is: ``"cuda"`` of ``"cuda:1"``."""
    return device.partition(":")[0]


def index_of(device: str) -> int:
    """Return which one of its kind a device is that `ArrayAdapter.require` has returned."""
    return int(device.partition(":")[2] or 0)

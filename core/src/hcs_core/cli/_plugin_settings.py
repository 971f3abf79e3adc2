"""Settings of plugins that cannot be read, put aside so that the rest can be looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from hcs_core.errors import SettingError
from hcs_core.registry._discovery import CONFIG, DISABLE, INDEX, ONLY, PREFER
from hcs_core.registry._selection import read_selection
from hcs_core.registry._settings import index_mode

# What each setting is where it says nothing.
_SILENT = dict.fromkeys((INDEX, DISABLE, ONLY, PREFER), "") | {CONFIG: os.devnull}


@contextmanager
def readable_settings() -> Iterator[list[SettingError]]:
    """Have only those settings that can be read, in this process and in those it starts.

    Yields
    ------
    list of SettingError
        What is wrong with the others.
    """
    faults: dict[str, SettingError] = {}
    for name in _SILENT:
        with _environment({other: text for other, text in _SILENT.items() if other != name}):
            try:
                index_mode()
                read_selection()
            except SettingError as cause:
                faults[name] = cause
    with _environment({name: _SILENT[name] for name in faults}):
        yield list(faults.values())


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, text in before.items():
            os.environ.pop(name, None)
            if text is not None:
                os.environ[name] = text

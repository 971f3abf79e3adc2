"""Processes that foreign code is tried in: what they are given, and how they ended."""

from __future__ import annotations

import os
import signal
import sys


def search_path() -> str:
    """Return this process's path for another; an empty entry is the working directory."""
    return os.pathsep.join(map(os.path.abspath, sys.path))


def ending(code: int) -> str:
    """Return an exit code for people; the system's signals have names."""
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:  # a signal that this Python has no name for
        return f"signal {-code}"

"""The array frameworks of this machine, imported before a test uses one of them."""

from __future__ import annotations

import os
import warnings
from functools import cache

from hcs_core.arrays._adapters import load, usable_adapters
from hcs_core.arrays._matrix import in_safe_order
from hcs_core.errors import MissingLibraryError


@cache
def import_frameworks() -> frozenset[str]:
    """Import every array framework that is installed, and return those with a device here.

    Some cannot be imported after others, so a module of tests that imports one by itself
    decides which others the tests after it can still use. Those that break are no reason to
    skip a test: what they raise is raised.
    """
    ready: set[str] = set()
    for adapter in in_safe_order(usable_adapters()):
        for name, value in adapter.quiet.items():
            os.environ.setdefault(name, value)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of their own dependencies
                load(adapter)
                ready.update([adapter.name] if adapter.devices() else [])
        except MissingLibraryError:
            continue
    return frozenset(ready)

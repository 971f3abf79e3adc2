"""The registry's test kit as pytest fixtures.

Say ``pytest_plugins = ["hcs_core.testing.fixtures"]`` in a ``conftest.py``. They are not
enabled by themselves: an entry point of pytest's would slow down every run of every project
in the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hcs_core.testing import registry
from hcs_core.testing.registry import IsolatedRegistry

__all__ = ["fake_distribution", "isolated_registry"]


@pytest.fixture
def isolated_registry() -> Iterator[IsolatedRegistry]:
    """Have only the core's plugins, and install others; see `hcs_core.testing`."""
    with registry.isolated_registry() as environment:
        yield environment


@pytest.fixture
def fake_distribution() -> Iterator[Callable[..., Path]]:
    """Return a function that installs a distribution until the test ends."""
    with ExitStack() as installed:
        yield lambda *arguments, **options: installed.enter_context(
            registry.fake_distribution(*arguments, **options)
        )

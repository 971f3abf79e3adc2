"""What the tests of every package share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: a busy machine is not a failure. In CI the examples are the same in every run.
settings.register_profile("hcs", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("hcs")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real plates beside the checkout.

    Without it a test that asks for it is skipped, or fails where ``HCS_REQUIRE_DATA=1``
    says that the data must be there.
    """
    folder = Path(__file__).resolve().parent.parent / "shared"
    if (folder / "plates").is_dir():
        return folder
    reason = "needs the optional data folder ../shared beside the checkout"
    if os.environ.get("HCS_REQUIRE_DATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)

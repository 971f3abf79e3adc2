"""What others may observe of plates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hcs_core.registry import Hook

if TYPE_CHECKING:
    from hcs_core.plates._plate import Plate


def hcs_plate_opened(plate: Plate) -> None:
    """Tell that a plate has been opened.

    Called by `open_plate` when the plate is indexed, also within a compilation or a run.

    Parameters
    ----------
    plate : Plate
        The plate.
    """


PLATE_OPENED = Hook(hcs_plate_opened)
"""Told of every plate that `open_plate` has opened: `plate`."""

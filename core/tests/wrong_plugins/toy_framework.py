"""An array framework: boxes of numbers."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


class Box:
    """An array."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values

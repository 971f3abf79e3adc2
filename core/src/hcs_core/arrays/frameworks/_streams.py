"""Side streams: on a GPU each thread computes in a stream of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any


class SideStreams(threading.local):
    """The side stream of each device, one for every thread; made when it is first needed."""

    def __init__(self) -> None:  # run once in every thread
        self._of_device: dict[Hashable, Any] = {}

    def on(self, device: Hashable, make: Callable[[], Any]) -> Any:
        """Return this thread's stream on a device."""
        stream = self._of_device.get(device)
        if stream is None:
            stream = self._of_device[device] = make()
        return stream

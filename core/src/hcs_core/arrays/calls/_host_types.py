"""Arrays of which a glance tells that they lie on the host, in the framework they should.

To describe an array takes microseconds, and most calls of a decorated function need nothing
done. So what has been found out is kept for each type of array; not for types that are made
while a program runs, which would never be freed.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import Any

from hcs_core.arrays._adapter import ArrayAdapter
from hcs_core.arrays._adapters import lasts
from hcs_core.arrays.calls._traced import described


class HostTypes:
    """The types of one framework's arrays, as far as they have been met.

    Parameters
    ----------
    adapter : ArrayAdapter
        The framework's adapter.

    Attributes
    ----------
    plain : set of type
        Those whose arrays all lie on the host.
    """

    def __init__(self, adapter: ArrayAdapter) -> None:
        self._adapter = adapter
        self.plain: set[type] = set()
        self._placed: set[type] = set()
        self._is_host: dict[Hashable, bool] = {}

    def has(self, value: Any) -> bool:
        """Return whether a value is known to lie on the host; False where that is unknown."""
        kind = type(value)
        if kind in self._placed:
            return self._is_host.get(value.device, False)
        return kind in self.plain

    def device_of(self, array: Any) -> str | None:
        """Return where an array of the framework lies, and remember it for others like it.

        None for an array without a place, as one that is traced mostly is.
        """
        if self.has(array):
            return "cpu"
        info = described(self._adapter, array)
        if info is None:
            return self._said_by(array)
        if info.device not in self._devices:
            return None
        if lasts(type(array)):
            self._remember(array, is_host=info.device == "cpu")
        return info.device

    def _said_by(self, array: Any) -> str | None:
        """Return the device that an array names, if it is one of the framework's."""
        # So do tensors that torch traces, whose type is that of all others: what is
        # remembered of the type must not decide what becomes of them.
        said = str(getattr(array, "device", ""))
        return said if said in self._devices else None

    def _remember(self, array: Any, *, is_host: bool) -> None:
        if is_host and self._devices == ("cpu",):
            self.plain.add(type(array))
        elif self._tells_device and isinstance(array.device, Hashable):
            self._is_host[array.device] = is_host
            self._placed.add(type(array))

    @cached_property
    def _devices(self) -> tuple[str, ...]:
        return self._adapter.devices()

    @cached_property
    def _tells_device(self) -> bool:
        # The standard says what `device` is; elsewhere an attribute of the name may be anything.
        return self._adapter.namespace() is not None


# By the class of the adapter: who asks for a framework's current one is never told what was
# found out with another, which may have been replaced since, for a test or an installation.
HOST_TYPES: dict[type[ArrayAdapter], HostTypes] = {}


def host_types(adapter: ArrayAdapter) -> HostTypes:
    """Return what is known of the arrays of an adapter."""
    known = HOST_TYPES.get(type(adapter))
    return HOST_TYPES.setdefault(type(adapter), HostTypes(adapter)) if known is None else known

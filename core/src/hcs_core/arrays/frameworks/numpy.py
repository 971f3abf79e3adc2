"""NumPy, the framework of host memory."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._aligned import PLAIN_CHARS, address_of, is_frozen, owner_of, plain
from hcs_core.arrays._dtypes import DTYPES, name_of

_CAPABILITIES = Capabilities(
    dtypes=frozenset(DTYPES),
    vector_alignment=1,
    marks_readonly=True,
    byte_orders=True,
)


class NumpyAdapter(ArrayAdapter):
    """NumPy arrays; refused are masked ones, whose mask would be lost, and Python objects."""

    name: ClassVar[str] = "numpy"
    module_names: ClassVar[tuple[str, ...]] = ("numpy",)

    def owns(self, value: object) -> bool:
        """Return whether `value` is a NumPy array."""
        return isinstance(value, np.ndarray)

    def capabilities(self) -> Capabilities:
        """Return what NumPy holds: everything, in any layout."""
        return _CAPABILITIES

    def describe(self, array: NDArray[Any]) -> ArrayInfo:
        """Return what the array is."""
        readonly = not array.flags.writeable
        return ArrayInfo(
            framework=self.name,
            shape=array.shape,
            dtype=name_of(array.dtype),
            device="cpu",
            strides=array.strides,
            pointer=address_of(array) if array.size else 0,
            readonly=readonly,
            nbytes=array.nbytes,
            frozen=readonly and is_frozen(array),
        )

    def facts(self, array: NDArray[Any], *, located: bool) -> tuple[Hashable, int]:
        """Return what decides how the array is handed on, and its address."""
        flags = array.flags
        owner = owner_of(array)
        frozen = owner is not None and owner.frozen and not flags.writeable
        # Elements of 16 bytes are the ones whose place counts for every framework.
        address = address_of(array, owner) if located or array.itemsize > 8 else 0
        return (array.shape, array.strides, array.dtype, flags.writeable, frozen), address

    def address(self, array: NDArray[Any]) -> int:
        """Return the address of the first element."""
        return array.ctypes.data

    def to_host(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array itself."""
        return array

    def checked(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array itself, of a subclass such as `memmap` the plain view."""
        is_plain = type(array) is np.ndarray and array.dtype.char in PLAIN_CHARS
        return array if is_plain else plain(array)

    def from_host(self, array: NDArray[Any], device: str) -> NDArray[Any]:
        """Return the array itself; NumPy has one device."""
        if device != "cpu":
            self.require(device)
        return array

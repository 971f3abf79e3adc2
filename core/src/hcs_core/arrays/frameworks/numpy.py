"""NumPy, the framework of host memory."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo
from hcs_core.errors import FrameworkUnavailableError, UnsupportedArrayError


class NumpyAdapter(ArrayAdapter):
    """NumPy arrays; refused are masked ones, whose mask would be lost, and Python objects."""

    name: ClassVar[str] = "numpy"
    module_names: ClassVar[tuple[str, ...]] = ("numpy",)

    def owns(self, value: object) -> bool:
        """Return whether `value` is a NumPy array."""
        return isinstance(value, np.ndarray)

    def describe(self, array: NDArray[Any]) -> ArrayInfo:
        """Return what the array is."""
        return ArrayInfo(
            framework=self.name,
            shape=array.shape,
            dtype=str(array.dtype),
            device="cpu",
            strides=array.strides,
            pointer=array.__array_interface__["data"][0] if array.size else 0,
            readonly=not array.flags.writeable,
            nbytes=array.nbytes,
        )

    def to_host(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array itself, of a subclass such as `memmap` the plain view."""
        if isinstance(array, np.ma.MaskedArray):
            reason = "its mask would be lost; fill it, or pass data and mask apart"
            raise UnsupportedArrayError("a masked array", (self.name,), reason)
        if array.dtype.hasobject:
            reason = "its elements are Python objects, not numbers"
            raise UnsupportedArrayError("an array of objects", (self.name,), reason)
        return array if type(array) is np.ndarray else array.view(np.ndarray)

    def from_host(self, array: NDArray[Any], device: str) -> NDArray[Any]:
        """Return the array itself; NumPy has one device."""
        if device != "cpu":
            raise FrameworkUnavailableError(f"device {device!r}", self.name, ("cpu",))
        return array

"""pyclesperanto: images in the memory of an OpenCL, CUDA or Metal device."""

from __future__ import annotations

import math
import sys
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._device_names import index_of
from hcs_core.arrays._layout import c_strides

_CAPABILITIES = Capabilities(
    dtypes=frozenset(("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32")),
    layout="c",
    shares_host=False,
    ndim=(1, 3),
    empty=False,
)
# With the name: numbers in parentheses stand in the logs of kernels that do not compile too.
_OUT_OF_MEMORY = (
    *("CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)", "CL_OUT_OF_RESOURCES (-5)"),
    *("CL_OUT_OF_HOST_MEMORY (-6)", "CL_INVALID_BUFFER_SIZE (-61)"),
)


class PyclesperantoAdapter(ArrayAdapter):
    """Images of pyclesperanto; they always lie apart, also on a device that is the CPU.

    It can no longer be loaded after TensorFlow: the process would crash.
    """

    name: ClassVar[str] = "pyclesperanto"
    module_names: ClassVar[tuple[str, ...]] = (
        *("pyclesperanto", "pyclesperanto_opencl", "pyclesperanto_cuda", "pyclesperanto_metal"),
    )
    import_before: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def owns(self, value: object) -> bool:
        """Return whether `value` is an image of pyclesperanto."""
        cle = sys.modules.get("pyclesperanto")
        kind = getattr(cle, "Array", None)
        return kind is not None and isinstance(value, kind)

    def capabilities(self) -> Capabilities:
        """Return what pyclesperanto holds: one to three axes, no 64 bits."""
        return _CAPABILITIES

    def describe(self, array: Any) -> ArrayInfo:
        """Return what the image is."""
        dtype = np.dtype(array.dtype)
        shape = tuple(array.shape)
        return ArrayInfo(
            framework=self.name,
            shape=shape,
            dtype=dtype.name,
            device=self._name_of(array.device),
            strides=c_strides(shape, dtype.itemsize),
            pointer=0,  # a handle, no address
            readonly=False,
            nbytes=math.prod(shape) * dtype.itemsize,
        )

    def to_host(self, array: Any) -> NDArray[Any]:
        """Return a copy in host memory."""
        import pyclesperanto as cle

        return np.asarray(cle.pull(array))

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a copy on the device."""
        import pyclesperanto as cle

        place = self._place(device)
        return cle.push(array, device=place)

    def part(self, array: Any, index: int | slice) -> Any:
        """Return a copy on the device, by way of the host.

        pyclesperanto 0.25 cannot index an array of one axis, returns a number where one
        element is left, and knows no negative index.
        """
        return self.from_host(self.to_host(array)[index, ...], self.describe(array).device)

    def host_device(self) -> str:
        """Return the device that pyclesperanto has selected: the first one, until it is loaded."""
        if "pyclesperanto" not in sys.modules or not _names():
            return "opencl:0"
        import pyclesperanto as cle

        return self._name_of(cle.get_device())

    def devices(self) -> tuple[str, ...]:
        """Return the devices of the backend, such as ``opencl:0``; none without a driver."""
        return tuple(f"{_backend()}:{index}" for index in range(len(_names())))

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Return whether the device had no memory."""
        text = str(error)
        is_ours = isinstance(error, RuntimeError) and any(c in text for c in _OUT_OF_MEMORY)
        return is_ours or isinstance(error, MemoryError)

    def _name_of(self, device: Any) -> str:
        names = _names()
        return f"{_backend()}:{names.index(device.name) if device.name in names else 0}"

    def _place(self, device: str) -> Any:
        import pyclesperanto as cle

        name = _names()[index_of(self.require(device))]
        current = cle.get_device()
        if current.name == name:
            return current
        found = cle.select_device(name)
        cle.select_device(current.name)  # the choice is its user's
        return found


def _names() -> list[str]:
    import pyclesperanto as cle

    if not hasattr(cle, "list_available_devices"):  # it found no driver at all
        return []
    return list(cle.list_available_devices("all"))


def _backend() -> str:
    import pyclesperanto as cle

    return str(cle.get_backend_name() if hasattr(cle, "get_backend_name") else "opencl")

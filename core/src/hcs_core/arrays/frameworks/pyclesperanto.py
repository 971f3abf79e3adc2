"""pyclesperanto: images in the memory of an OpenCL, CUDA or Metal device."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.errors import DeviceNotFoundError

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
        strides, step = [], dtype.itemsize
        for extent in reversed(shape):
            strides.append(step)
            step *= extent
        return ArrayInfo(
            framework=self.name,
            shape=shape,
            dtype=dtype.name,
            device=self._name_of(array.device),
            strides=tuple(reversed(strides)),
            pointer=0,  # a handle, no address
            readonly=False,
            nbytes=step,
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

        known = self.devices()
        if device not in known:
            raise DeviceNotFoundError(device, self.name, known)
        current = cle.get_device()
        name = _names()[int(device.partition(":")[2])]
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

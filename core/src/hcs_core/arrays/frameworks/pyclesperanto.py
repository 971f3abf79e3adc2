"""pyclesperanto: images in the memory of an OpenCL, CUDA or Metal device."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.errors import FrameworkUnavailableError

_CAPABILITIES = Capabilities(
    dtypes=frozenset(("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32")),
    layout="c",
    shares_host=False,
    ndim=(1, 3),
    empty=False,
)
# CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_OUT_OF_RESOURCES, CL_OUT_OF_HOST_MEMORY,
# CL_INVALID_BUFFER_SIZE
_OUT_OF_MEMORY = ("(-4)", "(-5)", "(-6)", "(-61)")


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

        return cle.push(array, device=self._place(device))

    def host_device(self) -> str:
        """Return the device that pyclesperanto has selected."""
        import pyclesperanto as cle

        return self._name_of(cle.get_device())

    def devices(self) -> tuple[str, ...]:
        """Return the devices of the backend, such as ``opencl:0``."""
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
            raise FrameworkUnavailableError(f"device {device!r}", self.name, known)
        current = cle.get_device()
        name = _names()[int(device.partition(":")[2])]
        return current if current.name == name else cle.select_device(name)


def _names() -> list[str]:
    import pyclesperanto as cle

    return list(cle.list_available_devices("all"))


def _backend() -> str:
    import pyclesperanto as cle

    return str(cle.get_backend_name() if hasattr(cle, "get_backend_name") else "opencl")

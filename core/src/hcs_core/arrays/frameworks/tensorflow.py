"""TensorFlow, whose tensors never change."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._adapter import ArrayAdapter, ArrayInfo, Capabilities
from hcs_core.arrays._aligned import unlocked
from hcs_core.arrays._dtypes import is_bfloat16
from hcs_core.errors import FrameworkUnavailableError, UnsupportedArrayError

_CAPABILITIES = Capabilities(
    dtypes=frozenset(
        (
            *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
            *("float16", "float32", "float64", "complex64", "complex128", "bfloat16"),
        )
    ),
    layout="c",
    immutable=True,
)


class TensorflowAdapter(ArrayAdapter):
    """Eager tensors; a symbolic one has no values yet and is refused.

    TensorFlow must be loaded after pyclesperanto: its wheels export the LLVM that is in
    them, and an OpenCL driver with another crashes the process (tensorflow#124205).
    """

    name: ClassVar[str] = "tensorflow"
    module_names: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def owns(self, value: object) -> bool:
        """Return whether `value` is a tensor."""
        tensorflow = sys.modules.get("tensorflow")
        # While TensorFlow is being imported the name is there and the class is not.
        kind = getattr(tensorflow, "Tensor", None)
        return kind is not None and isinstance(value, kind)

    def capabilities(self) -> Capabilities:
        """Return what TensorFlow holds."""
        return _CAPABILITIES

    def describe(self, array: Any) -> ArrayInfo:
        """Return what the tensor is."""
        device = _device_name(array.device)
        host = _host(array) if device == "cpu" else None
        shape = tuple(array.shape)
        itemsize = array.dtype.size
        pointer = host.__array_interface__["data"][0] if host is not None and host.size else 0
        return ArrayInfo(
            framework=self.name,
            shape=shape,
            dtype=array.dtype.name,
            device=device,
            strides=_c_strides(shape, itemsize),
            pointer=pointer,
            readonly=True,
            nbytes=int(np.prod(shape, dtype=np.int64)) * itemsize,
            frozen=True,
        )

    def checked(self, array: Any) -> Any:
        """Return the tensor itself."""
        if not hasattr(array, "numpy"):
            reason = "it has no values while a graph is built"
            raise UnsupportedArrayError("a symbolic tensor", (self.name,), reason)
        return array

    def to_host(self, array: Any) -> NDArray[Any]:
        """Return the tensor as a read-only NumPy array; on the host it shares the memory."""
        host = _host(array)
        if host.flags.writeable:
            host = host.view()
            host.flags.writeable = False
        return host

    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a tensor; on the host it shares the memory."""
        import tensorflow as tf

        place = self._checked(device)
        if place != "cpu" or not array.size:
            with tf.device(place.replace("cuda", "GPU").replace("cpu", "CPU:0")):
                return tf.constant(array)
        if is_bfloat16(array.dtype):
            return tf.bitcast(self.from_host(array.view(np.uint16), device), tf.bfloat16)
        return tf.experimental.dlpack.from_dlpack(unlocked(array).__dlpack__())

    def devices(self) -> tuple[str, ...]:
        """Return ``cpu`` and each GPU."""
        import tensorflow as tf

        count = len(tf.config.list_physical_devices("GPU"))
        return ("cpu", *(f"cuda:{index}" for index in range(count)))

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Return whether TensorFlow had no memory."""
        tf = sys.modules.get("tensorflow")
        kind = getattr(getattr(tf, "errors", None), "ResourceExhaustedError", MemoryError)
        return isinstance(error, kind | MemoryError)

    def _checked(self, device: str) -> str:
        wanted = "cuda:0" if device == "cuda" else device
        known = self.devices() if wanted != "cpu" else ("cpu",)
        if wanted not in known:
            raise FrameworkUnavailableError(f"device {device!r}", self.name, known)
        return wanted


def _host(array: Any) -> NDArray[Any]:
    """Return a tensor as a NumPy array: not by `numpy()`, which copies."""
    if array.dtype.name != "bfloat16":
        return np.asarray(array)
    import ml_dtypes  # NumPy cannot read a single number of this dtype
    import tensorflow as tf

    return np.asarray(tf.bitcast(array, tf.uint16)).view(ml_dtypes.bfloat16)


def _device_name(device: str) -> str:
    kind, _, index = device.rpartition("/device:")[2].partition(":")
    if kind == "CPU" and index == "0":
        return "cpu"
    return f"{kind.lower().replace('gpu', 'cuda')}:{index}"


def _c_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides, step = [], itemsize
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))

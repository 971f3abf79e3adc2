"""The contract of an array framework's adapter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from hcs_core.registry import AutoRegisterMeta, Registry


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """What an array is, found without touching its data.

    Parameters
    ----------
    framework : str
        Its framework, by the key in ``ARRAYS``.
    shape : tuple of int
        Its shape.
    dtype : str
        NumPy name of its dtype, such as ``"uint16"``.
    device : str
        ``"cpu"``, ``"cuda:0"``, ``"opencl:0"``.
    strides : tuple of int
        Bytes from one element to the next, per axis.
    pointer : int
        Address of the first element; 0 for an array without elements.
    readonly : bool
        Whether writing into it is refused.
    nbytes : int
        Size of its elements.
    """

    framework: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    strides: tuple[int, ...]
    pointer: int
    readonly: bool
    nbytes: int


ARRAYS: Registry[type[ArrayAdapter]] = Registry("hcs.arrays", api=1, doc="array frameworks")


class ArrayAdapter(ABC, metaclass=AutoRegisterMeta, registry=ARRAYS):
    """What the bridge must know of one array framework.

    An adapter imports its framework inside its methods only, so that knowing an adapter
    does not load what it adapts.
    """

    name: ClassVar[str]
    module_names: ClassVar[tuple[str, ...]]
    """Top-level modules whose types are this framework's arrays."""

    @abstractmethod
    def owns(self, value: object) -> bool:
        """Return whether `value` is an array of this framework; imports nothing."""

    @abstractmethod
    def describe(self, array: Any) -> ArrayInfo:
        """Return what one of this framework's arrays is."""

    @abstractmethod
    def to_host(self, array: Any) -> NDArray[Any]:
        """Return the array in host memory, a view where the memory can be shared."""

    @abstractmethod
    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a host array in this framework, a view where the memory can be shared.

        Raises
        ------
        UsageError
            If the framework has no such device.
        """


ARRAYS.expect(ArrayAdapter, attribute="name")

"""The contract of an array framework's adapter."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hcs_core.arrays._device_names import full_name
from hcs_core.arrays._dtypes import dtype_of
from hcs_core.arrays._requested import amount_in
from hcs_core.errors import DeviceNotFoundError
from hcs_core.registry import AutoRegisterMeta, Registry

Layout = Literal["any", "forward", "c"]
"""The memory layouts that a framework takes as they are.

``any``
    Whatever strides.
``forward``
    No negative stride.
``c``
    C order.
"""


class ArrayInfo(NamedTuple):  # made at each conversion; a frozen dataclass takes 2 us longer
    """What an array is, found without touching its data.

    Parameters
    ----------
    framework : str
        Its framework, by the key in ``ARRAYS``.
    shape : tuple of int
        Its shape.
    dtype : str
        NumPy name of its dtype, such as ``"uint16"`` or ``"bfloat16"``; with the byte order
        in front where that is not the machine's (``">u2"``).
    device : str
        ``"cpu"``, ``"cuda:0"``, ``"opencl:0"``.
    strides : tuple of int
        Bytes from one element to the next, per axis.
    pointer : int
        Address of the first element; 0 for an array without elements, or whose memory has
        no address.
    readonly : bool
        Whether writing into it is refused.
    nbytes : int
        Size of its elements.
    frozen : bool
        Whether nobody can write into its memory by any other way: arrays of frameworks
        without in-place changes, and what `freeze` returns.
    """

    framework: str
    shape: tuple[int, ...]
    dtype: str
    device: str
    strides: tuple[int, ...]
    pointer: int
    readonly: bool
    nbytes: int
    frozen: bool = False

    @property
    def itemsize(self) -> int:
        """The bytes of one element; 0 where there is none."""
        return self.nbytes // math.prod(self.shape) if self.nbytes else 0

    def overlaps(self) -> bool:
        """Return whether several elements may share a place in memory, as broadcast ones do."""
        if not self.nbytes:
            return False
        # Each axis must step over all that the axes of smaller steps reach.
        reach = self.itemsize
        for step, extent in sorted(zip(map(abs, self.strides), self.shape, strict=True)):
            if extent > 1 and step < reach:
                return True
            reach += step * (extent - 1)
        return False


class DeviceMemory(NamedTuple):
    """The memory of one device, in bytes.

    Parameters
    ----------
    device : str
        Such as ``"cuda:0"``.
    used : int
        What is taken, by anybody.
    free : int
        What could still be had; what a framework keeps unused does not count.
    """

    device: str
    used: int
    free: int

    @property
    def total(self) -> int:
        """The size of the memory."""
        return self.used + self.free


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a framework can hold, and when it takes host memory over as it is.

    Parameters
    ----------
    dtypes : frozenset of str
        What it holds exactly.
    layout : {"any", "forward", "c"}
        The layouts whose memory it shares; others are copied.
    alignment : int
        Bytes of which the address of shared memory must be a multiple.
    vector_alignment : int
        The same for memory whose elements are at least as large: complex128, as a rule.
    immutable : bool
        Whether its arrays cannot be written to, so that they may share read-only memory.
    marks_readonly : bool
        Whether a single array can be read-only.
    shares_host : bool
        Whether its arrays on the host device lie in memory that others can share.
    ndim : tuple of int
        Fewest and most axes.
    empty : bool
        Whether it holds arrays without elements.
    byte_orders : bool
        Whether it holds numbers in the other byte order too.
    dlpack : frozenset of str
        The kinds of device, such as ``"cuda"``, whose memory it exchanges by DLPack.
    """

    dtypes: frozenset[str]
    layout: Layout = "any"
    alignment: int = 1
    vector_alignment: int = 16
    immutable: bool = False
    marks_readonly: bool = False
    shares_host: bool = True
    ndim: tuple[int, int] = (0, 64)
    empty: bool = True
    byte_orders: bool = False
    dlpack: frozenset[str] = frozenset()
    period: int = field(init=False)
    """Bytes: of an address, the remainder by these decides whether memory is shared."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "period", math.lcm(self.alignment, self.vector_alignment))


ARRAYS: Registry[type[ArrayAdapter]] = Registry("hcs.arrays", api=1, doc="array frameworks")


class ArrayAdapter(ABC, metaclass=AutoRegisterMeta, registry=ARRAYS):
    """What the bridge must know of one array framework.

    An adapter imports its framework inside its methods only, so that knowing an adapter
    does not load what it adapts. The bridge decides when memory is shared and when it is
    copied; an adapter does what it is told and nothing more.
    """

    name: ClassVar[str]
    module_names: ClassVar[tuple[str, ...]]
    """Top-level modules whose types are this framework's arrays; the first is imported."""
    import_before: ClassVar[tuple[str, ...]] = ()
    """Modules after whose import this framework can no longer be loaded."""
    takes_capsules: ClassVar[bool] = False
    """Whether `from_dlpack` takes memory over without agreeing on streams first."""
    quiet: ClassVar[Mapping[str, str]] = {}
    """Environment variables under which it prints as little as it can, and reserves no memory
    ahead; they count if they are set before it is imported."""

    @abstractmethod
    def owns(self, value: object) -> bool:
        """Return whether `value` is an array of this framework; imports nothing."""

    @abstractmethod
    def capabilities(self) -> Capabilities:
        """Return what the framework holds, with its settings if it is loaded; imports nothing."""

    def dtypes_on(self, device: str) -> frozenset[str]:
        """Return what the framework holds exactly on a device; imports nothing.

        For one that lacks, on some of its devices, what it holds on others.
        """
        return self.capabilities().dtypes

    @abstractmethod
    def describe(self, array: Any) -> ArrayInfo:
        """Return what one of this framework's arrays is."""

    def facts(self, array: Any, *, located: bool) -> tuple[Hashable, int]:
        """Return what decides how an array is handed on, and its address if it is `located`.

        Arrays of equal facts have equal descriptions, but for the address. Asked at each
        conversion: a quicker answer than a whole description pays.

        Returns
        -------
        hashable
            A key of what was planned.
        int
            The address of the first element, if it is `located` or elements have 16 bytes;
            anything else.
        """
        info = self.describe(array)
        return info._replace(pointer=0), info.pointer

    def address(self, array: Any) -> int:
        """Return the address of the first element of an array that has elements."""
        return self.describe(array).pointer

    @abstractmethod
    def to_host(self, array: Any) -> NDArray[Any]:
        """Return the array in host memory: a view where it lies there, else a copy.

        A view of an array that cannot be written to is read-only.
        """

    @abstractmethod
    def from_host(self, array: NDArray[Any], device: str) -> Any:
        """Return a host array in this framework.

        On the host device it shares the memory of an array that fits the capabilities, a
        read-only one too: whether that is right has been decided.

        Raises
        ------
        DeviceNotFoundError
            If the framework has no such device; `require` raises it.
        """

    def copied(self, array: Any, device: str, dtype: str) -> Any:
        """Return a copy in memory of its own on a device, cast as NumPy does."""
        return self.from_host(_aligned_copy(self.to_host(array), dtype_of(dtype)), device)

    def part(self, array: Any, index: int | slice) -> Any:
        """Return a part of an array along its first axis, on the device where that lies.

        One place of it without the axis, or a slice of it, which keeps the axis. It shares
        the array's memory where the framework has views, and is a copy elsewhere: nobody
        writes to it.

        A framework whose arrays are not indexed as NumPy's are says here how it is done;
        those that are not indexed at all go by way of the host.
        """
        if hasattr(type(array), "__getitem__"):
            return array[index, ...]
        host = self.to_host(array)[index, ...]
        return self.from_host(_aligned_copy(host, host.dtype), self.describe(array).device)

    def finish(self, array: Any) -> None:
        """Wait until what was queued to compute an array is done."""

    def checked(self, array: Any) -> Any:
        """Return an array as it may be handed on; refuse one that is not what it seems.

        Raises
        ------
        UnsupportedArrayError
            If part of what it means would be lost, such as a mask.
        """
        return array

    def host_device(self) -> str:
        """Return the device that host arrays go to when none is named; imports nothing."""
        return "cpu"

    def devices(self) -> tuple[str, ...]:
        """Return the devices that this machine has for the framework."""
        return (self.host_device(),)

    def require(self, device: str) -> str:
        """Return a device under its full name, if this machine has it for the framework.

        Raises
        ------
        DeviceNotFoundError
            If it has not, with those that it has.
        """
        name, known = full_name(device), self.devices()
        if name not in known:
            raise DeviceNotFoundError(device, self.name, known)
        return name

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Return whether an error says that memory, and nothing else, was missing."""
        return isinstance(error, MemoryError)

    def requested_bytes(self, error: BaseException) -> int | None:
        """Return how many bytes were missing, or None where such an error does not say it."""
        return amount_in(str(error))

    def free_cache(self, device: str) -> int:
        """Give memory back that the framework holds on a device and does not use.

        Returns
        -------
        int
            How many bytes it gave back, as far as it can tell.
        """
        return 0

    def memory(self, device: str) -> DeviceMemory | None:
        """Return how full a device's memory is; None where nobody can tell."""
        return _host_memory() if device == "cpu" else None

    def on(self, device: str) -> AbstractContextManager[object]:
        """Return a context in which the framework computes on a device.

        On a GPU each thread has a stream of its own: work in the context waits for what was
        queued before it, and what is queued after the context waits for its results.
        """
        return nullcontext()

    def namespace(self) -> Any | None:
        """Return a module of the array API standard for its arrays, or None.

        Asked only where there are such arrays, so it may import what it needs.
        """
        return None

    def pinned(self, nbytes: int) -> NDArray[Any] | None:
        """Return page-locked host memory, from which uploads are fastest, as bytes.

        None where the framework has none to offer; asked only of loaded frameworks.
        """
        return None

    def from_dlpack(self, array: Any) -> Any:
        """Return another framework's array over the same memory, on any device they share.

        The array itself is taken over by the object protocol, in which both frameworks agree
        on streams; never a bare capsule, by which nothing waits.
        """
        raise NotImplementedError(f"{self.name} exchanges no memory by DLPack")

    def is_loaded(self) -> bool:
        """Return whether the framework is imported in this process."""
        return any(name in sys.modules for name in self.module_names)


def _aligned_copy(host: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return a copy that a framework may take over, whatever it asks of memory."""
    from hcs_core.arrays._carry import aligned_copy  # which itself needs this module

    return aligned_copy(host, dtype)


def _host_memory() -> DeviceMemory | None:
    """Return how full the machine's memory is; what caches hold can be had, so it is free."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:  # not Linux
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    free = sizes["MemAvailable"]
    return DeviceMemory("cpu", sizes["MemTotal"] - free, free)


ARRAYS.expect(ArrayAdapter, attribute="name")

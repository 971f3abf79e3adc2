"""Out of memory: free what nobody uses, call again, then with fewer planes at once.

A function that runs out of memory on a GPU mostly does so because another framework keeps
what it no longer needs, so the caches of all loaded frameworks are freed. What the failed
call held is freed first: its arrays live on in the frames of the error's traceback.
"""

from __future__ import annotations

import gc
import math
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np

from hcs_core.arrays._adapter import ArrayAdapter
from hcs_core.arrays._adapters import loaded_adapters
from hcs_core.arrays._hooks import OOM_RECOVERED
from hcs_core.errors import OutOfMemory, ParameterError, one_line


@dataclass(frozen=True, slots=True)
class OomPolicy:
    """What is done when a function runs out of memory.

    Parameters
    ----------
    retries : int
        How often it is called again with the same arguments, each time after memory has
        been freed.
    split : bool
        Whether it is then called with ever fewer planes of a stack, if its contract says
        that it treats each plane by itself.

    Notes
    -----
    A function that writes into its arguments finds what it has written when it is called
    again, unless the arguments had to be copied for it: copies are made anew for each call.
    Give such a function ``OomPolicy(retries=0, split=False)``.
    """

    retries: int = 1
    split: bool = True

    def __post_init__(self) -> None:
        if type(self.retries) is not int or self.retries < 0:
            raise ParameterError("OomPolicy", "retries", self.retries, "a whole number, 0 or more")


def free_caches(device: str | None = None) -> int:
    """Give memory back that frameworks hold on a device and do not use; imports none.

    Parameters
    ----------
    device : str, optional
        Such as ``"cuda:0"``; by default every device of every framework that is loaded.

    Returns
    -------
    int
        How many bytes were given back, as far as the frameworks can tell.
    """
    return sum(
        adapter.free_cache(place)
        for adapter in loaded_adapters()
        # Asking JAX for its devices reserves most of a GPU, or aborts where memory is short,
        # so a framework without caches of its own is not asked.
        if type(adapter).free_cache is not ArrayAdapter.free_cache
        for place in adapter.devices()
        if device in (None, place)
    )


def release_frames(error: BaseException) -> None:
    """Drop the arrays that an error keeps alive; a note says where it was raised instead.

    The frames that the errors before it were raised in hold arrays too.
    """
    links: list[BaseException | None] = [error]
    seen: set[int] = set()
    while links:
        link = links.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        if link.__traceback__ is not None:
            *_, last = traceback.extract_tb(link.__traceback__, limit=-1)
            link.add_note(f"raised in {last.filename}, line {last.lineno}, in {last.name}")
            traceback.clear_frames(link.__traceback__)
            link.__traceback__ = None
        links += (link.__cause__, link.__context__)


class Split(Protocol):
    """A call that can be made for some planes of its stack at a time."""

    count: int

    def call(self, start: int, stop: int) -> None:
        """Call the function for the planes from `start` to before `stop`; keep the result."""

    def joined(self) -> Any:
        """Return the results of all planes together."""


class Recovery:
    """One call that has run out of memory.

    Parameters
    ----------
    function : str
        What has been called.
    adapter : ArrayAdapter
        Its framework.
    device : str
        Where it runs.
    error : Exception
        What it raised the first time.
    lacks_memory : callable
        Whether an error says that memory was missing.
    """

    def __init__(
        self,
        function: str,
        adapter: ArrayAdapter,
        device: str,
        error: Exception,
        lacks_memory: Callable[[BaseException], bool],
    ) -> None:
        self._function, self._adapter, self._device = function, adapter, device
        self._first = error
        self._said = one_line(error)
        self._lacks_memory = lacks_memory
        self._attempts, self._freed = 1, 0
        self._free(error)

    def run(self, policy: OomPolicy, call: Callable[[], Any], split: Split | None) -> Any:
        """Return the result of the call, made again or in parts.

        Raises
        ------
        OutOfMemory
            If neither helps.
        """
        for _ in range(policy.retries):
            succeeded, result = self._tried(call)
            if succeeded:
                self._tell("retry")
                return result
        if not policy.split or split is None:
            raise self._failure() from self._first
        self._in_parts(split)
        succeeded, result = self._tried(split.joined, is_attempt=False)
        if not succeeded:
            raise self._failure() from self._first
        self._tell("split")
        return result

    def _in_parts(self, split: Split) -> None:
        """Call for half of the planes, and for half of that where it is still too much."""
        start, size = 0, (split.count + 1) // 2
        while start < split.count:
            stop = min(start + size, split.count)
            succeeded, _ = self._tried(partial(split.call, start, stop))
            if succeeded:
                start = stop
            elif size == 1:
                raise self._failure() from self._first
            else:
                size = (size + 1) // 2

    def _tried(self, call: Callable[[], Any], *, is_attempt: bool = True) -> tuple[bool, Any]:
        """Return whether there was memory for a call, and what it returned."""
        self._attempts += is_attempt
        try:
            return True, call()
        except Exception as error:
            if not self._lacks_memory(error):
                raise
            lack = error
        self._free(lack)
        return False, None

    def _free(self, error: Exception) -> None:
        release_frames(error)
        gc.collect()
        self._freed += free_caches(self._device)

    def _failure(self) -> OutOfMemory:
        memory = self._adapter.memory(self._device)
        return OutOfMemory(
            self._function,
            self._device,
            requested_bytes(str(self._first)),
            self._freed,
            self._attempts,
            None if memory is None else memory.free,
            None if memory is None else memory.total,
        )

    def _tell(self, action: Literal["retry", "split"]) -> None:
        OOM_RECOVERED(
            function=self._function,
            framework=self._adapter.name,
            device=self._device,
            action=action,
            attempts=self._attempts,
            error=self._said,
        )


# As NumPy ("Unable to allocate 64.0 TiB"), torch ("you tried to allocate 1024 bytes"), JAX and
# CuPy ("allocating 1,024 bytes") say it.
_AMOUNT = re.compile(r"allocat\w+ ([\d.,]+) ?(bytes|[KMGTPE]i?B)\b")
# As TensorFlow says it: "allocating tensor with shape[64,2048] and type float".
_TENSOR = re.compile(r"tensor with shape\[([\d,]*)\] and type (\w+)")
_POWERS = {"b": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_DTYPES = {"float": "float32", "double": "float64", "half": "float16", "bfloat16": "uint16"}


def requested_bytes(message: str) -> int | None:
    """Return how many bytes a framework's message says were asked for, or None."""
    amount = _AMOUNT.search(message)
    if amount is not None:
        number = float(amount[1].replace(",", "").rstrip("."))
        return round(number * 1024.0 ** _POWERS[amount[2][0]])
    tensor = _TENSOR.search(message)
    if tensor is None:
        return None
    try:
        itemsize: int = np.dtype(_DTYPES.get(tensor[2], tensor[2])).itemsize
    except TypeError:  # a dtype that TensorFlow alone has
        return None
    return math.prod(int(axis) for axis in tensor[1].split(",") if axis) * itemsize

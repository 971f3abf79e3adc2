"""Out of memory: free what nobody uses, call again, then with fewer planes at once.

A function that runs out of memory on a GPU mostly does so because another framework keeps
what it no longer needs, so the caches of all loaded frameworks are freed. What the failed
call held is freed first: its arrays live on in the frames of the error's traceback.
"""

from __future__ import annotations

import gc
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from types import FrameType, TracebackType
from typing import Any, Literal, Protocol

from hcs_core.arrays._adapter import ArrayAdapter
from hcs_core.arrays._adapters import loaded_adapters
from hcs_core.arrays._device_names import full_name
from hcs_core.arrays.calls._contract import OomPolicy
from hcs_core.arrays.calls._hooks import OOM_RECOVERED
from hcs_core.errors import OutOfMemory, one_line

_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


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
    wanted = full_name(device)
    return sum(
        adapter.free_cache(place)
        for adapter in loaded_adapters()
        # Asking JAX for its devices reserves most of a GPU, or aborts where memory is short,
        # so a framework without caches of its own is not asked.
        if type(adapter).free_cache is not ArrayAdapter.free_cache
        for place in adapter.devices()
        if wanted in (None, place)
    )


def release_frames(error: BaseException, handled: BaseException | None) -> None:
    """Drop the arrays that an error keeps alive; a note says where it was raised instead.

    The frames that the errors before it were raised in hold arrays too.

    Parameters
    ----------
    error : exception
        What has ended a call; its traceback begins where it was caught.
    handled : exception, optional
        What was being handled when the call began. That and the errors before it are of
        whoever called, and left alone, as are others that were not raised by the call.
    """
    of_call = _Passed(error)
    links: list[BaseException | None] = [error]
    seen = {id(handled)}
    while links:
        link = links.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        if link.__traceback__ is not None:
            if not of_call.has(link.__traceback__):
                continue
            _release(link, link.__traceback__)
        links += (link.__cause__, link.__context__)


def _release(error: BaseException, raised: TracebackType) -> None:
    *_, last = traceback.extract_tb(raised, limit=-1)
    error.add_note(f"raised in {last.filename}, line {last.lineno}, in {last.name}")
    for frame in _frames(raised):
        # To clear the frame of a generator would close it, which may be at work elsewhere.
        if not frame.f_code.co_flags & _GENERATORS:
            with suppress(RuntimeError):  # it is still running, as the one that called
                frame.clear()
    error.__traceback__ = None


class _Passed:
    """The frames that a call has passed through, of which `error` has come."""

    def __init__(self, error: BaseException) -> None:
        frames = list(_frames(error.__traceback__))
        # A generator that has ended does not tell who called it, so they are noted.
        generators = [frame for frame in frames if frame.f_code.co_flags & _GENERATORS]
        self._frames = {*frames[:1], *generators}

    def has(self, raised: TracebackType) -> bool:
        """Return whether an error was raised in the call."""
        return any(self._is_below(frame) for frame in _frames(raised))

    def _is_below(self, frame: FrameType | None) -> bool:
        while frame is not None and frame not in self._frames:
            frame = frame.f_back
        return frame is not None


def _frames(raised: TracebackType | None) -> Iterator[FrameType]:
    return (frame for frame, _ in traceback.walk_tb(raised))


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
        except Exception as error:  # the function's own, or of its framework, each of its kind
            if not self._lacks_memory(error):
                raise
            lack = error
        self._free(lack)
        return False, None

    def _free(self, error: Exception) -> None:
        # It has been caught, so what is handled now is what was when the call began.
        release_frames(error, sys.exception())
        gc.collect()
        self._freed += free_caches(self._device)

    def _failure(self) -> OutOfMemory:
        memory = self._adapter.memory(self._device)
        return OutOfMemory(
            self._function,
            self._device,
            self._adapter.requested_bytes(self._first),
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

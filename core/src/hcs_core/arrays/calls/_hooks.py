"""What others may observe of computing with arrays."""

from __future__ import annotations

from hcs_core.registry import Hook


def hcs_oom_recovered(
    function: str, framework: str, device: str, action: str, attempts: int, error: str
) -> None:
    """Tell that a function has run out of memory and was helped.

    Told by a decorated function, in the process and the thread that called it, before its
    result is returned. One that could not be helped raises `OutOfMemory` instead.

    Parameters
    ----------
    function : str
        The function that ran out of memory, with its module.
    framework : str
        Its array framework, such as ``"torch"``.
    device : str
        Where the memory was lacking, such as ``"cuda:1"``.
    action : {"retry", "split"}
        What helped: to free memory and call it again, or to call it with parts of the stack.
    attempts : int
        How often the function was called, the successful time included.
    error : str
        What the framework said the first time.
    """


OOM_RECOVERED = Hook(hcs_oom_recovered)
"""Told of every recovery from a lack of memory."""

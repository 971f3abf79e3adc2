"""What others may observe of computing with arrays."""

from __future__ import annotations

from hcs_core.registry import Hook


def hcs_oom_recovered(
    function: str, framework: str, device: str, action: str, attempts: int, error: str
) -> None:
    """Tell that a function has run out of memory and was helped.

    Declared ahead of its caller: nothing in this version recovers from a lack of memory,
    so nothing calls this yet. The recovery of the array bridge will.

    Parameters
    ----------
    function : str
        The function that ran out of memory.
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
"""Will be told of every recovery from a lack of memory; nothing calls it yet."""

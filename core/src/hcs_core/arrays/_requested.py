"""How many bytes were asked for, as the message of an error tells it."""

from __future__ import annotations

import re

# As NumPy ("Unable to allocate 64.0 TiB"), torch ("you tried to allocate 1024 bytes"), JAX and
# CuPy ("allocating 1,024 bytes") say it.
_AMOUNT = re.compile(r"allocat\w+ ([\d.,]+) ?(bytes|[KMGTPE]i?B)\b")
_POWERS = {"b": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}


def amount_in(message: str) -> int | None:
    """Return the bytes that were to be allocated, or None where a message does not say it.

    Examples
    --------
    >>> amount_in("Unable to allocate 2.0 KiB for an array")
    2048
    """
    amount = _AMOUNT.search(message)
    if amount is None:
        return None
    number = float(amount[1].replace(",", "").rstrip("."))
    return round(number * 1024.0 ** _POWERS[amount[2][0]])

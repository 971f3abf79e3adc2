"""Run out of memory for real, in a process of its own; test_arrays_oom.py starts it.

``python oom_under_limit.py retry torch``: memory is held by garbage, which the recovery frees.
``python oom_under_limit.py split torch``: planes are too many at once, and fit in parts.
What it prints at the end is a dict.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hcs_core.arrays import OOM_RECOVERED, convert
from hcs_core.arrays.calls._decorators import memory_types

MIB = 2**20


def ones_of(framework: str) -> Callable[[int], Any]:
    """Return what allocates and fills so many bytes."""
    if framework == "torch":
        import torch

        return lambda nbytes: torch.ones(nbytes, dtype=torch.uint8)
    if framework == "jax":
        import jax.numpy as jnp

        return lambda nbytes: jnp.ones((nbytes,), jnp.uint8).block_until_ready()
    if framework == "tensorflow":
        import tensorflow as tf

        return lambda nbytes: tf.ones((nbytes,), tf.uint8)
    return lambda nbytes: np.ones(nbytes, np.uint8)


def limit(more: int) -> None:
    """Let the process have no more address space than now and so many bytes."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    size = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


class Garbage:
    """Something in a cycle, which the cycle collector alone frees."""

    def __init__(self, held: Any) -> None:
        self.held, self.itself = held, self


def retried(framework: str, ones: Callable[[int], Any]) -> dict[str, Any]:
    sizes = []

    @memory_types(input=framework, output="numpy")
    def needy(image: Any, need: int) -> Any:
        sizes.append(need)
        ones(need)
        return image + image

    planes = convert(np.arange(6, dtype=np.float32).reshape(2, 3), framework)
    needy(planes, 1000)  # only now are all threads and buffers of its framework there
    limit(1000 * MIB)
    gc.collect()
    gc.disable()
    Garbage(ones(600 * MIB))
    return {"sum": float(needy(planes, 700 * MIB).sum()), "needs": sizes}


def split(framework: str, ones: Callable[[int], Any]) -> dict[str, Any]:
    counts = []

    @memory_types(input=framework, output="numpy", outputs=("image", "labels"), stack="per_plane")
    def needy(image: Any, labels: Any) -> Any:
        counts.append(len(image))
        ones(len(image) * 150 * MIB)
        return image + image, labels

    stack = np.arange(8 * 6, dtype=np.float32).reshape(8, 2, 3)
    labels = np.arange(8 * 6, dtype=np.int32).reshape(8, 2, 3)
    needy(stack[:1], labels[:1])
    counts.clear()
    limit(1000 * MIB)
    doubled, same = needy(stack, labels)
    is_right = bool((doubled == stack * 2).all() and (same == labels).all())
    return {"right": is_right, "calls": counts}


def main(what: str, framework: str) -> None:
    told: list[tuple[str, str]] = []
    OOM_RECOVERED.connect(lambda framework, action: told.append((framework, action)))
    ones = ones_of(framework)
    ones(1000)
    result = (retried if what == "retry" else split)(framework, ones)
    print({**result, "told": told})  # noqa: T201 - its result


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    warnings.simplefilter("ignore")
    main(*sys.argv[1:])

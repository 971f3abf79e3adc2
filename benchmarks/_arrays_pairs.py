"""One plane from each framework to each other: the floor, ours and the peer, in turns.

The floor is the quickest native call. What is converted is what shares its memory by the
rules of `convert`: into JAX and TensorFlow, whose arrays must never change, a frozen array
of NumPy's; out of them into torch under ``writable=False``. A tensor of torch's can always
be written to, so it is shared with these two only under ``copy=False``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import permutations
from typing import Any

import numpy as np

from benchmarks._arrays_frameworks import HOSTS, address, in_each, load, versions
from benchmarks._arrays_timing import FLOOR, OURS, PEER, Cases, Sample, best_per_call, working
from hcs_core.arrays import convert

SHAPE = (1024, 1024)  # 2 MB of uint16
ROUNDS, CALLS = 40, 300
COPY_ROUNDS, COPY_CALLS = 40, 10

UNCOPIED = f"{OURS}, copy=False"
OPENCL = "pyclesperanto"
IMMUTABLE = ("tensorflow", "jax")

Floors = dict[tuple[str, str], Callable[[], Any]]


def measure() -> Sample:
    sample = Sample()
    has_opencl = load(sample.notes)
    planes = in_each(SHAPE)
    sample.notes.append(f"Installed: {versions()}.")
    rows: dict[str, Cases] = {}
    for pair, floor in _floors(planes).items():
        row = " > ".join(pair)
        cases = working({FLOOR: floor, **_bridges(planes, *pair)}, row, sample.notes)
        rows[row] = _sharing(cases, planes, pair, sample.notes)
    sample.times |= best_per_call(rows, rounds=ROUNDS, calls=CALLS)
    if has_opencl:
        rows = _copying(planes, sample.notes)
        sample.times |= best_per_call(rows, rounds=COPY_ROUNDS, calls=COPY_CALLS)
    return sample


def _bridges(planes: dict[str, Any], source: str, target: str) -> dict[str, Callable[[], Any]]:
    """Return the conversion by ours, twice where it shares unasked, and by the peer."""
    peer = import_module("arraybridge")
    name = "frozen" if source == "numpy" and target in IMMUTABLE else source
    ours = partial(convert, planes[name], target)
    if source in IMMUTABLE and target == "torch":
        ours = partial(ours, writable=False)
    cases: dict[str, Callable[[], Any]] = {}
    if not (source == "torch" and target in IMMUTABLE):
        cases[OURS] = ours
    cases[UNCOPIED] = partial(ours, copy=False)
    cases[PEER] = partial(peer.convert_memory, planes[source], source, target, peer.HOST)
    return cases


def _sharing(
    cases: dict[str, Callable[[], Any]],
    planes: dict[str, Any],
    pair: tuple[str, str],
    notes: list[str],
) -> Cases:
    """Return the cases whose result lies where the plane does, and the peer in any case."""
    known = {address(planes[pair[0]]), address(planes["frozen"])}
    copying = [name for name, case in cases.items() if address(case()) not in known]
    assert FLOOR not in copying, pair
    notes.extend(f"{' > '.join(pair)}, {name}: copies" for name in copying)
    return {name: case for name, case in cases.items() if name == PEER or name not in copying}


def _floors(planes: dict[str, Any]) -> Floors:
    """Return the quickest native call for each pair of frameworks on the host."""
    import jax
    import tensorflow as tf
    import torch

    array, tensor, constant, immutable = (planes[name] for name in HOSTS)
    take, give = tf.experimental.dlpack.from_dlpack, tf.experimental.dlpack.to_dlpack
    floors: Floors = {
        ("numpy", "torch"): lambda: torch.from_numpy(array),
        ("numpy", "tensorflow"): lambda: take(array.__dlpack__()),
        ("numpy", "jax"): lambda: jax.dlpack.from_dlpack(array),
        ("torch", "numpy"): tensor.numpy,
        ("torch", "tensorflow"): lambda: take(tensor.numpy().__dlpack__()),
        ("torch", "jax"): lambda: jax.dlpack.from_dlpack(tensor),
        ("tensorflow", "numpy"): lambda: np.asarray(constant),
        ("tensorflow", "torch"): lambda: torch.from_dlpack(give(constant)),
        ("tensorflow", "jax"): lambda: jax.dlpack.from_dlpack(constant),
        ("jax", "numpy"): lambda: np.asarray(immutable),
        ("jax", "torch"): lambda: torch.from_dlpack(immutable),
        ("jax", "tensorflow"): lambda: take(immutable.__dlpack__()),
    }
    assert floors.keys() == set(permutations(HOSTS, 2))
    return floors


def _copying(planes: dict[str, Any], notes: list[str]) -> dict[str, Cases]:
    """Return the pairs with pyclesperanto, whose images always lie apart."""
    import pyclesperanto as cle

    image = cle.push(planes["numpy"])
    peer = import_module("arraybridge")
    device = peer.AcceleratorDevice(0)
    rows: dict[str, Cases] = {}
    for name, (into, out_of) in _copying_floors(planes, image).items():
        there: Cases = {
            FLOOR: into,
            OURS: partial(convert, planes[name], OPENCL),
            PEER: partial(peer.convert_memory, planes[name], name, OPENCL, device),
        }
        back: Cases = {
            FLOOR: out_of,
            OURS: partial(convert, image, name),
            PEER: partial(peer.convert_memory, image, OPENCL, name, peer.HOST),
        }
        for row, cases in ((f"{name} > {OPENCL}", there), (f"{OPENCL} > {name}", back)):
            rows[row] = working(cases, row, notes)
    return rows


def _copying_floors(
    planes: dict[str, Any], image: Any
) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Return the quickest native calls to pyclesperanto and back, for each framework."""
    import jax
    import pyclesperanto as cle
    import tensorflow as tf
    import torch

    array, tensor, constant, immutable = (planes[name] for name in HOSTS)
    take = tf.experimental.dlpack.from_dlpack
    return {
        "numpy": (lambda: cle.push(array), lambda: cle.pull(image)),
        "torch": (lambda: cle.push(tensor.numpy()), lambda: torch.from_numpy(cle.pull(image))),
        "tensorflow": (
            lambda: cle.push(np.asarray(constant)),
            lambda: take(cle.pull(image).__dlpack__()),
        ),
        "jax": (
            lambda: cle.push(np.asarray(immutable)),
            lambda: jax.dlpack.from_dlpack(cle.pull(image)).block_until_ready(),
        ),
    }

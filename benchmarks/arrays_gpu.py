"""The array bridge on one CUDA device: upload, download, and hand-over between frameworks.

Not verified: written against the documentation of CuPy, torch and JAX, and not run on a GPU
yet. It takes the running interpreter with its own builds of these, whichever are there
besides CuPy, and says what it leaves out. Transfers are measured against `cudaMemcpy` from
and to page-locked memory; a hand-over, which moves nothing, against the quickest native call.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import permutations
from typing import Any

from benchmarks._arrays_timing import FLOOR, OURS, Cases, Sample, best_per_call, print_part, working
from benchmarks._common import SkippedError, interleaved

DEVICE = "cuda:0"
FRAMEWORKS = ("cupy", "torch", "jax")
STACK, PLANE = (128, 1024, 1024), (1024, 1024)
ROUNDS, CALLS = 30, 50
GOAL, OVER_FLOOR_US = 0.9, 5.0

PAGEABLE = f"{OURS}, pageable"


def main() -> None:
    """Measure, and print the ratios with what they shall be.

    Raises
    ------
    SkippedError
        If there is no CuPy, or no CUDA device.
    """
    _require_cuda()
    names = [name for name in FRAMEWORKS if find_spec(name)]
    print(f"Frameworks: {', '.join(names)}; device: {_device_name()}\n")
    _print_transfers("Upload of 256 MB", _uploads(names))
    _print_transfers("Download of 256 MB", _downloads(names))
    _print_hand_overs(_hand_overs(names))


def _require_cuda() -> None:
    # Else JAX takes three quarters of the memory at its first use.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if find_spec("cupy") is None:
        raise SkippedError("needs a CUDA device and cupy, which is not installed")
    import cupy

    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as cause:  # no driver, or one too old
        raise SkippedError(f"needs a CUDA device: {cause}") from cause
    if not count:
        raise SkippedError("needs a CUDA device, and there is none")


def _device_name() -> str:
    import cupy

    return str(cupy.cuda.runtime.getDeviceProperties(0)["name"].decode())


def _uploads(names: list[str]) -> Sample:
    """Measure NumPy to each framework, from page-locked and from ordinary memory."""
    import cupy
    import cupyx
    import numpy as np

    from hcs_core.arrays import convert

    pageable = np.arange(128 * 1024 * 1024, dtype=np.uint32).astype(np.uint16).reshape(STACK)
    pinned = cupyx.empty_pinned(STACK, np.uint16)
    pinned[...] = pageable
    there = cupy.empty(STACK, np.uint16)
    memcpy, kind = cupy.cuda.runtime.memcpy, cupy.cuda.runtime.memcpyHostToDevice
    floor = partial(memcpy, there.data.ptr, pinned.ctypes.data, pinned.nbytes, kind)
    sample = Sample()
    for name in names:
        cases = {
            FLOOR: floor,
            OURS: partial(convert, pinned, name, device=DEVICE),
            PAGEABLE: partial(convert, pageable, name, device=DEVICE),
        }
        _measure_transfers(f"numpy > {name}", cases, sample)
    return sample


def _downloads(names: list[str]) -> Sample:
    """Measure each framework to NumPy, which gets memory of its own."""
    import cupy
    import cupyx
    import numpy as np

    from hcs_core.arrays import convert

    pinned = cupyx.empty_pinned(STACK, np.uint16)
    pinned[...] = 7
    there = cupy.asarray(pinned)
    memcpy, kind = cupy.cuda.runtime.memcpy, cupy.cuda.runtime.memcpyDeviceToHost
    floor = partial(memcpy, pinned.ctypes.data, there.data.ptr, pinned.nbytes, kind)
    sample = Sample()
    for name in names:
        array = convert(pinned, name, device=DEVICE)
        cases = {FLOOR: floor, OURS: partial(convert, array, "numpy")}
        _measure_transfers(f"{name} > numpy", cases, sample)
    return sample


def _measure_transfers(row: str, cases: Cases, sample: Sample) -> None:
    complete = {name: _complete(case) for name, case in cases.items()}
    sample.times[row] = interleaved(working(complete, row, sample.notes), rounds=ROUNDS)


def _complete(case: Callable[[], Any]) -> Callable[[], Any]:
    """Return a case that ends when the device has done all of it, on every stream."""
    import cupy

    def completed() -> Any:
        result = case()
        getattr(result, "block_until_ready", lambda: None)()
        cupy.cuda.runtime.deviceSynchronize()
        return result

    return completed


def _hand_overs(names: list[str]) -> Sample:
    """Measure a plane on the device from each framework to each other, nothing copied."""
    import numpy as np

    from hcs_core.arrays import convert, describe

    sample = Sample()
    rows: dict[str, Cases] = {}
    arrays = {name: convert(np.ones(PLANE, np.uint16), name, device=DEVICE) for name in names}
    for source, target in permutations(names, 2):
        row, array = f"{source} > {target}", arrays[source]
        # To JAX only copy=False shares what can be written to; out of it only the promise does.
        ours = partial(convert, array, target, copy=False, writable=False)
        cases = working(
            {FLOOR: partial(_native_importer(target), array), OURS: ours}, row, sample.notes
        )
        if OURS in cases:
            assert describe(ours()).pointer == describe(array).pointer, row
        rows[row] = cases
    sample.times |= best_per_call(rows, rounds=ROUNDS, calls=CALLS)
    return sample


def _native_importer(name: str) -> Callable[[Any], Any]:
    """Return a framework's own import of an array, by the protocol that agrees on streams."""
    module = import_module("jax.dlpack" if name == "jax" else name)
    importer: Callable[[Any], Any] = module.from_dlpack
    return importer


def _print_transfers(title: str, sample: Sample) -> None:
    print(f"{title}, ms:\n")
    rows = []
    for row, times in sample.times.items():
        shown = [
            f"{1e3 * times[case]:.2f}" if case in times else "-" for case in (FLOOR, OURS, PAGEABLE)
        ]
        ratio = times[FLOOR] / times[OURS] if OURS in times else 0.0
        verdict = "met" if ratio >= GOAL else "not met"
        rows.append([row, *shown, f"{ratio:.2f}", f">= {GOAL:g}", verdict])
    header = ("from > to", "cudaMemcpy, pinned", OURS, PAGEABLE, "cudaMemcpy / ours", "goal")
    print_part((*header, "verdict"), rows, sample)


def _print_hand_overs(sample: Sample) -> None:
    print("A plane of 2 MB that stays on the device, µs:\n")
    rows = []
    for row, times in sample.times.items():
        shown = [f"{1e6 * times[case]:.2f}" if case in times else "-" for case in (FLOOR, OURS)]
        known = OURS in times and FLOOR in times
        over = 1e6 * (times[OURS] - times[FLOOR]) if known else float("inf")
        verdict = "met" if over <= OVER_FLOOR_US else "not met"
        rows.append([row, *shown, f"+{over:.1f}", f"+{OVER_FLOOR_US:g}", verdict])
    header = ("from > to", FLOOR, OURS, "over floor", "goal", "verdict")
    print_part(header, rows, sample)

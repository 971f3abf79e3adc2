"""The array bridge beside the quickest native call and beside arraybridge, in one run.

Each part is a fresh process of an interpreter that has every framework, with one thread
each; within a part all cases take turns, and the best of many rounds counts.
"""

from __future__ import annotations

from benchmarks._arrays_environment import sampler
from benchmarks._arrays_pairs import OPENCL, UNCOPIED
from benchmarks._arrays_rescale import BY_HAND, SKIMAGE
from benchmarks._arrays_rescale import SHAPE as RESCALED
from benchmarks._arrays_timing import FLOOR, NATIVE, OURS, PEER, Sample, Times, print_part
from benchmarks._common import print_table

OVER_FLOOR_US, OVER_FLOOR_TENSORFLOW_US = 5.0, 12.0
OVER_BARE_US = 2.0
OWNED_COPY, OWNED_COPY_JAX = 1.1, 2.2
STACK = 1.2


def main() -> None:
    """Measure everything, and print it with what it shall be."""
    with sampler() as sample:
        _print_pairs(sample("pairs"))
        _print_copies(sample("copies"))
        _print_calls(sample("calls"))
        _print_stacks(sample("stacks"))
        _print_rescale(sample("rescale"))


def _print_pairs(sample: Sample) -> None:
    shared = {row: times for row, times in sample.times.items() if OPENCL not in row}
    copied = {row: times for row, times in sample.times.items() if OPENCL in row}
    print("A plane of 2 MB that shares its memory, µs:\n")
    header = ("from > to", FLOOR, OURS, UNCOPIED, "over floor", "goal", PEER, f"{PEER} / ours")
    rows = [_pair_row(row, times) for row, times in shared.items()]
    print_part((*header, "verdict"), rows, sample)
    if copied:
        print("With pyclesperanto, which always copies; no goal, µs:\n")
        cases = (FLOOR, OURS, PEER)
        rows = [[row, *_micros(times, *cases)] for row, times in copied.items()]
        print_table(("from > to", *cases), rows)


def _pair_row(row: str, times: Times) -> list[str]:
    """Judge the slower of ours against the floor, and the call that users make by the peer's."""
    goal = OVER_FLOOR_TENSORFLOW_US if "tensorflow" in row else OVER_FLOOR_US
    measured, peer = _micros(times, FLOOR, OURS, UNCOPIED), _micros(times, PEER)
    ours = [times[name] for name in (OURS, UNCOPIED) if name in times]
    if UNCOPIED not in times or FLOOR not in times:
        return [row, *measured, "-", f"+{goal:g}", *peer, "-", "not met"]
    over = 1e6 * (max(ours) - times[FLOOR])
    ratio = times[PEER] / ours[0] if PEER in times else float("inf")
    verdict = "met" if over <= goal and ratio > 1 else "not met"
    return [row, *measured, f"+{over:.1f}", f"+{goal:g}", *peer, f"{ratio:.2f}", verdict]


def _print_copies(sample: Sample) -> None:
    print("An owned copy of 256 MB, ms:\n")
    rows = []
    for row, times in sample.times.items():
        goal = OWNED_COPY_JAX if row == "jax" else OWNED_COPY
        rows.append(_ratio_row(row, times, (FLOOR, OURS, NATIVE), goal))
    header = ("to", "np.copy", OURS, NATIVE, "ours / np.copy", "goal", "verdict")
    print_part(header, rows, sample)


def _print_calls(sample: Sample) -> None:
    print("A decorated call with nothing to convert, µs:\n")
    rows = []
    for row, times in sample.times.items():
        over = 1e6 * (times[OURS] - times[FLOOR]) if OURS in times else float("inf")
        verdict = "met" if over <= OVER_BARE_US else "not met"
        measured = _micros(times, FLOOR, OURS, PEER)
        rows.append([row, *measured, f"+{over:.2f}", f"+{OVER_BARE_US:g}", verdict])
    header = ("decorator", "bare", OURS, PEER, "ours over bare", "goal", "verdict")
    print_part(header, rows, sample)


def _print_stacks(sample: Sample) -> None:
    print("64 planes of 2048 x 2048 uint16 in one array, ms:\n")
    cases = (FLOOR, OURS, PEER, NATIVE)
    rows = [_ratio_row(row, times, cases, STACK) for row, times in sample.times.items()]
    header = ("to", "np.stack", OURS, PEER, NATIVE, "ours / np.stack", "goal", "verdict")
    print_part(header, rows, sample)


def _print_rescale(sample: Sample) -> None:
    pixels = RESCALED[0] * RESCALED[1] * RESCALED[2]
    print("rescale, 10⁹ pixels in a second; no goal:\n")
    cases = (FLOOR, OURS, BY_HAND, SKIMAGE)
    rows = [
        [row, *(f"{pixels / times[case] / 1e9:.2f}" if case in times else "-" for case in cases)]
        for row, times in sample.times.items()
    ]
    print_part(("what", "astype, not rounded", OURS, BY_HAND, SKIMAGE), rows, sample)


def _ratio_row(row: str, times: Times, cases: tuple[str, ...], goal: float) -> list[str]:
    measured = [f"{1e3 * times[case]:.1f}" if case in times else "-" for case in cases]
    ratio = times[OURS] / times[FLOOR] if OURS in times else float("inf")
    verdict = "met" if ratio <= goal else "not met"
    return [row, *measured, f"{ratio:.2f}", f"<= {goal:g}", verdict]


def _micros(times: Times, *cases: str) -> list[str]:
    return [f"{1e6 * times[case]:.2f}" if case in times else "-" for case in cases]

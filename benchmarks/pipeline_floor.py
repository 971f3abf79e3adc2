"""A plate run against the plainest loop that does the same work.

96 TIFFs of 1024 x 1024 (4 wells, 4 sites, 2 channels, 3 z): maximum over z, then a
stretch of the percentiles 0.5 to 99.5 over the sites of a (well, channel), 32 planes
written to Zarr. The loop is ``../shared/bench/plate_floor.py``: numpy, tifffile and
tensorstore only. Both write the same planes, which is checked.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmarks._common import interleaved, print_table, shared_script
from hcs_core.storage import FileManager
from hcs_pipeline import FunctionStep, Pipeline, Plan, compile, execute

ROUNDS = 7
GOAL = 1.3

PIPELINE = Pipeline(
    [
        FunctionStep("max_projection", name="Flatten", variable_components=["z_index"]),
        FunctionStep(
            ("stack_percentile_normalize", {"low": 0.5, "high": 99.5}),
            name="Stretch",
            variable_components=["site"],
            save=["image"],
        ),
    ],
    name="floor",
)


def main() -> None:
    """Measure, check that both wrote the same planes, and print the ratio."""
    floor = shared_script("plate_floor")
    with tempfile.TemporaryDirectory(prefix="hcs-bench-") as folder:
        root = Path(folder)
        floor.make(str(root / "plate"))
        best = interleaved(_cases(floor, root), rounds=ROUNDS)
        worst = _largest_difference(root / "ours", root / "floor")
    ratio = best["execute"] / best["loop"]
    rows = [[name, f"{1000 * t:.0f}", f"{t / best['loop']:.2f}"] for name, t in best.items()]
    print_table(["case", "best of 7, ms", "x loop"], rows)
    verdict = "met" if ratio <= GOAL else "not met"
    print(f"execute / loop = {ratio:.2f} (goal <= {GOAL}: {verdict})")
    print(f"largest difference of the 32 planes: {worst} grey levels\n")


def _cases(floor: ModuleType, root: Path) -> dict[str, Callable[[], object]]:
    plan: list[Plan] = []

    def loop() -> None:
        shutil.rmtree(root / "floor", ignore_errors=True)
        floor.loop(str(root / "plate"), str(root / "floor"))

    def compile_only() -> None:
        shutil.rmtree(root / "ours", ignore_errors=True)
        plan[:] = [compile(PIPELINE, root / "plate", root / "ours")]

    def execute_only() -> None:
        execute(plan[0], report=False)

    # Imports and first calls are nobody's time.
    for case in (loop, compile_only, execute_only):
        case()
    return {"loop": loop, "compile": compile_only, "execute": execute_only}


def _largest_difference(ours: Path, floor: Path) -> int:
    """Return the largest difference of any pixel of any plane."""
    planes = FileManager(ours / "plate.zarr")
    loops = FileManager(floor)
    worst = 0
    fields = list(planes.list_files("", "zarr", recursive=True))
    assert len(fields) == 16, fields
    for field in fields:  # "A/01/0/0": the loop counts sites from 1, one array per site
        row, column, number, level = field.split("/")
        mine = planes.load(field, "zarr")[0, :, 0].astype(int)
        theirs = loops.load(f"{row}/{column}/{int(number) + 1}/{level}", "zarr").astype(int)
        worst = max(worst, int(np.abs(mine - theirs).max()))
    return worst

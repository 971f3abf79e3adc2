"""Nuclei against the annotators' masks: our pipeline and a plain scikit-image script.

The fields are those of BBBC039 in ``../shared/data/bbbc039``; the scorer and the baseline
are those of ``../shared/bench/nuclei_baseline.py``. What is scored is what a run of
``demo/nuclei.toml`` leaves in its plate. A field without nuclei scores 1 when nothing is
found on it and 0 otherwise; its count error is the number found, over one.
"""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._common import SHARED, SkippedError, print_table, shared_script
from hcs_core.plates import Plate, open_plate
from hcs_core.storage import FileManager
from hcs_gpu_kernels import segment_nuclei
from hcs_pipeline import compile, execute, load_pipeline

PIPELINE = Path(__file__).resolve().parents[1] / "demo" / "nuclei.toml"
GOAL = 0.88

Labels = NDArray[Any]
F1 = Callable[[Labels, Labels, float], float]


@dataclass(frozen=True)
class Field:
    """One field: its image, what the annotators drew, and what the run found."""

    image: NDArray[Any]
    truth: Labels
    found: Labels


def main() -> None:
    """Score all ways on all fields, and print them side by side."""
    baseline = shared_script("nuclei_baseline")
    folder = SHARED / "data" / "bbbc039"
    if not folder.is_dir():
        raise SkippedError(f"needs {folder.name} from the optional data folder ../shared")
    plate = open_plate(folder / "images")
    pixel_size = plate.metadata.pixel_size_um
    fields = list(_fields(plate, folder / "masks", baseline))
    ways: dict[str, Callable[[Field], Labels]] = {
        "baseline: Otsu, watershed": lambda field: _numbered(baseline.segment(field.image)),
        "hcs run demo/nuclei.toml": lambda field: field.found,
        "segment_nuclei": lambda field: segment_nuclei(field.image, pixel_size_um=pixel_size),
        "segment_nuclei, no pixel size": lambda field: segment_nuclei(field.image),
    }
    rows = [_score(name, way, fields, baseline.f1) for name, way in ways.items()]
    print(f"{len(fields)} fields, {sum(int(field.truth.max()) for field in fields)} nuclei\n")
    header = ["way", "F1 at 0.5", "F1 at 0.7", "worst at 0.7", "median count error", "ms a field"]
    print_table(header, [row for row, _ in rows])
    reached = rows[1][1]
    verdict = "met" if reached >= GOAL else "not met"
    print(f"F1 at IoU 0.7 of the run = {reached:.3f} (goal >= {GOAL}: {verdict})\n")


def _fields(plate: Plate, masks: Path, baseline: ModuleType) -> list[Field]:
    """Run the pipeline, and return each field with its labels from the run's plate."""
    fields = []
    with tempfile.TemporaryDirectory(prefix="hcs-bench-") as folder:
        out = Path(folder) / "out"
        execute(compile(load_pipeline(PIPELINE), plate, out), plate, report=False)
        written = FileManager(out / "plate.zarr")
        with (out / "tables" / "images.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                (place,) = plate.select(well=row["well"], site=row["site"])
                mask = masks / f"{Path(plate.index.file(place)).stem}.png"
                found = written.load(f"{row['path']}/labels/Nuclei/0", "zarr")[0, 0]
                fields.append(Field(plate.read(place), baseline.truth(str(mask)), found))
    return fields


def _score(
    name: str, way: Callable[[Field], Labels], fields: list[Field], f1: F1
) -> tuple[list[str], float]:
    """Return one row of the table, and the mean F1 at an IoU of 0.7."""
    at_50, at_70, errors, seconds = [], [], [], []
    way(fields[0])  # imports and first calls are nobody's time
    for field in fields:
        started = time.perf_counter()
        labels = way(field)
        seconds.append(time.perf_counter() - started)
        at_50.append(_f1(f1, field.truth, labels, 0.5))
        at_70.append(_f1(f1, field.truth, labels, 0.7))
        true_count = int(field.truth.max())
        errors.append(abs(int(labels.max()) - true_count) / max(1, true_count))
    took = 1000 * float(np.median(seconds))
    row = [
        name,
        f"{np.mean(at_50):.3f}",
        f"{np.mean(at_70):.3f}",
        f"{min(at_70):.3f}",
        f"{100 * np.median(errors):.1f} %",
        f"{took:.1f}" if took > 0.1 else "as segment_nuclei",
    ]
    return row, float(np.mean(at_70))


def _f1(f1: F1, truth: Labels, labels: Labels, threshold: float) -> float:
    # The scorer divides by the number of objects of one side.
    if (truth.max() == 0) != (labels.max() == 0):
        return 0.0
    return float(f1(truth, labels, threshold))


def _numbered(labels: Labels) -> Labels:
    """Return labels without gaps, as the baseline script scores them."""
    values = np.unique(labels[labels > 0])
    numbers = np.zeros(int(labels.max()) + 1, np.int64)
    numbers[values] = np.arange(1, len(values) + 1)
    return numbers[labels]

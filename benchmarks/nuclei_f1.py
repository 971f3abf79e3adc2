"""Nuclei against the annotators' masks: ours and a plain scikit-image script, in one run.

    python -m benchmarks.nuclei_f1 [FOLDER]

FOLDER holds ``images/*.tif`` and ``masks/*.png`` of the same names (BBBC039; default
``../shared/data/bbbc039`` beside the checkout). The scorer and the baseline are those of
``../shared/bench/nuclei_baseline.py``. A field without nuclei scores 1 when nothing is
found on it and 0 otherwise; its count error is the number found, over one.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[Any]
Segment = Callable[[NDArray[Any]], Labels]

SHARED = Path(__file__).resolve().parents[2] / "shared"
PIXEL_SIZE_UM = (0.645, 0.645)
"""What the TIFFs of BBBC039 say of themselves."""


@dataclass(frozen=True)
class Scores:
    """What one way of segmenting got on all fields."""

    name: str
    f1_50: NDArray[np.float64]
    f1_70: NDArray[np.float64]
    count_error: NDArray[np.float64]
    seconds: float

    def row(self, slowest: float) -> str:
        """Return the scores as one line of a table."""
        return (
            f"{self.name:32}{self.f1_50.mean():8.4f}{self.f1_70.mean():8.4f}"
            f"{self.f1_70.min():8.3f}{100 * np.median(self.count_error):10.1f} %"
            f"{1000 * self.seconds:10.1f} ms{slowest / self.seconds:8.1f}x"
        )


def load_baseline(script: Path = SHARED / "bench" / "nuclei_baseline.py") -> ModuleType:
    """Return the baseline script as a module: its ``f1``, ``truth`` and ``segment``."""
    spec = importlib.util.spec_from_file_location("nuclei_baseline", script)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_fields(folder: Path, baseline: ModuleType) -> list[tuple[NDArray[Any], Labels]]:
    """Return image and true labels of every field, in the order of the file names."""
    import tifffile

    images = sorted((folder / "images").glob("*.tif"))
    if not images:
        raise FileNotFoundError(folder / "images" / "*.tif")
    masks = [folder / "masks" / f"{image.stem}.png" for image in images]
    return [
        (tifffile.imread(image), baseline.truth(str(mask)))
        for image, mask in zip(images, masks, strict=True)
    ]


def score(
    name: str,
    segment: Segment,
    fields: list[tuple[NDArray[Any], Labels]],
    f1: Callable[[Labels, Labels, float], float],
) -> Scores:
    """Return the scores of `segment`; the seconds are the median over the fields."""
    f1_50, f1_70, errors, seconds = [], [], [], []
    segment(fields[0][0])  # not the price of imports
    for image, truth in fields:
        start = time.perf_counter()
        labels = segment(image)
        seconds.append(time.perf_counter() - start)
        # The scorer divides by the number of objects of one side.
        empty_but_found = (truth.max() == 0) != (labels.max() == 0)
        f1_50.append(0.0 if empty_but_found else f1(truth, labels, 0.5))
        f1_70.append(0.0 if empty_but_found else f1(truth, labels, 0.7))
        errors.append(abs(int(labels.max()) - int(truth.max())) / max(1, int(truth.max())))
    return Scores(
        name, np.array(f1_50), np.array(f1_70), np.array(errors), float(np.median(seconds))
    )


def main(arguments: list[str] | None = None) -> int:
    from skimage import segmentation

    from hcs_gpu_kernels import segment_nuclei

    parser = argparse.ArgumentParser(description="nuclei against the annotators' masks")
    default = SHARED / "data" / "bbbc039"
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    baseline = load_baseline()
    fields = load_fields(parser.parse_args(arguments).folder, baseline)

    def ours(image: NDArray[Any]) -> Labels:
        return segment_nuclei(image, pixel_size_um=PIXEL_SIZE_UM)

    def plain(image: NDArray[Any]) -> Labels:
        relabel: Any = segmentation.relabel_sequential  # as the script does; untyped
        labels: Labels = relabel(baseline.segment(image))[0]
        return labels

    runs: dict[str, Segment] = {
        "baseline (Otsu, watershed)": plain,
        "segment_nuclei, pixel size known": ours,
        "segment_nuclei, size from image": segment_nuclei,
    }
    results = [score(name, run, fields, baseline.f1) for name, run in runs.items()]
    nuclei = sum(int(truth.max()) for _, truth in fields)
    print(f"{len(fields)} fields, {nuclei} nuclei")
    print(f"{'':32}  F1@0.5  F1@0.7   worst   count err      a field    speed")
    for result in results:
        print(result.row(results[0].seconds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

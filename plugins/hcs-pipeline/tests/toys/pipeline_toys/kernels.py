"""Kernels whose results can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def add(image: NDArray[Any], amount: int = 1) -> NDArray[Any]:
    return image + np.uint16(amount)


def brightest(image: NDArray[Any]) -> NDArray[Any]:
    result: NDArray[Any] = image.max(axis=0)
    return result


def minus_stack_minimum(image: NDArray[Any]) -> NDArray[Any]:
    result: NDArray[Any] = image - image.min()
    return result


def halves(image: NDArray[Any]) -> NDArray[np.int32]:
    labels = np.ones(image.shape, np.int32)
    labels[..., image.shape[-1] // 2 :] = 2
    return labels


def measure(
    image: NDArray[Any], labels: NDArray[np.int32], pixel_size_um: tuple[float, float] | None = None
) -> dict[str, NDArray[Any]]:
    numbers = np.unique(labels[labels > 0])
    table: dict[str, NDArray[Any]] = {"label": numbers}
    table["area_px"] = np.array([(labels == n).sum() for n in numbers])
    if pixel_size_um is not None:
        table["area_um2"] = table["area_px"] * pixel_size_um[0] * pixel_size_um[1]
    table["mean_intensity"] = np.array([image[labels == n].mean() for n in numbers])
    return table


def count(labels: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
    return {"count": np.array([len(np.unique(labels[labels > 0]))])}


def grow(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    return labels + np.int32(10)

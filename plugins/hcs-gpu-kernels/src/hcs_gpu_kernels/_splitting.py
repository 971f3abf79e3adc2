"""Touching nuclei: one mask, cut where its outline and its brightness say so.

A nucleus is convex. Where two touch, the outline has a notch on one or both sides, and
often a darker line runs between them. So a component is cut into the hills of a relief
(distance from the outline times the root of the brightness), and neighbouring hills are
joined again, the most convincing pair first, for as long as the union still looks like
one nucleus.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hcs_gpu_kernels.primitives import numpy as primitives

Floats = NDArray[Any]
Integers = NDArray[np.int64]

RELIEF_SMOOTHING = 0.05
"""Sigma, in diameters: neither a bump on the outline nor a spot of chromatin is a hill."""
SHALLOW = 0.02
"""A hill that rises by less than this share of its height is part of its neighbour."""
DARK_LINE = 0.5
"""How much darker than the nuclei a line must be to part them without any notch."""


def split_touching(
    labels: NDArray[np.int32],
    areas: Integers,
    signal: Floats,
    diameter_px: float,
    max_concavity: float,
) -> NDArray[np.int32]:
    """Return a label for every nucleus, touching ones apart.

    Parameters
    ----------
    labels : array, shape (y, x), int32
        Connected components, 0 is background; overwritten.
    areas : array, shape (components + 1,), int64
        Their pixels.
    signal : array, shape (y, x), float32
        Grey levels above the background.
    diameter_px : float
        Typical diameter of a nucleus.
    max_concavity : float
        Depth of the notches, in diameters, from which on a shape is not one nucleus.

    Returns
    -------
    array, shape (y, x), int32
        Labels above 0 where they were above 0, in no particular order and with gaps.
    """
    mask = (labels != 0).view(np.uint8)
    suspect = np.zeros(areas.size, bool)
    suspect[_notched(mask, labels, areas, max_concavity * diameter_px)] = True
    where = np.flatnonzero(suspect[labels])
    if where.size:
        relief = _relief(mask, signal, diameter_px)
        hills = Hills.find(relief, signal, where)
        joined = hills.join(max_concavity * diameter_px)
        labels.ravel()[where] = joined + areas.size
    return labels


def notch_depth(hull: NDArray[np.int32], area_px: int) -> float:
    """Return how deep the outline's notches are: missing area over the shape's width.

    Parameters
    ----------
    hull : array, shape (corners, 2), int32
        Convex hull of the centres of the shape's pixels.
    area_px : int
        The shape's number of pixels.

    Returns
    -------
    float
        Pixels; 0 for a convex shape. The hull's number of pixels is that of its polygon
        by Pick's theorem, whose lattice points are the steps around it.
    """
    # Numbers of Python: on a dozen corners they are faster than arrays.
    corners = hull.tolist()
    steps = 0
    last_x, last_y = corners[-1]
    for x, y in corners:
        steps += max(abs(x - last_x), abs(y - last_y))
        last_x, last_y = x, y
    hull_px = primitives.polygon_area(hull) + steps / 2 + 1
    return max(0.0, hull_px - area_px) / math.sqrt(hull_px)


def _notched(
    mask: NDArray[np.uint8], labels: NDArray[np.int32], areas: Integers, depth_px: float
) -> list[int]:
    """Return the components that are not convex enough to be one nucleus."""
    found = []
    for outline in primitives.outlines(mask):
        x, y = outline[0]
        label = int(labels[y, x])
        if notch_depth(primitives.convex_hull(outline), int(areas[label])) > depth_px:
            found.append(label)
    return found


def _relief(mask: NDArray[np.uint8], signal: Floats, diameter_px: float) -> Floats:
    relief = np.maximum(signal, np.float32(0))
    np.sqrt(relief, out=relief)
    relief *= primitives.distance_to_background(mask)
    relief = primitives.gaussian(relief, RELIEF_SMOOTHING * diameter_px)
    relief += np.float32(1e-6)  # a pixel inside stays above the zero outside, however dim
    relief *= mask
    return relief


@dataclass(frozen=True, slots=True)
class Hill:
    """One hill of the relief, or several that were joined."""

    area_px: int
    hull: NDArray[np.int32]
    height: float
    brightness: float

    def united_with(self, other: Hill) -> Hill:
        """Return the two as one."""
        area = self.area_px + other.area_px
        light = self.brightness * self.area_px + other.brightness * other.area_px
        return Hill(
            area,
            primitives.convex_hull(np.concatenate([self.hull, other.hull])),
            max(self.height, other.height),
            light / area,
        )


@dataclass(frozen=True, slots=True)
class Border:
    """Where two hills meet: the highest and the brightest place on the way across."""

    height: float
    brightness: float

    def merged_with(self, other: Border | None) -> Border:
        """Return the border of two hills that became one."""
        if other is None:
            return self
        return Border(max(self.height, other.height), max(self.brightness, other.brightness))


Borders = list[dict[int, Border]]
"""For each hill its neighbours, and the border with each; every border stands twice."""


class Hills:
    """The hills of a relief, and which of them are one nucleus.

    Parameters
    ----------
    of : array, shape (pixels,)
        The hill that each pixel belongs to.
    hills : list of Hill
    borders : list of dict of int to Border
        Of hills that touch along rows or columns.
    """

    def __init__(self, of: Integers, hills: list[Hill], borders: Borders) -> None:
        self._of = of
        self._hills = hills
        self._borders = borders
        self._owner = list(range(len(hills)))
        self._joins = [0] * len(hills)

    @classmethod
    def find(cls, relief: Floats, signal: Floats, where: Integers) -> Hills:
        """Return the hills among the pixels with flat indices `where`."""
        of, heights = _climb(relief, where)
        hills = _describe(of, where, heights, signal)
        return cls(of, hills, _borders(of, where, relief, signal, len(hills)))

    def join(self, notch_px: float) -> Integers:
        """Return the number, from 0, of the nucleus that each pixel belongs to.

        Of all pairs of neighbours the most convincing is joined first, until none is left
        that may be. `notch_px` is the depth of notches that alone part two.
        """
        queue: list[tuple[float, int, int, int, int]] = []
        for first, neighbours in enumerate(self._borders):
            for second in neighbours:
                if first < second:
                    self._enqueue(queue, first, second, notch_px)
        while queue:
            _, first, second, *joins = heapq.heappop(queue)
            if joins != [self._joins[first], self._joins[second]]:
                continue  # one of them has changed since, and was enqueued again
            self._unite(first, second)
            for neighbour in self._borders[first]:
                self._enqueue(queue, first, neighbour, notch_px)
        owner = np.array(self._owner)
        while not np.array_equal(further := owner[owner], owner):
            owner = further
        return owner[self._of]

    def _enqueue(
        self,
        queue: list[tuple[float, int, int, int, int]],
        first: int,
        second: int,
        notch_px: float,
    ) -> None:
        first, second = min(first, second), max(first, second)
        cost = self._cost_of_joining(first, second, notch_px)
        if cost < 1:
            joins = self._joins[first], self._joins[second]
            heapq.heappush(queue, (cost, first, second, *joins))

    def _cost_of_joining(self, first: int, second: int, notch_px: float) -> float:
        """Return how little the two look like one nucleus; from 1 on they are two.

        Notches as deep as allowed, or a line as dark as allowed, are 1 each; less of the
        one and less of the other add up. A line brighter than the nuclei speaks for one.
        """
        one, two = self._hills[first], self._hills[second]
        border = self._borders[first][second]
        if border.height >= (1 - SHALLOW) * min(one.height, two.height):
            return -math.inf
        union = one.united_with(two)
        notch = notch_depth(union.hull, union.area_px) / notch_px
        dimmer = min(one.brightness, two.brightness)
        darker = 1 - border.brightness / dimmer if dimmer > 0 else 0.0
        return notch + darker / DARK_LINE

    def _unite(self, first: int, second: int) -> None:
        """Make the second hill, with its borders, part of the first."""
        self._hills[first] = self._hills[first].united_with(self._hills[second])
        self._owner[second] = first
        self._joins[first] += 1
        self._joins[second] = -1
        for neighbour, border in self._borders[second].items():
            del self._borders[neighbour][second]
            if neighbour != first:
                merged = border.merged_with(self._borders[first].get(neighbour))
                self._borders[first][neighbour] = self._borders[neighbour][first] = merged
        self._borders[second] = {}


def _climb(relief: Floats, where: Integers) -> tuple[Integers, Floats]:
    """Return the number, from 0, of the summit each pixel climbs to, and the summits' heights.

    From every pixel the way goes to the highest of its eight neighbours, on a plateau to
    the one that comes last in the raster, until none is higher.
    """
    height, width = relief.shape
    wide = np.zeros((height + 2, width + 2), relief.dtype)
    wide[1:-1, 1:-1] = relief
    flat, row = wide.ravel(), width + 2
    at = (where // width + 1) * row + where % width + 1
    target, highest = at, flat[at]
    for step in (-row - 1, -row, -row + 1, -1, 1, row - 1, row, row + 1):
        there = flat[at + step]
        better = (there > highest) | ((there == highest) & (at + step > target))
        target = np.where(better, at + step, target)
        highest = np.maximum(highest, there)
    place = np.empty(flat.size, np.int64)
    place[at] = np.arange(at.size)
    climbs_to = place[target]
    while not np.array_equal(further := climbs_to[climbs_to], climbs_to):
        climbs_to = further
    is_summit = np.zeros(at.size, bool)
    is_summit[climbs_to] = True
    return (np.cumsum(is_summit) - 1)[climbs_to], relief.ravel()[where[is_summit]]


def _describe(of: Integers, where: Integers, heights: Floats, signal: Floats) -> list[Hill]:
    area = np.bincount(of)
    brightness = weighted_level(of, signal.ravel()[where], area.size)
    y, x = np.divmod(where, signal.shape[1])
    # A stable sort of 16 bits is a radix sort, twice as fast as one of 64.
    order = np.argsort(of.astype(np.uint16) if area.size < 65536 else of, kind="stable")
    points = np.stack([x, y], axis=1).astype(np.int32)[order]
    ends = np.cumsum(area).tolist()
    return [
        Hill(size, primitives.convex_hull(points[end - size : end]), height, level)
        for size, end, height, level in zip(
            area.tolist(), ends, heights.tolist(), brightness.tolist(), strict=True
        )
    ]


def weighted_level(of: NDArray[Any], signal: Floats, count: int) -> Floats:
    """Return each object's mean signal, weighted by itself: the level of its bright part.

    Unlike a percentile it needs no sorting, and the dim rim hardly counts.
    """
    exact = signal.astype(np.float64)
    total = np.bincount(of, exact, count)
    squares = np.bincount(of, exact * exact, count)
    return np.divide(squares, total, out=np.zeros(count), where=total > 0)


def _borders(of: Integers, where: Integers, relief: Floats, signal: Floats, count: int) -> Borders:
    rows, columns = relief.shape
    hill = np.full(relief.size, -1, np.int64)
    hill[where] = of
    heights, levels = relief.ravel(), signal.ravel()
    last_column = where % columns == columns - 1
    right, down = where[~last_column], where[where < (rows - 1) * columns]
    here = np.concatenate([right, down])
    there = np.concatenate([right + 1, down + columns])
    meets = (hill[there] >= 0) & (hill[here] != hill[there])
    here, there = here[meets], there[meets]
    low, high = np.minimum(hill[here], hill[there]), np.maximum(hill[here], hill[there])
    pairs, pair = np.unique(low * count + high, return_inverse=True)
    height, brightness = np.full((2, pairs.size), -np.inf, signal.dtype)
    np.maximum.at(height, pair, np.minimum(heights[here], heights[there]))
    np.maximum.at(brightness, pair, (levels[here] + levels[there]) / 2)
    borders: Borders = [{} for _ in range(count)]
    for key, top, level in zip(pairs, height, brightness, strict=True):
        first, second = divmod(int(key), count)
        borders[first][second] = borders[second][first] = Border(float(top), float(level))
    return borders

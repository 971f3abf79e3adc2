"""Measurements: one row for every object of a label image."""

from __future__ import annotations

import numpy as np

from hcs_core.errors import ShapeError
from hcs_gpu_kernels._checks import Array, check_image, check_labels
from hcs_gpu_kernels._regions import Regions

Table = dict[str, Array]
PixelSize = tuple[float, float] | None


def measure_objects(
    image: Array, labels: Array, *, pixel_size_um: tuple[float, float] | None = None
) -> Table:
    """Return size, shape, place and brightness of every object.

    Parameters
    ----------
    image : array, shape (y, x) or (n, y, x)
        Grey levels; integers of at most 32 bits, or floats. Not modified.
    labels : integer array, shape of `image`
        Object masks; 0 is background. Labels need not be consecutive, and an object need
        not be in one piece. Not modified.
    pixel_size_um : tuple of float, optional
        Height and width of a pixel, micrometres. Columns in micrometres exist only with it.

    Returns
    -------
    dict of str to array
        Columns of equal length, one row for every label that occurs, in ascending order;
        of a stack, plane by plane, with the plane's place from 0 in a column ``plane``.

        ``label`` (int32); ``area_px`` (int64); ``centroid_y_px``, ``centroid_x_px``, from
        the centre of the first pixel; ``bbox_top_px``, ``bbox_left_px``,
        ``bbox_bottom_px``, ``bbox_right_px`` (int64), the last two exclusive;
        ``perimeter_px``, the length of the line through the border pixels' centres [1]_;
        ``major_axis_px``, ``minor_axis_px``, ``eccentricity`` of the ellipse with the same
        second moments; ``mean_intensity``, ``std_intensity`` (of all pixels, no ``n - 1``),
        ``min_intensity``, ``median_intensity``, ``max_intensity``,
        ``integrated_intensity`` (the sum), in the image's grey levels, background
        included. With `pixel_size_um` also ``area_um2``, ``centroid_y_um``,
        ``centroid_x_um``. Floats are float64. A NaN among an object's pixels makes its
        intensities NaN.

    Raises
    ------
    DtypeError, ShapeError, ParameterError
        If an argument is not as described.

    References
    ----------
    .. [1] K. Benkrid, D. Crookes, Design and FPGA implementation of a perimeter estimator,
       Queen's University of Belfast (2000); the estimator of scikit-image.
    """
    image = check_image("measure_objects", image)
    labels = check_labels("measure_objects", labels)
    if image.shape != labels.shape:
        raise ShapeError(f"measure_objects labels of the image's shape {image.shape}", labels.shape)
    if labels.ndim == 2:
        return _measure_plane(image, labels, pixel_size_um)
    return _measure_stack(image, labels, pixel_size_um)


def _measure_stack(image: Array, labels: Array, pixel_size_um: PixelSize) -> Table:
    tables = [_measure_plane(*planes, pixel_size_um) for planes in zip(image, labels, strict=True)]
    if not tables:  # the columns of a table without rows
        tables = [_measure_plane(_NO_PIXELS, _NO_PIXELS, pixel_size_um)]
    rows = [table["label"].size for table in tables]
    plane = {"plane": np.repeat(np.arange(len(tables), dtype=np.int64), rows)}
    return plane | {
        column: np.concatenate([table[column] for table in tables]) for column in tables[0]
    }


def _measure_plane(image: Array, labels: Array, pixel_size_um: PixelSize) -> Table:
    regions = Regions.find(labels)
    table: Table = {"label": regions.labels.astype(np.int32)}
    table |= _shape_columns(regions, pixel_size_um)
    return table | _intensity_columns(regions, image)


def _shape_columns(regions: Regions, pixel_size_um: PixelSize) -> Table:
    centre_y, centre_x = regions.mean(regions.y), regions.mean(regions.x)
    columns: Table = {"area_px": regions.area}
    if pixel_size_um is not None:
        height, width = pixel_size_um
        columns["area_um2"] = regions.area * (height * width)
    columns |= {"centroid_y_px": centre_y, "centroid_x_px": centre_x}
    if pixel_size_um is not None:
        columns |= {"centroid_y_um": centre_y * height, "centroid_x_um": centre_x * width}
    sides = ("bbox_top_px", "bbox_left_px", "bbox_bottom_px", "bbox_right_px")
    columns |= dict(zip(sides, regions.extent(), strict=True))
    columns["perimeter_px"] = regions.perimeter()
    axes = ("major_axis_px", "minor_axis_px", "eccentricity")
    return columns | dict(zip(axes, regions.ellipse(centre_y, centre_x), strict=True))


def _intensity_columns(regions: Regions, image: Array) -> Table:
    values = image.ravel()[regions.where]
    exact = values.astype(np.float64)
    sums = regions.total(exact)
    means = sums / regions.area
    spread = np.sqrt(regions.mean((exact - means[regions.of]) ** 2))
    columns: Table = {"mean_intensity": means, "std_intensity": spread}
    middle: tuple[Array, ...] = regions.middle_values(values)
    if values.dtype.kind == "f":
        has_nan = regions.total(np.isnan(exact)) > 0
        middle = tuple(np.where(has_nan, np.nan, column) for column in middle)
    names = ("min_intensity", "median_intensity", "max_intensity")
    columns |= dict(zip(names, middle, strict=True))
    columns["integrated_intensity"] = sums
    return columns


_NO_PIXELS = np.zeros((0, 0), np.uint16)

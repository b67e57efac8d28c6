"""Size and form of nuclei and cells, in pixels and micrometres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.measures.intensities import Columns, rows_of

_LENGTHS = ("perimeter", "axis_major", "axis_minor", "feret_max", "feret_min", "equivalent_diameter")


def measure_shapes(part: str, labels: NDArray[np.uint32], present: NDArray[np.uint32], *, mpp: float | None) -> Columns:
    """Measure the form of every nucleus or cell.

    Parameters
    ----------
    part
        ``nucleus`` or ``cell``, for the names of the columns.
    labels : NDArray[np.uint32] (H, W)
        Label image, 0 background.
    present : NDArray[np.uint32] (N,)
        Labels to measure, ascending.
    mpp
        Micrometres per pixel. None: only pixels.
    """
    found, area, axes, eccentricity, orientation, perimeter, convex, feret, _ = _core.shapes(labels)
    with np.errstate(divide="ignore"):
        circularity = 4 * np.pi * area / perimeter**2
    columns: Columns = {
        "area": area.astype(np.float64),
        "perimeter": perimeter,
        "axis_major": axes[:, 0],
        "axis_minor": axes[:, 1],
        "feret_max": feret[:, 0],
        "feret_min": feret[:, 1],
        "equivalent_diameter": np.sqrt(4 * area / np.pi),
        "eccentricity": eccentricity,
        "orientation": orientation,
        "solidity": area / convex,
        "circularity": np.where(perimeter > 0, circularity, np.nan),
    }
    if mpp is not None:
        columns |= {"area_um2": columns["area"] * mpp**2}
        columns |= {f"{name}_um": columns[name] * mpp for name in _LENGTHS}
    return {f"{part}_{name}": rows_of(present, found, values) for name, values in columns.items()}

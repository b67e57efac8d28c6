"""Brightness of channels in the parts of cells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.measures.settings import BACKGROUND_REACH

PERCENTS = (5.0, 25.0, 50.0, 75.0, 95.0)
STATISTICS = ("mean", "sd", "min", "max", "sum", "p5", "p25", "median", "p75", "p95")

Columns = dict[str, NDArray[np.float64]]


def measure_intensities(
    channel: str,
    image: NDArray[np.float32],
    parts: Mapping[str, NDArray[np.uint32]],
    present: NDArray[np.uint32],
    boxes: NDArray[np.int64],
) -> Columns:
    """Measure a channel in every part of every cell.

    Parameters
    ----------
    channel
        Name of the channel, for the names of the columns.
    image : NDArray[np.float32] (H, W)
        The channel.
    parts
        Label images by the name of the part. The last one holds whole cells, or nuclei if there are no cells.
    present : NDArray[np.uint32] (N,)
        Labels to measure, ascending.
    boxes : NDArray[np.int64] (N, 4)
        Boxes of the whole cells.

    Returns
    -------
    dict of str to NDArray[np.float64] (N,)
        NaN where a part has no pixel.
    """
    whole = list(parts.values())[-1]
    widened = boxes + np.array([-1, -1, 1, 1]) * BACKGROUND_REACH
    background = _core.backgrounds(whole, image, np.ascontiguousarray(widened))
    columns: Columns = {}
    for part, labels in parts.items():
        found, values = _core.statistics(labels, image, percents=list(PERCENTS))
        table = rows_of(present, found, values)
        columns |= {f"{part}_{channel}_{name}": table[:, place] for place, name in enumerate(STATISTICS)}
        columns[f"{part}_{channel}_corrected"] = columns[f"{part}_{channel}_mean"] - background
    return {**columns, f"{channel}_background": background}


def rows_of(present: NDArray[np.uint32], found: NDArray[np.uint32], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the row of each label that is present, in this order; NaN where it was not found."""
    rows = np.full((len(present), *values.shape[1:]), np.nan)
    wanted = np.isin(found, present)
    rows[np.searchsorted(present, found[wanted])] = values[wanted]
    return rows

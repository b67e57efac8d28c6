"""Add up the pixels of each box of a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core


def box_sums(pixels: NDArray[Any], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Add up the pixels of each box of a grid.

    Parameters
    ----------
    pixels : NDArray (h, w) or (h, w, channels)
        Pixels of type bool, uint8, uint16 or floating point.
    rows, columns : NDArray[np.int64] (R + 1,), (C + 1,)
        Where boxes begin and end, in ascending order, from 0 to h and from 0 to w.

    Returns
    -------
    NDArray[np.float64] (R, C, channels)

    Examples
    --------
    >>> box_sums(np.ones((4, 6), np.uint8), np.array([0, 4]), np.array([0, 1, 6]))[..., 0].tolist()
    [[4.0, 20.0]]
    """
    coloured = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.dtype.kind == "f":
        strips = np.add.reduceat(coloured, rows[:-1], axis=0, dtype=np.float64)
        sums: NDArray[np.float64] = np.add.reduceat(strips, columns[:-1], axis=1)
        return sums
    values = np.require(coloured, f"u{pixels.dtype.itemsize}", ("C_CONTIGUOUS", "ALIGNED"))
    return _core.box_sums(values, rows, columns).astype(np.float64)

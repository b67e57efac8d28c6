"""Group the pixels of maps into nuclei."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.model.group_config import GroupConfig


class Grouped(NamedTuple):
    """Nuclei found in maps.

    Attributes
    ----------
    labels : NDArray[np.uint32] (H, W)
        0 is background. Nuclei are numbered 1 to N in raster order of their first pixels.
    centres : NDArray[np.int64] (N, 2)
        Row and column of each nucleus's centre.
    probabilities : NDArray[np.float32] (N,)
        Mean foreground probability, 0 to 1.
    peaks : NDArray[np.float32] (N,)
        Centre heat at the centre, 0 to 1.
    qualities : NDArray[np.float32] (N,)
        Estimated intersection over union of each nucleus with the true one, 0 to 1. NaN if ``config.quality`` is None.
    measurements : NDArray[np.float64] (N, 6)
        What the quality is estimated from. Over the pixels of the nucleus: the mean foreground probability, the centre
        heat at the centre, the mean centre heat, and the root mean square distance, in pixels, from where their offsets
        point to the centre. Over the edges between its pixels and others: the mean foreground probability inside and
        outside.
    """

    labels: NDArray[np.uint32]
    centres: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    peaks: NDArray[np.float32]
    qualities: NDArray[np.float32]
    measurements: NDArray[np.float64]


def group(maps: NDArray[np.uint8], config: GroupConfig, *, threads: int | None = None) -> Grouped:
    """Group the pixels of maps into nuclei.

    A centre is a pixel whose centre heat is the maximum within a window. A foreground pixel belongs to the centre
    nearest to the position to which its offset points. Each nucleus depends only on the maps within a margin of its
    centre. An image that is cut into blocks thus gives the same nuclei as the whole image.

    Parameters
    ----------
    maps : NDArray[np.uint8] (H, W, 4)
        Foreground and centre heat times 255; row and column offsets in half pixels plus 128.
    config
        Thresholds and distances.
    threads
        Number of threads. None: one per core. It does not change the result.
    """
    return Grouped(*_core.group(maps, threads=threads, **config.to_json()))

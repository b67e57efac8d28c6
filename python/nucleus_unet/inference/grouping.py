"""Maps to nuclei, by the Rust kernel."""

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
        0 background; 1..N by raster order of each nucleus's first pixel.
    centres : NDArray[np.int64] (N, 2)
        Row and column of the heat's peak.
    scores : NDArray[np.float32] (N,)
        Mean foreground probability.
    peaks : NDArray[np.float32] (N,)
        Heat at the centre.
    """

    labels: NDArray[np.uint32]
    centres: NDArray[np.int64]
    scores: NDArray[np.float32]
    peaks: NDArray[np.float32]


def group(maps: NDArray[np.uint8], config: GroupConfig, *, threads: int | None = None) -> Grouped:
    """Group the pixels of maps into nuclei.

    A centre is a pixel whose heat is highest within a window; a foreground pixel belongs to the centre nearest to
    where its offset points. Each nucleus is decided by the maps within a margin of its centre, so that an image cut
    into blocks gives the very nuclei of the whole.

    Parameters
    ----------
    maps : NDArray[np.uint8] (H, W, 4)
        Foreground and heat times 255, row and column offset in half pixels plus 128.
    config
        Thresholds and lengths.
    threads
        None for all cores; the result is the same for any number.
    """
    return Grouped(*_core.group(maps, threads=threads, **config.to_json()))

"""What the network should say of a label image: the inverse of grouping.

`targets` gives real numbers to train on; `quantise` turns them, or the network's answer, into the small integers
that are stored and grouped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Offsets are stored in half pixels around 128: nearer than that no grouping needs, and a byte reaches 63 pixels.
OFFSET_STEPS = 2
OFFSET_ZERO = 128

# The centre heat is a Gaussian whose sigma is this share of the nucleus's diameter, within these bounds in pixels.
_HEAT_SIGMA_SHARE = 0.2
_HEAT_SIGMA_BOUNDS = (1.5, 8.0)


class Nuclei(NamedTuple):
    """Centre and size of every nucleus of a label image, indexed by label; row 0 stands for background.

    Attributes
    ----------
    centres : NDArray[np.float32] (N + 1, 2)
        Row and column; NaN where no pixel has that label.
    diameters : NDArray[np.float32] (N + 1,)
        Of the disc of equal area, in pixels; 0 where no pixel has that label.
    """

    centres: NDArray[np.float32]
    diameters: NDArray[np.float32]


class Targets(NamedTuple):
    """What the network should say, pixel by pixel.

    Attributes
    ----------
    foreground : NDArray[np.float32] (H, W)
        1 in a nucleus, else 0.
    heat : NDArray[np.float32] (H, W)
        1 on a nucleus's centre, falling off within the nucleus; 0 outside.
    offset : NDArray[np.float32] (2, H, W)
        Rows and columns from the pixel to its nucleus's centre; 0 outside.
    diameter : NDArray[np.float32] (H, W)
        Diameter of the pixel's nucleus; 0 outside.
    """

    foreground: NDArray[np.float32]
    heat: NDArray[np.float32]
    offset: NDArray[np.float32]
    diameter: NDArray[np.float32]


def nuclei_of(labels: NDArray[np.integer]) -> Nuclei:
    """Measure where each nucleus has its centre, and how large it is.

    The centre is the mask pixel nearest the centroid (first in raster order of several), so that the centre of a
    crescent lies on it.

    Parameters
    ----------
    labels : NDArray[np.integer] (H, W)
        0 background, 1..N nuclei.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.zeros((5, 5), np.uint32)
    >>> labels[1:4, 1:4] = 1
    >>> nuclei_of(labels).centres[1].tolist()
    [2.0, 2.0]
    """
    count = int(labels.max(initial=0)) + 1
    rows, columns = np.nonzero(labels)
    owner = labels[rows, columns].astype(np.int64)
    area = np.bincount(owner, minlength=count)
    present = np.maximum(area, 1)
    centroid_row = np.bincount(owner, weights=rows, minlength=count) / present
    centroid_column = np.bincount(owner, weights=columns, minlength=count) / present
    distance = (rows - centroid_row[owner]) ** 2 + (columns - centroid_column[owner]) ** 2
    # A stable sort keeps raster order among equals, and the first of each owner is its centre.
    order = np.lexsort((distance, owner))
    first = order[np.unique(owner[order], return_index=True)[1]]
    centres = np.full((count, 2), np.nan, np.float32)
    centres[owner[first], 0] = rows[first]
    centres[owner[first], 1] = columns[first]
    return Nuclei(centres, np.sqrt(4 * area / np.pi).astype(np.float32))


def targets(labels: NDArray[np.integer], nuclei: Nuclei | None = None) -> Targets:
    """Tell what the network should say of every pixel of a label image.

    Parameters
    ----------
    labels : NDArray[np.integer] (H, W)
        0 background, 1..N nuclei.
    nuclei
        Centres and sizes where they are known better than this cut-out shows; by default, `nuclei_of` it.
    """
    centres, diameters = nuclei_of(labels) if nuclei is None else nuclei
    inside = labels > 0
    rows, columns = np.nonzero(inside)
    owner = labels[rows, columns].astype(np.int64)
    to_row = centres[owner, 0] - rows
    to_column = centres[owner, 1] - columns
    sigma = np.clip(_HEAT_SIGMA_SHARE * diameters[owner], *_HEAT_SIGMA_BOUNDS)
    heat = np.zeros(labels.shape, np.float32)
    heat[rows, columns] = np.exp(-(to_row**2 + to_column**2) / (2 * sigma**2))
    offset = np.zeros((2, *labels.shape), np.float32)
    offset[0, rows, columns] = to_row
    offset[1, rows, columns] = to_column
    diameter = np.zeros(labels.shape, np.float32)
    diameter[rows, columns] = diameters[owner]
    return Targets(inside.astype(np.float32), heat, offset, diameter)


def quantise(
    foreground: NDArray[np.float32], heat: NDArray[np.float32], offset: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Store maps as bytes, as `group` takes them.

    Parameters
    ----------
    foreground, heat : NDArray[np.float32] (H, W)
        Probabilities in 0..1.
    offset : NDArray[np.float32] (2, H, W)
        In pixels; beyond 63 pixels it is clipped.

    Returns
    -------
    NDArray[np.uint8] (H, W, 4)
        Foreground and heat times 255; row and column offset in half pixels plus 128.
    """
    maps = np.empty((*foreground.shape, 4), np.uint8)
    maps[..., 0] = np.rint(foreground * 255)
    maps[..., 1] = np.rint(heat * 255)
    steps = np.rint(offset * OFFSET_STEPS) + OFFSET_ZERO
    maps[..., 2:] = np.moveaxis(np.clip(steps, 0, 255), 0, -1)
    return maps

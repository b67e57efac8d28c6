"""Training targets: the output that the network should give for a label image. They are the inverse of grouping.

`targets` returns floating-point targets for training. `quantise` converts them, or the network's output, to the bytes
that are stored and grouped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Offsets are stored in half pixels plus 128. Grouping needs no finer steps, and a byte covers 63 pixels.
OFFSET_STEPS = 2
OFFSET_ZERO = 128

# The centre heat is a Gaussian. Its sigma is this share of the nucleus's diameter, within these bounds in pixels.
_HEAT_SIGMA_SHARE = 0.2
_HEAT_SIGMA_BOUNDS = (1.5, 8.0)


class Nuclei(NamedTuple):
    """Centre and size of every nucleus of a label image. Index 0 is background, index i is label i.

    Attributes
    ----------
    centres : NDArray[np.float32] (N + 1, 2)
        Row and column of the centre. NaN if no pixel has the label.
    diameters : NDArray[np.float32] (N + 1,)
        Diameter in pixels of the disc with equal area. 0 if no pixel has the label.
    """

    centres: NDArray[np.float32]
    diameters: NDArray[np.float32]


class Targets(NamedTuple):
    """Targets of the network for each pixel.

    Attributes
    ----------
    foreground : NDArray[np.float32] (H, W)
        1 in nuclei, 0 elsewhere.
    heat : NDArray[np.float32] (H, W)
        1 at the centre of a nucleus, decreasing within the nucleus, 0 elsewhere.
    offset : NDArray[np.float32] (2, H, W)
        Offset in rows and columns from the pixel to the centre of its nucleus, 0 elsewhere.
    diameter : NDArray[np.float32] (H, W)
        Diameter in pixels of the pixel's nucleus, 0 elsewhere.
    """

    foreground: NDArray[np.float32]
    heat: NDArray[np.float32]
    offset: NDArray[np.float32]
    diameter: NDArray[np.float32]


def nuclei_of(labels: NDArray[np.integer]) -> Nuclei:
    """Return the centre and diameter of each nucleus.

    The centre is the pixel of the nucleus that is nearest to its centroid (the first in raster order, if several are).
    The centre of a crescent thus lies inside of it.

    Parameters
    ----------
    labels : NDArray[np.integer] (H, W)
        0 is background, 1 to N are nuclei.

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
    # The sort is stable, so that the first entry of each owner is the first nearest pixel in raster order.
    order = np.lexsort((distance, owner))
    first = order[np.unique(owner[order], return_index=True)[1]]
    centres = np.full((count, 2), np.nan, np.float32)
    centres[owner[first], 0] = rows[first]
    centres[owner[first], 1] = columns[first]
    return Nuclei(centres, np.sqrt(4 * area / np.pi).astype(np.float32))


def targets(labels: NDArray[np.integer], nuclei: Nuclei | None = None) -> Targets:
    """Return the targets of the network for a label image.

    Parameters
    ----------
    labels : NDArray[np.integer] (H, W)
        0 is background, 1 to N are nuclei.
    nuclei
        Centres and sizes of the nuclei, if the label image is a crop of a larger one. Default: `nuclei_of` the labels.
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
    """Convert maps to bytes for `group`.

    Parameters
    ----------
    foreground, heat : NDArray[np.float32] (H, W)
        Probabilities, 0 to 1.
    offset : NDArray[np.float32] (2, H, W)
        Offsets in pixels. Components above 63 pixels are clipped.

    Returns
    -------
    NDArray[np.uint8] (H, W, 4)
        Foreground and centre heat times 255; row and column offsets in half pixels plus 128.
    """
    maps = np.empty((*foreground.shape, 4), np.uint8)
    maps[..., 0] = np.rint(foreground * 255)
    maps[..., 1] = np.rint(heat * 255)
    steps = np.rint(offset * OFFSET_STEPS) + OFFSET_ZERO
    maps[..., 2:] = np.moveaxis(np.clip(steps, 0, 255), 0, -1)
    return maps

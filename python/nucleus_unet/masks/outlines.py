"""Outlines of nuclei: tracing, smoothing and simplification."""

import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet import _core
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.masks._arguments import as_label_image, brief


def contours(labels: ArrayLike) -> dict[int, list[list[NDArray[np.int32]]]]:
    """Trace the outline of every instance along pixel edges, as polygons with holes.

    The pixel of row r and column c covers [c, c + 1] x [r, r + 1] in (x, y). Rasterising an outline reproduces the mask
    exactly.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.

    Returns
    -------
    dict of int to list of list of (K, 2) ndarray of int32
        The polygons of each label, in ascending order of the labels. There is one polygon for each 4-connected piece.
        It consists of the exterior ring and the rings of its holes. A ring has vertices (x, y); the last one equals the
        first, and the ring turns at each vertex. By the shoelace formula, the signed area of an exterior is positive
        and that of a hole is negative. Rings are simple. A hole may touch another ring of its polygon in single points.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, holds values below 0 or beyond 32 bits, or is too large for
        32-bit coordinates.

    Examples
    --------
    >>> contours([[0, 7, 7]])[7][0][0].tolist()
    [[3, 0], [3, 1], [1, 1], [1, 0], [3, 0]]
    """
    image = as_label_image(labels)
    present, *_ = _core.measure(image)
    return dict(zip(present.tolist(), _core.contours(image), strict=True))


def smooth_labels(labels: ArrayLike, radius: int = 1, *, threads: int | None = None) -> NDArray[np.uint32]:
    """Smooth the outlines of nuclei by a majority filter. Nuclei are never merged.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.
    radius
        Radius of the square window in pixels, 0 to 64. Pixels outside the image are ignored.
    threads
        Number of threads; None for one per core. The result is the same for any number.

    Returns
    -------
    (H, W) ndarray of uint32
        Each pixel has the most frequent label of its window, where background counts as a label. In a tie it keeps its
        own label if that is among the most frequent, else it takes the smallest of them. A nucleus much smaller than
        the window may vanish. A nucleus thinner than the radius may be cut into two pieces of one label.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.
    SettingsError
        If `radius` is no whole number of 0 to 64, or `threads` is not 1 to 1024.

    Notes
    -----
    For a single nucleus this is the median filter of its mask.

    Examples
    --------
    >>> smooth_labels([[3, 3, 3, 7, 7], [3, 3, 7, 7, 7], [3, 3, 3, 7, 7]])
    array([[3, 3, 3, 7, 7],
           [3, 3, 3, 7, 7],
           [3, 3, 3, 7, 7]], dtype=uint32)
    """
    try:
        whole = operator.index(radius)
    except TypeError:
        raise SettingsError(f"radius: expected a whole number of pixels, got {brief(radius)}") from None
    if not 0 <= whole <= _LARGEST_RADIUS:
        raise SettingsError(f"radius: expected 0 to {_LARGEST_RADIUS} pixels, got {whole}")
    return _core.smooth_labels(as_label_image(labels), whole, threads=threads)


def simplify_ring(ring: ArrayLike, tolerance: float) -> NDArray[np.int32]:
    """Remove vertices of a closed ring within a bound on the error. The result does not cross itself.

    Parameters
    ----------
    ring : (K, 2) array of integers
        Vertices, the last one equal to the first, of a ring that neither crosses nor touches itself, in pixels.
    tolerance
        Maximum distance in pixels, at least 0, of a removed vertex from the edge that replaces it.

    Returns
    -------
    (L, 2) ndarray of int32
        A subset of the vertices in their order, with the first vertex, as a closed simple ring. No point of either ring
        is farther than `tolerance` from the other ring.

    Raises
    ------
    MaskError
        If `ring` is of another shape, not of integers or beyond 32 bits, open, shorter than 4 vertices, or crosses or
        touches itself.
    SettingsError
        If `tolerance` is negative or not a number.

    Notes
    -----
    Each ring is simplified independently. Two adjacent rings, such as those of touching nuclei, may then overlap by
    `tolerance`, and a hole may cross its exterior. The algorithm is that of Douglas and Peucker (1973),
    https://doi.org/10.3138/FM57-6770-U75U-7727. Crossing edges are split again until no edges cross.

    Examples
    --------
    >>> staircase = [[0, 0], [3, 0], [3, 1], [2, 1], [2, 2], [1, 2], [1, 3], [0, 3], [0, 0]]
    >>> simplify_ring(staircase, 0.8).tolist()
    [[0, 0], [3, 0], [1, 3], [0, 3], [0, 0]]
    """
    vertices = np.asarray(ring)
    if vertices.ndim != 2 or vertices.shape[1] != 2:
        raise MaskError(f"ring: expected vertices of shape (K, 2), got shape {vertices.shape}")
    if vertices.dtype.kind not in "iu":
        raise MaskError(f"ring: expected integers, got {vertices.dtype}")
    limits = np.iinfo(np.int32)
    if vertices.size and not limits.min <= int(vertices.min()) <= int(vertices.max()) <= limits.max:
        raise MaskError(f"ring: expected {limits.min} to {limits.max}, got {vertices.min()} to {vertices.max()}")
    return _core.simplify_ring(np.require(vertices, np.int32, ["ALIGNED"]), tolerance)


_LARGEST_RADIUS = 64

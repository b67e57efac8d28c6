"""Outlines: traced, smoothed, and made of fewer vertices."""

import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet import _core
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.masks._arguments import as_label_image, brief


def contours(labels: ArrayLike) -> dict[int, list[list[NDArray[np.int32]]]]:
    """Trace the outline of every instance along pixel edges, as polygons with holes.

    The pixel of row r and column c covers [c, c + 1] x [r, r + 1] in (x, y): rasterising an outline gives back the very
    mask, to the pixel.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.

    Returns
    -------
    dict of int to list of list of (K, 2) ndarray of int32
        By label, ascending: its polygons, one for each 4-connected piece; of each the exterior ring, then its holes, of
        vertices (x, y), the last one equal to the first, with a turn at every one. By the shoelace formula the signed
        area of an exterior is positive, that of a hole negative. Rings are simple; a hole may touch another ring of
        its polygon in single points.

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
    """Smooth the outlines of nuclei by a vote of the pixels around each pixel; nuclei are never merged.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.
    radius
        Pixels at most this many rows and columns away, 0 to 64, have a vote; those outside of the image have none.
    threads
        Threads to use; None for one a core. The result is the same for any number.

    Returns
    -------
    (H, W) ndarray of uint32
        To each pixel the label, background being one, that most of the window's pixels have; of several its own if
        that is among them, else the smallest. A nucleus much smaller than the window may vanish, and one thinner than
        its radius be cut in two pieces of one label.

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
    """Leave out vertices of a closed ring, as many as a bound on the error allows, without letting it cross itself.

    Parameters
    ----------
    ring : (K, 2) array of integers
        Vertices, the last one equal to the first, of a ring that neither crosses nor touches itself, in pixels.
    tolerance
        Largest distance in pixels, 0 or more, of a vertex that is left out from the edge that takes its place.

    Returns
    -------
    (L, 2) ndarray of int32
        Some of the vertices in their order, the first among them, closed: a simple ring again. No point of either ring
        is further than `tolerance` from the other.

    Raises
    ------
    MaskError
        If `ring` is of another shape, not of integers or beyond 32 bits, open, shorter than 4 vertices, or crosses or
        touches itself.
    SettingsError
        If `tolerance` is negative or not a number.

    Notes
    -----
    Each ring is simplified by itself: two that run along each other, as those of touching nuclei do, may come to
    overlap by `tolerance`, and a hole to cross its exterior. The algorithm is that of Douglas and Peucker (1973),
    https://doi.org/10.3138/FM57-6770-U75U-7727; edges that cross are split again until none does.

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

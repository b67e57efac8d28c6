"""Cleaning of label images: relabelling, removing nuclei, filling holes, expanding nuclei.

Each function returns a new label image. Only `relabel_by_position` changes the labels of nuclei. A nucleus consists of
all pixels of one label, in one or several pieces.
"""

import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet import _core
from nucleus_unet.errors import SettingsError
from nucleus_unet.masks._arguments import as_label_image, brief


def relabel_by_position(labels: ArrayLike) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Renumber the labels from 1 to N in raster order of each nucleus's first pixel.

    All label images of this library are numbered like this. `skimage.segmentation.relabel_sequential` keeps the order
    of the labels instead.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.

    Returns
    -------
    renumbered : (H, W) ndarray of uint32
        The label image with labels 1..N.
    old_labels : (N + 1,) ndarray of uint32
        The old label of each new label, so that `old_labels[renumbered]` is `labels`. The first is 0.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.

    Examples
    --------
    >>> renumbered, old_labels = relabel_by_position([[0, 7, 7], [3, 0, 7]])
    >>> renumbered
    array([[0, 1, 1],
           [2, 0, 1]], dtype=uint32)
    >>> old_labels
    array([0, 7, 3], dtype=uint32)
    """
    return _core.relabel_sequential(as_label_image(labels))


def filter_by_area(labels: ArrayLike, *, min_area: int = 0, max_area: int | None = None) -> NDArray[np.uint32]:
    """Remove the nuclei that are too small or too large.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.
    min_area
        Minimum area of a nucleus in pixels, all its pieces together.
    max_area
        Maximum area in pixels; None for no limit.

    Returns
    -------
    (H, W) ndarray of uint32
        The label image without the removed nuclei.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.
    SettingsError
        If an area is not an integer of at least 0, or `max_area` is below `min_area`.

    Examples
    --------
    >>> filter_by_area([[1, 2, 2], [4, 4, 4]], min_area=2, max_area=2)
    array([[0, 2, 2],
           [0, 0, 0]], dtype=uint32)
    """
    least = _area("min_area", min_area)
    most = _LARGEST_AREA if max_area is None else _area("max_area", max_area)
    if most < least:
        raise SettingsError(f"max_area: expected at least min_area, {min_area}, got {max_area}")
    return _core.filter_by_area(as_label_image(labels), min_area=least, max_area=most)


def remove_small_objects(ar: ArrayLike, *, max_size: int = 64) -> NDArray[np.uint32]:
    """Remove the nuclei of at most `max_size` pixels, as `skimage.morphology.remove_small_objects` does.

    Parameters
    ----------
    ar : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.
    max_size
        Maximum area in pixels of a removed nucleus, all its pieces together.

    Returns
    -------
    (H, W) ndarray of uint32
        The label image without the small nuclei.

    Raises
    ------
    MaskError
        If `ar` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.
    SettingsError
        If `max_size` is not an integer of at least 0.

    Examples
    --------
    >>> remove_small_objects([[1, 2, 2], [4, 4, 4]], max_size=2)
    array([[0, 0, 0],
           [4, 4, 4]], dtype=uint32)
    """
    return filter_by_area(ar, min_area=_area("max_size", max_size) + 1)


def clear_border(labels: ArrayLike) -> NDArray[np.uint32]:
    """Remove the nuclei that have a pixel in the first or last row or column, as the image may have cut them.

    All pieces of such a nucleus are removed. `skimage.segmentation.clear_border` keeps the pieces that do not touch the
    border.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.

    Returns
    -------
    (H, W) ndarray of uint32
        The label image without these nuclei.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.

    Examples
    --------
    >>> clear_border([[0, 0, 0, 0], [1, 0, 2, 0], [1, 0, 0, 0]])
    array([[0, 0, 0, 0],
           [0, 0, 2, 0],
           [0, 0, 0, 0]], dtype=uint32)
    """
    return _core.clear_border(as_label_image(labels))


def fill_holes(labels: ArrayLike) -> NDArray[np.uint32]:
    """Fill the holes of all nuclei: assign the enclosed background pixels to the nucleus.

    The holes of a nucleus are those that `scipy.ndimage.binary_fill_holes` fills in its mask: no 4-connected path leads
    out of a hole without crossing the nucleus. Other nuclei in a hole do not change, and the background around them is
    filled. Background in the holes of several nested nuclei is assigned to the innermost: the nucleus whose 8-connected
    piece around it encloses the fewest pixels, or in a tie the smaller label.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.

    Returns
    -------
    (H, W) ndarray of uint32
        The label image with filled holes. No labelled pixel has changed.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.

    Notes
    -----
    One pass over the image finds the outlines of all nuclei. A second pass visits only the nuclei with holes. The time
    does not depend on the number of labels.

    Examples
    --------
    >>> fill_holes([[5, 5, 5, 5], [5, 0, 9, 5], [5, 5, 5, 5]])
    array([[5, 5, 5, 5],
           [5, 5, 9, 5],
           [5, 5, 5, 5]], dtype=uint32)
    """
    return _core.fill_holes(as_label_image(labels))


def expand_labels(labels: ArrayLike, distance: float = 1, *, threads: int | None = None) -> NDArray[np.uint32]:
    """Expand the nuclei by a distance without overlaps.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.
    distance
        Maximum Euclidean distance in pixels, between pixel centres. A background pixel within this distance of a
        labelled pixel takes the label of the nearest one; in a tie, the first by row, then column. May be infinite.
    threads
        Number of threads; None for one per core. The result is the same for any number.

    Returns
    -------
    (H, W) ndarray of uint32
        The label image with expanded nuclei.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, holds values below 0 or beyond 32 bits, or is longer than
        2**30 pixels.
    SettingsError
        If `distance` is negative or not a number, or `threads` is not 1 to 1024.

    Notes
    -----
    The distances are exact integers, from the separable distance transform of Meijster, Roerdink and Hesselink (2000).
    The time does not depend on the distance. `skimage.segmentation.expand_labels` does not define the label of a pixel
    that is equally near to two nuclei.

    Examples
    --------
    >>> expand_labels([[1, 0, 0, 0, 0, 0, 2]], 2)
    array([[1, 1, 1, 0, 2, 2, 2]], dtype=uint32)
    """
    return _core.expand_labels(as_label_image(labels), distance, threads=threads)


_LARGEST_AREA = 2**64 - 1
"""Larger than the area of any image, in pixels."""


def _area(name: str, pixels: int) -> int:
    try:
        area = operator.index(pixels)
    except TypeError:
        raise SettingsError(f"{name}: expected an integer number of pixels, got {brief(pixels)}") from None
    if area < 0:
        raise SettingsError(f"{name}: expected 0 or more, got {area}")
    return min(area, _LARGEST_AREA)

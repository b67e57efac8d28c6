"""Label images tidied: numbers without gaps, nuclei dropped as a whole, holes filled, nuclei grown.

Each function returns a new label image; all but `relabel_sequential` leave the nuclei their numbers. A nucleus is all
pixels of one label, in one piece or several.
"""

import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet import _core
from nucleus_unet.errors import SettingsError
from nucleus_unet.masks._arguments import as_label_image, brief


def relabel_sequential(labels: ArrayLike) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Renumber the labels 1..N by raster order of each nucleus's first pixel, as the labels of this library are.

    Unlike scikit-image's function of this name, which keeps the order of the numbers.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.

    Returns
    -------
    renumbered : (H, W) ndarray of uint32
        The label image with labels 1..N.
    old_labels : (N + 1,) ndarray of uint32
        The old label of each new one, so that `old_labels[renumbered]` is `labels`; the first is 0.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.

    Examples
    --------
    >>> renumbered, old_labels = relabel_sequential([[0, 7, 7], [3, 0, 7]])
    >>> renumbered
    array([[0, 1, 1],
           [2, 0, 1]], dtype=uint32)
    >>> old_labels
    array([0, 7, 3], dtype=uint32)
    """
    return _core.relabel_sequential(as_label_image(labels))


def filter_by_area(labels: ArrayLike, *, min_area: int = 0, max_area: int | None = None) -> NDArray[np.uint32]:
    """Drop the nuclei that are too small or too large.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.
    min_area
        Least number of pixels of a nucleus that stays, all its pieces together.
    max_area
        Largest number of pixels; None for no limit.

    Returns
    -------
    (H, W) ndarray of uint32
        The label image without the others.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.
    SettingsError
        If an area is no whole number of 0 or more, or `max_area` is below `min_area`.

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


def remove_small_objects(labels: ArrayLike, min_area: int) -> NDArray[np.uint32]:
    """Drop the nuclei of fewer than `min_area` pixels: `filter_by_area` by the name that scikit-image has for it.

    scikit-image's `max_size` is the largest area that goes, one less than `min_area`.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.
    min_area
        Least number of pixels of a nucleus that stays, all its pieces together.

    Returns
    -------
    (H, W) ndarray of uint32
        The label image without the small ones.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.
    SettingsError
        If `min_area` is no whole number of 0 or more.

    Examples
    --------
    >>> remove_small_objects([[1, 2, 2], [4, 4, 4]], 3)
    array([[0, 0, 0],
           [4, 4, 4]], dtype=uint32)
    """
    return filter_by_area(labels, min_area=min_area)


def clear_border(labels: ArrayLike) -> NDArray[np.uint32]:
    """Drop the nuclei that have a pixel in the first or last row or column: the image may have cut them.

    A nucleus goes with all its pieces; scikit-image's function keeps those that do not touch the border themselves.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.

    Returns
    -------
    (H, W) ndarray of uint32
        The label image without them.

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
    """Give the background pixels in holes of a nucleus to it, all nuclei at once.

    A hole is what `scipy.ndimage.binary_fill_holes` fills, given that nucleus alone: no path of pixels beside each
    other (4-connected) leads out of it without crossing the nucleus. Other nuclei in a hole stay as they are and the
    background around them is filled. Background in holes of several nuclei, one around the other, goes to the inner:
    the one whose 8-connected piece around it encloses the fewest pixels, of equals the smaller label.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.

    Returns
    -------
    (H, W) ndarray of uint32
        The label image with holes filled; no labelled pixel has changed.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.

    Notes
    -----
    One pass over the image finds the outlines of all nuclei; only those that have holes are looked at again. So the
    time does not go with the number of labels.

    Examples
    --------
    >>> fill_holes([[5, 5, 5, 5], [5, 0, 9, 5], [5, 5, 5, 5]])
    array([[5, 5, 5, 5],
           [5, 5, 9, 5],
           [5, 5, 5, 5]], dtype=uint32)
    """
    return _core.fill_holes(as_label_image(labels))


def expand_labels(labels: ArrayLike, distance: float = 1, *, threads: int | None = None) -> NDArray[np.uint32]:
    """Grow the nuclei by a distance, without one growing into another.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.
    distance
        Background pixels at most this many pixels (Euclidean, centre to centre) from a labelled pixel take the label
        of the nearest; infinity for all. Of several that are as near, the first by row, then column, counts.
    threads
        Threads to use; None for one a core. The result is the same for any number.

    Returns
    -------
    (H, W) ndarray of uint32
        The label image with nuclei grown.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, holds values below 0 or beyond 32 bits, or is longer than
        2**30 pixels.
    SettingsError
        If `distance` is negative or not a number, or `threads` is not 1 to 1024.

    Notes
    -----
    Exact, in integers, and as quick for any distance: the separable distance transform of Meijster, Roerdink and
    Hesselink (2000). scikit-image's function of this name leaves open which label has a pixel that is as near to two.

    Examples
    --------
    >>> expand_labels([[1, 0, 0, 0, 0, 0, 2]], 2)
    array([[1, 1, 1, 0, 2, 2, 2]], dtype=uint32)
    """
    return _core.expand_labels(as_label_image(labels), distance, threads=threads)


_LARGEST_AREA = 2**64 - 1
"""More pixels than any image has."""


def _area(name: str, pixels: int) -> int:
    try:
        area = operator.index(pixels)
    except TypeError:
        raise SettingsError(f"{name}: expected a whole number of pixels, got {brief(pixels)}") from None
    if area < 0:
        raise SettingsError(f"{name}: expected 0 or more, got {area}")
    return min(area, _LARGEST_AREA)

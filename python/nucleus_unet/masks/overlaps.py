"""Overlaps of the instances of two label images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet import _core
from nucleus_unet.masks._arguments import as_label_image


@dataclass(frozen=True, eq=False)
class OverlapTable:
    """Number of pixels that the instances of two label images share, as a sparse matrix in coordinate form.

    Attributes
    ----------
    labels_a, labels_b : (A,) and (B,) ndarray of uint32
        The labels of each image, ascending, without the background.
    areas_a, areas_b : (A,) and (B,) ndarray of int64
        Areas of the instances in pixels.
    index_a, index_b : (K,) ndarray of intp
        The pairs of instances that share pixels, as indices in `labels_a` and `labels_b`, sorted.
    pixels : (K,) ndarray of int64
        Number of pixels that each pair shares, at least 1.

    See Also
    --------
    overlap_table : Computes the table.
    """

    labels_a: NDArray[np.uint32]
    labels_b: NDArray[np.uint32]
    areas_a: NDArray[np.int64]
    areas_b: NDArray[np.int64]
    index_a: NDArray[np.intp]
    index_b: NDArray[np.intp]
    pixels: NDArray[np.int64]

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each pair, (K,) float64 in (0, 1]. It is 0 for pairs that are not in the table."""
        union = self.areas_a[self.index_a] + self.areas_b[self.index_b] - self.pixels
        return self.pixels / union


def overlap_table(a: ArrayLike, b: ArrayLike, *, threads: int | None = None) -> OverlapTable:
    """Count the pixels that the instances of two label images share. IoU, AP, PQ and AJI follow from these counts.

    Parameters
    ----------
    a, b : (H, W) arrays of integers
        Label images of the same shape, 0 background. C-contiguous uint32 arrays are read as they are, anything else is
        copied once. The memory is about proportional to the number of pairs that share pixels.
    threads
        Number of threads; None for one per core. The result is the same for any number.

    Returns
    -------
    OverlapTable
        Areas of all instances, and number of shared pixels of all pairs that share any.

    Raises
    ------
    MaskError
        If the shapes differ, or an image is not two-dimensional, not of integers, or holds values below 0 or
        beyond 32 bits.
    SettingsError
        If `threads` is not 1 to 1024.

    Examples
    --------
    >>> table = overlap_table([[7, 7, 0], [7, 0, 0]], [[1, 0, 0], [1, 0, 2]])
    >>> table.labels_b, table.areas_b
    (array([1, 2], dtype=uint32), array([2, 1]))
    >>> table.index_a, table.index_b, table.pixels
    (array([0]), array([0]), array([2]))
    >>> table.iou
    array([0.66666667])
    """
    (labels_a, areas_a), (labels_b, areas_b), (index_a, index_b, pixels) = _core.overlaps(
        as_label_image(a, "a"), as_label_image(b, "b"), threads=threads
    )
    return OverlapTable(labels_a, labels_b, areas_a, areas_b, index_a, index_b, pixels)

"""Areas, boxes and overlaps of run-length encoded masks, without decoding them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.masks._arguments import as_shape
from nucleus_unet.masks.encodings import Rle, as_list, coco_fields, fields_alike, known_size


def rle_areas(
    rles: Iterable[Rle], shape: Sequence[int] | None = None, *, threads: int | None = None
) -> NDArray[np.int64]:
    """Count the pixels of encoded masks, without decoding them.

    Parameters
    ----------
    rles : iterable of str or mappings
        Masks of one image in Kaggle's form (strings), COCO's (mappings) or both.
    shape
        Height and width of the image in pixels; None to take the size that masks in COCO's form state.
    threads
        Threads to use; None for one a core. The result is the same for any number.

    Returns
    -------
    (N,) ndarray of int64
        The areas in pixels, 0 for an empty mask.

    Raises
    ------
    MaskError
        As `kaggle_to_labels` and `coco_to_labels` do; or if `shape` is missing and no mask states it.
    SettingsError
        If `threads` is not 1 to 1024.

    Examples
    --------
    >>> rle_areas(["3 3", "2 2 6 1"], (2, 3))
    array([3, 3])
    """
    masks, size, coco = _readable(rles, shape)
    return _core.rle_areas(masks, known_size(size), coco=coco, threads=threads).view(np.int64)


def rle_boxes(
    rles: Iterable[Rle], shape: Sequence[int] | None = None, *, threads: int | None = None
) -> NDArray[np.int64]:
    """Find the bounding boxes of encoded masks, without decoding them.

    Parameters
    ----------
    rles, shape, threads
        As `rle_areas` takes them.

    Returns
    -------
    (N, 4) ndarray of int64
        First row, first column, and the row and column after the last ones; zeros for an empty mask.

    Raises
    ------
    MaskError
        As `rle_areas` does.
    SettingsError
        If `threads` is not 1 to 1024.

    Examples
    --------
    >>> rle_boxes(["3 3", ""], (2, 3))
    array([[0, 1, 2, 3],
           [0, 0, 0, 0]])
    """
    masks, size, coco = _readable(rles, shape)
    return _core.rle_boxes(masks, known_size(size), coco=coco, threads=threads)


def rle_iou(
    a: Iterable[Rle], b: Iterable[Rle], shape: Sequence[int] | None = None, *, threads: int | None = None
) -> NDArray[np.float64]:
    """Intersection over union of every mask of one list with every mask of another, without decoding them.

    Unlike `overlap_table`, this allows for masks of a list that overlap each other.

    Parameters
    ----------
    a, b : iterables of str or mappings
        Masks of one image in Kaggle's form (strings), COCO's (mappings) or both.
    shape
        Height and width of the image in pixels; None to take the size that masks in COCO's form state.
    threads
        Threads to use; None for one a core. The result is the same for any number.

    Returns
    -------
    (A, B) ndarray of float64
        0 to 1; 0 where both masks are empty.

    Raises
    ------
    MaskError
        As `rle_areas` does. The message names the list too.
    SettingsError
        If `threads` is not 1 to 1024.

    Examples
    --------
    >>> rle_iou(["1 4"], ["1 2", "3 4"], (2, 3))
    array([[0.5       , 0.33333333]])
    """
    masks_a, size, coco_a = _readable(a, shape, "a: ")
    masks_b, size, coco_b = _readable(b, size, "b: ")
    return _core.rle_iou(masks_a, masks_b, known_size(size), coco=(coco_a, coco_b), threads=threads)


def _readable(
    rles: Iterable[Rle], shape: Sequence[int] | None, where: str = ""
) -> tuple[list[Any], tuple[int, int] | None, bool]:
    """Masks, the size of the image if known, and whether all masks are COCO's counts; else text is Kaggle's only."""
    expected = None if shape is None else as_shape(shape)
    rles = as_list(rles, where)
    if (alike := fields_alike(rles, expected)) is not None:
        return *alike, True
    masks: list[Any] = []
    for place, rle in enumerate(rles):
        if isinstance(rle, str):
            masks.append(rle)
            continue
        counts, expected = coco_fields(rle, expected, where, place)
        masks.append(counts.encode(errors="surrogatepass") if isinstance(counts, str) else counts)
    return masks, expected, False

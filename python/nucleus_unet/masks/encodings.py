"""Run-length encodings (RLE) in the formats of Kaggle and COCO."""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias, TypedDict, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet import _core
from nucleus_unet.errors import MaskError
from nucleus_unet.masks._arguments import as_pixels, as_shape, brief, is_countable
from nucleus_unet.masks.merging import MergeReport, merged


class CocoRle(TypedDict):
    """One mask in COCO's form, as pycocotools and COCO's JSON have it.

    Attributes
    ----------
    size
        Height and width of the image in pixels.
    counts
        Lengths of alternating runs of background and nucleus in column-major order, as a list or a compressed string.
    """

    size: list[int]
    counts: str | list[int]


Rle: TypeAlias = str | Mapping[str, Any]
"""One mask in Kaggle's form or in COCO's."""

T = TypeVar("T")

_SIZE, _COUNTS = itemgetter("size"), itemgetter("counts")


def labels_to_kaggle(labels: ArrayLike, *, threads: int | None = None) -> dict[int, str]:
    """Encode every instance of a label image in Kaggle's form, that of the 2018 Data Science Bowl.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous array of bool, uint8, uint16 or uint32 is read as it is, anything else
        is copied once.
    threads
        Number of threads; None for one per core. The result is the same for any number.

    Returns
    -------
    dict of int to str
        By label, ascending: `start length` pairs separated by blanks, starts counted from 1 down the columns.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.
    SettingsError
        If `threads` is not 1 to 1024.

    Examples
    --------
    >>> labels_to_kaggle([[0, 1, 1], [2, 1, 0]])
    {1: '3 3', 2: '2 1'}
    """
    return dict(_core.labels_to_kaggle(as_pixels(labels), threads=threads))


def kaggle_to_labels(
    rles: Iterable[str], shape: Sequence[int], *, threads: int | None = None
) -> tuple[NDArray[np.uint32], MergeReport]:
    """Decode masks in Kaggle's form to one label image.

    Parameters
    ----------
    rles : iterable of str
        One string of `start length` pairs per mask, in any order. An empty string is an empty mask.
    shape
        Height and width of the image in pixels.
    threads
        Number of threads; None for one per core. The result is the same for any number.

    Returns
    -------
    labels : (H, W) ndarray of uint32
        Label `i + 1` for `rles[i]`; of two masks that claim a pixel the earlier has it.
    report : MergeReport
        What was lost to overlaps, and which masks are empty.

    Raises
    ------
    MaskError
        If within one mask runs overlap or leave the image, or a start or length is missing, not a whole
        number, not positive or too large. The message names the mask, the pair and, where one is at fault,
        the character, all counted from 0.
    SettingsError
        If `threads` is not 1 to 1024.

    Examples
    --------
    >>> labels, report = kaggle_to_labels(["3 3", "2 2"], (2, 3))
    >>> labels
    array([[0, 1, 1],
           [2, 1, 0]], dtype=uint32)
    >>> report.overlaps
    (Overlap(earlier=0, later=1, pixels=1),)
    """
    return merged(_core.kaggle_to_labels(as_list(rles), as_shape(shape), threads=threads))


def labels_to_coco(labels: ArrayLike, *, compressed: bool = True, threads: int | None = None) -> dict[int, CocoRle]:
    """Encode every instance of a label image in COCO's form, ready for JSON.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous array of bool, uint8, uint16 or uint32 is read as it is, anything else
        is copied once.
    compressed
        Counts as the string that pycocotools makes; else as a list.
    threads
        Number of threads; None for one per core. The result is the same for any number.

    Returns
    -------
    dict of int to CocoRle
        By label, ascending.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits; or if
        the image has 2**32 pixels or more, which COCO's 32-bit counts cannot hold.
    SettingsError
        If `threads` is not 1 to 1024.

    Examples
    --------
    >>> labels_to_coco([[0, 1, 1], [2, 1, 0]], compressed=False)
    {1: {'size': [2, 3], 'counts': [2, 3, 1]}, 2: {'size': [2, 3], 'counts': [1, 1, 4]}}
    """
    image = as_pixels(labels)
    height, width = image.shape
    instances = _core.labels_to_coco(image, compressed=compressed, threads=threads)
    return {label: {"size": [height, width], "counts": counts} for label, counts in instances}


def coco_to_labels(
    rles: Iterable[Mapping[str, Any]], shape: Sequence[int] | None = None, *, threads: int | None = None
) -> tuple[NDArray[np.uint32], MergeReport]:
    """Decode masks in COCO's form to one label image.

    Parameters
    ----------
    rles : iterable of mappings
        `size` and `counts` of each mask, as in `CocoRle`. Compressed counts may be bytes, as in pycocotools.
    shape
        Height and width of the image in pixels; None to use the `size` of the masks.
    threads
        Number of threads; None for one per core. The result is the same for any number.

    Returns
    -------
    labels : (H, W) ndarray of uint32
        Label `i + 1` for `rles[i]`; of two masks that claim a pixel the earlier has it.
    report : MergeReport
        What was lost to overlaps, and which masks are empty.

    Raises
    ------
    MaskError
        If the sizes differ, counts are negative or do not sum to exactly the pixels of the image, or a
        compressed string is malformed, cut or too large. The message names the mask and the count or
        character, counted from 0.
    SettingsError
        If `threads` is not 1 to 1024.

    Examples
    --------
    >>> labels, report = coco_to_labels([{"size": [2, 3], "counts": [2, 3, 1]}])
    >>> labels
    array([[0, 1, 1],
           [0, 1, 0]], dtype=uint32)
    """
    expected = None if shape is None else as_shape(shape)
    masks = as_list(rles)
    if (alike := fields_alike(masks, expected)) is not None:
        return merged(_core.coco_to_labels(*alike, threads=threads))
    counts = []
    for place, rle in enumerate(masks):
        mask_counts, expected = coco_fields(rle, expected, "", place)
        counts.append(mask_counts)
    return merged(_core.coco_to_labels(counts, known_size(expected), threads=threads))


def mask_to_coco(mask: ArrayLike, *, compressed: bool = True, threads: int | None = None) -> CocoRle:
    """Encode one mask in COCO's form, as pycocotools' ``encode`` does.

    Parameters
    ----------
    mask : (H, W) array of bool or integers
        0 outside of the mask. Of bool or uint8, C- or F-contiguous, it is read as it is; anything else is copied once.
    compressed
        Counts as the string that pycocotools makes; else as a list.
    threads
        Number of threads; None for one per core. The result is the same for any number.

    Returns
    -------
    CocoRle

    Raises
    ------
    MaskError
        If `mask` is not two-dimensional, or neither of bool nor of integers; or if it has 2**32 pixels or more.
    SettingsError
        If `threads` is not 1 to 1024.

    Examples
    --------
    >>> mask_to_coco([[0, 1, 1], [0, 1, 0]], compressed=False)
    {'size': [2, 3], 'counts': [2, 3, 1]}
    """
    pixels = np.asarray(mask)
    if pixels.ndim != 2 or pixels.dtype.kind not in "biu":
        raise MaskError(f"mask: expected an array (H, W) of bool or integers, got {pixels.shape} of {pixels.dtype}")
    height, width = pixels.shape
    if pixels.dtype.itemsize > 1:
        pixels = pixels != 0
    # `view` needs contiguous pixels, by rows or by columns.
    binary = (pixels if pixels.flags.forc else np.ascontiguousarray(pixels)).view(np.uint8)
    counts = _core.mask_to_coco(binary, compressed=compressed, threads=threads)
    return {"size": [height, width], "counts": counts}


def coco_to_mask(rle: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Decode one mask in COCO's form, as pycocotools' ``decode`` does.

    Parameters
    ----------
    rle : mapping
        `size` and `counts`, as in `CocoRle`; compressed counts may be bytes, as pycocotools has them.

    Returns
    -------
    (H, W) ndarray of bool
        F-contiguous, as pycocotools' masks are.

    Raises
    ------
    MaskError
        As `coco_to_labels` does.

    Examples
    --------
    >>> coco_to_mask({"size": [2, 3], "counts": [2, 3, 1]}).astype(int)
    array([[0, 1, 1],
           [0, 1, 0]])
    """
    counts, size = coco_fields(rle, None, "", 0)
    return _core.coco_to_mask(counts, size).T.view(np.bool_)


def as_list(rles: Iterable[T], where: str = "") -> list[T]:
    """Masks as a list; a single one, or a table by label, would be taken apart."""
    if isinstance(rles, str | bytes | Mapping):
        kind = type(rles).__name__
        raise MaskError(f"{where}expected a list of masks, got a single {kind}; pass [mask], or list(masks.values())")
    return list(rles)


def known_size(size: tuple[int, int] | None) -> tuple[int, int]:
    """Return the size of the image, and refuse masks of which none states it."""
    if size is None:
        raise MaskError("shape: expected (height, width), got None; no mask states the size of the image")
    return size


def fields_alike(rles: Sequence[object], expected: tuple[int, int] | None) -> tuple[list[Any], tuple[int, int]] | None:
    """Take masks apart into counts and size where all are plain and alike, as long lists mostly are; None otherwise."""
    if set(map(type, rles)) != {dict}:
        return None
    plain = cast(Sequence[dict[str, Any]], rles)
    try:
        sizes, counts = [*map(_SIZE, plain)], [*map(_COUNTS, plain)]
    except KeyError:
        return None
    if set(map(type, sizes)) != {list}:
        return None
    size = (*sizes[0],)
    try:
        are_alike = sizes.count(sizes[0]) == len(sizes)
    except ValueError:  # the comparison of arrays has no truth value
        return None
    if not are_alike or [*map(type, size)] != [int, int] or not is_countable(*size) or expected not in (None, size):
        return None
    return counts, size


def coco_fields(rle: object, expected: tuple[int, int] | None, where: str, place: int) -> tuple[Any, tuple[int, int]]:
    """Take a mask apart into counts and size, which must be the one expected, if any is."""
    if not isinstance(rle, Mapping) or "size" not in rle or "counts" not in rle:
        raise MaskError(f"{where}mask {place}: expected a mapping with 'size' and 'counts', got {brief(rle)}")
    size = as_shape(rle["size"], f"{where}mask {place}, size")
    if expected not in (None, size):
        raise MaskError(f"{where}mask {place}: expected size {list(expected)}, got {list(size)}")
    return rle["counts"], size

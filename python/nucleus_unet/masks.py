"""Masks in the forms that others keep them in, how they overlap, and the usual operations on them.

The forms are run-length encodings and one PNG a nucleus; the operations connected components, distances to other
labels and the watershed.

Masks come as a list. Mask `i`, counted from 0, becomes label `i + 1` of a label image. Where two masks claim
a pixel the earlier keeps it, and the `MergeReport` that comes with the label image says what the later lost.
"""

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet import _core
from nucleus_unet.errors import MaskError

__all__ = [
    "CocoRle",
    "MergeReport",
    "Overlap",
    "OverlapTable",
    "coco_to_labels",
    "distance",
    "kaggle_to_labels",
    "label",
    "labels_to_coco",
    "labels_to_kaggle",
    "merge_mask_pngs",
    "overlap_table",
    "watershed",
]


class CocoRle(TypedDict):
    """One mask in COCO's form, as pycocotools and COCO's JSON have it.

    Attributes
    ----------
    size
        Height and width of the image in pixels.
    counts
        Lengths of background and nucleus in turn, in column-major order; or the same compressed to a string.
    """

    size: list[int]
    counts: str | list[int]


@dataclass(frozen=True)
class Overlap:
    """Pixels that one mask lost to another that came earlier in the list. Masks are counted from 0.

    Attributes
    ----------
    earlier
        The mask that keeps the pixels.
    later
        The mask that loses them.
    pixels
        How many they are.
    """

    earlier: int
    later: int
    pixels: int


@dataclass(frozen=True)
class MergeReport:
    """What merging masks into one label image had to give up. Masks are counted from 0.

    Attributes
    ----------
    overlaps
        Pixels lost, one entry a pair of masks, sorted by (earlier, later). A pixel that three masks claim is
        lost by the second and by the third, each to the first.
    empty
        Masks without a pixel. Their labels are absent.
    hidden
        Masks that lost every pixel to earlier ones. Their labels are absent too.
    """

    overlaps: tuple[Overlap, ...]
    empty: tuple[int, ...]
    hidden: tuple[int, ...]

    @property
    def lost_pixels(self) -> int:
        """Pixels lost in all; 0 where the label image holds every mask exactly."""
        return sum(overlap.pixels for overlap in self.overlaps)


@dataclass(frozen=True, eq=False)
class OverlapTable:
    """Which instances of two label images share pixels, and how many: a sparse matrix in coordinate form.

    Attributes
    ----------
    labels_a, labels_b : (A,) and (B,) ndarray of uint32
        The instances of each image, ascending, background left out.
    areas_a, areas_b : (A,) and (B,) ndarray of int64
        Their areas in pixels.
    index_a, index_b : (K,) ndarray of intp
        The pairs of instances that share pixels, as positions in `labels_a` and `labels_b`, sorted.
    pixels : (K,) ndarray of int64
        How many pixels each pair shares, at least 1.

    See Also
    --------
    overlap_table : Makes one.
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
        """Intersection over union of each pair, (K,) float64 in (0, 1]. Pairs not in the table have 0."""
        union = self.areas_a[self.index_a] + self.areas_b[self.index_b] - self.pixels
        return self.pixels / union


def labels_to_kaggle(labels: ArrayLike, *, threads: int | None = None) -> dict[int, str]:
    """Encode every instance of a label image as the 2018 Data Science Bowl has it.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.
    threads
        Threads to use; None for one a core. The result is the same for any number.

    Returns
    -------
    dict of int to str
        By label, ascending: `start length` pairs separated by blanks, starts counted from 1 down the columns.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits.

    Examples
    --------
    >>> labels_to_kaggle([[0, 1, 1], [2, 1, 0]])
    {1: '3 3', 2: '2 1'}
    """
    return dict(_core.labels_to_kaggle(_label_image(labels), threads=threads))


def kaggle_to_labels(
    rles: Iterable[str], shape: Sequence[int], *, threads: int | None = None
) -> tuple[NDArray[np.uint32], MergeReport]:
    """Decode masks in Kaggle's form to one label image.

    Parameters
    ----------
    rles : iterable of str
        One string of `start length` pairs a mask, the pairs in any order; an empty string is an empty mask.
    shape
        Height and width of the image in pixels.
    threads
        Threads to use; None for one a core. The result is the same for any number.

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

    Examples
    --------
    >>> labels, report = kaggle_to_labels(["3 3", "2 2"], (2, 3))
    >>> labels
    array([[0, 1, 1],
           [2, 1, 0]], dtype=uint32)
    >>> report.overlaps
    (Overlap(earlier=0, later=1, pixels=1),)
    """
    return _merged(_core.kaggle_to_labels(rles, _shape(shape), threads=threads))


def labels_to_coco(labels: ArrayLike, *, compressed: bool = True, threads: int | None = None) -> dict[int, CocoRle]:
    """Encode every instance of a label image in COCO's form, ready for JSON.

    Parameters
    ----------
    labels : (H, W) array of integers
        Label image, 0 background. A C-contiguous uint32 array is read as it is, anything else is copied once.
    compressed
        Counts as the string that pycocotools makes; else as a list.
    threads
        Threads to use; None for one a core. The result is the same for any number.

    Returns
    -------
    dict of int to CocoRle
        By label, ascending.

    Raises
    ------
    MaskError
        If `labels` is not two-dimensional, not of integers, or holds values below 0 or beyond 32 bits; or if
        the image has 2**32 pixels or more, which COCO's 32-bit counts cannot hold.

    Examples
    --------
    >>> labels_to_coco([[0, 1, 1], [2, 1, 0]], compressed=False)
    {1: {'size': [2, 3], 'counts': [2, 3, 1]}, 2: {'size': [2, 3], 'counts': [1, 1, 4]}}
    """
    image = _label_image(labels)
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
        `size` and `counts` a mask, as in `CocoRle`; compressed counts may be bytes, as pycocotools has them.
    shape
        Height and width of the image in pixels; None to take the size that the masks state.
    threads
        Threads to use; None for one a core. The result is the same for any number.

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

    Examples
    --------
    >>> labels, report = coco_to_labels([{"size": [2, 3], "counts": [2, 3, 1]}])
    >>> labels
    array([[0, 1, 1],
           [0, 1, 0]], dtype=uint32)
    """
    if isinstance(rles, Mapping):
        raise MaskError("expected a list of masks, got a single mapping; pass [mask], or list(masks.values())")
    expected = None if shape is None else _shape(shape)
    counts = []
    for place, rle in enumerate(rles):
        size, mask_counts = _coco_fields(place, rle)
        if expected is None:
            expected = size
        if size != expected:
            raise MaskError(f"mask {place}: expected size {list(expected)}, got {list(size)}")
        counts.append(mask_counts)
    if expected is None:
        raise MaskError("rles: without any mask the shape of the image must be given")
    return _merged(_core.coco_to_labels(counts, expected, threads=threads))


def merge_mask_pngs(
    files: Iterable[bytes], shape: Sequence[int] | None = None, *, threads: int | None = None
) -> tuple[NDArray[np.uint32], MergeReport]:
    """Merge PNG files of one nucleus each to one label image.

    Parameters
    ----------
    files : iterable of bytes
        Contents of PNG files of any colour type and bit depth. Pixels whose grey, or any of whose red, green
        and blue, is not zero belong to the nucleus; alpha is ignored.
    shape
        Height and width of the image in pixels; None to take the first file's, up to 2**28 pixels.
    threads
        Threads to use; None for one a core. The result is the same for any number.

    Returns
    -------
    labels : (H, W) ndarray of uint32
        Label `i + 1` for `files[i]`; of two masks that claim a pixel the earlier has it.
    report : MergeReport
        What was lost to overlaps, and which masks are empty.

    Raises
    ------
    MaskError
        If a file is damaged, not a PNG, or of another shape. The message names the file, counted from 0.

    Examples
    --------
    >>> from imagecodecs import png_encode
    >>> files = [png_encode(np.array([row], np.uint8)) for row in ([0, 255, 255, 0], [255, 255, 0, 0])]
    >>> labels, report = merge_mask_pngs(files)
    >>> labels
    array([[2, 1, 1, 0]], dtype=uint32)
    >>> report.overlaps
    (Overlap(earlier=0, later=1, pixels=1),)
    """
    expected = None if shape is None else _shape(shape)
    return _merged(_core.merge_mask_pngs(files, expected, threads=threads))


def overlap_table(a: ArrayLike, b: ArrayLike, *, threads: int | None = None) -> OverlapTable:
    """Count the pixels that the instances of two label images share: what IoU, AP, PQ and AJI are made of.

    Parameters
    ----------
    a, b : (H, W) arrays of integers
        Label images of one shape, 0 background. C-contiguous uint32 arrays are read as they are, anything
        else is copied once. Memory goes with the number of pairs that share pixels, whatever their labels.
    threads
        Threads to use; None for one a core. The result is the same for any number.

    Returns
    -------
    OverlapTable
        Areas of all instances and shared pixels of all pairs that share any.

    Raises
    ------
    MaskError
        If the shapes differ, or an image is not two-dimensional, not of integers, or holds values below 0 or
        beyond 32 bits.

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
    cells_a, cells_b, pixels = _core.contingency(_label_image(a, "a"), _label_image(b, "b"), threads=threads)
    labels_a, areas_a, index_a = _instances(cells_a, pixels)
    labels_b, areas_b, index_b = _instances(cells_b, pixels)
    shared = (cells_a != 0) & (cells_b != 0)
    return OverlapTable(labels_a, labels_b, areas_a, areas_b, index_a[shared], index_b[shared], pixels[shared])


def label(image: ArrayLike, *, connectivity: int = 1, threads: int | None = None) -> NDArray[np.uint32]:
    """Find the connected components of a binary image, or of a label image.

    Parameters
    ----------
    image : (H, W) array of bool or integers
        0 is background; neighbours of equal value are of one component. A C-contiguous array of bool, uint8,
        uint16 or uint32 is read as it is, anything else is copied once.
    connectivity
        1 if pixels that share an edge are neighbours, 2 if those that share only a corner are too.
    threads
        Threads to use; None for one a core. The result is the same for any number.

    Returns
    -------
    (H, W) ndarray of uint32
        Label image, components numbered 1..N by raster order of their first pixels.

    Raises
    ------
    MaskError
        If `image` is not two-dimensional, not of bool or integers, holds values below 0 or beyond 32 bits, or
        has 2**32 pixels or more.
    SettingsError
        If `connectivity` is neither 1 nor 2, or `threads` is less than 1.

    Notes
    -----
    The components are those of `skimage.measure.label` with the same `connectivity`. Union-find over runs of
    pixels, after He, Chao and Suzuki, A run-based two-scan labeling algorithm, 2008,
    https://doi.org/10.1109/TIP.2008.919369.

    Examples
    --------
    >>> label([[1, 0, 1], [0, 1, 1]])
    array([[1, 0, 2],
           [0, 2, 2]], dtype=uint32)
    >>> label([[1, 0, 1], [0, 1, 1]], connectivity=2)
    array([[1, 0, 1],
           [0, 1, 1]], dtype=uint32)
    >>> label([[5, 5, 7, 5]])
    array([[1, 1, 2, 3]], dtype=uint32)
    """
    return _core.label(_pixels(image, "image"), connectivity=connectivity, threads=threads)


def distance(image: ArrayLike, *, threads: int | None = None) -> NDArray[np.float32]:
    """Measure how far each pixel of a nucleus is from the nearest pixel that is not of that nucleus.

    Parameters
    ----------
    image : (H, W) array of bool or integers
        Binary image or label image, 0 background. A C-contiguous array of bool, uint8, uint16 or uint32 is read
        as it is, anything else is copied once.
    threads
        Threads to use; None for one a core. The result is the same for any number.

    Returns
    -------
    (H, W) ndarray of float32
        Euclidean distances in pixels between pixel centres, exact but for one rounding: to the nearest pixel of
        background or of another label. 0 for background. What lies outside of the image is unknown and ends
        nothing, so that pixels at the border are not near to anything on account of it; an image of a single
        label without any background is infinitely far from everything.

    Raises
    ------
    MaskError
        If `image` is not two-dimensional, not of bool or integers, holds values below 0 or beyond 32 bits, or
        has more than 2**24 rows or columns.
    SettingsError
        If `threads` is less than 1.

    Notes
    -----
    For a binary image with background the distances are those of `scipy.ndimage.distance_transform_edt`, for a
    label image those that it gives label by label. The algorithm is that of Meijster, Roerdink and
    Hesselink, A general algorithm for computing distance transforms in linear time, 2000,
    https://doi.org/10.1007/0-306-47025-X_36, whose time goes with the number of pixels alone.

    Examples
    --------
    >>> distance([[1, 1, 1, 0], [1, 1, 1, 1]])
    array([[3.       , 2.       , 1.       , 0.       ],
           [3.1622777, 2.236068 , 1.4142135, 1.       ]], dtype=float32)
    >>> distance([[7, 7, 7, 9, 9]])
    array([[3., 2., 1., 1., 2.]], dtype=float32)
    """
    return _core.distance(_pixels(image, "image"), threads=threads)


def watershed(
    image: ArrayLike, markers: ArrayLike, *, mask: ArrayLike | None = None, connectivity: int = 1
) -> NDArray[np.uint32]:
    """Flood an image from markers: every pixel gets the label of the marker whose flood comes to it first.

    Parameters
    ----------
    image : (H, W) array of bool, integers or floats
        Levels; the lowest are flooded first. uint8, uint16, float32 and float64 are read as they are, float16
        is taken to float32, other integers to float64, as scikit-image takes all.
    markers : (H, W) array of integers
        Label image of the pixels to start from, 0 elsewhere. Those outside of the mask are left out.
    mask : (H, W) array of bool or integers, optional
        Where there may be labels; everywhere by default.
    connectivity
        1 if floods go over edges of pixels, 2 if over corners too.

    Returns
    -------
    (H, W) ndarray of uint32
        Label image; 0 outside of the mask and where no flood came.

    Raises
    ------
    MaskError
        If shapes differ or are not two-dimensional, dtypes are others, markers are below 0 or beyond 32 bits,
        a pixel in the mask is not a number, or there are 2**32 pixels or more.
    SettingsError
        If `connectivity` is neither 1 nor 2.

    Notes
    -----
    Equal label for label to `skimage.segmentation.watershed` of scikit-image 0.26 without compactness or lines:
    pixels are taken by level, then by age in the queue, markers of one level in the order of its binary
    heap. One flood is one thread's work. The algorithm is that of Beucher and Meyer, The morphological approach
    to segmentation: the watershed transformation, 1993.

    Examples
    --------
    >>> watershed([[0, 1, 3, 1, 0]], [[1, 0, 0, 0, 2]])
    array([[1, 1, 1, 2, 2]], dtype=uint32)
    >>> watershed([[0, 1, 3, 1, 0]], [[1, 0, 0, 0, 2]], mask=[[1, 1, 0, 1, 1]])
    array([[1, 1, 0, 2, 2]], dtype=uint32)
    """
    open_pixels = None if mask is None else _mask(mask)
    return _core.watershed(
        _levels(image), _label_image(markers, "markers"), mask=open_pixels, connectivity=connectivity
    )


def _instances(
    cells: NDArray[np.uint32], pixels: NDArray[np.int64]
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.intp]]:
    """Labels without background, their areas, each cell's position among them (-1 where background)."""
    labels, position = np.unique(cells, return_inverse=True)
    areas = np.zeros(labels.size, np.int64)
    np.add.at(areas, position, pixels)
    background = int(labels.size > 0 and labels[0] == 0)
    return labels[background:], areas[background:], position - background


def _coco_fields(place: int, rle: Mapping[str, Any]) -> tuple[tuple[int, int], Any]:
    if not isinstance(rle, Mapping) or not {"size", "counts"} <= rle.keys():
        raise MaskError(f"mask {place}: expected a mapping with 'size' and 'counts', got {_brief(rle)}")
    return _shape(rle["size"], f"mask {place}, size"), rle["counts"]


def _label_image(labels: ArrayLike, name: str = "labels") -> NDArray[np.uint32]:
    """Label image as the kernels take it: without a copy where it is so already."""
    image = np.asarray(labels)
    if image.ndim != 2:
        raise MaskError(f"{name}: expected a label image of shape (H, W), got shape {image.shape}")
    if image.dtype.kind not in "biu":
        raise MaskError(f"{name}: expected integers, got {image.dtype}")
    limits = np.iinfo(np.uint32)
    if image.size and not np.can_cast(image.dtype, np.uint32):
        least, most = int(image.min()), int(image.max())
        if least < 0 or most > limits.max:
            raise MaskError(f"{name}: expected labels of 0 to {limits.max}, got {least} to {most}")
    return np.require(image, np.uint32, ["C_CONTIGUOUS", "ALIGNED"])


def _pixels(image: ArrayLike, name: str) -> NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32]:
    """Binary image or label image in a width that the kernels take: without a copy where it is so already."""
    pixels = np.asarray(image)
    if pixels.dtype == np.bool_:
        pixels = pixels.view(np.uint8)
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        return _label_image(pixels, name)
    return np.require(pixels, pixels.dtype, ["C_CONTIGUOUS", "ALIGNED"])


def _levels(
    image: ArrayLike,
) -> NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32] | NDArray[np.float64]:
    """Image in a dtype that the watershed takes, in which its pixels have the same order."""
    levels = np.asarray(image)
    if levels.dtype.kind not in "biuf" or levels.dtype.itemsize > 8:
        raise MaskError(f"image: expected bool, integers or floats up to 64 bits, got {levels.dtype}")
    if levels.dtype == np.bool_:
        return levels.view(np.uint8)
    if levels.dtype == np.float16:
        return levels.astype(np.float32)
    if levels.dtype in (np.uint8, np.uint16, np.float32):
        return np.require(levels, levels.dtype, ["ALIGNED"])
    return np.require(levels, np.float64, ["ALIGNED"])


def _mask(mask: ArrayLike) -> NDArray[np.bool_]:
    pixels = np.asarray(mask)
    if pixels.dtype.kind not in "biu":
        raise MaskError(f"mask: expected bool or integers, got {pixels.dtype}")
    return pixels != 0 if pixels.dtype != np.bool_ else pixels


def _shape(shape: Sequence[int], name: str = "shape") -> tuple[int, int]:
    try:
        height, width = (operator.index(length) for length in shape)
    except (TypeError, ValueError):
        raise MaskError(f"{name}: expected (height, width), got {_brief(shape)}") from None
    if min(height, width) < 0:
        raise MaskError(f"{name}: expected a height and width of 0 or more, got {_brief(shape)}")
    return height, width


def _merged(
    parts: tuple[NDArray[np.uint32], list[tuple[int, int, int]], list[int], list[int]],
) -> tuple[NDArray[np.uint32], MergeReport]:
    labels, overlaps, empty, hidden = parts
    return labels, MergeReport(tuple(Overlap(*overlap) for overlap in overlaps), tuple(empty), tuple(hidden))


def _brief(value: object) -> str:
    """Show a wrong value in an error, cut if long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

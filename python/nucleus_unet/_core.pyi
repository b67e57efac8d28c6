"""The Rust kernels. They release the GIL and give the same result at any number of threads.

The modules of the package check and convert arguments, then call these.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "__version__",
    "backgrounds",
    "blend_tiles",
    "box_sums",
    "check_outlines",
    "clear_border",
    "coco_to_labels",
    "coco_to_mask",
    "contours",
    "contours_wkb",
    "count_values",
    "distance",
    "draw_runs",
    "expand_labels",
    "fill_holes",
    "filter_by_area",
    "geojson_features",
    "group",
    "group_margin",
    "halve",
    "has_avx2",
    "kaggle_to_labels",
    "label",
    "label_runs",
    "labels_to_coco",
    "labels_to_kaggle",
    "maps_of_output",
    "mask_to_coco",
    "measure",
    "merge_mask_pngs",
    "neighbours",
    "normalise",
    "overlaps",
    "relabel_sequential",
    "resample",
    "resample_labels",
    "rle_areas",
    "rle_boxes",
    "rle_iou",
    "shapes",
    "simplify_ring",
    "smooth_labels",
    "statistics",
    "watershed",
]

__version__: str

# Grouping -----------------------------------------------------------------------------------------------

def group(
    maps: NDArray[np.uint8],
    *,
    foreground_threshold: float,
    centre_threshold: float,
    centre_sigma: float,
    window: int,
    merge_distance: float,
    merge_dip: float,
    assignment_radius: float,
    max_offset: int,
    min_area: int,
    min_score: float,
    min_peak: float,
    quality: Mapping[str, Sequence[float]] | None = None,
    min_quality: float = 0.0,
    threads: int | None = None,
) -> tuple[
    NDArray[np.uint32],
    NDArray[np.int64],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float64],
]:
    """Find the nuclei in maps by centre-offset grouping (Panoptic-DeepLab, Cheng et al. 2020).

    Centres are peaks of the centre heatmap, and each foreground pixel joins the centre nearest to where its offset
    points. See https://arxiv.org/abs/1911.10194.

    All decisions look no further than `group_margin`, so a block read with that margin decides the nuclei whose centres
    lie in it as the whole image would. All but that by quality are made in integers. So the result is the same to the
    bit on every machine, but for the last bit of a quality, which depends on the exponential function of the system.

    Parameters
    ----------
    maps : (H, W, 4) uint8
        Foreground probability and centre heat, each times 255; then the row and the column offset from the
        pixel to its nucleus's centre in half pixels plus 128. Other memory orders than C work, slower.
    foreground_threshold : float
        Least foreground probability of a pixel that may belong to a nucleus.
    centre_threshold : float
        Least heat, as a probability, of a centre. A pixel without heat is never a centre.
    centre_sigma : float
        Standard deviation of the integer Gaussian (cut at 3 sigma, edges replicated) that smooths the heat,
        0 to 16 pixels; 0 for no smoothing.
    window : int
        A centre ranks first, by heat, then smaller row, then smaller column, among the pixels that are at
        most this many rows and columns away; 1 to 128.
    merge_distance : float
        Largest distance in pixels, 0 to 128, at which a centre may yield to a higher-ranked one. Whether that one
        is itself kept does not matter.
    merge_dip : float
        A centre yields where the heat on the Bresenham line from it to the other is nowhere below its own times
        ``1 - merge_dip``.
    assignment_radius : float
        A foreground pixel goes to the nearest kept centre (of equals the first in raster order) at most this
        many pixels, 0 to 128, from where its offset points. Without one it is background.
    max_offset : int
        Offsets are clipped to this many rows and columns, 0 to 64.
    min_area : int
        Least number of pixels of a nucleus.
    min_score : float
        Least mean foreground probability of a nucleus.
    min_peak : float
        Least heat, as a probability, at the centre of a nucleus.
    quality : mapping, optional
        Of a learned function that estimates the quality of a nucleus, the logistic function of a quadratic one:
        ``mean`` and ``spread`` of the 6 measurements, and 28 ``weights``: of a constant, of the standardised
        measurements, and of their products in the order 11, 12, ..., 22, ...
    min_quality : float
        Least quality of a nucleus. Without effect if there is no such function.
    threads : int, optional
        Number of threads; all cores by default.

    Returns
    -------
    labels : (H, W) uint32
        Label image, numbered 1..N by raster order of each nucleus's first pixel. A nucleus is the largest
        4-connected piece (of equals the first in raster order) of the pixels that went to its centre, and
        what it encloses that went to no other centre and touches it.
    centres : (N, 2) int64
        Row and column of each nucleus's centre, unique among nuclei. It may lie off the nucleus.
    scores : (N,) float32
        Mean foreground probability of each nucleus, filled holes included.
    peaks : (N,) float32
        Heat, after smoothing, at each nucleus's centre.
    qualities : (N,) float32
        Quality of each nucleus, its estimated intersection over union with the true one; NaN without a function.
    measurements : (N, 6) float64
        What it is estimated from. Over the pixels of a nucleus: the mean foreground probability, the heat at the centre
        after smoothing, the mean heat, and the root mean square distance in pixels from where the offsets of its
        foreground pixels point to the centre. Over the edges between its pixels and others: the mean foreground
        probability on the inner and on the outer side.

    Raises
    ------
    nucleus_unet.errors.MaskError
        If `maps` has another shape or dtype.
    nucleus_unet.errors.SettingsError
        If an option is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> maps = np.full((1, 5, 4), 128, np.uint8)
    >>> maps[..., 0] = 255
    >>> maps[..., 1] = [255, 0, 0, 0, 255]
    >>> labels, centres, *_ = group(
    ...     maps, foreground_threshold=0.5, centre_threshold=0.5, centre_sigma=0, window=2,
    ...     merge_distance=0, merge_dip=0, assignment_radius=1, max_offset=64, min_area=0, min_score=0, min_peak=0,
    ... )
    >>> labels
    array([[1, 1, 0, 2, 2]], dtype=uint32)
    >>> centres.tolist()
    [[0, 0], [0, 4]]
    """

def group_margin(
    *, centre_sigma: float, window: int, merge_distance: float, assignment_radius: float, max_offset: int
) -> int:
    """Return the margin of grouping: how far from its centre, on every side, the maps can change a nucleus.

    Parameters
    ----------
    centre_sigma, window, merge_distance, assignment_radius, max_offset
        As `group` takes them.

    Returns
    -------
    int
        ``2 * (max_offset + assignment_radius)``, for the pixels of a nucleus and the centres that compete for
        them, plus ``merge_distance``, ``window`` and the radius of smoothing, for whether such a centre is kept.

    Raises
    ------
    nucleus_unet.errors.SettingsError
        If an option is out of its range.

    Examples
    --------
    >>> group_margin(centre_sigma=1.0, window=5, merge_distance=8, assignment_radius=4, max_offset=48)
    120
    """

# Pixel values -------------------------------------------------------------------------------------------

def count_values(pixels: NDArray[np.uint8 | np.uint16]) -> NDArray[np.int64]:
    """Count the pixels of each value.

    Parameters
    ----------
    pixels : uint8 or uint16
        C-contiguous, of any shape.

    Returns
    -------
    (256,) or (65536,) int64

    Raises
    ------
    nucleus_unet.errors.MaskError
        If the array has another dtype, or is not C-contiguous.

    Examples
    --------
    >>> import numpy as np
    >>> count_values(np.array([[0, 2], [2, 2]], np.uint8))[:4].tolist()
    [1, 0, 3, 0]
    """

def box_sums(
    pixels: NDArray[np.uint8 | np.uint16], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Add up the pixels of each box of a grid.

    Parameters
    ----------
    pixels : (H, W, channels) uint8 or uint16
        C-contiguous.
    rows, columns : (R + 1,), (C + 1,) int64
        Where boxes begin and end, in ascending order: from 0 to H, and from 0 to W.

    Returns
    -------
    (R, C, channels) int64

    Raises
    ------
    nucleus_unet.errors.MaskError
        If the array has another shape or dtype, or is not C-contiguous, or if a number is beyond the pixels.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    >>> box_sums(pixels, np.array([0, 2]), np.array([0, 1, 3])).ravel().tolist()
    [3, 12]
    """

def normalise(pixels: NDArray[np.uint8 | np.uint16], *, low: float, high: float) -> NDArray[np.float32]:
    """Map the values from `low` to `high` to 0..1 and clip, in single precision.

    Parameters
    ----------
    pixels : uint8 or uint16
        C-contiguous, of any shape, which is that of the result.
    low, high
        The values that become 0 and 1.

    Raises
    ------
    nucleus_unet.errors.MaskError
        If the array has another dtype, or is not C-contiguous.

    Examples
    --------
    >>> import numpy as np
    >>> normalise(np.array([0, 15, 99], np.uint8), low=10.0, high=20.0).tolist()
    [0.0, 0.5, 1.0]
    """

# Measuring ----------------------------------------------------------------------------------------------

def halve(pixels: NDArray[np.float32], *, threads: int | None = None) -> tuple[NDArray[np.float32], float]:
    """Compute the mean of each square of 2 x 2 pixels, and the sum of the squared differences from the means.

    Parameters
    ----------
    pixels : (H, W) float32
        A last row or column without a partner is left out.

    Returns
    -------
    (H // 2, W // 2) float32, and the sum over all squares

    Raises
    ------
    nucleus_unet.errors.MaskError
        If the array has another shape or dtype.

    Examples
    --------
    >>> import numpy as np
    >>> means, differences = halve(np.array([[1, 3], [5, 7]], np.float32))
    >>> means.tolist(), differences
    ([[4.0]], 20.0)
    """

def resample(
    pixels: NDArray[np.float32],
    rows: tuple[NDArray[np.int64], NDArray[np.float32]],
    columns: tuple[NDArray[np.int64], NDArray[np.float32]],
    *,
    threads: int | None = None,
) -> NDArray[np.float32]:
    """Compute weighted means of pixels, along the rows, then along the columns.

    Parameters
    ----------
    pixels : (H, W, channels) float32
    rows, columns : (K, R) int64 and float32, (K, C) int64 and float32
        The pixels whose mean each point is, and their weights.

    Returns
    -------
    (R, C, channels) float32

    Raises
    ------
    nucleus_unet.errors.MaskError
        If the array has another shape or dtype, or if a pixel is beyond the image.

    Examples
    --------
    >>> import numpy as np
    >>> halves = np.array([[0], [1]]), np.full((2, 1), 0.5, np.float32)
    >>> resample(np.arange(4, dtype=np.float32).reshape(2, 2, 1), halves, halves).ravel().tolist()
    [1.5]
    """

def measure(
    labels: NDArray[np.uint32],
    *,
    intensity: NDArray[np.float32 | np.uint8 | np.uint16] | None = None,
    threads: int | None = None,
) -> tuple[
    NDArray[np.uint32],
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.float64] | None,
]:
    """Measure every nucleus of a label image; labels ascending, those that are absent left out.

    Parameters
    ----------
    labels : (H, W) uint32
        Label image, 0 for background.
    intensity : (H, W) float32, uint8 or uint16, optional
        Image to take means of.
    threads : int, optional
        Number of threads; all cores by default.

    Returns
    -------
    labels : (N,) uint32
        The labels present.
    areas : (N,) int64
        Numbers of pixels.
    boxes : (N, 4) int64
        First row, first column, and the row and column after the last ones.
    centroids : (N, 2) float64
        Mean row and column.
    mean_intensities : (N,) float64 or None
        Means of `intensity`, added in double precision in an order that depends on the nucleus alone.

    Raises
    ------
    nucleus_unet.errors.MaskError
        If an image has another dtype, or another shape than `labels`; or if that has 2**32 columns or more.

    Examples
    --------
    >>> import numpy as np
    >>> labels, areas, boxes, centroids, _ = measure(np.array([[0, 3, 3], [0, 3, 3]], np.uint32))
    >>> labels.tolist(), areas.tolist(), boxes.tolist(), centroids.tolist()
    ([3], [4], [[0, 1, 2, 3]], [[0.5, 1.5]])
    """

def label_runs(
    labels: NDArray[np.uint32], *, threads: int | None = None
) -> tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[np.int32]]:
    """Find the runs of every nucleus of a label image.

    Parameters
    ----------
    labels : (H, W) uint32
        Label image, 0 for background.
    threads : int, optional
        Number of threads; all cores by default.

    Returns
    -------
    labels : (N,) uint32
        The labels present, ascending.
    first : (N + 1,) int64
        The runs of nucleus `i` are ``runs[first[i]:first[i + 1]]``.
    runs : (M, 3) int32
        Row, first column, and the column after the last one. The runs of a nucleus are in raster order.

    Raises
    ------
    nucleus_unet.errors.MaskError
        If the image has another dtype, or 2**31 rows or columns or more.

    Examples
    --------
    >>> import numpy as np
    >>> labels, first, runs = label_runs(np.array([[0, 3, 3], [7, 3, 0]], np.uint32))
    >>> labels.tolist(), first.tolist(), runs.tolist()
    ([3, 7], [0, 2, 3], [[0, 1, 3], [1, 1, 2], [1, 0, 1]])
    """

def draw_runs(
    runs: NDArray[np.int64], labels: NDArray[np.uint32], *, corner: tuple[int, int], shape: tuple[int, int]
) -> NDArray[np.uint32]:
    """Draw runs with their labels on a new label image. Later runs cover earlier ones.

    Parameters
    ----------
    runs : (M, 3) int64
        Row, first column, and the column after the last one.
    labels : (M,) uint32
        The label of each run.
    corner
        Row and column of the first pixel of the image. What lies outside of the image is not drawn.
    shape
        Height and width of the image.

    Raises
    ------
    nucleus_unet.errors.MaskError
        If an array has another dtype or shape.
    MemoryError
        If the image is too large.

    Examples
    --------
    >>> import numpy as np
    >>> draw_runs(np.array([[5, 1, 4]]), np.array([9], np.uint32), corner=(5, 2), shape=(1, 3)).tolist()
    [[9, 9, 0]]
    """

# Outlines -----------------------------------------------------------------------------------------------

def shapes(
    labels: NDArray[np.uint32],
    *,
    intensity: NDArray[np.float32] | None = None,
    threads: int | None = None,
) -> tuple[
    NDArray[np.uint32],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float32] | None,
]:
    """Measure the shape of every nucleus, behind `nucleus_unet.masks.regionprops_table`.

    Returns labels and areas (N,), lengths of the longer and the shorter axis (N, 2), eccentricities, orientations,
    perimeters and convex areas (N,), greatest and least Feret diameters (N, 2), and least and greatest intensities
    (N, 2) or None. Raises MaskError as `measure` does.
    """

def statistics(
    labels: NDArray[np.uint32],
    intensity: NDArray[np.float32],
    *,
    percents: list[float],
    threads: int | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Measure an intensity image over every label: (labels present (N,), statistics (N, 5 + P)).

    The statistics are mean, standard deviation of the population, least, greatest, sum, and P percentiles (linear
    between values). They depend on the pixels of the label alone, to the last bit. Raises MaskError as `measure` does,
    SettingsError where a percentile is not 0 to 100.
    """

def backgrounds(
    labels: NDArray[np.uint32],
    intensity: NDArray[np.float32],
    boxes: NDArray[np.int64],
    *,
    threads: int | None = None,
) -> NDArray[np.float64]:
    """Find the median of the pixels without a label in each of N boxes (N, 4), clipped to the image.

    Boxes are as `measure` has them. The median of no pixel is not-a-number. Raises MaskError as `measure` does.
    """

def neighbours(
    points: NDArray[np.float64], radius: float, *, threads: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the distance from each of N points (N, 2) to the nearest other one, and the number within the radius.

    The distance is not-a-number where no other point lies within the radius. Raises SettingsError where the radius is
    not a positive number.
    """

def contours(labels: NDArray[np.uint32]) -> list[list[list[NDArray[np.int32]]]]:
    """Trace the outline of every nucleus along pixel edges, in one pass over the label image.

    The pixel of row r and column c covers [c, c + 1] x [r, r + 1] in (x, y), so that rasterising an outline
    gives back exactly the nucleus's pixels.

    Parameters
    ----------
    labels : (H, W) uint32
        Label image, 0 for background.

    Returns
    -------
    list of list of list of (K, 2) int32
        For each label present, ascending: its polygons, one for each 4-connected piece, by raster order of
        their first pixels; each polygon's rings, the exterior first, then its holes; each ring's vertices,
        (x, y), the last one equal to the first, with a turn at every one.

        By the shoelace formula in (x, y) as they are, the signed area of an exterior is positive, that of a
        hole negative. Every ring is simple; a hole may touch the exterior or another hole in single points.

    Raises
    ------
    nucleus_unet.errors.MaskError
        If `labels` has another shape or dtype, or is too large for 32-bit coordinates.

    Examples
    --------
    >>> import numpy as np
    >>> [[[exterior]]] = contours(np.array([[0, 7, 7]], np.uint32))
    >>> exterior.tolist()
    [[3, 0], [3, 1], [1, 1], [1, 0], [3, 0]]
    """

def contours_wkb(labels: NDArray[np.uint32], corner: tuple[int, int]) -> list[bytes]:
    """Trace the outlines that `contours` does, as well-known binary (OGC 06-103r4, little-endian).

    Parameters
    ----------
    labels : (H, W) uint32
        Label image, 0 for background.
    corner
        Row and column of its first pixel in the image that the vertices are to count in.

    Returns
    -------
    list of bytes
        For each label present, ascending: a Polygon, or a MultiPolygon where there are several pieces.

    Raises
    ------
    nucleus_unet.errors.MaskError
        As `contours` does.

    Examples
    --------
    >>> import numpy as np
    >>> (square,) = contours_wkb(np.ones((1, 1), np.uint32), (0, 0))
    >>> len(square)  # header, number of vertices, vertices
    93
    """

def geojson_features(
    outlines: list[bytes],
    *,
    area: NDArray[np.int64],
    intensity: NDArray[np.float64],
    probability: NDArray[np.float32],
    quality: NDArray[np.float32],
    namespace: bytes,
    cells: list[bytes] | None = None,
    names: list[str] | None = None,
    values: NDArray[np.float64] | None = None,
    classifications: list[str] | None = None,
    classes: NDArray[np.int64] | None = None,
) -> list[bytes]:
    """Write outlines that `contours_wkb` made as the features of GeoJSON that QuPath reads as detections or cells.

    Parameters
    ----------
    outlines
        Of N nuclei.
    area, intensity, probability, quality : (N,) int64, float64, float32, float32
        As `nucleus_unet.Segmentation.table` has them; what is not finite is left out.
    namespace
        A UUID of 16 bytes: the id of a feature is the version 5 UUID of its first vertex ``x,y`` in it.
    cells
        Outlines of the cells around the nuclei, if there are any.
    names
        Of K further measurements, as JSON strings.
    values : (N, K) float64
        Further measurements, C-contiguous; they are written with six digits, and left out where they are not finite.
    classifications
        Of C classes, as JSON.
    classes : (N,) int64
        Class of each nucleus, 0 to C - 1. Without it, all are of the class ``Nucleus``.

    Returns
    -------
    list of bytes
        JSON text.

    Raises
    ------
    nucleus_unet.errors.MaskError
        If an outline is damaged, with its number and the byte, or there are not N of everything.

    Examples
    --------
    >>> import json, uuid
    >>> import numpy as np
    >>> square = contours_wkb(np.ones((1, 1), np.uint32), (20, 10))
    >>> measured = {"area": np.array([1]), "intensity": np.array([3.5]), "probability": np.array([0.75], np.float32)}
    >>> quality = np.array([0.8], np.float32)
    >>> (text,) = geojson_features(square, **measured, quality=quality, namespace=uuid.NAMESPACE_URL.bytes)
    >>> json.loads(text)["geometry"]["coordinates"]
    [[[11, 20], [11, 21], [10, 21], [10, 20], [11, 20]]]
    """

def check_outlines(outlines: list[bytes]) -> None:
    """Find out whether some outlines are of the form that `contours_wkb` gives them.

    Raises
    ------
    nucleus_unet.errors.MaskError
        If one is damaged, with its number and the byte.

    Examples
    --------
    >>> import numpy as np
    >>> check_outlines(contours_wkb(np.ones((1, 1), np.uint32), (20, 10)))
    """

# --- Run-length encoding, mask PNGs, overlap: behind nucleus_unet.masks ------------------------------------

_Merged: TypeAlias = tuple[NDArray[np.uint32], list[tuple[int, int, int]], list[int], list[int]]

_Pixels: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32]

def labels_to_kaggle(labels: _Pixels, *, threads: int | None = None) -> list[tuple[int, str]]:
    """Encode every instance of an (H, W) label image as (label, Kaggle string), ascending."""

def kaggle_to_labels(masks: Iterable[str], shape: tuple[int, int], *, threads: int | None = None) -> _Merged:
    """Decode Kaggle strings to (labels, [(earlier, later, pixels)], empty masks, hidden masks).

    Raises MaskError with the place of the first fault of the first faulty mask.
    """

def labels_to_coco(
    labels: _Pixels, *, compressed: bool, threads: int | None = None
) -> list[tuple[int, str | list[int]]]:
    """Encode every instance of an (H, W) label image as (label, COCO counts), ascending.

    Raises MaskError where the image has 2**32 pixels or more.
    """

def coco_to_labels(
    masks: Iterable[str | bytes | Iterable[int]], shape: tuple[int, int], *, threads: int | None = None
) -> _Merged:
    """Decode COCO counts, compressed or not, as `kaggle_to_labels` does."""

def mask_to_coco(mask: NDArray[np.uint8], *, compressed: bool, threads: int | None = None) -> str | list[int]:
    """Encode one mask, 0 outside of it, in any memory layout.

    Raises MaskError as `labels_to_coco` does.
    """

def coco_to_mask(counts: str | bytes | Iterable[int], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode COCO counts of a mask of that shape to its transpose, C-contiguous, of 0 and 1.

    Raises MaskError as `coco_to_labels` does, of mask 0.
    """

def rle_areas(
    masks: Iterable[str | bytes | Iterable[int]], shape: tuple[int, int], *, coco: bool, threads: int | None = None
) -> NDArray[np.uint64]:
    """Areas (N,) of masks: all of them COCO's counts, or with `coco=False` Kaggle's form where str.

    Raises MaskError as `kaggle_to_labels` does.
    """

def rle_boxes(
    masks: Iterable[str | bytes | Iterable[int]], shape: tuple[int, int], *, coco: bool, threads: int | None = None
) -> NDArray[np.int64]:
    """Boxes (N, 4) of masks, as `rle_areas` takes them.

    A box is as `measure` has it, zeros for an empty mask. Raises MaskError as `kaggle_to_labels` does.
    """

def rle_iou(
    a: Iterable[str | bytes | Iterable[int]],
    b: Iterable[str | bytes | Iterable[int]],
    shape: tuple[int, int],
    *,
    coco: tuple[bool, bool],
    threads: int | None = None,
) -> NDArray[np.float64]:
    """Intersection over union (A, B) of masks, each list as `rle_areas` takes one, 0 where both are empty.

    Raises MaskError as `kaggle_to_labels` does; the message names the list too.
    """

def merge_mask_pngs(
    files: Iterable[bytes], shape: tuple[int, int] | None = None, *, threads: int | None = None
) -> _Merged:
    """Merge PNGs of one mask each as `kaggle_to_labels` does; without a shape the first file gives it.

    Raises MaskError for the first file that is damaged or of another shape.
    """

def overlaps(
    a: NDArray[np.uint32], b: NDArray[np.uint32], *, threads: int | None = None
) -> tuple[
    tuple[NDArray[np.uint32], NDArray[np.int64]],
    tuple[NDArray[np.uint32], NDArray[np.int64]],
    tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]],
]:
    """Find labels and areas of each image, ascending; of pairs that share pixels, sorted, both places and the pixels.

    Raises MaskError where the shapes differ.
    """

# --- Components, distances, watershed: behind nucleus_unet.masks -------------------------------------------

def label(image: _Pixels, *, connectivity: int, threads: int | None = None) -> NDArray[np.uint32]:
    """Find the connected components of an (H, W) binary image or label image, numbered by first pixels.

    Raises MaskError for another shape or dtype, and for 2**32 pixels or more; SettingsError where connectivity is
    neither 1 nor 2.
    """

def distance(image: _Pixels, *, threads: int | None = None) -> NDArray[np.float32]:
    """Tell for each pixel how far the nearest pixel of another label is: 0 for background, infinity without any.

    Raises MaskError for another shape or dtype, and for more than 2**24 rows or columns.
    """

def watershed(
    image: NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32] | NDArray[np.float64],
    markers: NDArray[np.uint32],
    *,
    mask: NDArray[np.bool_] | None = None,
    connectivity: int,
) -> NDArray[np.uint32]:
    """Flood an (H, W) image from markers, within a mask if there is one, as scikit-image does.

    Raises MaskError for other shapes or dtypes, and for not-a-number in the mask with its place; SettingsError
    where connectivity is neither 1 nor 2.
    """

# --- Tidying: behind nucleus_unet.masks; all take C-contiguous label images and return new ones --------------------

def relabel_sequential(labels: NDArray[np.uint32]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Renumber by raster order of first pixels: (label image, old label of each new one from 0 on)."""

def filter_by_area(labels: NDArray[np.uint32], *, min_area: int, max_area: int) -> NDArray[np.uint32]:
    """Keep the labels of `min_area` to `max_area` pixels."""

def clear_border(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Keep the labels without a pixel in the first or last row or column."""

def fill_holes(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Give background that a label encloses to that label, of several to the innermost."""

def expand_labels(labels: NDArray[np.uint32], distance: float, *, threads: int | None = None) -> NDArray[np.uint32]:
    """Give background within `distance` of a label to the nearest, of equals to the first by row, then column.

    Raises SettingsError where the distance is negative or not a number, MaskError where a side exceeds 2**30 pixels.
    """

_Points: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]
"""Points along an axis: the pixels before and after each point, and the share of the way from one to the other."""

def resample_labels(
    labels: NDArray[np.uint32],
    foreground: NDArray[np.uint8],
    rows: _Points,
    columns: _Points,
    *,
    threshold: float,
    threads: int | None = None,
) -> NDArray[np.uint32]:
    """Return the labels at the points of a grid, with outlines where the foreground crosses a threshold.

    `foreground` is a probability times 255, `threshold` is one of 0 to 1.

    Raises MaskError where the shapes differ or a point lies outside of the labels.
    """

# --- Outlines and tiles: behind nucleus_unet.masks -------------------------------------------------------------------

def smooth_labels(labels: NDArray[np.uint32], radius: int, *, threads: int | None = None) -> NDArray[np.uint32]:
    """Give each pixel of a C-contiguous label image the label of most pixels within `radius` rows and columns.

    Raises SettingsError where the radius exceeds 64 pixels.
    """

def simplify_ring(ring: NDArray[np.int32], tolerance: float) -> NDArray[np.int32]:
    """Keep vertices of a closed ring (K, 2) such that none left out is further than `tolerance` from its edge.

    Raises MaskError for what is no simple, closed ring, SettingsError for a negative tolerance.
    """

def blend_tiles(
    tiles: NDArray[np.float32],
    corners: NDArray[np.int64],
    shape: tuple[int, int],
    *,
    weights: NDArray[np.float32],
    threads: int | None = None,
) -> NDArray[np.float32]:
    """Lay tiles (N, h, w, C) on a canvas (H, W, C): the mean by weights (h, w), not-a-number where there is none.

    Raises MaskError where the arguments do not fit each other or a weight is negative or not finite.
    """

def maps_of_output(
    output: NDArray[np.float32], *, offset_steps: float, least_foreground: int = 0, threads: int | None = None
) -> NDArray[np.uint8]:
    """Turn the network's output (4, H, W) into maps (H, W, 4).

    Pixels with less than the least foreground, of 255, get offsets of 0.

    Raises MaskError where there are not four channels, or a number is not finite.
    """

def has_avx2() -> bool:
    """Whether the processor has the instructions of AVX2."""

"""Connected components, distances to other labels, and the watershed."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet import _core
from nucleus_unet.errors import MaskError
from nucleus_unet.masks._arguments import as_label_image, as_pixels


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
    return _core.label(as_pixels(image, "image"), connectivity=connectivity, threads=threads)


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
    return _core.distance(as_pixels(image, "image"), threads=threads)


def watershed(
    image: ArrayLike, markers: ArrayLike, *, mask: ArrayLike | None = None, connectivity: int = 1
) -> NDArray[np.uint32]:
    """Flood an image from markers: every pixel gets the label of the marker whose flood comes to it first.

    Parameters
    ----------
    image : (H, W) array of bool, integers or floats
        IntensityRange; the lowest are flooded first. uint8, uint16, float32 and float64 are read as they are, float16
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
        _levels(image), as_label_image(markers, "markers"), mask=open_pixels, connectivity=connectivity
    )


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

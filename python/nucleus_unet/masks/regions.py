"""Connected components, distance transform and watershed."""

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
        Image, 0 background. Neighbours of equal value form one component. A C-contiguous array of bool, uint8,
        uint16 or uint32 is read as it is, anything else is copied once.
    connectivity
        1 if pixels that share an edge are neighbours; 2 if pixels that share a corner are neighbours too.
    threads
        Number of threads; None for one per core. The result is the same for any number.

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
    """Compute the distance of each pixel of a nucleus from the nearest pixel outside that nucleus.

    Parameters
    ----------
    image : (H, W) array of bool or integers
        Binary image or label image, 0 background. A C-contiguous array of bool, uint8, uint16 or uint32 is read
        as it is, anything else is copied once.
    threads
        Number of threads; None for one per core. The result is the same for any number.

    Returns
    -------
    (H, W) ndarray of float32
        Euclidean distances in pixels between pixel centres, to the nearest pixel of background or of another label.
        They are exact except for one rounding. The distance of background is 0. Pixels outside the image are ignored.
        The distances in an image of a single label without any background are infinite.

    Raises
    ------
    MaskError
        If `image` is not two-dimensional, not of bool or integers, holds values below 0 or beyond 32 bits, or
        has more than 2**24 rows or columns.
    SettingsError
        If `threads` is less than 1.

    Notes
    -----
    For a binary image with background, the distances are those of `scipy.ndimage.distance_transform_edt`. For a label
    image, they are those of that function for each label. The algorithm is that of Meijster, Roerdink and Hesselink,
    A general algorithm for computing distance transforms in linear time, 2000,
    https://doi.org/10.1007/0-306-47025-X_36. Its time is proportional to the number of pixels.

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
    """Flood an image from markers. Each pixel takes the label of the marker whose flood reaches it first.

    Parameters
    ----------
    image : (H, W) array of bool, integers or floats
        Levels of the pixels. The lowest are flooded first. uint8, uint16, float32 and float64 are read as they are.
        float16 is converted to float32, and other integers are converted to float64, as scikit-image does.
    markers : (H, W) array of integers
        Label image of the pixels where floods start, 0 elsewhere. Markers outside the mask are ignored.
    mask : (H, W) array of bool or integers, optional
        Pixels that may be flooded, by default all.
    connectivity
        1 if floods cross pixel edges, 2 if they cross corners too.

    Returns
    -------
    (H, W) ndarray of uint32
        Label image. It is 0 outside the mask and at pixels that no flood reaches.

    Raises
    ------
    MaskError
        If shapes differ or are not two-dimensional, a dtype is not supported, markers are below 0 or beyond 32 bits,
        a pixel in the mask is NaN, or there are 2**32 pixels or more.
    SettingsError
        If `connectivity` is neither 1 nor 2.

    Notes
    -----
    The labels equal those of `skimage.segmentation.watershed` of scikit-image 0.26 without compactness or watershed
    lines. Pixels are processed by level, then by age in the queue; markers of one level in the order of its binary
    heap. The function uses one thread. The algorithm is that of Beucher and Meyer, The morphological approach to
    segmentation: the watershed transformation, 1993.

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
    """Return the image in a dtype that the watershed supports. The order of its pixel values is the same."""
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

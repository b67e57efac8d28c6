"""Blending of overlapping tiles."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet import _core
from nucleus_unet.errors import MaskError
from nucleus_unet.masks._arguments import as_shape


def blend_tiles(
    tiles: ArrayLike,
    corners: ArrayLike,
    shape: Sequence[int],
    *,
    weights: ArrayLike | None = None,
    threads: int | None = None,
) -> NDArray[np.float32]:
    """Blend overlapping tiles into one image. Each pixel is the weighted mean of the tiles that cover it.

    Parameters
    ----------
    tiles : (N, h, w) or (N, h, w, C) array of floats
        The tiles; a float32 array is read as it is, anything else is copied once.
    corners : (N, 2) array of integers
        Row and column of each tile's first pixel. It may lie outside the image. Pixels outside the image are ignored.
    shape
        Height and width of the image in pixels.
    weights : (h, w) array of floats, optional
        Weight of each pixel of a tile, finite and at least 0. By default 1.
    threads
        Number of threads; None for one per core. The result is the same for any number.

    Returns
    -------
    (H, W) or (H, W, C) ndarray of float32
        The image. It is NaN at pixels that no tile covers with a weight above 0.

    Raises
    ------
    MaskError
        If shapes do not match, corners are not integers, or a weight is negative or not finite.
    SettingsError
        If `threads` is not 1 to 1024.

    Notes
    -----
    Sums are computed in double precision, in the order of the tiles.

    Examples
    --------
    >>> blend_tiles([[[1.0, 1.0, 1.0]], [[4.0, 4.0, 4.0]]], [[0, 0], [0, 2]], (1, 5), weights=[[1, 2, 1]])
    array([[1. , 1. , 2.5, 4. , 4. ]], dtype=float32)
    """
    stack = np.asarray(tiles)
    if stack.ndim not in (3, 4) or stack.dtype.kind not in "biuf":
        raise MaskError(
            f"tiles: expected real numbers of shape (N, h, w) or (N, h, w, C), got {stack.dtype} of shape {stack.shape}"
        )
    places = np.asarray(corners)
    if places.size == 0:
        places = np.zeros((0, 2), np.int64)
    if places.ndim != 2 or places.shape[1] != 2 or places.dtype.kind not in "iu":
        raise MaskError(f"corners: expected integers of shape (N, 2), got {places.dtype} of shape {places.shape}")
    window = np.ones(stack.shape[1:3], np.float32) if weights is None else np.asarray(weights)
    if window.ndim != 2 or window.dtype.kind not in "biuf":
        raise MaskError(f"weights: expected real numbers of shape (h, w), got {window.dtype} of shape {window.shape}")
    canvas = _core.blend_tiles(
        np.require(stack if stack.ndim == 4 else stack[..., None], np.float32, ["ALIGNED"]),
        np.require(places, np.int64, ["ALIGNED"]),
        as_shape(shape),
        weights=np.require(window, np.float32, ["ALIGNED"]),
        threads=threads,
    )
    return canvas if stack.ndim == 4 else canvas[..., 0]

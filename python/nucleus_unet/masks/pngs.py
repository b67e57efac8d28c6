"""Masks as PNG files, one per nucleus."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.masks._arguments import as_shape
from nucleus_unet.masks.merging import MergeReport, merged


def merge_mask_pngs(
    files: Iterable[bytes], shape: Sequence[int] | None = None, *, threads: int | None = None
) -> tuple[NDArray[np.uint32], MergeReport]:
    """Merge PNG files of one nucleus each to one label image.

    Parameters
    ----------
    files : iterable of bytes
        Contents of PNG files of any colour type and bit depth. A pixel belongs to the nucleus if its grey value, or any
        of red, green and blue, is not 0. Alpha is ignored.
    shape
        Height and width of the image in pixels; None to use those of the first file, up to 2**28 pixels.
    threads
        Number of threads; None for one per core. The result is the same for any number.

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
    SettingsError
        If `threads` is not 1 to 1024.

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
    expected = None if shape is None else as_shape(shape)
    return merged(_core.merge_mask_pngs(files, expected, threads=threads))

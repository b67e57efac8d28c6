"""Label images as TIFF files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.io.software_tag import SOFTWARE


def write_label_tiff(path: Path, labels: NDArray[np.uint32], *, mpp: float | None = None) -> None:
    """Write a label image with lossless compression. Fiji, QuPath, napari and scikit-image can read it.

    Parameters
    ----------
    path
        Path of the TIFF file. An existing file is replaced.
    labels : NDArray[np.uint32] (H, W)
        Label image, 0 background.
    mpp
        Pixel size in micrometres, which the file then holds.

    Raises
    ------
    SettingsError
        If the image has no pixels: no TIFF holds such an image.
    """
    if not labels.size:
        raise SettingsError(f"{path}: an image without pixels has no label image; choose another format")
    content = io.BytesIO()
    resolution = None if mpp is None else (1e4 / mpp, 1e4 / mpp)
    unit = None if mpp is None else "CENTIMETER"
    tifffile.imwrite(
        content,
        labels,
        compression="zlib",
        metadata={"axes": "YX"},
        software=SOFTWARE,
        resolution=resolution,
        resolutionunit=unit,
    )
    write_atomically(path, content.getvalue())

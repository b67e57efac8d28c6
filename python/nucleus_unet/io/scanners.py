"""Slides as scanners write them (NDPI, MRXS, SCN, CZI, BIF, DICOM), through OpenSlide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError, MissingExtraError
from nucleus_unet.io.arrays import choose
from nucleus_unet.io.segments import SegmentCache
from nucleus_unet.io.tiff import plausible_pixel_size

if TYPE_CHECKING:
    import openslide
    from PIL.Image import Image

SCAN_SUFFIXES = (".bif", ".czi", ".dcm", ".mrxs", ".ndpi", ".scn", ".svslide", ".vms", ".vmu")
# Some of these formats lay pictures over each other at fractions of a pixel. Cells of a fixed grid make a pixel the
# same whatever region asks for it.
_CELL = 1024


class OpenSlideImage:
    """The full resolution of a scan; what the scanner left out is white.

    Parameters
    ----------
    path
        Of the file, or of one of the files.
    channel, channel_axis
        See `open_slide`.
    """

    def __init__(self, path: Path, *, channel: int | str | None, channel_axis: int | None) -> None:
        library = _openslide(path)
        try:
            self._scan: openslide.OpenSlide = library.OpenSlide(path)
        except library.OpenSlideError as error:
            raise ImageError(f"OpenSlide cannot read it ({error})") from error
        self._path, self._error = path, library.OpenSlideError
        width, height = self._scan.dimensions
        axis, self._chosen = choose((height, width, 3), channel, channel_axis, ())
        if axis != 2:
            raise ImageError(f"channel_axis: the colours of a scan are its last axis, got {channel_axis}")
        self.shape, self.dtype = (height, width), np.dtype(np.uint8)
        self.channels = 3 if isinstance(self._chosen, slice) else None
        self.mpp = plausible_pixel_size(self._scan.properties.get("openslide.mpp-x"), 1.0)
        self._segments = SegmentCache((_CELL, _CELL), 3, self.dtype, self._decode)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Slide`."""
        return np.ascontiguousarray(self._segments.read(0, rows, columns)[..., self._chosen])

    def _decode(self, _plane: int, row: int, column: int) -> NDArray[Any]:
        top, left = row * _CELL, column * _CELL
        bottom, right = min(top + _CELL, self.shape[0]), min(left + _CELL, self.shape[1])
        try:
            region = self._scan.read_region((left, top), 0, (right - left, bottom - top))
        except self._error as error:
            raise ImageError(
                f"{self._path}: rows {top} to {bottom}, columns {left} to {right} are damaged ({error})"
            ) from error
        return _on_white(region)


def _on_white(region: Image) -> NDArray[np.uint8]:
    """Lay colours with alpha on white."""
    from PIL import Image

    white = Image.new("RGBA", region.size, "white")
    return np.asarray(Image.alpha_composite(white, region).convert("RGB"))


def _openslide(path: Path) -> Any:
    """Import OpenSlide.

    Raises
    ------
    MissingExtraError
        If it, or the library it wraps, is not installed.
    """
    try:
        import openslide
    except (ImportError, OSError) as error:  # OSError: the wrapper is there without the library
        raise MissingExtraError(f"{path} needs OpenSlide: pip install 'nucleus-unet[openslide]'") from error
    return openslide

"""Read slides in the formats of scanners (NDPI, MRXS, SCN, CZI, BIF, DICOM) with OpenSlide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError, MissingExtraError
from nucleus_unet.io.arrays import select_channels
from nucleus_unet.io.segments import SegmentCache
from nucleus_unet.io.tiff import plausible_pixel_size

if TYPE_CHECKING:
    import openslide
    from PIL.Image import Image

SCANNER_SUFFIXES = (".bif", ".czi", ".dcm", ".mrxs", ".ndpi", ".scn", ".svslide", ".vms", ".vmu")
# Some formats place overlapping images at fractions of a pixel. Reading cells of a fixed grid gives each pixel the same
# value in every region.
_CELL_SIDE = 1024


class OpenSlideImage:
    """The full resolution of a scanned slide. Areas that were not scanned are white.

    Parameters
    ----------
    path
        Path of the file, or of one of several files.
    channel, channel_axis
        See `open_slide`.
    """

    def __init__(self, path: Path, *, channel: int | str | None, channel_axis: int | None) -> None:
        library = _openslide(path)
        try:
            self._slide: openslide.OpenSlide = library.OpenSlide(path)
        except library.OpenSlideError as error:
            raise ImageError(f"OpenSlide cannot read it ({error})") from error
        self._path, self._error = path, library.OpenSlideError
        width, height = self._slide.dimensions
        axis, self._selection = select_channels((height, width, 3), channel, channel_axis, ())
        if axis != 2:
            raise ImageError(f"channel_axis: the colours of a scanned slide are its last axis, got {channel_axis}")
        self.shape, self.dtype = (height, width), np.dtype(np.uint8)
        self.channels = 3 if isinstance(self._selection, slice) else None
        self.mpp = plausible_pixel_size(self._slide.properties.get("openslide.mpp-x"), 1.0)
        self._segments = SegmentCache((_CELL_SIDE, _CELL_SIDE), 3, self.dtype, self._decode)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Slide`."""
        return np.ascontiguousarray(self._segments.read(0, rows, columns)[..., self._selection])

    def _decode(self, _plane: int, row: int, column: int) -> NDArray[Any]:
        top, left = row * _CELL_SIDE, column * _CELL_SIDE
        bottom, right = min(top + _CELL_SIDE, self.shape[0]), min(left + _CELL_SIDE, self.shape[1])
        try:
            region = self._slide.read_region((left, top), 0, (right - left, bottom - top))
        except self._error as error:
            raise ImageError(
                f"{self._path}: rows {top} to {bottom}, columns {left} to {right} are damaged ({error})"
            ) from error
        return _on_white(region)


def _on_white(region: Image) -> NDArray[np.uint8]:
    """Blend an image with alpha over white."""
    from PIL import Image

    white = Image.new("RGBA", region.size, "white")
    return np.asarray(Image.alpha_composite(white, region).convert("RGB"))


def _openslide(path: Path) -> Any:
    """Import OpenSlide.

    Raises
    ------
    MissingExtraError
        If the Python package or the OpenSlide library is not installed.
    """
    try:
        import openslide
    except (ImportError, OSError) as error:  # OSError: the package is installed without the library
        raise MissingExtraError(f"{path} needs OpenSlide: pip install 'nucleus-unet[openslide]'") from error
    return openslide

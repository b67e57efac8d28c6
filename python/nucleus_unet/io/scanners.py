"""Read slides in the formats of scanners (NDPI, MRXS, SCN, CZI, BIF, DICOM) with OpenSlide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError, MissingExtraError
from nucleus_unet.io.pixel_size import plausible_pixel_size, size_of_magnification
from nucleus_unet.io.scene import RGB, Index, OpenedFile, Scene
from nucleus_unet.io.segments import SegmentCache

if TYPE_CHECKING:
    from PIL.Image import Image

# Some formats place overlapping images at fractions of a pixel. Reading cells of a fixed grid gives each pixel the same
# value in every region.
_CELL_SIDE = 1024


def open_file(file: Path | BinaryIO) -> OpenedFile:
    """Open a scanned slide. Areas that were not scanned are white.

    Raises
    ------
    ImageError
        If OpenSlide cannot read it.
    MissingExtraError
        If OpenSlide is not installed.
    """
    if not isinstance(file, Path):
        raise ImageError("expected the path of a slide, which OpenSlide cannot read from memory")
    library = _openslide(file)
    try:
        slide = library.OpenSlide(file)
    except library.OpenSlideError as error:
        raise ImageError(f"OpenSlide cannot read it ({error})") from error
    width, height = slide.dimensions
    properties = slide.properties
    size = plausible_pixel_size(properties.get("openslide.mpp-x"))
    scene = Scene(
        axes="YXS",
        shape=(height, width, 3),
        dtype=np.dtype(np.uint8),
        read=_Regions(slide, library.OpenSlideError).read,
        samples=RGB,
        pixel_size=size or size_of_magnification(properties.get("openslide.objective-power")),
        levels=tuple((rows, columns) for columns, rows in slide.level_dimensions),
        origin=(int(properties.get("openslide.bounds-y", 0)), int(properties.get("openslide.bounds-x", 0))),
    )
    vendor = properties.get("openslide.vendor", "unknown")
    return OpenedFile(format=f"{vendor} (OpenSlide)", scenes=(scene,), close=slide.close)


class _Regions:
    """Reads regions of the full resolution."""

    def __init__(self, slide: Any, error: type[Exception]) -> None:
        self._slide, self._error = slide, error
        self._segments = SegmentCache((_CELL_SIDE, _CELL_SIDE), 3, np.dtype(np.uint8), self._decode)

    def read(self, _index: Index, rows: slice, columns: slice) -> NDArray[Any]:
        return self._segments.read(0, rows, columns)

    def _decode(self, _plane: int, row: int, column: int) -> NDArray[Any]:
        top, left = row * _CELL_SIDE, column * _CELL_SIDE
        width, height = self._slide.dimensions
        bottom, right = min(top + _CELL_SIDE, height), min(left + _CELL_SIDE, width)
        try:
            region = self._slide.read_region((left, top), 0, (right - left, bottom - top))
        except self._error as error:
            raise ImageError(f"rows {top} to {bottom}, columns {left} to {right} are damaged ({error})") from error
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

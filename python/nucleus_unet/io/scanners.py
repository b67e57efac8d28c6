"""Read slides in the formats of scanners (NDPI, MRXS, SCN, BIF, DICOM) with OpenSlide."""

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

    The image is the part of the slide that contains all scanned areas (OpenSlide's bounds), as QuPath shows it.

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
        raise ImageError(f"OpenSlide cannot read it ({error}); convert it to OME-TIFF") from error
    properties = slide.properties
    top, left, height, width = _bounds(slide)
    size = plausible_pixel_size(properties.get("openslide.mpp-x"))
    levels = tuple((round(height / down), round(width / down)) for down in slide.level_downsamples)
    regions = [_Regions(slide, library.OpenSlideError, (top, left), shape, level) for level, shape in enumerate(levels)]
    scene = Scene(
        axes="YXS",
        shape=(height, width, 3),
        dtype=np.dtype(np.uint8),
        read=regions[0].read,
        samples=RGB,
        pixel_size=size or size_of_magnification(properties.get("openslide.objective-power")),
        levels=levels,
        coarser=tuple(each.read for each in regions[1:]),
        origin=(top, left),
    )
    vendor = properties.get("openslide.vendor", "unknown")
    return OpenedFile(format=f"{vendor} (OpenSlide)", scenes=(scene,), close=slide.close)


def _bounds(slide: Any) -> tuple[int, int, int, int]:
    """Return the row, column, height and width of the part that contains all scanned areas, which viewers show."""
    width, height = slide.dimensions
    names = ("bounds-y", "bounds-x", "bounds-height", "bounds-width")
    values = [slide.properties.get(f"openslide.{name}", "") for name in names]
    if not all(value.isdecimal() for value in values):
        return 0, 0, height, width
    top, left, rows, columns = map(int, values)
    if not (0 < rows <= height - top and 0 < columns <= width - left):
        return 0, 0, height, width
    return top, left, rows, columns


class _Regions:
    """Reads regions of a level, of the part at ``origin`` of the full resolution that has the shape ``shape`` there."""

    def __init__(
        self, slide: Any, error: type[Exception], origin: tuple[int, int], shape: tuple[int, int], level: int = 0
    ) -> None:
        self._slide, self._error, self._origin, self._shape = slide, error, origin, shape
        self._level, self._factor = level, slide.level_downsamples[level]
        self._segments = SegmentCache((_CELL_SIDE, _CELL_SIDE), 3, np.dtype(np.uint8), self._decode, coarse=level > 0)

    def read(self, _index: Index, rows: slice, columns: slice) -> NDArray[Any]:
        return self._segments.read(0, rows, columns)

    def _decode(self, _plane: int, row: int, column: int) -> NDArray[Any]:
        top, left = row * _CELL_SIDE, column * _CELL_SIDE
        bottom, right = min(top + _CELL_SIDE, self._shape[0]), min(left + _CELL_SIDE, self._shape[1])
        corner = (self._origin[1] + round(left * self._factor), self._origin[0] + round(top * self._factor))
        try:
            region = self._slide.read_region(corner, self._level, (right - left, bottom - top))
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

"""Read TIFF files: axes, channels, pixel size and pixels of the first image."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.image_file import ImageFile

TIFF_SUFFIXES = (".tif", ".tiff", ".svs", ".lsm", ".stk")


@dataclass(frozen=True)
class TiffLayout:
    """The metadata of the first image of a TIFF file.

    Attributes
    ----------
    axes
        Letters of the axes, without axes of length 1 other than Y and X.
    shape
        Lengths of these axes.
    channel_axis
        Axis of the channels, if the metadata contain it.
    channel_names, mpp
        See `ImageFile`.
    white_is_zero
        Whether 0 is white, so that every bit must be inverted.
    """

    axes: str
    shape: tuple[int, ...]
    channel_axis: int | None
    channel_names: tuple[str, ...]
    mpp: float | None
    white_is_zero: bool


def tiff_layout(file: tifffile.TiffFile) -> TiffLayout:
    """Return the metadata of the first image. Raise `ImageError` if it is not a single plane."""
    series = file.series[0]
    axes_and_sizes = [
        (axis, size) for axis, size in zip(series.axes, series.shape, strict=True) if size > 1 or axis in "YX"
    ]
    axes = "".join(axis for axis, _ in axes_and_sizes)
    extra = axes.replace("Y", "").replace("X", "")
    # The meaning of the axes Q and I is unknown. The caller may give one of them as the channel axis.
    if len(extra) > 1 or extra not in "CSQI":
        raise ImageError(f"expected one plane, got axes {series.axes} of shape {series.shape}; choose one plane first")
    photometric = file.pages.first.photometric
    if photometric in (tifffile.PHOTOMETRIC.SEPARATED, tifffile.PHOTOMETRIC.CIELAB):
        name = tifffile.PHOTOMETRIC(photometric).name
        raise ImageError(f"expected grey, RGB or channels, got colours as {name}; convert it to RGB")
    _check_segments(file)
    names = _channel_names(file, dict(axes_and_sizes).get("C", 1)) if extra in ("", "C") else ()
    return TiffLayout(
        axes,
        tuple(size for _, size in axes_and_sizes),
        axes.find(extra) if extra and extra in "CS" else None,
        names,
        _pixel_size(file),
        white_is_zero=photometric == tifffile.PHOTOMETRIC.MINISWHITE and series.dtype.kind in "bu",
    )


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF file. Tiles that a slide scanner omitted become white."""
    file = tifffile.TiffFile(path)
    if file.is_svs or file.is_philips:
        series = file.series[0]
        if series.dtype.kind == "u":
            series.keyframe.nodata = np.iinfo(series.dtype).max
    return file


def read_tiff(path: Path) -> ImageFile:
    """Read the first image of a TIFF file."""
    with open_tiff(path) as file:
        layout = tiff_layout(file)
        _check_ends(file)
        pixels = file.series[0].asarray().reshape(layout.shape)
        if layout.white_is_zero:
            pixels = ~pixels
        if (colours := palette(file)) is not None:
            return ImageFile(np.moveaxis(colours[:, pixels], 0, -1))
        return ImageFile(pixels, channel_axis=layout.channel_axis, channel_names=layout.channel_names, mpp=layout.mpp)


def _pages_in_pieces(file: tifffile.TiffFile) -> Iterator[Any]:
    """Yield the pages of the first series in this file, unless the series is one contiguous, uncompressed array."""
    series = file.series[0]
    if series.dataoffset is None:
        yield from (page for page in series.pages if page is not None and page.parent is file)


def _check_segments(file: tifffile.TiffFile) -> None:
    """Raise `ImageError` if the file does not list all tiles or strips, because tifffile would leave them empty."""
    for page in _pages_in_pieces(file):
        expected = math.prod(file.series[0].keyframe.chunked)
        if (listed := min(len(page.dataoffsets), len(page.databytecounts))) < expected:
            raise ImageError(f"it is damaged: expected {expected} tiles or strips, the file lists {listed}")


def _check_ends(file: tifffile.TiffFile) -> None:
    """Raise `ImageError` if tiles or strips extend beyond the file, because some codecs would fill them with grey."""
    for page in _pages_in_pieces(file):
        end = max(offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False))
        if page.compression != tifffile.COMPRESSION.NONE and end > file.filehandle.size:
            raise ImageError(
                f"it is damaged: expected at least {end} bytes, the file ends after {file.filehandle.size}"
            )


def palette(file: tifffile.TiffFile) -> NDArray[np.uint16] | None:
    """Return the colour table of an image with indexed colours. Tables of ImageJ files are for display only."""
    page = file.pages.first
    return page.colormap if page.photometric == tifffile.PHOTOMETRIC.PALETTE and not file.is_imagej else None


def _channel_names(file: tifffile.TiffFile, count: int) -> tuple[str, ...]:
    """Return the names of the channels, or their numbers if the file has no names."""
    names: list[str] = []
    if (pixels := _ome_pixels(file)) is not None:
        names = [channel.get("Name", "") for channel in pixels.iterfind("{*}Channel")]
    elif file.is_imagej and file.imagej_metadata and isinstance(file.imagej_metadata.get("Labels"), list):
        names = file.imagej_metadata["Labels"]
    if len(names) != count:
        names = [""] * count
    return tuple(name or str(number) for number, name in enumerate(names))


def _ome_pixels(file: tifffile.TiffFile) -> ElementTree.Element | None:
    """Return the ``Pixels`` element of the first image of an OME-TIFF."""
    if not (file.is_ome and file.ome_metadata):
        return None
    return ElementTree.fromstring(file.ome_metadata).find("{*}Image/{*}Pixels")


_MICROMETRES = (
    dict.fromkeys(("µm", "um", "micron", "microns", "micrometer"), 1.0)
    | dict.fromkeys(("nm", "nanometer"), 1e-3)
    | dict.fromkeys(("mm", "millimeter"), 1e3)
    | dict.fromkeys(("cm", "centimeter"), 1e4)
)


def _pixel_size(file: tifffile.TiffFile) -> float | None:
    """Return the micrometres per pixel. None if the file does not contain a plausible value."""
    if (pixels := _ome_pixels(file)) is not None:
        return plausible_pixel_size(pixels.get("PhysicalSizeX"), micrometres_in(pixels.get("PhysicalSizeXUnit", "µm")))
    if file.is_svs:
        match = re.search(r"MPP\s*=\s*([0-9.]+)", file.pages.first.description)
        return plausible_pixel_size(match.group(1) if match else None, 1.0)
    if file.is_imagej and file.imagej_metadata:
        resolution = file.pages.first.tags.get("XResolution")
        if resolution is not None and resolution.value[0]:
            unit = str(file.imagej_metadata.get("unit", ""))
            return plausible_pixel_size(resolution.value[1] / resolution.value[0], micrometres_in(unit))
    return None


def micrometres_in(unit: str) -> float:
    """Return the length of a unit in micrometres, or 0 if the unit is unknown."""
    return _MICROMETRES.get(unit.replace("\\u00B5", "µ").replace("\N{GREEK SMALL LETTER MU}", "µ"), 0.0)


def plausible_pixel_size(size: str | float | None, micrometres: float) -> float | None:
    """Return micrometres per pixel from a size and its unit in micrometres. None if the value is implausible."""
    try:
        mpp = float(size or 0) * micrometres
    except ValueError:
        return None
    return mpp if 0.01 <= mpp <= 50 else None

"""Read regions of TIFF files by their tiles or strips."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.jpeg import end_of_jpeg
from nucleus_unet.io.scene import Index, ReadRegion
from nucleus_unet.io.segments import LARGEST_SEGMENT, SegmentCache
from nucleus_unet.io.tiff_colours import PageColours
from nucleus_unet.io.whole import region_reader

# Compressions in which every tile or strip is a complete JPEG stream, including its end marker.
_WHOLE_JPEGS = (7, 33007)
_JPEGS = (6, 7, 34892, 33007)
# Pages whose palettes are kept.
_PALETTES = 64


class SeriesReader:
    """Reads regions of a series of pages: of the tiles or strips, or of one uncompressed array, by memory-mapping.

    Parameters
    ----------
    file
        What ``opened`` was opened from.
    opened
        Must stay open.
    series
        Of the file.
    colours
        What the values mean.
    missing
        Names of files with pages of this series that are not there.
    colours_of
        Returns what the values of a page mean, where pages may differ: each may have a palette of its own. None: all
        are as ``colours``.
    coarse
        Whether the series is a coarser level of a pyramid.

    Attributes
    ----------
    axes, shape
        Of the series: Y and X last, then S if ``colours`` has samples.
    """

    def __init__(
        self,
        file: Path | BinaryIO,
        opened: tifffile.TiffFile,
        series: tifffile.TiffPageSeries,
        colours: PageColours,
        missing: Sequence[str],
        colours_of: Callable[[Any], PageColours] | None = None,
        *,
        coarse: bool = False,
    ) -> None:
        self._file, self._colours, self._missing, self._coarse = file, colours, missing, coarse
        self._pages = list(series.pages)
        self._colours_at = functools.lru_cache(_PALETTES)(functools.partial(self._page_colours, colours_of))
        self._page = page = series.keyframe
        axes, shape = _unexplained_as_one(series)
        # In LSM files, the samples of a page are channels.
        self._has_channels = opened.is_lsm and page.samplesperpixel > 1
        self._outer = _outer_axes(axes, page.axes.replace("S", "C") if self._has_channels else page.axes)
        sizes = dict(zip(axes, shape, strict=True)) | {"Y": page.imagelength, "X": page.imagewidth}
        sizes |= {"C": page.samplesperpixel} if self._has_channels else {"S": len(colours.samples)}
        self.axes = self._outer + ("C" if self._has_channels else "") + "YX" + ("S" if colours.samples else "")
        self.shape = tuple(int(sizes[axis]) for axis in self.axes)
        planes, depth, _, _, samples = page.shaped
        if depth != 1 or (planes > 1 and samples > 1):
            raise ImageError(f"expected pages of one plane, got pages of shape {page.shape}")
        self._planes, self._samples = planes, samples
        self._mapped = None if colours_of else self._map(series, axes, shape)
        if self._mapped is None:
            self._prepare_segments(page)

    def region_reader(self, place: Mapping[str, int]) -> ReadRegion:
        """Return the `Scene.read` of the images at ``place`` on axes that no scene has."""

        def read(index: Index, rows: slice, columns: slice) -> NDArray[Any]:
            colours = self._colours
            if self._mapped is not None:
                stored = self._mapped({**index, **place}, rows, columns)
            else:
                channel = index["C"] if self._has_channels else None
                number = self._page_number({**index, **place})
                stored = self._read_segments(number, channel, rows, columns)
                colours = self._colours_at(number)
            converted = colours.convert(stored if stored.ndim == 3 else stored[..., None])
            return np.ascontiguousarray(converted if self._colours.samples else converted[..., 0])

        return read

    def _map(self, series: tifffile.TiffPageSeries, axes: str, shape: tuple[int, ...]) -> ReadRegion | None:
        if series.dataoffset is None or not isinstance(self._file, Path):
            return None
        holder = series.keyframe.parent  # of an image of several files, perhaps not the one that was opened
        dtype = np.dtype(series.dtype).newbyteorder(holder.byteorder)
        end = series.dataoffset + math.prod(shape) * dtype.itemsize
        if end > holder.filehandle.size:
            raise ImageError(
                f"it is damaged: expected at least {end} bytes, the file ends after {holder.filehandle.size}"
            )
        array = np.memmap(holder.filehandle.path, dtype, mode="r", offset=series.dataoffset, shape=shape)
        return region_reader(array, axes)

    def _prepare_segments(self, page: Any) -> None:
        expected = math.prod(page.chunked)
        for each in self._pages:
            if each is not None:
                each.parent.filehandle.set_lock(True)  # all scenes and levels of a file share its position
            if each is not None and (listed := min(len(each.dataoffsets), len(each.databytecounts))) < expected:
                raise ImageError(f"it is damaged: expected {expected} tiles or strips, the file lists {listed}")
        rows = min(page.rowsperstrip, page.imagelength)
        self._side = (page.tilelength, page.tilewidth) if page.is_tiled else (rows, page.imagewidth)
        if math.prod(self._side) * self._samples * np.dtype(page.dtype).itemsize > LARGEST_SEGMENT:
            raise ImageError(
                f"its tiles or strips are too large to be read in parts ({self._side[0]} x {self._side[1]} pixels): "
                "save it as a tiled TIFF first"
            )
        dtype = np.dtype(page.dtype).newbyteorder("=")
        self._segments = SegmentCache(self._side, self._samples, dtype, self._decode, coarse=self._coarse)

    def _page_colours(self, colours_of: Callable[[Any], PageColours] | None, number: int) -> PageColours:
        """Return what the values of a page mean; see ``colours_of`` of the class."""
        page = self._pages[number]
        if colours_of is None or page is None:
            return self._colours
        with page.parent.filehandle.lock:
            if page.parent.filehandle.closed:
                page.parent.filehandle.open()
            return colours_of(page.aspage())

    def _page_number(self, index: Mapping[str, int]) -> int:
        number = 0
        for axis, size in zip(self._outer, self.shape, strict=False):
            number = number * size + index.get(axis, 0)
        if number >= len(self._pages) or self._pages[number] is None:
            where = f": {', '.join(self._missing)} is not there" if self._missing else ""
            raise ImageError(f"the file does not contain this plane{where}")
        return number

    def _read_segments(self, number: int, channel: int | None, rows: slice, columns: slice) -> NDArray[Any]:
        """Return the samples of a region of a page, (h, w, samples), or one of them, (h, w, 1)."""
        first = number * self._planes
        if channel is None:
            planes = [self._segments.read(first + plane, rows, columns) for plane in range(self._planes)]
            return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=-1)
        if self._planes > 1:
            return self._segments.read(first + channel, rows, columns)
        return self._segments.read(first, rows, columns)[..., channel : channel + 1]

    def _decode(self, plane: int, row: int, column: int) -> NDArray[Any]:
        page, within = divmod(plane, self._planes)
        height, width = self._page.imagelength, self._page.imagewidth
        down, across = (-(-size // side) for size, side in zip((height, width), self._side, strict=True))
        number = within * down * across + row * across + column
        try:
            return self._decode_as_stored(self._pages[page], number)
        except ImageError as error:
            top, left = row * self._side[0], column * self._side[1]
            bottom, right = min(top + self._side[0], height), min(left + self._side[1], width)
            raise ImageError(
                f"tile or strip {number} (rows {top} to {bottom}, columns {left} to {right}) is damaged ({error})"
            ) from error

    def _decode_as_stored(self, page: Any, number: int) -> NDArray[Any]:
        if number >= min(len(page.dataoffsets), len(page.databytecounts)):
            raise ImageError("the file does not list it")
        dtype = np.dtype(self._page.dtype).newbyteorder("=")
        if page.databytecounts[number] == 0:  # not scanned: empty glass
            return np.full((*self._side, self._samples), self._page.nodata, dtype)
        data = self._stored(page, number)
        if page.compression in _WHOLE_JPEGS and end_of_jpeg(data) is None:
            raise ImageError("its end is missing")  # the codec would fill it with grey
        tables = {}
        if self._page.compression in _JPEGS:
            tables = {"jpegtables": page.jpegtables, "jpegheader": self._page.jpegheader}
        try:
            segment = self._page.decode(data, number, _fullsize=self._page.is_tiled, **tables)[0]
        except Exception as error:  # codecs raise exceptions of their own classes for damaged data
            raise ImageError(f"{type(error).__name__}: {error}") from error
        if segment is None:
            raise ImageError("it is empty")
        return np.asarray(segment[0], dtype)

    def _stored(self, page: Any, number: int) -> bytes:
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        handle = page.parent.filehandle
        with handle.lock:
            if handle.closed:  # the image consists of several files
                handle.open()
            handle.seek(offset)
            data: bytes = handle.read(count)
        if len(data) != count:
            raise ImageError(f"expected {count} bytes, the file ends after {len(data)}")
        return data


def _unexplained_as_one(series: tifffile.TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    """Return the axes and the shape of a series, with one axis Q of all pages that the file does not explain.

    Both I (a sequence of pages) and Q (other) are such axes. Files of arrays of four and more axes have several Q.
    """
    axes, of_page = series.axes, series.keyframe.axes
    tail = axes[-len(of_page) :]
    if series.kind != "lsm" and tail != of_page and tail.replace("C", "S") == of_page:
        axes = axes[: -len(of_page)] + of_page  # to the writer, the samples of a pixel were channels
    axes = axes if "Q" in axes else axes.replace("I", "Q")
    shape = tuple(int(size) for size in series.shape)
    several = len(axes) - len(axes.lstrip("Q"))
    if several < 2:
        return axes, shape
    return axes[several - 1 :], (math.prod(shape[:several]), *shape[several:])


def _outer_axes(axes: str, of_page: str) -> str:
    """Return the axes along which pages lie: those of the series that a page does not have."""
    within = 0
    for axis in reversed(axes):
        if axis not in of_page:
            break
        within += 1
    return axes[: len(axes) - within]

"""Slides that are TIFF files, of which a region's tiles or strips are read and no more."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.images import tiff_layout
from nucleus_unet.slides.arrays import checked_dtype, choose

# Decoded tiles and strips that are kept: neighbouring regions share some.
_CACHE_BYTES = 2**27
# A tile or strip that is larger when decoded would break the promise of bounded memory.
_LARGEST_SEGMENT = 2**30


class TiffSlide:
    """The full resolution of a TIFF file, of which a region's tiles or strips are read and no more.

    Parameters
    ----------
    path, file
        The file; it stays open.
    channel, channel_axis
        See `open_slide`.
    """

    def __init__(self, path: Path, file: tifffile.TiffFile, *, channel: int | str | None, channel_axis: int | None):
        layout = tiff_layout(file)
        self._path, self._file = path, file
        self._pages = list(file.series[0].pages)
        self._page = page = file.series[0].keyframe
        axis = layout.channel_axis if channel_axis is None else channel_axis
        chosen_axis, self._chosen = choose(layout.shape, channel, axis, layout.channel_names)
        if chosen_axis is not None and layout.axes[chosen_axis] in "YX":
            raise ImageError(f"channel_axis: the file's axes are {layout.axes}, got {channel_axis}")
        self.shape = (int(page.imagelength), int(page.imagewidth))
        self.channels = 3 if isinstance(self._chosen, slice) else None
        self.dtype = checked_dtype(page.dtype, self.shape)
        self.mpp, self._white_is_zero = layout.mpp, layout.white_is_zero
        planes, depth, _, _, samples = page.shaped
        if depth != 1 or [planes > 1, samples > 1, len(self._pages) > 1].count(True) > 1:
            raise ImageError(f"expected one plane, got pages of shape {page.shape}; choose one plane first")
        self._samples = samples
        tiled = page.is_tiled
        self._side = (page.tilelength, page.tilewidth) if tiled else (page.rowsperstrip, page.imagewidth)
        segment = int(np.prod(self._side)) * samples * self.dtype.itemsize
        if segment > _LARGEST_SEGMENT:
            raise ImageError(
                f"its tiles or strips are too large to be read in parts ({self._side[0]} x {self._side[1]} pixels): "
                "save it as a tiled TIFF first"
            )
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._cached_bytes = 0

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Slide`."""
        if self._chosen is None or self._samples > 1:
            region = self._read_plane(0, rows, columns)
            return np.ascontiguousarray(region[..., 0 if self._chosen is None else self._chosen])
        if isinstance(self._chosen, int):
            return np.ascontiguousarray(self._read_plane(self._chosen, rows, columns)[..., 0])
        return np.concatenate([self._read_plane(plane, rows, columns) for plane in range(3)], axis=-1)

    def _read_plane(self, plane: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read a region of one of the file's planes, or of all samples of a pixel where they lie side by side."""
        region = np.empty((rows.stop - rows.start, columns.stop - columns.start, self._samples), self.dtype)
        height, width = self._side
        for row in range(rows.start // height, -(-rows.stop // height)):
            for column in range(columns.start // width, -(-columns.stop // width)):
                segment = self._segment(plane, row, column)
                top, left = row * height, column * width
                first = max(rows.start, top), max(columns.start, left)
                last = min(rows.stop, top + height), min(columns.stop, left + width)
                region[
                    first[0] - rows.start : last[0] - rows.start, first[1] - columns.start : last[1] - columns.start
                ] = segment[first[0] - top : last[0] - top, first[1] - left : last[1] - left]
        return region

    def _segment(self, plane: int, row: int, column: int) -> NDArray[Any]:
        down, across = (-(-size // side) for size, side in zip(self.shape, self._side, strict=True))
        several_pages = len(self._pages) > 1
        number = (0 if several_pages else plane * down * across) + row * across + column
        key = (plane if several_pages else 0, number)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        segment = self._decode(*key)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = segment
                self._cached_bytes += segment.nbytes
            while self._cached_bytes > _CACHE_BYTES and len(self._cache) > 1:
                self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return segment

    def _decode(self, page_number: int, number: int) -> NDArray[Any]:
        pixels = self._decode_as_stored(page_number, number)
        return ~pixels if self._white_is_zero else pixels

    def _decode_as_stored(self, page_number: int, number: int) -> NDArray[Any]:
        page = self._pages[page_number]
        if page is None or page.databytecounts[number] == 0:  # never written: empty glass
            return np.full((*self._side, self._samples), self._page.nodata, self.dtype)
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        with self._lock:
            handle = page.parent.filehandle
            if handle.closed:  # one of several files that make an image
                handle.open()
            handle.seek(offset)
            data = handle.read(count)
        tables = {}
        if self._page.compression in (6, 7, 34892, 33007):  # those of JPEG
            tables = {"jpegtables": page.jpegtables, "jpegheader": self._page.jpegheader}
        try:
            if len(data) != count:
                raise ValueError(f"expected {count} bytes, the file ends after {len(data)}")
            segment = self._page.decode(data, number, _fullsize=self._page.is_tiled, **tables)[0]
            if segment is None:
                raise ValueError("it is empty")
        except Exception as error:  # codecs raise classes of their own for damaged data
            raise ImageError(f"{self._path}: tile or strip {number} is damaged ({error})") from error
        return np.asarray(segment[0], self.dtype)

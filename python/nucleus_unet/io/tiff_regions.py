"""Read regions of TIFF files by their tiles or strips."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.arrays import select_channels, slide_dtype
from nucleus_unet.io.segments import LARGEST_SEGMENT, SegmentCache
from nucleus_unet.io.tiff import tiff_layout

# Compressions in which every tile or strip is a complete JPEG stream, including its end marker.
_WHOLE_JPEGS = (7, 33007)


class TiffSlide:
    """The full resolution of a TIFF file. Only the tiles or strips of a region are read.

    Parameters
    ----------
    path, file
        Path of the file, and the open file, which must stay open.
    channel, channel_axis
        See `open_slide`.
    """

    def __init__(self, path: Path, file: tifffile.TiffFile, *, channel: int | str | None, channel_axis: int | None):
        layout = tiff_layout(file)
        self._path, self._file = path, file
        self._pages = list(file.series[0].pages)
        self._page = page = file.series[0].keyframe
        axis = layout.channel_axis if channel_axis is None else channel_axis
        chosen_axis, self._selection = select_channels(layout.shape, channel, axis, layout.channel_names)
        if chosen_axis is not None and layout.axes[chosen_axis] in "YX":
            raise ImageError(f"channel_axis: the file's axes are {layout.axes}, got {channel_axis}")
        self.shape = (int(page.imagelength), int(page.imagewidth))
        self.channels = 3 if isinstance(self._selection, slice) else None
        self.dtype = slide_dtype(page.dtype, self.shape)
        self.mpp, self._white_is_zero = layout.mpp, layout.white_is_zero
        planes, depth, _, _, samples = page.shaped
        if depth != 1 or [planes > 1, samples > 1, len(self._pages) > 1].count(True) > 1:
            raise ImageError(f"expected one plane, got pages of shape {page.shape}; select_channels one plane first")
        self._samples = samples
        tiled = page.is_tiled
        self._side = (page.tilelength, page.tilewidth) if tiled else (page.rowsperstrip, page.imagewidth)
        if int(np.prod(self._side)) * samples * self.dtype.itemsize > LARGEST_SEGMENT:
            raise ImageError(
                f"its tiles or strips are too large to be read in parts ({self._side[0]} x {self._side[1]} pixels): "
                "save it as a tiled TIFF first"
            )
        self._lock = threading.Lock()
        self._segments = SegmentCache(self._side, samples, self.dtype, self._decode)

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Slide`."""
        if self._selection is None or self._samples > 1:
            region = self._segments.read(0, rows, columns)
            return np.ascontiguousarray(region[..., 0 if self._selection is None else self._selection])
        if isinstance(self._selection, int):
            return np.ascontiguousarray(self._segments.read(self._selection, rows, columns)[..., 0])
        return np.concatenate([self._segments.read(plane, rows, columns) for plane in range(3)], axis=-1)

    def _decode(self, plane: int, row: int, column: int) -> NDArray[Any]:
        down, across = (-(-size // side) for size, side in zip(self.shape, self._side, strict=True))
        multiple_pages = len(self._pages) > 1
        number = (0 if multiple_pages else plane * down * across) + row * across + column
        try:
            pixels = self._decode_as_stored(self._pages[plane if multiple_pages else 0], number)
        except ImageError as error:
            top, left = row * self._side[0], column * self._side[1]
            bottom, right = min(top + self._side[0], self.shape[0]), min(left + self._side[1], self.shape[1])
            raise ImageError(
                f"{self._path}: tile or strip {number} (rows {top} to {bottom}, columns {left} to {right}) "
                f"is damaged ({error})"
            ) from error
        return np.asarray(~pixels if self._white_is_zero else pixels, self.dtype)

    def _decode_as_stored(self, page: Any, number: int) -> NDArray[Any]:
        if page is not None and number >= min(len(page.dataoffsets), len(page.databytecounts)):
            raise ImageError("the file does not list it")
        if page is None or page.databytecounts[number] == 0:  # not scanned: empty glass
            return np.full((*self._side, self._samples), self._page.nodata, self._page.dtype)
        offset, count = page.dataoffsets[number], page.databytecounts[number]
        with self._lock:
            handle = page.parent.filehandle
            if handle.closed:  # the image consists of several files
                handle.open()
            handle.seek(offset)
            data = handle.read(count)
        if len(data) != count:
            raise ImageError(f"expected {count} bytes, the file ends after {len(data)}")
        if page.compression in _WHOLE_JPEGS and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
            raise ImageError("its end is missing")  # the codec would fill it with grey
        tables = {}
        if self._page.compression in (6, 7, 34892, 33007):  # JPEG
            tables = {"jpegtables": page.jpegtables, "jpegheader": self._page.jpegheader}
        try:
            segment = self._page.decode(data, number, _fullsize=self._page.is_tiled, **tables)[0]
        except Exception as error:  # codecs raise exceptions of their own classes for damaged data
            raise ImageError(f"{type(error).__name__}: {error}") from error
        if segment is None:
            raise ImageError("it is empty")
        return np.asarray(segment[0], self._page.dtype)

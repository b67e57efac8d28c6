"""Slides: images that are read in parts, from TIFF files of every layout and from arrays of every kind."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile
from numpy.typing import DTypeLike, NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.images import ImageFile, palette, prepare_image, read_image, tiff_layout

DTYPES = ("bool", "uint8", "uint16")

# Decoded tiles and strips that are kept: neighbouring regions share some.
_CACHE_BYTES = 2**27
# A tile or strip that is larger when decoded would break the promise of bounded memory.
_LARGEST_SEGMENT = 2**30


class ArrayLike(Protocol):
    """What is asked of an array: numpy's, memory-mapped ones and zarr's answer it."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def dtype(self) -> Any: ...  # noqa: D102

    def __getitem__(self, key: tuple[slice | int, ...], /) -> Any: ...


class Slide(Protocol):
    """An image that is read in parts, by several threads at once.

    Attributes
    ----------
    shape
        Height and width.
    channels
        3 for colours, None for grey.
    dtype
        ``bool``, ``uint8`` or ``uint16``.
    mpp
        Micrometres per pixel, where the slide says so plausibly.
    """

    shape: tuple[int, int]
    channels: int | None
    dtype: np.dtype[Any]
    mpp: float | None

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Read pixels of the full resolution: (h, w) or (h, w, 3), for slices within the image."""
        ...


def open_slide(
    source: Path | str | ArrayLike, *, channel: int | str | None = None, channel_axis: int | None = None
) -> Slide:
    """Open a slide without reading its pixels.

    TIFF files (SVS, OME-TIFF, BigTIFF; tiled, in strips, or uncompressed; of pyramids the full resolution) are
    read tile by tile, ``.npy`` files are mapped into memory; other image files are read whole.

    Parameters
    ----------
    source
        A path, or an array: (H, W) or (H, W, C), or with channels elsewhere, as `prepare_image` has it.
    channel, channel_axis
        As `nucleus_unet.Segmenter.predict` takes them.

    Raises
    ------
    ImageError
        If it is no image, or cannot be read in parts.
    OSError
        If a file cannot be opened.

    Examples
    --------
    >>> import numpy as np
    >>> slide = open_slide(np.zeros((500, 300, 4), np.uint8))  # alpha is dropped
    >>> slide.shape, slide.read(slice(10, 20), slice(0, 5)).shape
    ((500, 300), (10, 5, 3))
    """
    if not isinstance(source, Path | str):
        return ArraySlide(source, channel=channel, channel_axis=channel_axis)
    path = Path(source)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ImageError(f"{path}: expected a file, got a pipe or device")
    with path.open("rb") as file:
        start = file.read(4)
    try:
        if start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _open_tiff(path, channel, channel_axis)
        mapped = path.suffix.lower() == ".npy"
        image = ImageFile(np.load(path, mmap_mode="r")) if mapped else read_image(path)  # never pickles
        return _of_file(image, channel, channel_axis)
    except ImageError as error:
        raise ImageError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except Exception as error:  # damaged files make tifffile and codecs raise errors of all kinds
        raise ImageError(f"{path}: cannot be read as an image ({type(error).__name__}: {error})") from error


class ArraySlide:
    """A slide from an array; see `open_slide`."""

    def __init__(
        self,
        array: ArrayLike,
        *,
        channel: int | str | None = None,
        channel_axis: int | None = None,
        channel_names: tuple[str, ...] = (),
        mpp: float | None = None,
        white_is_zero: bool = False,
    ) -> None:
        self._array, self._white_is_zero = array, white_is_zero
        self._axis, self._chosen = _choose(tuple(array.shape), channel, channel_axis, channel_names)
        height, width = (size for axis, size in enumerate(array.shape) if axis != self._axis)
        self.shape = (int(height), int(width))
        self.channels = 3 if isinstance(self._chosen, slice) else None
        self.dtype = _checked_dtype(array.dtype, self.shape)
        self.mpp = mpp

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """See `Slide`."""
        key: list[slice | int] = [rows, columns]
        if self._axis is not None:
            assert self._chosen is not None  # as there are channels
            key.insert(self._axis, self._chosen)
        region = np.asarray(self._array[tuple(key)])
        if self.channels:
            assert self._axis is not None
            region = np.moveaxis(region, self._axis, -1)
        region = np.ascontiguousarray(region, self.dtype)
        return ~region if self._white_is_zero else region


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
        chosen_axis, self._chosen = _choose(layout.shape, channel, axis, layout.channel_names)
        if chosen_axis is not None and layout.axes[chosen_axis] in "YX":
            raise ImageError(f"channel_axis: the file's axes are {layout.axes}, got {channel_axis}")
        self.shape = (int(page.imagelength), int(page.imagewidth))
        self.channels = 3 if isinstance(self._chosen, slice) else None
        self.dtype = _checked_dtype(page.dtype, self.shape)
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


def _open_tiff(path: Path, channel: int | str | None, channel_axis: int | None) -> Slide:
    file = tifffile.TiffFile(path)
    series = file.series[0]
    if palette(file) is not None:
        file.close()
        return _of_file(read_image(path), channel, channel_axis)
    if series.dataoffset is None or 0 in series.shape:
        return TiffSlide(path, file, channel=channel, channel_axis=channel_axis)
    layout = tiff_layout(file)
    dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
    file.close()
    return ArraySlide(
        np.memmap(path, dtype, mode="r", offset=series.dataoffset, shape=layout.shape),
        channel=channel,
        channel_axis=layout.channel_axis if channel_axis is None else channel_axis,
        channel_names=layout.channel_names,
        mpp=layout.mpp,
        white_is_zero=layout.white_is_zero,
    )


def _of_file(file: ImageFile, channel: int | str | None, channel_axis: int | None) -> ArraySlide:
    axis = file.channel_axis if channel_axis is None else channel_axis
    return ArraySlide(file.pixels, channel=channel, channel_axis=axis, channel_names=file.channel_names, mpp=file.mpp)


def _choose(
    shape: tuple[int, ...], channel: int | str | None, channel_axis: int | None, names: tuple[str, ...]
) -> tuple[int | None, slice | int | None]:
    """Tell which axis holds channels, and which of them are the picture: one, or the first three.

    An image whose pixels are the numbers of their channels is asked, without memory, how `prepare_image` decides.
    """
    if len(shape) != 3:
        prepare_image(
            np.broadcast_to(np.uint8(0), shape), channel=channel, channel_axis=channel_axis, channel_names=names
        )
        return None, None
    axis = -1 if channel_axis is None else channel_axis
    along = [1, 1, 1]
    if -3 <= axis < 3:
        along[axis] = shape[axis]
    numbers = np.arange(along[axis] if -3 <= axis < 3 else 1, dtype=np.uint16).reshape(along)
    chosen = prepare_image(
        np.broadcast_to(numbers, shape), channel=channel, channel_axis=channel_axis, channel_names=names
    )
    if chosen.ndim == 3:
        return axis % 3, slice(0, 3)
    return axis % 3, int(chosen[0, 0]) if chosen.size else 0


def _checked_dtype(dtype: DTypeLike | None, shape: tuple[int, int]) -> np.dtype[Any]:
    """Return the dtype in this machine's byte order."""
    if np.dtype(dtype).name not in DTYPES:
        raise ImageError(
            f"slide dtype: expected one of {', '.join(DTYPES)}, got {np.dtype(dtype).name}; "
            "scale other numbers to uint16 first, or use predict"
        )
    if 0 in shape:
        raise ImageError(f"slide: expected at least one pixel, got {shape[0]} x {shape[1]}")
    return np.dtype(dtype).newbyteorder("=")

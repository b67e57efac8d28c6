"""The levels of a TIFF pyramid as arrays that read their tiles when they are asked for, as viewers take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.scene import ReadRegion
from nucleus_unet.io.tiff_colours import colours_of_page
from nucleus_unet.io.tiff_open import open_tiff
from nucleus_unet.io.tiff_regions import SeriesReader


class LevelArray:
    """A level of a pyramid: (H, W), or (H, W, S) with S samples. Any number of threads may read it.

    Parameters
    ----------
    read
        Reads a region.
    shape, dtype
        Of the array.
    file
        Is kept open as long as this array is used.
    """

    def __init__(self, read: ReadRegion, shape: tuple[int, ...], dtype: np.dtype[Any], file: tifffile.TiffFile) -> None:
        self._read, self._file = read, file
        self.shape, self.dtype, self.ndim = shape, dtype, len(shape)
        self.size = int(np.prod(shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        parts = key if isinstance(key, tuple) else (key,)
        if Ellipsis in parts:
            place = parts.index(Ellipsis)
            missing = self.ndim - len(parts) + 1
            parts = (*parts[:place], *[slice(None)] * missing, *parts[place + 1 :])
        parts = (*parts, *[slice(None)] * (self.ndim - len(parts)))
        spans = [_span(part, size) for part, size in zip(parts[:2], self.shape, strict=False)]
        if any(span.start >= span.stop for span in spans):
            region = np.zeros((*(max(0, span.stop - span.start) for span in spans), *self.shape[2:]), self.dtype)
        else:
            region = self._read({}, *spans)
        inner = tuple(0 if not isinstance(part, slice) else slice(None, None, part.step) for part in parts[:2])
        return region[(*inner, *parts[2:])]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return all pixels."""
        return np.array(self[:], dtype=dtype, copy=copy)


def _span(part: Any, size: int) -> slice:
    """Return the pixels that a part of a key reads: start and stop."""
    if isinstance(part, slice):
        start, stop, step = part.indices(size)
        if step < 0:
            raise IndexError(f"expected slices forward, got {part}")
        return slice(start, stop)
    number = int(part) + (size if part < 0 else 0)
    if not 0 <= number < size:
        raise IndexError(f"expected a number below {size}, got {part}")
    return slice(number, number + 1)


def open_levels(path: Path, *, indices: bool = False) -> list[LevelArray]:
    """Open the levels of the first image of a TIFF file, the full resolution first. No pixel is read.

    Memory holds the tiles that were read last, up to 128 MB a level.

    Parameters
    ----------
    path
        Of the file.
    indices
        Read numbers as they are stored, as label images need.

    Raises
    ------
    ImageError
        If the file is no TIFF, is damaged, or its first image has further axes, such as a stack.
    OSError
        If it cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "labels.tif"
    >>> tifffile.imwrite(path, np.eye(64, dtype=np.uint32), tile=(16, 16), compression="zlib")
    >>> [level] = open_levels(path, indices=True)
    >>> level.shape, level[3:5, 2:5].tolist()
    ((64, 64), [[0, 1, 0], [0, 0, 1]])
    """
    try:
        opened, _ = open_tiff(path)
    except tifffile.TiffFileError as error:
        raise ImageError(f"{path}: expected a TIFF file ({error})") from error
    try:
        return [_level(path, opened, level, indices=indices) for level in opened.series[0].levels]
    except BaseException:
        opened.close()
        raise


def _level(path: Path, opened: tifffile.TiffFile, series: Any, *, indices: bool) -> LevelArray:
    colours = colours_of_page(series.keyframe, kind="", indices=indices)
    reader = SeriesReader(path, opened, series, colours, [])
    if reader.axes not in ("YX", "YXS"):
        raise ImageError(f"{path}: expected one plane, got axes {reader.axes} of shape {reader.shape}")
    return LevelArray(reader.region_reader({}), reader.shape, colours.dtype, opened)

"""Slides: images that are read in parts, from files of every layout and from arrays of every kind."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError, MissingExtraError
from nucleus_unet.io.arrays import ArrayLike, ArraySlide
from nucleus_unet.io.image_file import ImageFile
from nucleus_unet.io.pictures import SUFFIXES, read_image
from nucleus_unet.io.scanners import SCAN_SUFFIXES, OpenSlideImage
from nucleus_unet.io.tiff import open_tiff, palette, tiff_layout
from nucleus_unet.io.tiff_regions import TiffSlide
from nucleus_unet.io.zarr import ZIP_SUFFIXES, is_zarr, open_zarr

# Of which one file names others that hold the pixels.
_SEVERAL_FILES = (".dcm", ".mrxs", ".vms", ".vmu")
# In a folder each file of such a slide would be taken for a slide: these are named one by one.
_NAMED = (".dcm", ".vms", ".vmu")
FOUND_SUFFIXES = tuple(suffix for suffix in (*SUFFIXES, *SCAN_SUFFIXES, ".ozx") if suffix not in _NAMED)
"""Of the files that are taken for slides where a folder is searched."""


class Slide(Protocol):
    """An image that is read in parts, by several threads at once.

    Attributes
    ----------
    shape
        Height and width.
    channels
        3 for colours, None for grey.
    dtype
        ``bool``, ``uint8``, ``uint16``, ``float32`` or ``float64``.
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

    TIFF files (SVS, OME-TIFF, BigTIFF; tiled, in strips, or uncompressed) are read tile by tile, zarr and OME-Zarr
    (0.4 and 0.5; folder or zip) chunk by chunk, the formats of scanners (NDPI, MRXS, SCN, CZI, BIF, DICOM) through
    OpenSlide, and ``.npy`` files are mapped into memory; other image files are read whole. Of pyramids the full
    resolution is read.

    Parameters
    ----------
    source
        A path, or an array (of numpy, zarr, dask, or another library that gives regions): (H, W) or (H, W, C), or
        with channels elsewhere, as `prepare_image` has it.
    channel, channel_axis
        As `nucleus_unet.Segmenter.predict` takes them.

    Raises
    ------
    ImageError
        If it is no image, or cannot be read in parts.
    MissingExtraError
        If reading it needs the ``zarr`` or the ``openslide`` extra.
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
        if not (hasattr(source, "shape") and hasattr(source, "dtype")):
            raise ImageError(f"slide: expected a path or an array, got {type(source).__name__}")
        if np.ma.is_masked(source):
            raise ImageError("slide: expected an array without a mask; say what masked pixels are with .filled(value)")
        return ArraySlide(source, channel=channel, channel_axis=channel_axis)
    path = Path(source)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ImageError(f"{path}: expected a file, got a pipe or device")
    start = b""
    if not path.is_dir():
        with path.open("rb") as file:
            start = file.read(4)
    try:
        return _open_file(path, start, channel, channel_axis)
    except MissingExtraError:
        raise
    except ImageError as error:
        raise ImageError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except Exception as error:  # damaged files make tifffile and codecs raise errors of all kinds
        raise ImageError(f"{path}: cannot be read as an image ({type(error).__name__}: {error})") from error


def is_slide(path: Path) -> bool:
    """Whether a path found in a folder is a slide, by its name or, of a zarr folder, by its metadata."""
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in FOUND_SUFFIXES and path.is_file()


def file_facts(path: Path) -> dict[str, object] | None:
    """Tell facts by which the same file or folder is known again without reading its pixels.

    Returns
    -------
    dict or None
        None if other files hold the pixels.
    """
    if path.suffix.lower() in _SEVERAL_FILES:
        return None
    if path.is_dir():
        digest = hashlib.sha256()
        for each in sorted(path.rglob("*")):
            facts = each.stat() if each.exists() else each.lstat()  # a link to nowhere
            digest.update(repr((str(each.relative_to(path)), facts.st_size, facts.st_mtime_ns)).encode())
        return {"files": digest.hexdigest()}
    facts = path.stat()
    return {"bytes": facts.st_size, "modified": facts.st_mtime_ns}


def _open_file(path: Path, start: bytes, channel: int | str | None, channel_axis: int | None) -> Slide:
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in ZIP_SUFFIXES:
        return open_zarr(path, channel=channel, channel_axis=channel_axis)
    if suffix in SCAN_SUFFIXES:
        return OpenSlideImage(path, channel=channel, channel_axis=channel_axis)
    if start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _open_tiff(path, channel, channel_axis)
    image = ImageFile(np.load(path, mmap_mode="r")) if suffix == ".npy" else read_image(path)  # never pickles
    return _of_file(image, channel, channel_axis)


def _open_tiff(path: Path, channel: int | str | None, channel_axis: int | None) -> Slide:
    file = open_tiff(path)
    if file.is_ndpi or file.is_scn or file.is_bif:  # whatever its name, their pictures are not the file's first
        file.close()
        return OpenSlideImage(path, channel=channel, channel_axis=channel_axis)
    if palette(file) is not None:
        file.close()
        return _of_file(read_image(path), channel, channel_axis)
    series = file.series[0]
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

"""Open slides: images that are read in parts, from files or from arrays."""

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
from nucleus_unet.io.scanners import SCANNER_SUFFIXES, OpenSlideImage
from nucleus_unet.io.tiff import open_tiff, palette, tiff_layout
from nucleus_unet.io.tiff_regions import TiffSlide
from nucleus_unet.io.zarr import ZIP_SUFFIXES, is_zarr, open_zarr

# Formats in which one file refers to others that contain the pixels.
_SEVERAL_FILES = (".dcm", ".mrxs", ".vms", ".vmu")
# Formats with several files that look like slides. Only explicit paths of such files are opened.
_NAMED = (".dcm", ".vms", ".vmu")
FOUND_SUFFIXES = tuple(suffix for suffix in (*SUFFIXES, *SCANNER_SUFFIXES, ".ozx") if suffix not in _NAMED)
"""Suffixes of the files that are slides if a folder is searched."""


class Slide(Protocol):
    """An image that is read in parts. Several threads may read at once.

    Attributes
    ----------
    shape
        Height and width in pixels.
    channels
        3 for colour, None for grey.
    dtype
        ``bool``, ``uint8``, ``uint16``, ``float32`` or ``float64``.
    mpp
        Micrometres per pixel. None if the file does not contain a plausible value.
    """

    shape: tuple[int, int]
    channels: int | None
    dtype: np.dtype[Any]
    mpp: float | None

    def read(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Return pixels of the full resolution, (h, w) or (h, w, 3), for slices within the image."""
        ...


def open_slide(
    source: Path | str | ArrayLike, *, channel: int | str | None = None, channel_axis: int | None = None
) -> Slide:
    """Open a slide without reading its pixels.

    TIFF files (SVS, OME-TIFF, BigTIFF) are read by tiles or strips. Zarr and OME-Zarr 0.4 and 0.5 (folder or zip) are
    read by chunks. The formats of scanners (NDPI, MRXS, SCN, CZI, BIF, DICOM) are read with OpenSlide. ``.npy`` files
    are memory-mapped. Other image files are read completely. The full resolution of a pyramid is read.

    Parameters
    ----------
    source
        A path, or an array of numpy, zarr, dask or a similar library: (H, W) or (H, W, C), or with another channel
        axis; see `prepare_image`.
    channel, channel_axis
        See `nucleus_unet.Segmenter.predict`.

    Raises
    ------
    ImageError
        If the source is not an image, or if it cannot be read in parts.
    MissingExtraError
        If the ``zarr`` or the ``openslide`` extra is needed and not installed.
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
            raise ImageError("slide: expected an array without a mask; fill masked pixels with .filled(value)")
        try:
            np.dtype(source.dtype)
        except TypeError:  # such as a tensor of torch, whose types are its own
            source = np.asarray(source)
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
    except Exception as error:  # tifffile and codecs raise exceptions of many classes for damaged files
        raise ImageError(f"{path}: cannot be read as an image ({type(error).__name__}: {error})") from error


def is_slide(path: Path) -> bool:
    """Whether a path in a folder is a slide, by its suffix, or by its metadata for a zarr folder."""
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in FOUND_SUFFIXES and path.is_file()


def file_facts(path: Path) -> dict[str, object] | None:
    """Return facts that identify an unchanged file or folder without reading its pixels.

    Returns
    -------
    dict or None
        Sizes and modification times. None if other files contain the pixels.
    """
    if path.suffix.lower() in _SEVERAL_FILES:
        return None
    if path.is_dir():
        digest = hashlib.sha256()
        for member in sorted(path.rglob("*")):
            facts = member.stat() if member.exists() else member.lstat()  # a broken link
            digest.update(repr((str(member.relative_to(path)), facts.st_size, facts.st_mtime_ns)).encode())
        return {"files": digest.hexdigest()}
    facts = path.stat()
    return {"bytes": facts.st_size, "modified": facts.st_mtime_ns}


def _open_file(path: Path, start: bytes, channel: int | str | None, channel_axis: int | None) -> Slide:
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in ZIP_SUFFIXES:
        return open_zarr(path, channel=channel, channel_axis=channel_axis)
    if suffix in SCANNER_SUFFIXES:
        return OpenSlideImage(path, channel=channel, channel_axis=channel_axis)
    if start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _open_tiff(path, channel, channel_axis)
    image = ImageFile(np.load(path, mmap_mode="r")) if suffix == ".npy" else read_image(path)  # pickle is disabled
    return _slide_from_file(image, channel, channel_axis)


def _open_tiff(path: Path, channel: int | str | None, channel_axis: int | None) -> Slide:
    file = open_tiff(path)
    if file.is_ndpi or file.is_scn or file.is_bif:  # the first image of these formats is not the full resolution
        file.close()
        return OpenSlideImage(path, channel=channel, channel_axis=channel_axis)
    if palette(file) is not None:
        file.close()
        return _slide_from_file(read_image(path), channel, channel_axis)
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


def _slide_from_file(file: ImageFile, channel: int | str | None, channel_axis: int | None) -> ArraySlide:
    axis = file.channel_axis if channel_axis is None else channel_axis
    return ArraySlide(file.pixels, channel=channel, channel_axis=axis, channel_names=file.channel_names, mpp=file.mpp)

"""Images as people have them: checked against the contract, read from files, normalised.

An image is (H, W), or (H, W, C) with one, three or four channels (alpha is ignored), of bool, uint8, uint16, float32
or float64. `channel_axis` and `channel` bring other orders and other numbers of channels to that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import ArrayLike, NDArray

from nucleus_unet.errors import ImageError

DTYPES = ("bool", "uint8", "uint16", "float32", "float64")
TIFF_SUFFIXES = (".tif", ".tiff", ".svs", ".lsm", ".stk")
SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg", ".jp2", ".webp", ".bmp", ".npy")

# Percentiles that become black and white: robust against hot pixels and dust, and what the network was trained on.
PERCENTILES = 1.0, 99.8


class Levels(NamedTuple):
    """The one normalisation of an image: pixel values that become 0 and 1."""

    black: float
    white: float


@dataclass(frozen=True)
class ImageFile:
    """An image file's pixels and what the file says of them.

    Attributes
    ----------
    pixels : NDArray[Any]
        (H, W) or (H, W, C) if ``channel_axis`` is None, else with channels along that axis.
    channel_axis : int or None
        Where the file's metadata says the channels are.
    channel_names : tuple of str
        One for each channel that is a channel of its own, not a part of a colour: its name, or its number where the
        file gives none. Empty for colours.
    mpp : float or None
        Micrometres per pixel, where the file says.
    """

    pixels: NDArray[Any]
    channel_axis: int | None = None
    channel_names: tuple[str, ...] = ()
    mpp: float | None = None


def prepare_image(
    image: ArrayLike,
    *,
    channel_axis: int | None = None,
    channel: int | str | None = None,
    channel_names: tuple[str, ...] = (),
) -> NDArray[Any]:
    """Check an image and bring it to (H, W) or (H, W, 3).

    Parameters
    ----------
    image : array_like
        See the module's page.
    channel_axis
        Axis that holds the channels; the last one of a three-dimensional image by default.
    channel
        Take this one: by number, or by one of `channel_names`.
    channel_names
        Names of the channels, where known. Four named channels are four, not colours and alpha.

    Returns
    -------
    NDArray[Any]
        A view where possible, with the dtype given.

    Raises
    ------
    ImageError
        If shape, dtype or values break the contract; it says what was expected and what came.

    Examples
    --------
    >>> import numpy as np
    >>> prepare_image(np.zeros((5, 7, 4), np.uint8)).shape  # alpha is dropped
    (5, 7, 3)
    >>> prepare_image(np.zeros((6, 5, 7), np.uint16), channel_axis=0, channel=2).shape
    (5, 7)
    """
    if np.ma.is_masked(image):
        raise ImageError("image: expected an array without a mask; say what masked pixels are with .filled(value)")
    try:
        pixels = np.asarray(image)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of different lengths
        raise ImageError(f"image: expected an array of pixels, got {type(image).__name__} ({error})") from error
    if pixels.dtype.name not in DTYPES:
        raise ImageError(f"image dtype: expected one of {', '.join(DTYPES)}, got {pixels.dtype.name}")
    pixels = _select_channels(pixels, channel_axis, channel, channel_names)
    if pixels.dtype.kind == "f":
        finite = np.isfinite(pixels)
        finite = finite if finite.ndim == 2 else finite.all(axis=-1)
        bad = finite.size - np.count_nonzero(finite)
        if bad:
            raise ImageError(
                f"image values: expected finite numbers, got {bad} pixels that are NaN or infinite; "
                "replace them first, e.g. with numpy.nan_to_num"
            )
    return pixels


def _select_channels(
    pixels: NDArray[Any], channel_axis: int | None, channel: int | str | None, names: tuple[str, ...]
) -> NDArray[Any]:
    if pixels.ndim == 2 and channel_axis is None:
        if channel not in (None, 0, *names[:1]):
            raise ImageError(f"channel: the image has only one, got channel={channel!r}")
        return pixels
    if pixels.ndim != 3:
        raise ImageError(
            "image shape: expected (H, W) or (H, W, C), or three axes with channel_axis=, got "
            f"{pixels.shape}" + ("; choose one plane of a stack or time series first" if pixels.ndim > 3 else "")
        )
    axis = -1 if channel_axis is None else channel_axis
    if not -3 <= axis < 3:
        raise ImageError(f"channel_axis: expected -3 to 2 for an image of three axes, got {channel_axis}")
    pixels = np.moveaxis(pixels, axis, -1)
    count = pixels.shape[-1]
    if channel is not None:
        return pixels[..., _channel_number(channel, count, names)]
    if count == 1:
        return pixels[..., 0]
    if count == 3 or (count == 4 and len(names) != 4):
        return pixels[..., :3]
    if names and len(names) == count:
        raise ImageError(f"channel: expected one of the {count} channels {_listed(names)}, got none; give its name")
    hint = f"choose one of the {count} with channel="
    if channel_axis is None and pixels.shape[0] in range(1, 41) and count > 4:
        hint = "if channels come first, say channel_axis=0; else " + hint
    raise ImageError(
        f"image shape: expected 1, 3 or 4 channels, got {count} in an image of shape {pixels.shape}; {hint}"
    )


def _channel_number(channel: int | str, count: int, names: tuple[str, ...]) -> int:
    if isinstance(channel, str):
        if channel in names:
            return names.index(channel)
        known = f"the channels are {_listed(names)}" if names else "no names are known: give its number"
        raise ImageError(f"channel: no channel is named {channel!r}; {known}")
    if not 0 <= channel < count:
        raise ImageError(f"channel: expected 0 to {count - 1}, got {channel}")
    return channel


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in names)


def measure_levels(image: NDArray[Any]) -> Levels | None:
    """Fix the normalisation of an image; None if all its pixels are equal.

    Parameters
    ----------
    image : NDArray[Any]
        As `prepare_image` returns it. Colours share one pair, so that hues stay.
    """
    if image.size == 0:
        return None
    if image.dtype.kind != "f":
        return levels_of_counts(count_values(image))
    least, most = float(image.min()), float(image.max())
    check_range(least, most, image.dtype)
    black, white = (float(level) for level in np.percentile(image, PERCENTILES))
    return checked_levels(black, white, least, most)


def count_values(image: NDArray[Any]) -> NDArray[np.int64]:
    """Count the pixels of each value; counts of parts of an image add up to the whole's.

    Parameters
    ----------
    image : NDArray[Any]
        Of bool, uint8 or uint16.

    Returns
    -------
    NDArray[np.int64] (256,) or (65536,)
    """
    counts = np.zeros(2 ** (8 * image.dtype.itemsize), np.int64)
    rows = max(1, 2**20 // max(1, image[:1].size))  # at a time: counting makes each value eight bytes
    for start in range(0, len(image), rows):
        counts += np.bincount(image[start : start + rows].ravel(), minlength=len(counts))
    return counts


def levels_of_counts(counts: NDArray[np.int64]) -> Levels | None:
    """Fix the normalisation of an image from the counts of its values, as `measure_levels` does from its pixels.

    Examples
    --------
    >>> import numpy as np
    >>> levels_of_counts(count_values(np.arange(101, dtype=np.uint8)[None]))
    Levels(black=1.0, white=99.8)
    """
    present = np.flatnonzero(counts)
    if len(present) == 0:
        return None
    up_to = np.cumsum(counts)

    def percentile(share: float) -> float:
        # As numpy interpolates, to the last bit.
        place = share / 100 * float(up_to[-1] - 1)
        below = int(place)
        part = place - below
        ranks = (below, min(below + 1, int(up_to[-1]) - 1))
        lower, upper = (float(np.searchsorted(up_to, rank, side="right")) for rank in ranks)
        return lower + (upper - lower) * part if part < 0.5 else upper - (upper - lower) * (1 - part)

    black, white = (percentile(share) for share in PERCENTILES)
    return checked_levels(black, white, float(present[0]), float(present[-1]))


def check_range(least: float, most: float, dtype: np.dtype[Any]) -> None:
    """Raise `ImageError` if floating-point numbers lie too far apart for one to be taken from another."""
    if most - least > float(np.finfo(dtype).max):
        raise ImageError(f"image values: {least:g} to {most:g} is too wide a range to be normalised")


def checked_levels(black: float, white: float, least: float, most: float) -> Levels | None:
    """Return the percentiles as levels, or where they are equal the least and the most number; None if these are."""
    if white <= black:
        # All but a few pixels are equal: those few are the picture.
        black, white = least, most
    return Levels(black, white) if white > black else None


def normalise(image: NDArray[Any], levels: Levels) -> NDArray[np.float32]:
    """Map black to 0 and white to 1, clipped; any part of an image gives the same numbers as the whole."""
    # Single precision holds all integers of the contract, but not the difference of any two of its own numbers.
    precise: NDArray[np.floating] = image.astype(np.float64 if image.dtype.kind == "f" else np.float32)
    with np.errstate(over="ignore"):  # an outlier may lie infinitely far beyond white
        precise -= levels.black
        precise /= levels.white - levels.black
    np.clip(precise, 0, 1, out=precise)
    return precise.astype(np.float32, copy=False)


def read_image(path: Path) -> ImageFile:
    """Read an image file.

    Axes, channel names and pixel size come from the file's metadata (TIFF, OME-TIFF, ImageJ, SVS). Of a pyramid, the
    full resolution is read.

    Parameters
    ----------
    path
        A file with one of the suffixes `SUFFIXES`.

    Raises
    ------
    ImageError
        If the file is no image, is damaged, or holds a stack or time series.
    OSError
        If it cannot be opened.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ImageError(f"{path}: expected one of {', '.join(SUFFIXES)}, got a file named {path.name!r}")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ImageError(f"{path}: expected a file, got a pipe or device")
    with path.open("rb"):
        pass  # a missing or forbidden file is an OSError, before any codec can blur it
    try:
        if suffix in TIFF_SUFFIXES:
            return _read_tiff(path)
        if suffix == ".npy":
            with path.open("rb") as file:
                return ImageFile(np.lib.format.read_array(file, allow_pickle=False))
        return ImageFile(decode_image(path.read_bytes()))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except Exception as error:  # codecs raise classes of their own for damaged files, and MemoryError for huge ones
        raise ImageError(f"{path}: cannot be read as an image ({type(error).__name__}: {error})") from error


# By what files begin with. Only these codecs see a stranger's bytes, whatever the file's name.
_CODECS = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg8",
    b"\x00\x00\x00\x0cjP": "jpeg2k",
    b"\xff\x4f\xff\x51": "jpeg2k",
    b"RIFF": "webp",
    b"BM": "bmp",
}


def decode_image(content: bytes) -> NDArray[Any]:
    """Decode the bytes of a PNG, JPEG, JPEG 2000, WebP or BMP file; raise `ImageError` for anything else."""
    codec = next((codec for start, codec in _CODECS.items() if content.startswith(start)), None)
    if codec is None:
        raise ImageError("cannot be read as an image: it is empty or does not begin as a known image file does")
    if codec == "jpeg8" and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise ImageError("cannot be read as an image: its end is missing")  # the codec would fill it with grey
    pixels = np.asarray(getattr(imagecodecs, f"{codec}_decode")(content))
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 2 else pixels  # grey and alpha


@dataclass(frozen=True)
class TiffLayout:
    """What a TIFF file says of its first image.

    Attributes
    ----------
    axes, shape
        Without axes of length one, but for Y and X.
    channel_axis
        Where the metadata says the channels are.
    channel_names, mpp
        As in `ImageFile`.
    white_is_zero
        Stored as ink on paper: each bit is to be turned.
    """

    axes: str
    shape: tuple[int, ...]
    channel_axis: int | None
    channel_names: tuple[str, ...]
    mpp: float | None
    white_is_zero: bool


def tiff_layout(file: tifffile.TiffFile) -> TiffLayout:
    """Read what a TIFF file says of its first image; raise `ImageError` if that is no picture of one plane."""
    series = file.series[0]
    kept = [(axis, size) for axis, size in zip(series.axes, series.shape, strict=True) if size > 1 or axis in "YX"]
    axes = "".join(axis for axis, _ in kept)
    extra = axes.replace("Y", "").replace("X", "")
    # Q and I are axes of which the file says nothing: the caller may know them for channels.
    if len(extra) > 1 or extra not in "CSQI":
        raise ImageError(f"expected one plane, got axes {series.axes} of shape {series.shape}; choose one plane first")
    ink = file.pages.first.photometric
    if ink in (tifffile.PHOTOMETRIC.SEPARATED, tifffile.PHOTOMETRIC.CIELAB):
        raise ImageError(
            f"expected grey, RGB or channels, got colours as {tifffile.PHOTOMETRIC(ink).name}; convert it to RGB"
        )
    _check_segments(file)
    names = _channel_names(file, dict(kept).get("C", 1)) if extra in ("", "C") else ()
    return TiffLayout(
        axes,
        tuple(size for _, size in kept),
        axes.find(extra) if extra and extra in "CS" else None,
        names,
        _pixel_size(file),
        white_is_zero=ink == tifffile.PHOTOMETRIC.MINISWHITE and series.dtype.kind in "bu",
    )


def open_tiff(path: Path) -> tifffile.TiffFile:
    """Open a TIFF file; tiles that a slide scanner left out are white."""
    file = tifffile.TiffFile(path)
    if file.is_svs or file.is_philips:
        series = file.series[0]
        if series.dtype.kind == "u":
            series.keyframe.nodata = np.iinfo(series.dtype).max
    return file


def _read_tiff(path: Path) -> ImageFile:
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
    """Yield the pages of the first series that this file holds, unless all of it lies in one piece, uncompressed."""
    series = file.series[0]
    if series.dataoffset is None:
        yield from (page for page in series.pages if page is not None and page.parent is file)


def _check_segments(file: tifffile.TiffFile) -> None:
    """Raise `ImageError` if the file does not list all tiles or strips: tifffile would leave the others empty."""
    for page in _pages_in_pieces(file):
        expected = math.prod(file.series[0].keyframe.chunked)
        if (listed := min(len(page.dataoffsets), len(page.databytecounts))) < expected:
            raise ImageError(f"it is damaged: expected {expected} tiles or strips, the file lists {listed}")


def _check_ends(file: tifffile.TiffFile) -> None:
    """Raise `ImageError` if tiles or strips lie beyond the file's end: some codecs would fill them with grey."""
    for page in _pages_in_pieces(file):
        end = max(offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False))
        if page.compression != tifffile.COMPRESSION.NONE and end > file.filehandle.size:
            raise ImageError(
                f"it is damaged: expected {end} bytes at least, the file ends after {file.filehandle.size}"
            )


def palette(file: tifffile.TiffFile) -> NDArray[np.uint16] | None:
    """Return the colours of which a file's pixels are the numbers; ImageJ's are not, whatever they say."""
    page = file.pages.first
    return page.colormap if page.photometric == tifffile.PHOTOMETRIC.PALETTE and not file.is_imagej else None


def _channel_names(file: tifffile.TiffFile, count: int) -> tuple[str, ...]:
    """Name the channels of an image's own axis of channels, by number where the file does not."""
    names: list[str] = []
    if (pixels := _ome_pixels(file)) is not None:
        names = [channel.get("Name", "") for channel in pixels.iterfind("{*}Channel")]
    elif file.is_imagej and file.imagej_metadata and isinstance(file.imagej_metadata.get("Labels"), list):
        names = file.imagej_metadata["Labels"]
    if len(names) != count:
        names = [""] * count
    return tuple(name or str(number) for number, name in enumerate(names))


def _ome_pixels(file: tifffile.TiffFile) -> ElementTree.Element | None:
    """Return what an OME-TIFF says of its first image."""
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
    """Micrometres per pixel, where the file says so plausibly."""
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
    """Tell how many micrometres a unit is; 0 if that is not known."""
    return _MICROMETRES.get(unit.replace("\\u00B5", "µ").replace("\N{GREEK SMALL LETTER MU}", "µ"), 0.0)


def plausible_pixel_size(size: str | float | None, micrometres: float) -> float | None:
    """Return micrometres per pixel from a size and its unit in micrometres; None if no microscope would have it."""
    try:
        mpp = float(size or 0) * micrometres
    except ValueError:
        return None
    return mpp if 0.01 <= mpp <= 50 else None

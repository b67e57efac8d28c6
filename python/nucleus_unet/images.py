"""Images as people have them: checked against the contract, read from files, normalised.

An image is (H, W), or (H, W, C) with one, three or four channels (alpha is ignored), of bool, uint8, uint16, float32
or float64. `channel_axis` and `channel` bring other orders and other numbers of channels to that.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import ArrayLike, NDArray

from nucleus_unet.errors import ImageError

DTYPES = ("bool", "uint8", "uint16", "float32", "float64")
TIFF_SUFFIXES = (".tif", ".tiff", ".svs", ".lsm", ".stk")
SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg", ".jp2", ".webp", ".bmp", ".npy")

# Percentiles that become black and white: robust against hot pixels and dust, and what the network was trained on.
_BLACK, _WHITE = 1.0, 99.8


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
        Empty where the file names none.
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
        Names of the channels, where known.

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
    pixels = np.asarray(image)
    if pixels.dtype.name not in DTYPES:
        raise ImageError(f"image dtype: expected one of {', '.join(DTYPES)}, got {pixels.dtype.name}")
    pixels = _select_channels(pixels, channel_axis, channel, channel_names)
    if pixels.dtype.kind == "f":
        bad = int(pixels.size - np.count_nonzero(np.isfinite(pixels)))
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
        if channel not in (None, 0):
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
    if count in (3, 4):
        return pixels[..., :3]
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
        known = ", ".join(repr(name) for name in names) or "none: give its number"
        raise ImageError(f"channel: no channel is named {channel!r}; the names known are {known}")
    if not 0 <= channel < count:
        raise ImageError(f"channel: expected 0 to {count - 1}, got {channel}")
    return channel


def measure_levels(image: NDArray[Any]) -> Levels | None:
    """Fix the normalisation of an image; None if all its pixels are equal.

    Parameters
    ----------
    image : NDArray[Any]
        As `prepare_image` returns it. Colours share one pair, so that hues stay.
    """
    if image.size == 0:
        return None
    values = image.view(np.uint8) if image.dtype == bool else image
    black, white = (float(level) for level in np.percentile(values, (_BLACK, _WHITE)))
    if white <= black:
        # All but a few pixels are equal: those few are the picture.
        black, white = float(values.min()), float(values.max())
    if not math.isfinite(white - black):
        raise ImageError(f"image values: {black:g} to {white:g} is too wide a range to be normalised")
    return Levels(black, white) if white > black else None


def normalise(image: NDArray[Any], levels: Levels) -> NDArray[np.float32]:
    """Map black to 0 and white to 1, clipped; any part of an image gives the same numbers as the whole."""
    precise: NDArray[np.floating] = image.astype(np.float64 if image.dtype == np.float64 else np.float32)
    # Python numbers take the array's precision.
    scaled = (precise - levels.black) / (levels.white - levels.black)
    result: NDArray[np.float32] = np.clip(scaled, 0, 1).astype(np.float32, copy=False)
    return result


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
    with path.open("rb"):
        pass  # a missing or forbidden file is an OSError, before any codec can blur it
    try:
        if suffix in TIFF_SUFFIXES:
            return _read_tiff(path)
        if suffix == ".npy":
            return ImageFile(np.load(path, allow_pickle=False))
        return ImageFile(np.asarray(imagecodecs.imread(path)))
    except (OSError, MemoryError, ImageError):
        raise
    except Exception as error:  # codecs raise classes of their own for damaged files
        raise ImageError(f"{path}: cannot be read as an image ({type(error).__name__}: {error})") from error


def _read_tiff(path: Path) -> ImageFile:
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        shape = dict(zip(series.axes, series.shape, strict=True))
        pixels, axes = series.asarray(), series.axes
        for axis in [axis for axis in axes if axis not in "YXCS"]:
            if shape[axis] > 1:
                raise ImageError(
                    f"{path}: expected one plane, got axes {axes} of shape {series.shape}; "
                    f"choose one plane along {axis} first"
                )
            pixels, axes = pixels.squeeze(axes.index(axis)), axes.replace(axis, "")
        if "C" in axes and "S" in axes:
            keep, drop = ("S", "C") if shape["C"] == 1 else ("C", "S")
            if shape[drop] > 1:
                raise ImageError(f"{path}: expected one kind of channel, got axes {axes}")
            pixels, axes = pixels.squeeze(axes.index(drop)), axes.replace(drop, "")
            del keep
        channels = axes.find("C") if "C" in axes else axes.find("S")
        return ImageFile(
            pixels,
            channel_axis=channels if channels >= 0 else None,
            channel_names=_channel_names(file),
            mpp=_pixel_size(file),
        )


def _channel_names(file: tifffile.TiffFile) -> tuple[str, ...]:
    if file.is_ome and file.ome_metadata:
        return tuple(re.findall(r'<Channel [^>]*?Name="([^"]*)"', file.ome_metadata))
    if file.is_imagej and file.imagej_metadata:
        labels = file.imagej_metadata.get("Labels", ())
        return tuple(labels) if isinstance(labels, list) else ()
    return ()


_MICROMETRES = {"µm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4}


def _pixel_size(file: tifffile.TiffFile) -> float | None:
    """Micrometres per pixel, where the file says so plausibly."""
    if file.is_ome and file.ome_metadata:
        size = re.search(r'PhysicalSizeX="([^"]+)"', file.ome_metadata)
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', file.ome_metadata)
        factor = _MICROMETRES.get(unit.group(1).replace("\u03bc", "µ"), 0.0) if unit else 1.0
        return _plausible(size.group(1) if size else None, factor)
    if file.is_svs:
        match = re.search(r"MPP\s*=\s*([0-9.]+)", file.pages.first.description)
        return _plausible(match.group(1) if match else None, 1.0)
    if file.is_imagej and file.imagej_metadata:
        factor = _MICROMETRES.get(str(file.imagej_metadata.get("unit", "")).replace("\\u00B5", "µ"), 0.0)
        resolution = file.pages.first.tags.get("XResolution")
        if resolution is not None and resolution.value[0]:
            return _plausible(resolution.value[1] / resolution.value[0], factor)
    return None


def _plausible(size: str | float | None, factor: float) -> float | None:
    try:
        mpp = float(size or 0) * factor
    except ValueError:
        return None
    return mpp if 0.01 <= mpp <= 100 else None

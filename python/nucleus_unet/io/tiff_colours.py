"""What the numbers of a TIFF page mean: its photometric interpretation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.colours import cielab_to_rgb, inks_to_rgb, invert, look_up, ycbcr_to_rgb
from nucleus_unet.io.scene import ALPHA, GREY, RGB, Channel, numbered

_P = tifffile.PHOTOMETRIC
_ASSOCIATED, _UNASSOCIATED = 1, 2  # alpha among ExtraSamples
_CMYK = 1  # InkSet
_WITH_JPEG = (6, 7, 34892, 33007)  # the codec returns red, green and blue


@dataclass(frozen=True)
class PageColours:
    """How the values of a page become those of an image.

    Attributes
    ----------
    samples
        What the values of a pixel are after ``convert``. Empty if there is one value, without an axis.
    dtype
        After ``convert``.
    convert
        Takes and returns pixels, (h, w, samples).
    """

    samples: tuple[Channel, ...]
    dtype: np.dtype[Any]
    convert: Callable[[NDArray[Any]], NDArray[Any]]


def colours_of_page(page: Any, *, kind: str, indices: bool) -> PageColours:
    """Return what the pixels of a page mean.

    Parameters
    ----------
    page
        Of tifffile.
    kind
        ``imagej``: palettes are for display only. ``lsm``: samples are channels, which are read one by one.
    indices
        Whether numbers are wanted as stored: those of a palette, not their colours, and those of which 0 is white.

    Raises
    ------
    ImageError
        If the colours are of an unknown kind.
    """
    meaning, count, dtype = page.photometric, page.samplesperpixel, np.dtype(page.dtype)
    extra = _extra_samples(page)
    if meaning == _P.MINISWHITE and "PhotometricInterpretation" not in page.tags:
        meaning = _P.MINISBLACK  # as Fiji and libtiff take it; tifffile says 0
    if kind == "lsm":
        return PageColours((), dtype, lambda pixels: pixels)
    if indices and meaning not in (_P.RGB, _P.YCBCR):
        return PageColours(() if count == 1 else numbered(count), dtype, lambda pixels: pixels)
    if meaning == _P.PALETTE and kind != "imagej" and page.colormap is not None:
        palette = np.asarray(page.colormap)
        return PageColours(RGB, palette.dtype, lambda pixels: look_up(palette, pixels[..., 0]))
    if meaning == _P.SEPARATED:
        if count < 4 or getattr(page.tags.get("InkSet"), "value", _CMYK) != _CMYK:
            raise ImageError(
                f"expected grey, RGB, CMYK or channels, got {count} inks of another set; convert it to RGB"
            )
        return PageColours(RGB, dtype, inks_to_rgb)
    if meaning in (_P.CIELAB, _P.ICCLAB):
        if count < 3 or dtype.kind not in "ui":
            raise ImageError(f"expected colours as CIE L*a*b* of integers, got {count} samples of {dtype.name}")
        offset = 128 if meaning == _P.ICCLAB else 0
        unsigned = np.dtype(f"u{dtype.itemsize}")
        return PageColours(
            RGB, np.dtype(np.uint8), lambda pixels: cielab_to_rgb(pixels.astype(unsigned), offset=offset)
        )
    if meaning == _P.YCBCR and page.compression not in _WITH_JPEG and count >= 3:
        if dtype != np.uint8 or tuple(page.subsampling or (1, 1)) != (1, 1):
            raise ImageError("expected YCbCr colours of 8 bits without subsampling, or JPEG; convert it to RGB")
        return PageColours(RGB, dtype, ycbcr_to_rgb)
    if meaning in (_P.RGB, _P.YCBCR) and count >= 3:
        rest = tuple(Channel(str(3 + number)) if each.kind != "alpha" else each for number, each in enumerate(extra))
        return PageColours((RGB + rest)[:count], dtype, lambda pixels: pixels)
    if meaning in (_P.MINISBLACK, _P.MINISWHITE, _P.PALETTE, _P.RGB, _P.MASK, _P.LINEAR_RAW):
        samples = () if count == 1 else _grey_samples(count, extra)
        if meaning == _P.MINISWHITE:
            return PageColours(samples, dtype, _inverter(samples, dtype, page.bitspersample))
        return PageColours(samples, dtype, lambda pixels: pixels)
    raise ImageError(
        f"expected grey, RGB or channels, got colours as {getattr(meaning, 'name', meaning)}; convert it to RGB"
    )


def _inverter(samples: tuple[Channel, ...], dtype: np.dtype[Any], bits: int) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the ``convert`` of pixels of which 0 is white. Opacity stays as it is."""
    # Of 2, 4, 10 or 12 bits, white is the largest number of these bits, not of the dtype that holds them.
    white = 2**bits - 1 if dtype.kind == "u" and bits < 8 * dtype.itemsize else None

    def convert(pixels: NDArray[Any]) -> NDArray[Any]:
        inverted = invert(pixels) if white is None else (white - pixels).astype(dtype)
        for place, sample in enumerate(samples):
            if sample.kind == "alpha":
                inverted[..., place] = pixels[..., place]
        return inverted

    return convert


def _extra_samples(page: Any) -> tuple[Channel, ...]:
    kinds = page.extrasamples if isinstance(page.extrasamples, tuple) else ()
    return tuple(
        ALPHA[0] if kind in (_ASSOCIATED, _UNASSOCIATED) else Channel(str(number)) for number, kind in enumerate(kinds)
    )


def _grey_samples(count: int, extra: tuple[Channel, ...]) -> tuple[Channel, ...]:
    if len(extra) == count - 1 and any(each.kind == "alpha" for each in extra) and count == 2:
        return GREY + ALPHA
    return numbered(count)

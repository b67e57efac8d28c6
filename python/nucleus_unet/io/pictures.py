"""Read PNG, JPEG, JPEG 2000, WebP, GIF and BMP files, which are decoded as a whole.

Pixels are as stored: an EXIF orientation is not applied, as Fiji, QuPath and napari do not, and an ICC profile neither.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.colours import inks_to_rgb
from nucleus_unet.io.jpeg import end_of_jpeg, segments
from nucleus_unet.io.pixel_size import size_of_dots
from nucleus_unet.io.scene import ALPHA, GREY, RGB, OpenedFile, content_of
from nucleus_unet.io.whole import whole_image

_SAMPLES = {1: GREY, 2: GREY + ALPHA, 3: RGB, 4: RGB + ALPHA}
_METRE = 1e6  # in micrometres
_PALETTE = 3  # colour type of PNG


class _Picture(NamedTuple):
    """A decoded file: its pixels, with frames first if there are several, and what it says of them."""

    pixels: NDArray[Any]
    pixel_size: float | None = None
    exif: bytes = b""
    frames: bool = False
    trailer: int = 0


def open_file(file: Path | BinaryIO, *, indices: bool = False) -> OpenedFile:
    """Open a picture. The frames of an animation are times.

    Raises
    ------
    ImageError
        If it is damaged or cut off.
    """
    content = content_of(file)
    name, picture = _decode(content, indices=indices)
    pixels = picture.pixels
    axes = ("T" if picture.frames else "") + "YXS"[: pixels.ndim - picture.frames]
    warnings = []
    if (turned := _orientation(picture.exif)) != 1:
        warnings.append(
            f"its EXIF orientation, {turned}, is not applied: results lie on the pixels as stored, as Fiji shows them"
        )
    if picture.trailer:
        warnings.append(f"{picture.trailer} bytes after its end are not read")
    return whole_image(
        name,
        pixels,
        axes=axes,
        samples=_SAMPLES.get(pixels.shape[-1] if axes.endswith("S") else 0, ()),
        pixel_size=picture.pixel_size,
        warnings=tuple(warnings),
    )


def _decode(content: bytes, *, indices: bool) -> tuple[str, _Picture]:
    """Return the format and the picture. The first bytes choose the codec."""
    if content.startswith(b"\x89PNG"):
        return "PNG", _decode_png(content, indices=indices)
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG", _decode_jpeg(content)
    if content.startswith(b"RIFF"):
        return "WebP", _decode_webp(content)
    if content.startswith(b"GIF8"):
        return "GIF", _of_frames(imagecodecs.gif_decode(content))
    if content.startswith(b"BM"):
        return "BMP", _Picture(imagecodecs.bmp_decode(content))
    return "JPEG 2000", _Picture(imagecodecs.jpeg2k_decode(content))


def _of_frames(frames: NDArray[Any]) -> _Picture:
    return _Picture(frames, frames=True) if len(frames) > 1 else _Picture(frames[0])


def _decode_png(content: bytes, *, indices: bool) -> _Picture:
    size, exif, frames = None, b"", 1
    for kind, data in _png_chunks(content):
        if kind == b"pHYs" and len(data) == 9 and data[8] == 1:
            size = size_of_dots(int.from_bytes(data[:4], "big"), _METRE)
        elif kind == b"eXIf":
            exif = data
        elif kind == b"acTL":
            frames = int.from_bytes(data[:4], "big")
    if indices and content[25:26] == bytes([_PALETTE]):
        return _Picture(_png_numbers(content), size, exif)
    if frames > 1:
        return _of_frames(imagecodecs.apng_decode(content))._replace(pixel_size=size, exif=exif)
    return _Picture(imagecodecs.png_decode(content), size, exif)


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while len(content) >= position + 8:
        length, kind = int.from_bytes(content[position : position + 4], "big"), content[position + 4 : position + 8]
        yield kind, content[position + 8 : position + 8 + length]
        position += 12 + length


def _png_numbers(content: bytes) -> NDArray[Any]:
    """Return the numbers of a PNG with a palette, by decoding it as a grey one of the same bits."""
    bits = content[24]
    parts = [content[:8]]
    for kind, data in _png_chunks(content):
        if kind in (b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT"):
            continue
        data = data[:9] + b"\0" + data[10:] if kind == b"IHDR" else data
        parts.append(len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big"))
    grey: NDArray[Any] = imagecodecs.png_decode(b"".join(parts))
    return np.asarray(grey // (255 // (2**bits - 1)))  # fewer bits than 8 come spread over 0 to 255


def _decode_jpeg(content: bytes) -> _Picture:
    end = end_of_jpeg(content)
    if end is None:
        raise ImageError("cannot be read as an image: its end is missing")  # the codec would fill it with grey
    size, exif, is_inverted = None, b"", False
    for marker, data in segments(content[:end]):
        if marker == 0xE0 and data.startswith(b"JFIF\0") and len(data) >= 12:
            unit = {1: 25_400.0, 2: 10_000.0}.get(data[7], 0.0)
            size = size_of_dots(int.from_bytes(data[8:10], "big"), unit) if unit else None
        elif marker == 0xE1 and data.startswith(b"Exif\0\0"):
            exif = data[6:]
        elif marker == 0xEE and data.startswith(b"Adobe"):
            is_inverted = True  # Adobe's programs store 255 - ink
    pixels = imagecodecs.jpeg8_decode(content[:end])
    if pixels.ndim == 3 and pixels.shape[-1] == 4:
        pixels = inks_to_rgb(~pixels if is_inverted else pixels)
    return _Picture(pixels, size, exif, trailer=len(content) - end)


def _decode_webp(content: bytes) -> _Picture:
    chunks = dict(_webp_chunks(content))
    exif = chunks.get(b"EXIF", b"").removeprefix(b"Exif\0\0")
    frames = sum(kind == b"ANMF" for kind, _ in _webp_chunks(content))
    if frames > 1:
        pixels = np.stack([imagecodecs.webp_decode(content, index=number) for number in range(frames)])
        return _Picture(pixels, exif=exif, frames=True)
    return _Picture(imagecodecs.webp_decode(content), exif=exif)


def _webp_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12
    while len(content) >= position + 8:
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        yield content[position : position + 4], content[position + 8 : position + 8 + length]
        position += 8 + length + length % 2


def _orientation(exif: bytes) -> int:
    """Return the orientation that EXIF data say, 1 to 8. 1 if they say none or are damaged."""
    if not exif:
        return 1
    try:
        import io

        with tifffile.TiffFile(io.BytesIO(exif)) as file:
            tag = file.pages.first.tags.get("Orientation")
            return int(tag.value) if tag is not None else 1
    except Exception:  # damaged metadata cost the metadata
        return 1

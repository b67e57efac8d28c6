"""Read PNG, JPEG, JPEG 2000, WebP, GIF and BMP files, which are decoded as a whole.

Pixels are as stored: an EXIF orientation is not applied, as Fiji, QuPath and napari do not, and an ICC profile neither.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
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
# JPEG frames with Huffman codes take a bit at least for each block of 8 x 8 pixels.
_HUFFMAN_FRAMES, _JPEG_MOST_PIXELS = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7), 8 * 64
_METRE = 1e6  # in micrometres
_GREY, _PALETTE = 0, 3  # colour types of PNG
_BMP_CORE_HEADER = 12  # bytes of the oldest header, whose numbers are shorter
_BMP_PACKED, _BMP_MOST_PIXELS = (1, 2, 4, 5), 128  # compressions, and the most pixels that a byte of them stands for
_BMP_HEADER_WITH_ALPHA = 56  # bytes; its last four are the bits of the opacity


class _Picture(NamedTuple):
    """A decoded file: its pixels, with frames first if there are several, and what it says of them."""

    pixels: NDArray[Any]
    pixel_size: float | None = None
    exif: bytes = b""
    frames: bool = False
    trailer: bytes = b""


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
        warnings.append(f"its EXIF orientation, {turned}, is not applied: results lie on the pixels as stored")
    if picture.trailer:
        what = "a second picture" if picture.trailer.startswith(b"\xff\xd8\xff") else f"{len(picture.trailer)} bytes"
        warnings.append(f"{what} after its end: not read")
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
        return "BMP", _Picture(_decode_bmp(content))
    return "JPEG 2000", _Picture(imagecodecs.jpeg2k_decode(content))


def _decode_bmp(content: bytes) -> NDArray[Any]:
    """Return the pixels; the fourth value only if the header says which bits are opacity, else they are unused."""
    _check_bmp(content)
    pixels: NDArray[Any] = imagecodecs.bmp_decode(content)
    has_alpha = int.from_bytes(content[14:18], "little") >= _BMP_HEADER_WITH_ALPHA and any(content[66:70])
    return pixels if pixels.ndim == 2 or pixels.shape[-1] < 4 or has_alpha else pixels[..., :3]


def _check_bmp(content: bytes) -> None:
    """Raise `ImageError` if a file is shorter than its header says: the codec would read memory beyond its end."""
    if int.from_bytes(content[14:18], "little") == _BMP_CORE_HEADER:
        width, height, bits, packing = *(int.from_bytes(content[at : at + 2], "little") for at in (18, 20, 24)), 0
    else:
        width, height, bits, packing = (
            int.from_bytes(content[start:stop], "little", signed=True)
            for start, stop in ((18, 22), (22, 26), (28, 30), (30, 34))
        )
    if packing in _BMP_PACKED:
        needed = abs(width * height) // _BMP_MOST_PIXELS
    else:
        needed = int.from_bytes(content[10:14], "little") + (abs(width) * bits + 31) // 32 * 4 * abs(height)
    if width <= 0 or not height or needed > len(content):
        raise ImageError(
            f"it is cut off or damaged: its header says {width} x {height} pixels of {bits} bits, which take at least "
            f"{needed} bytes, and it has {len(content)}"
        )


def _of_frames(frames: NDArray[Any]) -> _Picture:
    if frames.ndim < 4:
        return _Picture(frames)
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
        pixels = imagecodecs.apng_decode(content)
        is_grey = pixels.ndim == 3 and content[25:26] == bytes([_GREY]) and pixels.shape[1:] == _png_shape(content)
        picture = _Picture(pixels, frames=True) if is_grey else _of_frames(pixels)
        return picture._replace(pixel_size=size, exif=exif)
    return _Picture(imagecodecs.png_decode(content), size, exif)


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while len(content) >= position + 8:
        length, kind = int.from_bytes(content[position : position + 4], "big"), content[position + 4 : position + 8]
        yield kind, content[position + 8 : position + 8 + length]
        position += 12 + length


def _png_shape(content: bytes) -> tuple[int, int]:
    return int.from_bytes(content[20:24], "big"), int.from_bytes(content[16:20], "big")


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
        elif marker in _HUFFMAN_FRAMES:
            height, width = (int.from_bytes(data[start : start + 2], "big") for start in (1, 3))
            if height * width > _JPEG_MOST_PIXELS * len(content):
                raise ImageError(
                    f"it is damaged: its header says {width} x {height} pixels, too many for {len(content)} bytes"
                )
    pixels = imagecodecs.jpeg8_decode(content[:end])
    if pixels.ndim == 3 and pixels.shape[-1] == 4:
        pixels = inks_to_rgb(~pixels if is_inverted else pixels)
    return _Picture(pixels, size, exif, trailer=content[end:])


def _decode_webp(content: bytes) -> _Picture:
    chunks = dict(_webp_chunks(content))
    exif = chunks.get(b"EXIF", b"").removeprefix(b"Exif\0\0")
    headers = [data[:16] for kind, data in _webp_chunks(content) if kind == b"ANMF"]
    if len(headers) > 1:
        pixels = _webp_frames(content, headers)
        is_opaque = bool((pixels[..., 3] == np.iinfo(pixels.dtype).max).all())
        return _Picture(pixels[..., :3] if is_opaque else pixels, exif=exif, frames=True)
    return _Picture(imagecodecs.webp_decode(content), exif=exif)


def _webp_frames(content: bytes, headers: Sequence[bytes]) -> NDArray[np.uint8]:
    """Return the frames of an animation, (n, h, w, 4): each is a part that lies on what the one before left.

    ``headers`` are the first 16 bytes of each: place, size, duration, and how it is laid on and taken off.
    """
    frames: list[NDArray[np.uint8]] = []
    canvas: NDArray[np.uint8] | None = None
    for number, header in enumerate(headers):
        left, top, width, height = (int.from_bytes(header[start : start + 3], "little") for start in (0, 3, 6, 9))
        part = slice(2 * top, 2 * top + height + 1), slice(2 * left, 2 * left + width + 1)
        decoded = imagecodecs.webp_decode(content, index=number, hasalpha=True)
        canvas = np.zeros_like(decoded) if canvas is None else canvas
        covers = header[15] & 2
        canvas[part] = decoded[part] if covers else _laid_on(decoded[part], canvas[part])
        frames.append(canvas.copy())
        if header[15] & 1:
            canvas[part] = 0
    return np.stack(frames)


def _laid_on(above: NDArray[np.uint8], below: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Blend colours with alpha, (h, w, 4), over others."""
    opacity, under = above[..., 3:] / 255.0, below[..., 3:] / 255.0 * (1 - above[..., 3:] / 255.0)
    total = opacity + under
    colours = (above[..., :3] * opacity + below[..., :3] * under) / np.where(total > 0, total, 1)
    blended: NDArray[np.uint8] = np.concatenate([colours, total * 255], axis=-1).round().astype(np.uint8)
    return blended


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

"""Mark the pictures that this library writes, so that a later run does not take them for images."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import tifffile

SOFTWARE = "nucleus-unet"

_PNG = b"\x89PNG\r\n\x1a\n"
# The signature, and the chunk that comes first in every PNG.
_PNG_HEADER_BYTES = 8 + 25
# Where a TIFF names its software; the tag is read only if these bytes hold the name.
_START_BYTES = 2**16


def mark_png(content: bytes) -> bytes:
    """Return the bytes of a PNG with a text that names this library as its software.

    Examples
    --------
    >>> import imagecodecs, numpy as np
    >>> png = mark_png(imagecodecs.png_encode(np.zeros((2, 2), np.uint8)))
    >>> imagecodecs.png_decode(png).shape
    (2, 2)
    """
    text = b"tEXt" + b"Software\0" + SOFTWARE.encode()
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return content[:_PNG_HEADER_BYTES] + chunk + content[_PNG_HEADER_BYTES:]


def is_marked(path: Path) -> bool:
    """Whether a file is a PNG or TIFF that this library wrote, by its content. False if it cannot be read."""
    try:
        if not path.is_file():
            return False  # opening a pipe would wait
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
        if SOFTWARE.encode() not in start:
            return False
        if start.startswith(_PNG):
            return b"tEXtSoftware\0" + SOFTWARE.encode() in start
        if start[:2] not in (b"II", b"MM"):
            return False
        with tifffile.TiffFile(path) as tiff:
            tag = tiff.pages.first.tags.get("Software")
            return tag is not None and str(tag.value).strip() == SOFTWARE
    except Exception:  # tifffile raises exceptions of many classes for damaged files, which are told when they are read
        return False

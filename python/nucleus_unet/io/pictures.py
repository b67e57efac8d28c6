"""Read complete image files: PNG, JPEG, JPEG 2000, WebP, BMP, NumPy and TIFF."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.image_file import ImageFile
from nucleus_unet.io.tiff import TIFF_SUFFIXES, read_tiff

SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg", ".jp2", ".webp", ".bmp", ".npy")


def read_image(path: Path) -> ImageFile:
    """Read an image file.

    Axes, channel names and pixel size come from the file's metadata (TIFF, OME-TIFF, ImageJ, SVS). The full resolution
    of a pyramid is read.

    Parameters
    ----------
    path
        Path of a file with one of `SUFFIXES`.

    Raises
    ------
    ImageError
        If the file is not an image, is damaged, or contains a stack or time series.
    OSError
        If the file cannot be opened.
    """
    suffix = path.suffix.lower()
    if not path.exists():
        raise FileNotFoundError(errno.ENOENT, "there is no such file", str(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "expected an image file, got a folder", str(path))
    if suffix not in SUFFIXES:
        raise ImageError(f"{path}: expected a name that ends in one of {', '.join(SUFFIXES)}, got {path.name!r}")
    if not path.is_file():
        raise ImageError(f"{path}: expected a file, got a pipe or device")
    with path.open("rb"):
        pass  # a missing or unreadable file raises an OSError, which a codec might hide
    try:
        if suffix in TIFF_SUFFIXES:
            return read_tiff(path)
        if suffix == ".npy":
            with path.open("rb") as file:
                return ImageFile(np.lib.format.read_array(file, allow_pickle=False))
        return ImageFile(decode_image(path.read_bytes()))
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    except Exception as error:  # codecs raise exceptions of their own classes, and MemoryError for huge images
        raise ImageError(f"{path}: cannot be read as an image ({type(error).__name__}: {error})") from error


# Codecs by the first bytes of files. The name of an untrusted file thus cannot select another codec.
_CODECS = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg8",
    b"\x00\x00\x00\x0cjP": "jpeg2k",
    b"\xff\x4f\xff\x51": "jpeg2k",
    b"RIFF": "webp",
    b"BM": "bmp",
}


def decode_image(content: bytes) -> NDArray[Any]:
    """Decode the bytes of a PNG, JPEG, JPEG 2000, WebP or BMP file. Raise `ImageError` for other content."""
    codec = next((codec for start, codec in _CODECS.items() if content.startswith(start)), None)
    if codec is None:
        raise ImageError("cannot be read as an image: it is empty or does not start like a known image format")
    if codec == "jpeg8" and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise ImageError("cannot be read as an image: its end is missing")  # the codec would fill it with grey
    pixels = np.asarray(getattr(imagecodecs, f"{codec}_decode")(content))
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 2 else pixels  # grey with alpha

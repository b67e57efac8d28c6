"""The one table of file formats. The content of a file decides its format; its name only where the content cannot.

To add a format, write a module as `nucleus_unet.io.scene` describes, and add a line to `FORMATS`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from nucleus_unet.errors import ImageError
from nucleus_unet.io.axes import rename_axes
from nucleus_unet.io.scene import OpenedFile

_LONGEST_START = 512
CONVERT = "if another program opens it, convert it to OME-TIFF (Fiji, QuPath and bfconvert do)"
"""What to do with a file that cannot be read."""


@dataclass(frozen=True)
class Format:
    """A file format and its reader.

    Attributes
    ----------
    name
        Name of the format.
    suffixes
        Lower-case endings of its files' names.
    module
        Module of this package with the function ``open_file(file) -> OpenedFile``. It gets a path, or, if
        ``in_memory``, possibly an open binary file. It is imported when it is needed.
    starts
        What its files begin with: pairs of a position and the bytes there. Empty if only the name tells.
    extra
        The extra of this package that it needs. Empty if none.
    in_parts
        Whether regions are read without the rest of the file.
    in_memory
        Whether a file in memory can be read. False if the reader needs a path, or other files beside it.
    several_files
        Whether other files contain pixels, so that this file alone does not tell whether they changed.
    palettes
        Whether its files may have a palette: ``open_file`` then takes ``indices=True``, for its numbers.
    plain_arrays
        Whether its files may be arrays that say nothing of their axes: ``open_file`` then takes ``axes`` and
        ``channel_axis``.
    searched
        Whether files of this format are images where a folder is searched.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    starts: tuple[tuple[int, bytes], ...] = ()
    extra: str = ""
    in_parts: bool = True
    in_memory: bool = False
    several_files: bool = False
    palettes: bool = False
    plain_arrays: bool = False
    searched: bool = True


def _at_start(*starts: bytes) -> tuple[tuple[int, bytes], ...]:
    return tuple((0, start) for start in starts)


_TIFF = _at_start(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Order matters: formats that only the name tells come first, because their files begin like those of other formats.
FORMATS = (
    Format("MRXS (3DHISTECH)", (".mrxs",), "scanners", extra="openslide", several_files=True),
    Format("VMS, VMU (Hamamatsu)", (".vms", ".vmu"), "scanners", extra="openslide", several_files=True, searched=False),
    Format(
        "OME-Zarr, Zarr",
        (".zarr", ".zip", ".ozx"),
        "zarr",
        starts=_at_start(b"PK\3\4", b"PK\5\6"),
        extra="zarr",
        plain_arrays=True,
    ),
    Format(
        "TIFF",
        (".tif", ".tiff", ".svs", ".qptiff", ".lsm", ".stk"),
        "tiff",
        starts=_TIFF,
        in_memory=True,
        palettes=True,
    ),
    Format(
        "NDPI, SCN, BIF (scanners)",
        (".ndpi", ".scn", ".bif", ".svslide"),
        "tiff",
        starts=_TIFF,
        extra="openslide",
        palettes=True,
    ),
    Format("CZI (Zeiss)", (".czi",), "czi", starts=_at_start(b"ZISRAWFILE")),
    Format("LIF (Leica)", (".lif", ".lof"), "lif", starts=_at_start(b"\x70\0\0\0"), extra="lif"),
    Format("DICOM", (".dcm",), "scanners", ((128, b"DICM"),), extra="openslide", several_files=True, searched=False),
    Format(
        "PNG",
        (".png", ".apng"),
        "pictures",
        starts=_at_start(b"\x89PNG"),
        in_parts=False,
        in_memory=True,
        palettes=True,
    ),
    Format("JPEG", (".jpg", ".jpeg"), "pictures", starts=_at_start(b"\xff\xd8\xff"), in_parts=False, in_memory=True),
    Format(
        "JPEG 2000",
        (".jp2", ".j2k"),
        "pictures",
        starts=_at_start(b"\x00\x00\x00\x0cjP", b"\xff\x4f\xff\x51"),
        in_parts=False,
        in_memory=True,
    ),
    # After JPEG 2000, like which old files begin.
    Format("ND2 (Nikon)", (".nd2",), "nd2", starts=_at_start(b"\xda\xce\xbe\x0a", b"\0\0\0\x0cjP"), extra="nd2"),
    Format("WebP", (".webp",), "pictures", starts=((8, b"WEBP"),), in_parts=False, in_memory=True),
    Format("GIF", (".gif",), "pictures", starts=_at_start(b"GIF8"), in_parts=False, in_memory=True),
    Format("BMP", (".bmp",), "pictures", starts=_at_start(b"BM"), in_parts=False, in_memory=True),
    Format("NumPy", (".npy",), "npy", starts=_at_start(b"\x93NUMPY"), in_memory=True, plain_arrays=True),
)

SUFFIXES = tuple(suffix for each in FORMATS for suffix in each.suffixes)
"""Endings of the names of files that can be read."""
SEARCHED_SUFFIXES = tuple(suffix for each in FORMATS if each.searched for suffix in each.suffixes if suffix != ".zip")
"""Endings of the names of files that are images where a folder is searched."""


def find_format(start: bytes, suffix: str, *, is_folder: bool = False) -> Format:
    r"""Return the format of a file.

    Parameters
    ----------
    start
        Its first 512 bytes, or fewer if it is shorter.
    suffix
        Ending of its name, which decides where the content cannot.
    is_folder
        Whether it is a folder, which only Zarr is.

    Raises
    ------
    ImageError
        If it is of no known format.

    Examples
    --------
    >>> find_format(b"\x89PNG", ".jpg").name
    'PNG'
    """
    if is_folder:
        return next(each for each in FORMATS if each.module == "zarr")
    suffix = suffix.lower()
    named = [each for each in FORMATS if suffix in each.suffixes]
    if named and not named[0].starts:
        return named[0]
    for each in [*named, *FORMATS]:
        if any(start[position : position + len(content)] == content for position, content in each.starts):
            return each
    if named:
        raise ImageError(
            f"cannot be read as an image: expected a file of {named[0].name} by its name, but it is empty or does not "
            f"start like a known image format; {CONVERT}"
        )
    raise ImageError(
        f"expected an image, of one of the formats {', '.join(SUFFIXES)}, got content of another format; {CONVERT}"
    )


def read_start(file: Path | BinaryIO) -> bytes:
    """Return the first bytes of a file, as `find_format` takes them."""
    if isinstance(file, Path):
        with file.open("rb") as opened:
            return opened.read(_LONGEST_START)
    file.seek(0)
    start = file.read(_LONGEST_START)
    file.seek(0)
    return start


def open_file(
    file: Path | BinaryIO,
    found: Format,
    *,
    axes: str | None = None,
    channel_axis: int | None = None,
    indices: bool = False,
) -> OpenedFile:
    """Open a file with the reader of its format; see `nucleus_unet.io.source.open_image` for the parameters.

    Raises
    ------
    ImageError
        If it is damaged.
    MissingExtraError
        If the format needs an extra that is not installed.
    """
    if not isinstance(file, Path) and not found.in_memory:
        raise ImageError(f"expected the path of a {found.name} file, which cannot be read from memory")
    reader = importlib.import_module(f"nucleus_unet.io.{found.module}")
    opened: OpenedFile
    if found.plain_arrays:
        opened = reader.open_file(file, axes=axes, channel_axis=channel_axis)
        return opened
    opened = reader.open_file(file, indices=True) if indices and found.palettes else reader.open_file(file)
    return rename_axes(opened, axes, channel_axis)

"""Open TIFF files whose metadata are malformed, elsewhere, or of a file that was renamed."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

import tifffile

from nucleus_unet.errors import ImageError

_BARE_AMPERSAND = re.compile(r"&(?!#?\w+;)")
_IMAGEJ_PLANES = re.compile(r"^images=(\d+)", re.MULTILINE)
# Kinds of files whose metadata tifffile interprets.
_KINDS = ("ome", "imagej", "shaped", "lsm", "stk", "micromanager", "qpi", "svs", "philips", "mmstack", "scanimage")


def open_tiff(file: Path | BinaryIO) -> tuple[tifffile.TiffFile, list[str]]:
    """Open a TIFF file, with what can be used of its metadata.

    OME-XML is repaired where an ampersand stands alone, taken from the companion file that it names, and adapted to a
    file that was renamed. If tifffile cannot interpret metadata of a program, the file is opened without them.

    Returns
    -------
    TiffFile
        Open.
    list of str
        What could not be used of the metadata.

    Raises
    ------
    ImageError
        If a page is followed by itself or by an earlier one, or if the file lacks pages of which its metadata speak.
    """
    opened = tifffile.TiffFile(file)
    with _closed_on_error(opened):
        _check_order(opened)
    opened, warnings = _with_ome(opened, file)
    try:
        _check_shapes(opened)
    except Exception as error:  # tifffile raises exceptions of many classes for malformed metadata
        without: dict[str, Any] = {f"is_{kind}": False for kind in _KINDS}
        plain = tifffile.TiffFile(file, **without)
        try:
            _ = plain.series
        except Exception:
            plain.close()
            raise
        opened.close()
        warnings.append(f"its metadata are malformed and not used ({type(error).__name__}: {error})")
        opened = plain
    with _closed_on_error(opened):
        _check_pages(opened, warnings)
    return opened, warnings


@contextmanager
def _closed_on_error(opened: tifffile.TiffFile) -> Iterator[None]:
    try:
        yield
    except BaseException:
        opened.close()
        raise


def _check_order(opened: tifffile.TiffFile) -> None:
    """Raise `ImageError` if the pages of a file follow each other in a circle: tifffile would never reach an end."""
    offset, earlier = opened.pages.first.offset, set[int]()
    while offset:
        if offset in earlier:
            raise ImageError("it is damaged: its pages follow each other in a circle")
        earlier.add(offset)
        try:
            offset = _page_after(opened, offset)
        except struct.error:  # the page lies beyond the end of the file, and tifffile stops there
            return


def _check_shapes(opened: tifffile.TiffFile) -> None:
    """Raise `ValueError` if a program's metadata speak of more values than a file contains that is not cut off."""
    for series in opened.series:
        bytes_of_series = series.size * series.dtype.itemsize if series.dataoffset is not None else 0
        end = (series.dataoffset or 0) + bytes_of_series
        if end > series.keyframe.parent.filehandle.size and len(opened.pages) == 1 and not _next_page(opened):
            raise ValueError(f"they say that the shape is {series.shape}, the file is shorter")


def _next_page(opened: tifffile.TiffFile) -> int:
    """Return where the page after the last one that was found begins, as that page says; 0 if it is the last."""
    return _page_after(opened, opened.pages[len(opened.pages) - 1].offset)


def _planes_said(description: str) -> int:
    """Return the number of planes of the largest image that a description by OME or ImageJ speaks of; else 0."""
    if "<OME" not in description:
        found = _IMAGEJ_PLANES.search(description) if description.startswith("ImageJ=") else None
        return int(found[1]) if found else 0
    root = _parse(description, [])
    if root is None or root.find(".//{*}UUID") is not None:  # planes may lie in other files
        return 0
    counts = [0]
    for pixels in root.iterfind(".//{*}Pixels"):
        sizes = [pixels.get(name, "1") for name in ("SizeZ", "SizeT")]
        if all(map(str.isdecimal, sizes)):
            counts.append(len(pixels.findall("{*}Channel")) * math.prod(map(int, sizes)))
    return max(counts)


def _count_tags(opened: tifffile.TiffFile, offset: int) -> int:
    """Return the number of tags of a page, and seek to the first of them."""
    opened.filehandle.seek(offset)
    count: int = struct.unpack(opened.tiff.tagnoformat, opened.filehandle.read(opened.tiff.tagnosize))[0]
    return count


def _page_after(opened: tifffile.TiffFile, offset: int) -> int:
    """Return where the page after the one at an offset begins; 0 if it is the last."""
    tiff, handle = opened.tiff, opened.filehandle
    handle.seek(_count_tags(opened, offset) * tiff.tagsize, 1)
    following: int = struct.unpack(tiff.offsetformat, handle.read(tiff.offsetsize))[0]
    return following


def ome_of(opened: tifffile.TiffFile, file: Path) -> ElementTree.Element | None:
    """Return the OME-XML of a file, from the companion file if it names one. None if there is none that is sound."""
    text, warnings = opened.pages.first.description, list[str]()
    root = _parse(text, warnings) if "<OME" in text else None
    if root is not None and (reference := root.find("{*}BinaryOnly")) is not None:
        return _companion(file.parent / reference.get("MetadataFile", ""), warnings)
    return root


def _with_ome(opened: tifffile.TiffFile, file: Path | BinaryIO) -> tuple[tifffile.TiffFile, list[str]]:
    text = opened.pages.first.description
    if "<OME" not in text:
        return opened, []
    warnings: list[str] = []
    root = _parse(text, warnings)
    if root is None:
        return opened, warnings
    changed = bool(warnings)
    if isinstance(file, Path):
        if (reference := root.find("{*}BinaryOnly")) is not None:
            root, changed = _companion(file.parent / reference.get("MetadataFile", ""), warnings), True
            if root is None:
                return opened, warnings
        changed |= _adapt_to_name(root, file)
    if not changed:
        return opened, warnings
    opened.close()
    return tifffile.TiffFile(file, omexml=ElementTree.tostring(root, encoding="unicode")), warnings


def _parse(text: str, warnings: list[str]) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        problem = f"its OME-XML is malformed ({error})"
    try:
        repaired = ElementTree.fromstring(_BARE_AMPERSAND.sub("&amp;", text))
    except ElementTree.ParseError:
        warnings.append(f"{problem} and not used")
        return None
    warnings.append(f"{problem} and was repaired")
    return repaired


def _companion(path: Path, warnings: list[str]) -> ElementTree.Element | None:
    try:
        return _parse(path.read_text(encoding="utf-8"), warnings)
    except (OSError, UnicodeDecodeError) as error:
        warnings.append(f"the file with its metadata, {path.name}, cannot be read ({error})")
        return None


def _adapt_to_name(root: ElementTree.Element, file: Path) -> bool:
    """Adapt the metadata of a renamed file: if all planes lie in one file that does not exist, it is this file.

    Return whether the metadata changed.
    """
    places = root.findall(".//{*}TiffData/{*}UUID")
    names, marks = {each.get("FileName", "") for each in places}, {each.text for each in places}
    if len(names) != 1 or len(marks) != 1 or (file.parent / min(names)).exists() or root.get("UUID") in marks:
        return False
    root.set("UUID", str(marks.pop()))
    return True


def _check_pages(opened: tifffile.TiffFile, warnings: list[str]) -> None:
    """Warn if the file says that it has more pages than it has.

    Raise `ImageError` if, besides, its metadata speak of more planes: a part of a stack would be taken for the whole.
    """
    if _next_page(opened):
        planes, pages = _planes_said(opened.pages.first.description), len(opened.pages)
        if planes > pages:
            raise ImageError(f"it is cut off: it has {pages} of the {planes} planes that it says; copy it again")
        if len(opened.pages.first.tags) < _count_tags(opened, opened.pages.first.offset):
            raise ImageError("it is cut off: its further pages and a part of its metadata are lost; copy it again")
        warnings.append(f"a page after its first {len(opened.pages)} is lost: it may be cut off")
    if opened.is_imagej and opened.imagej_metadata:
        said, pages = opened.imagej_metadata.get("images", 1), len(opened.pages)
        held = sum(1 if each is None else len(each.pages) for each in opened.series)
        if isinstance(said, int) and said > max(pages, held):
            warnings.append(f"it says that it has {said} images, and has {pages}: it may be cut off")

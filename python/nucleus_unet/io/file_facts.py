"""Whether a file is an image, and whether it is still the same, by its name and without reading pixels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from nucleus_unet.io.formats import FORMATS, SEARCHED_SUFFIXES
from nucleus_unet.io.tiff_sets import files_of_set
from nucleus_unet.io.zarr import is_zarr


def is_image(path: Path) -> bool:
    """Whether a path in a searched folder is an image, by its suffix, or by its metadata for a zarr folder."""
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in SEARCHED_SUFFIXES and path.is_file()


def file_facts(path: Path) -> dict[str, object] | None:
    """Return facts that identify an unchanged file or folder without reading its pixels.

    Returns
    -------
    dict or None
        Sizes and modification times, of an OME-TIFF of several files those of all. None for formats that keep pixels
        in other files.
    """
    if any(each.several_files and path.suffix.lower() in each.suffixes for each in FORMATS):
        return None
    if path.is_dir():
        return {"files": _digest(path, path.rglob("*"))}
    if len(others := files_of_set(path) | {path.name}) > 1:
        return {"files": _digest(path.parent, [path.parent / name for name in others])}
    facts = path.stat()
    return {"bytes": facts.st_size, "modified": facts.st_mtime_ns}


def _digest(folder: Path, members: Iterable[Path]) -> str:
    """Return a text that changes with the names, sizes and modification times of files, which may be missing."""
    digest = hashlib.sha256()
    for member in sorted(members):
        facts: os.stat_result | None = None
        if member.exists() or member.is_symlink():
            facts = member.stat() if member.exists() else member.lstat()  # a broken link
        known = (None, None) if facts is None else (facts.st_size, facts.st_mtime_ns)
        digest.update(repr((str(member.relative_to(folder)), *known)).encode())
    return digest.hexdigest()

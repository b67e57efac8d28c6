"""Whether a file is an image, and whether it is still the same, by its name and without reading pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

from nucleus_unet.io.formats import FORMATS, SEARCHED_SUFFIXES
from nucleus_unet.io.zarr import is_zarr


def is_image(path: Path) -> bool:
    """Whether a path in a searched folder is an image, by its suffix, or by its metadata for a zarr folder."""
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in SEARCHED_SUFFIXES and path.is_file()


def file_facts(path: Path) -> dict[str, object] | None:
    """Return facts that identify an unchanged file or folder without reading its pixels.

    Returns
    -------
    dict or None
        Sizes and modification times. None if other files contain the pixels.
    """
    if any(each.several_files and path.suffix.lower() in each.suffixes for each in FORMATS):
        return None
    if path.is_dir():
        digest = hashlib.sha256()
        for member in sorted(path.rglob("*")):
            facts = member.stat() if member.exists() else member.lstat()  # a broken link
            digest.update(repr((str(member.relative_to(path)), facts.st_size, facts.st_mtime_ns)).encode())
        return {"files": digest.hexdigest()}
    facts = path.stat()
    return {"bytes": facts.st_size, "modified": facts.st_mtime_ns}

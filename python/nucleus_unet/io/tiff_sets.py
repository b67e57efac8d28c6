"""Tell which files are one OME-TIFF of several files, so that it is not segmented once for each of them."""

from __future__ import annotations

import functools
from pathlib import Path

import tifffile

from nucleus_unet.io.tiff_open import ome_of

_SUFFIXES = (".ome.tif", ".ome.tiff", ".ome.tf2", ".ome.tf8", ".ome.btf")
# Files whose metadata are kept: each file of a set is asked for by all others, and again when a run is planned.
_KEPT = 2**16


def first_of_set(path: Path) -> Path:
    """Return the file from which an OME-TIFF of several files is read: the first one, by name, that is there.

    It is ``path`` itself if it is no such file, or if the first file does not name the same files as ``path``.
    """
    names = files_of_set(path)
    there = [name for name in sorted(names) if (path.parent / name).exists()]
    if path.name not in there or there[0] == path.name:
        return path
    first = path.parent / there[0]
    return first if files_of_set(first) == names else path


def files_of_set(path: Path) -> frozenset[str]:
    """Return the names of the files with pixels that the metadata of a file name. None of what is no OME-TIFF."""
    if not path.name.lower().endswith(_SUFFIXES):
        return frozenset()
    try:
        facts = path.stat()
    except OSError:
        return frozenset()
    return _named_in(path, facts.st_size, facts.st_mtime_ns)


@functools.lru_cache(_KEPT)
def _named_in(path: Path, _size: int, _modified: int) -> frozenset[str]:
    """Return what `files_of_set` does; size and time tell whether the file is still the one that was read."""
    try:
        with tifffile.TiffFile(path) as opened:
            root = ome_of(opened, path)
    except Exception:  # tifffile raises exceptions of many classes for damaged files, which are told when they are read
        return frozenset()
    if root is None:
        return frozenset()
    names = {each.get("FileName", "") for each in root.iterfind(".//{*}TiffData/{*}UUID")} - {""}
    return frozenset(name for name in names if Path(name).name == name)  # all lie in one folder

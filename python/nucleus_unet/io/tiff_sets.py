"""Tell which files are one OME-TIFF of several files, so that it is not segmented once for each of them."""

from __future__ import annotations

from pathlib import Path

import tifffile

from nucleus_unet.io.tiff_open import ome_of

_SUFFIXES = (".ome.tif", ".ome.tiff", ".ome.tf2", ".ome.tf8", ".ome.btf")


class TiffSets:
    """Reads the metadata of each file once."""

    def __init__(self) -> None:
        self._files: dict[Path, frozenset[str]] = {}

    def first_of(self, path: Path) -> Path:
        """Return the file from which an OME-TIFF of several files is read: the first one, by name, that is there.

        It is ``path`` itself if it is no such file, or if the first file does not name the same files as ``path``.
        """
        names = self._named_by(path)
        there = [name for name in sorted(names) if (path.parent / name).exists()]
        if path.name not in there or there[0] == path.name:
            return path
        first = path.parent / there[0]
        return first if self._named_by(first) == names else path

    def _named_by(self, path: Path) -> frozenset[str]:
        if path not in self._files:
            self._files[path] = files_of_set(path)
        return self._files[path]


def files_of_set(path: Path) -> frozenset[str]:
    """Return the names of the files with pixels that the metadata of a file name. None of what is no OME-TIFF."""
    if not path.name.lower().endswith(_SUFFIXES):
        return frozenset()
    try:
        with tifffile.TiffFile(path) as opened:
            root = ome_of(opened, path)
    except Exception:  # tifffile raises exceptions of many classes for damaged files, which are told when they are read
        return frozenset()
    if root is None:
        return frozenset()
    names = {each.get("FileName", "") for each in root.iterfind(".//{*}TiffData/{*}UUID")} - {""}
    return frozenset(name for name in names if Path(name).name == name)  # all lie in one folder

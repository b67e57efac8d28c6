"""Write the outlines of a slide's nuclei for QuPath: GeoJSON files of a size that QuPath can open."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count, takewhile
from pathlib import Path

from nucleus_unet.exports.geojson import CollectionWriter, open_collection, table_features
from nucleus_unet.exports.nucleus_table import NucleusTable

# Text bytes of one file before compression, about 250,000 nuclei. QuPath parses a file into a tree that needs many
# times the memory of the text. Files of this size fit into the memory of a laptop.
MAX_FILE_BYTES = 2**28


class OutlineWriter:
    """Writes detections to ``nuclei.geojson``, ``nuclei-2.geojson`` and so on.

    QuPath adds the objects of all files that are dropped on it. The UUIDs of the objects are unique, because they
    derive from the positions of the nuclei.

    Parameters
    ----------
    folder
        Folder for the files. Files of an earlier result are replaced or deleted.
    compressed
        Whether to write ``.geojson.gz``, which QuPath reads since version 0.4.
    """

    def __init__(self, folder: Path, *, compressed: bool) -> None:
        self._folder, self._suffix = folder, ".geojson.gz" if compressed else ".geojson"
        # All files are renamed at the end, the first one last, because a part of a result looks like a complete result.
        self._files = ExitStack()
        self._collection: CollectionWriter
        self.paths: list[Path] = []

    def __enter__(self) -> OutlineWriter:
        self._open_next()
        return self

    def __exit__(self, *error: object) -> None:
        self._files.__exit__(*error)  # type: ignore[arg-type]
        if error[0] is None:
            leftovers = list(takewhile(Path.exists, map(self._path, count(len(self.paths) + 1))))
            for path in reversed(leftovers):  # if this is interrupted, the next writer still finds the remaining files
                path.unlink()

    def add(self, nuclei: NucleusTable) -> None:
        """Add detections."""
        for text in table_features(nuclei):
            if self._collection.size >= MAX_FILE_BYTES:
                self._open_next()
            self._collection.add(text)

    def _open_next(self) -> None:
        self.paths.append(self._path(len(self.paths) + 1))
        self._collection = self._files.enter_context(open_collection(self.paths[-1]))

    def _path(self, number: int) -> Path:
        return self._folder / f"nuclei{f'-{number}' if number > 1 else ''}{self._suffix}"

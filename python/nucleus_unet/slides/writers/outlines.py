"""Outlines of a slide's nuclei for QuPath: GeoJSON, cut into files that it can open."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, takewhile
from pathlib import Path
from typing import BinaryIO, Protocol

from nucleus_unet.exports.geojson import HEAD, TAIL, features
from nucleus_unet.exports.nucleus_table import NucleusTable
from nucleus_unet.io.atomic import written_atomically

# Of a file's text, before compression. QuPath parses a file into one tree, many times the text's size, before it makes
# objects of it; with 2^28 bytes (some 250,000 nuclei) that fits a laptop's memory, and most slides are one file.
SHARD_BYTES = 2**28
# Of gzip: at its utmost it took half of the whole pass, for files hardly smaller.
_EFFORT = 5
# Bytes that are compressed together.
_TOGETHER = 2**16


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


class OutlineWriter:
    """Writes detections to ``nuclei.geojson``, and what does not fit to ``nuclei-2.geojson`` and so on.

    QuPath adds the objects of every file that is dropped on it. Their UUIDs differ, as they derive from where the
    nuclei lie.

    Parameters
    ----------
    folder
        For the files; equally named ones are replaced, and further ones of an earlier, larger result deleted.
    compressed
        Write ``.geojson.gz``, as QuPath reads since version 0.4.
    """

    def __init__(self, folder: Path, *, compressed: bool) -> None:
        self._folder, self._suffix = folder, ".geojson.gz" if compressed else ".geojson"
        # They take their names in the end, the first one last: a part of a result looks like a whole one.
        self._files = ExitStack()
        self._file: _Writable
        self._bytes = 0
        self.paths: list[Path] = []

    def __enter__(self) -> OutlineWriter:
        self._begin()
        return self

    def __exit__(self, *error: object) -> None:
        self._files.__exit__(*error)  # type: ignore[arg-type]
        if error[0] is None:
            leftovers = list(takewhile(Path.exists, map(self._path, count(len(self.paths) + 1))))
            for path in reversed(leftovers):  # if this is cut short, the next writer finds what is left
                path.unlink()

    def add(self, nuclei: NucleusTable) -> None:
        """Add detections."""
        texts = features(nuclei.outline, area=nuclei.area, intensity=nuclei.intensity, probability=nuclei.probability)
        for text in texts:
            if self._bytes >= SHARD_BYTES:
                self._begin()
            self._bytes += self._file.write((b"," if self._bytes else b"") + text)

    def _begin(self) -> None:
        self.paths.append(self._path(len(self.paths) + 1))
        self._file = self._files.enter_context(_collection(self.paths[-1]))
        self._bytes = 0

    def _path(self, number: int) -> Path:
        return self._folder / f"nuclei{f'-{number}' if number > 1 else ''}{self._suffix}"


@contextmanager
def _collection(path: Path) -> Iterator[_Writable]:
    """Open a FeatureCollection to be written feature by feature."""
    with written_atomically(path) as file, _opened(path, file) as text:
        text.write(HEAD)
        yield text
        text.write(TAIL)


@contextmanager
def _opened(path: Path, file: BinaryIO) -> Iterator[_Writable]:
    if path.suffix == ".gz":
        # Features are gathered: each call of a `GzipFile` takes its time.
        with (
            gzip.GzipFile(filename="", mode="wb", compresslevel=_EFFORT, fileobj=file, mtime=0) as compressed,
            io.BufferedWriter(compressed, _TOGETHER) as pieces,
        ):
            yield pieces
    else:
        yield file

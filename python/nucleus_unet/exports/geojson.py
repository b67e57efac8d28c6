"""GeoJSON (RFC 7946) of detections or cells, in the form that QuPath reads and writes."""

from __future__ import annotations

import gzip
import io
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.classifier.classes import Classes
from nucleus_unet.exports.nucleus_table import NucleusTable
from nucleus_unet.io.atomic import write_atomically, written_atomically

# The id of a nucleus derives from the position of its first vertex, so that equal results give equal files.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "nucleus-unet")

Polygons = Sequence[Sequence[NDArray[np.int32]]]
"""Pieces, each an exterior ring and its holes, of (K, 2) vertices (x, y), the last one equal to the first."""

# Level 9 took half of the time of the whole pass and made files that were hardly smaller.
_GZIP_LEVEL = 5
# Bytes that are compressed at a time.
_BUFFER_BYTES = 2**16


HEAD, TAIL = b'{"type":"FeatureCollection","features":[', b"]}"
"""Bytes before and after the comma-separated features of a file."""


class _Writable(Protocol):
    def write(self, data: bytes, /) -> int: ...


def feature_collection(nuclei: NucleusTable) -> bytes:
    """Return a FeatureCollection with one detection or cell for each nucleus."""
    return b"".join([HEAD, b",".join(table_features(nuclei)), TAIL])


def table_features(nuclei: NucleusTable) -> list[bytes]:
    """Return the GeoJSON feature of each nucleus: a cell if the table has cells, else a detection."""
    names = list(nuclei.measures)
    values = np.zeros((len(nuclei), len(names)))
    for place, column in enumerate(nuclei.measures.values()):
        values[:, place] = column
    classes = nuclei.classes
    classified = {} if classes is None else {"classes": classes.index, "classifications": _classifications(classes)}
    return _core.geojson_features(
        nuclei.outline,
        area=nuclei.area,
        intensity=nuclei.intensity,
        probability=np.asarray(nuclei.probability, np.float32),
        quality=np.asarray(nuclei.quality, np.float32),
        namespace=NAMESPACE.bytes,
        cells=nuclei.cell,
        names=[json.dumps(name, ensure_ascii=False) for name in names],
        values=values,
        **classified,  # type: ignore[arg-type]
    )


def _classifications(classes: Classes) -> list[str]:
    """Return the classes as QuPath has them, in JSON."""
    return [json.dumps({"name": kind.name, "color": list(kind.colour)}, ensure_ascii=False) for kind in classes.kinds]


def features(
    outlines: list[bytes],
    *,
    area: NDArray[np.int64],
    intensity: NDArray[np.float64],
    probability: NDArray[np.float32],
    quality: NDArray[np.float32],
) -> list[bytes]:
    """Return the GeoJSON feature of each nucleus.

    Parameters
    ----------
    outlines
        Outlines as well-known binary, from `nucleus_unet._core.contours_wkb`.
    area, intensity, probability, quality
        Columns of `nucleus_unet.Segmentation.table`.
    """
    return _core.geojson_features(
        outlines, area=area, intensity=intensity, probability=probability, quality=quality, namespace=NAMESPACE.bytes
    )


def decode_outlines(outlines: list[bytes]) -> Iterator[Polygons]:
    """Decode well-known binary with the reader that `features` has, by way of GeoJSON.

    Examples
    --------
    >>> (square,) = decode_outlines(_core.contours_wkb(np.ones((1, 1), np.uint32), (0, 0)))
    >>> square[0][0].tolist()
    [[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]]
    """
    count = len(outlines)
    none, nothing = np.zeros(count), np.zeros(count, np.float32)
    for text in features(outlines, area=none.astype(np.int64), intensity=none, probability=nothing, quality=nothing):
        geometry = json.loads(text)["geometry"]
        pieces = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        yield [[np.array(ring, np.int32) for ring in rings] for rings in pieces]


class CollectionWriter:
    """Writes the features of a FeatureCollection one at a time.

    Attributes
    ----------
    size
        Bytes of the features so far, before compression.
    """

    def __init__(self, text: _Writable) -> None:
        self._text, self.size = text, 0

    def add(self, feature: bytes) -> None:
        """Write a feature."""
        self.size += self._text.write((b"," if self.size else b"") + feature)


@contextmanager
def open_collection(path: Path) -> Iterator[CollectionWriter]:
    """Open a FeatureCollection for writing. It is compressed if the name ends in ``.gz``, and appears at the end."""
    with written_atomically(path) as file, _open_text(path, file) as text:
        text.write(HEAD)
        yield CollectionWriter(text)
        text.write(TAIL)


@contextmanager
def _open_text(path: Path, file: BinaryIO) -> Iterator[_Writable]:
    if path.suffix.lower() == ".gz":
        # Features are buffered, because each call of a `GzipFile` is slow.
        with (
            gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0) as compressed,
            io.BufferedWriter(compressed, _BUFFER_BYTES) as buffered,
        ):
            yield buffered
    else:
        yield file


def write_geojson(path: Path, collection: bytes) -> None:
    """Write a FeatureCollection. It is compressed if the name ends in ``.gz``, without a timestamp."""
    write_atomically(path, gzip.compress(collection, mtime=0) if path.suffix.lower() == ".gz" else collection)

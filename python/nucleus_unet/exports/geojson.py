"""Polygons in GeoJSON (RFC 7946), as QuPath reads and writes detections."""

from __future__ import annotations

import gzip
import hashlib
import math
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from nucleus_unet import _core
from nucleus_unet.exports.wkb import first_vertex, is_multipolygon
from nucleus_unet.files import write_atomically

if TYPE_CHECKING:
    from nucleus_unet.segmentation import Segmentation

# Ids derive from where a nucleus begins, so that the same result gives the same file.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "nucleus-unet")

HEAD, TAIL = '{"type":"FeatureCollection","features":[', "]}"
"""What stands before and after a file's features, which commas part."""

_NAMED = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)
_CLASSIFIED = '"properties":{"objectType":"detection","classification":{"name":"Nucleus","color":[255,200,0]}'


def feature_collection(segmentation: Segmentation) -> str:
    """Write a FeatureCollection with one detection for each nucleus."""
    table = segmentation.table
    features = [
        feature(
            outline,
            area=int(table["area"][row]),
            intensity=float(table["intensity"][row]),
            probability=float(table["probability"][row]),
        )
        for row, outline in enumerate(_core.contours_wkb(segmentation.labels, (0, 0)))
    ]
    return HEAD + ",".join(features) + TAIL


def feature(outline: bytes, *, area: int, intensity: float, probability: float) -> str:
    """Write the detection of one nucleus.

    Parameters
    ----------
    outline
        Well-known binary, as `nucleus_unet._core.contours_wkb` makes it.
    area, intensity, probability
        As `nucleus_unet.Segmentation.table` has them.
    """
    kind = "MultiPolygon" if is_multipolygon(outline) else "Polygon"
    # JSON has no infinity, which the mean of numbers beyond single precision is: such a measurement is left out.
    shown = f'"Mean intensity":{round(intensity, 4)},' if math.isfinite(intensity) else ""
    return (
        f'{{"type":"Feature","id":"{_identity(*first_vertex(outline))}",'
        f'"geometry":{{"type":"{kind}","coordinates":{_core.wkb_coordinates(outline)}}},'
        f'{_CLASSIFIED},"measurements":{{"Area px^2":{area},{shown}"Probability":{round(probability, 4)}}}}}}}'
    )


def _identity(x: int, y: int) -> str:
    """Return what ``str(uuid.uuid5(NAMESPACE, f"{x},{y}"))`` does, in a quarter of its time."""
    named = _NAMED.copy()
    named.update(b"%d,%d" % (x, y))
    digest = int.from_bytes(named.digest()[:16], "big")  # of which RFC 9562 sets six bits: version 5, variant 2
    text = f"{digest & ~(0xF << 76 | 0x3 << 62) | 5 << 76 | 0x2 << 62:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def write_geojson(path: Path, collection: str) -> None:
    """Write a FeatureCollection, compressed if the name ends in ``.gz``; the bytes hold no time."""
    content = collection.encode()
    write_atomically(path, gzip.compress(content, mtime=0) if path.suffix.lower() == ".gz" else content)

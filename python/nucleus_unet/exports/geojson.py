"""Polygons in GeoJSON (RFC 7946), as QuPath reads and writes detections."""

from __future__ import annotations

import gzip
import json
import math
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucleus_unet import _core
from nucleus_unet.files import write_atomically

if TYPE_CHECKING:
    from nucleus_unet.segmentation import Segmentation

# Ids derive from where a nucleus begins, so that the same result gives the same file.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "nucleus-unet")


def features(segmentation: Segmentation) -> dict[str, Any]:
    """Make a FeatureCollection with one detection for each nucleus."""
    table = segmentation.table
    outlines = _core.contours(segmentation.labels)
    collection = []
    for row, polygons in enumerate(outlines):
        measurements = {
            "Area px^2": int(table["area"][row]),
            "Mean intensity": round(float(table["intensity"][row]), 4),
            "Probability": round(float(table["probability"][row]), 4),
        }
        rings = [[ring.tolist() for ring in polygon] for polygon in polygons]
        single = len(rings) == 1
        collection.append(
            {
                "type": "Feature",
                "id": str(uuid.uuid5(_NAMESPACE, "{},{}".format(*polygons[0][0][0]))),
                "geometry": {
                    "type": "Polygon" if single else "MultiPolygon",
                    "coordinates": rings[0] if single else rings,
                },
                "properties": {
                    "objectType": "detection",
                    "classification": {"name": "Nucleus", "color": [255, 200, 0]},
                    # JSON has no infinity, which the mean of numbers beyond single precision is.
                    "measurements": {name: value for name, value in measurements.items() if math.isfinite(value)},
                },
            }
        )
    return {"type": "FeatureCollection", "features": collection}


def write_geojson(path: Path, collection: dict[str, Any]) -> None:
    """Write a FeatureCollection, compressed if the name ends in ``.gz``; the bytes hold no time."""
    content = json.dumps(collection, separators=(",", ":"), allow_nan=False).encode()
    write_atomically(path, gzip.compress(content, mtime=0) if path.suffix.lower() == ".gz" else content)

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
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "nucleus-unet")


def features(segmentation: Segmentation) -> dict[str, Any]:
    """Make a FeatureCollection with one detection for each nucleus."""
    table = segmentation.table
    collection = [
        feature(
            [[ring.tolist() for ring in polygon] for polygon in polygons],
            area=int(table["area"][row]),
            intensity=float(table["intensity"][row]),
            probability=float(table["probability"][row]),
        )
        for row, polygons in enumerate(_core.contours(segmentation.labels))
    ]
    return {"type": "FeatureCollection", "features": collection}


def feature(
    polygons: list[list[list[list[int]]]], *, area: int, intensity: float, probability: float
) -> dict[str, Any]:
    """Make the detection of one nucleus.

    Parameters
    ----------
    polygons
        Its pieces, each an exterior ring and holes, of (x, y) vertices.
    area, intensity, probability
        As `nucleus_unet.Segmentation.table` has them.
    """
    measurements = {
        "Area px^2": area,
        "Mean intensity": round(intensity, 4),
        "Probability": round(probability, 4),
    }
    single = len(polygons) == 1
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(NAMESPACE, "{},{}".format(*polygons[0][0][0]))),
        "geometry": {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": polygons[0] if single else polygons,
        },
        "properties": {
            "objectType": "detection",
            "classification": {"name": "Nucleus", "color": [255, 200, 0]},
            # JSON has no infinity, which the mean of numbers beyond single precision is.
            "measurements": {name: value for name, value in measurements.items() if math.isfinite(value)},
        },
    }


def write_geojson(path: Path, collection: dict[str, Any]) -> None:
    """Write a FeatureCollection, compressed if the name ends in ``.gz``; the bytes hold no time."""
    content = json.dumps(collection, separators=(",", ":"), allow_nan=False).encode()
    write_atomically(path, gzip.compress(content, mtime=0) if path.suffix.lower() == ".gz" else content)

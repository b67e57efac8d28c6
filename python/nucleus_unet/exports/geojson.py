"""GeoJSON (RFC 7946) of detections, in the form that QuPath reads and writes."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.io.atomic import write_atomically

# The id of a nucleus derives from the position of its first vertex, so that equal results give equal files.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "nucleus-unet")

HEAD, TAIL = b'{"type":"FeatureCollection","features":[', b"]}"
"""Bytes before and after the comma-separated features of a file."""


def feature_collection(labels: NDArray[np.uint32], table: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a FeatureCollection with one detection for each nucleus.

    Parameters
    ----------
    labels : NDArray[np.uint32] (H, W)
        Label image, 0 background, nuclei 1 to N.
    table
        Columns of `nucleus_unet.Segmentation.table`.
    """
    outlines = _core.contours_wkb(labels, (0, 0))
    probability = np.asarray(table["probability"], np.float32)
    texts = features(outlines, area=table["area"], intensity=table["intensity"], probability=probability)
    return b"".join([HEAD, b",".join(texts), TAIL])


def features(
    outlines: list[bytes],
    *,
    area: NDArray[np.int64],
    intensity: NDArray[np.float64],
    probability: NDArray[np.float32],
) -> list[bytes]:
    """Return the GeoJSON feature of each nucleus.

    Parameters
    ----------
    outlines
        Outlines as well-known binary, from `nucleus_unet._core.contours_wkb`.
    area, intensity, probability
        Columns of `nucleus_unet.Segmentation.table`.
    """
    return _core.geojson_features(
        outlines, area=area, intensity=intensity, probability=probability, namespace=NAMESPACE.bytes
    )


def write_geojson(path: Path, collection: bytes) -> None:
    """Write a FeatureCollection. It is compressed if the name ends in ``.gz``, without a timestamp."""
    write_atomically(path, gzip.compress(collection, mtime=0) if path.suffix.lower() == ".gz" else collection)

"""Marks from the GeoJSON that QuPath exports: objects that have a class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classification.marks import Mark
from nucleus_unet.classifier.classes import Colour
from nucleus_unet.data.geojson import with_children
from nucleus_unet.errors import DataError
from nucleus_unet.io.packed_json import read_packed_json

# What our own exports call nuclei without a class.
_UNCLASSIFIED = "Nucleus"
# Larger than any coordinate of an image.
_MOST = 1e9
_SHOWN_PLANES = 2


def read_qupath(path: Path) -> tuple[list[Mark], dict[str, Colour]]:
    """Read marks from the objects that have a class, and the colours of classes.

    Classes that end in ``*`` are those that QuPath ignores. They and ``Nucleus``, which nuclei without a class have in
    our own exports, are passed over, and so are lines. Children of objects are read, too.

    Raises
    ------
    DataError
        If the file is damaged, or the objects lie on several planes of the image: it does not tell which was segmented.
    """
    content = path.read_bytes()
    try:
        values = read_packed_json(content)
        features = values.get("features", [values]) if isinstance(values, dict) else values
        if not isinstance(features, list):
            raise ValueError("there is no list of features")
    except ValueError as error:
        raise DataError(f"{path}: expected GeoJSON as QuPath exports it, but {error}") from error
    marks: list[Mark] = []
    first: dict[tuple[int, int], str] = {}  # the first feature of each plane
    colours: dict[str, Colour] = {}
    for number, feature in enumerate(with_children(features), start=1):
        told_by = f"{path}: feature {number}"
        try:
            found = list(_marks(feature, told_by, colours))
            if found:
                first.setdefault(_plane(feature), told_by)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise DataError(f"{told_by}: expected an object of QuPath, but {error}") from error
        marks += found
    if len(first) > 1:
        planes = ", and ".join(f"on plane {z} at time {t} ({first[z, t]})" for z, t in sorted(first)[:_SHOWN_PLANES])
        raise DataError(f"{path}: expected objects on one plane of the image, got some {planes}: export those of one")
    return marks, colours


def _marks(feature: Mapping[str, Any], told_by: str, colours: dict[str, Colour]) -> Iterator[Mark]:
    properties = feature.get("properties") or {}
    classification = properties.get("classification")
    name = _name(classification)
    if not name or name == _UNCLASSIFIED or name.endswith("*"):
        return
    if (colour := _colour(classification)) is not None:
        colours.setdefault(name, colour)
    kind = properties.get("objectType") or properties.get("object_type") or feature.get("id")
    single = kind in ("detection", "cell", "PathDetectionObject", "PathCellObject")
    geometry = _geometry(feature)
    for part in geometry["geometries"] if geometry["type"] == "GeometryCollection" else [geometry]:
        shape, coordinates = part["type"], part["coordinates"]
        if shape in ("Point", "MultiPoint"):
            for x, y in _line([coordinates] if shape == "Point" else coordinates).tolist():
                yield Mark(name, told_by, place=(x, y))
        elif shape in ("Polygon", "MultiPolygon"):
            pieces = [coordinates] if shape == "Polygon" else coordinates
            rings = [line for rings in pieces for line in map(_closed, map(_line, rings)) if len(line)]
            if rings:
                yield Mark(name, told_by, rings=rings, single=single)


def _geometry(feature: Mapping[str, Any]) -> Any:
    return feature.get("nucleusGeometry") or feature["geometry"]


def _plane(feature: Mapping[str, Any]) -> tuple[int, int]:
    """Return slice and time point of the image, counted from 0."""
    on = _geometry(feature).get("plane")
    return (int(on.get("z") or 0), int(on.get("t") or 0)) if isinstance(on, dict) else (0, 0)


def _name(classification: Any) -> str:
    """Return the name of a class; parts of it, as of ``Tumor: Positive``, may be a list."""
    if isinstance(classification, str) or classification is None:
        return (classification or "").strip()
    if isinstance(classification.get("names"), list):
        return ": ".join(map(str, classification["names"]))
    return str(classification.get("name") or "").strip()


def _colour(classification: Any) -> Colour | None:
    if isinstance(classification, str):
        return None
    colour = classification.get("color")
    if isinstance(colour, list) and len(colour) == 3:
        red, green, blue = (min(255, max(0, int(part))) for part in colour)
        return red, green, blue
    packed = classification.get("colorRGB")  # of older versions: one number with a sign
    if isinstance(packed, int):
        return (packed >> 16) & 255, (packed >> 8) & 255, packed & 255
    return None


def _line(coordinates: Any) -> NDArray[np.float64]:
    line = np.array([[float(place[0]), float(place[1])] for place in coordinates]).reshape(-1, 2)
    if not (np.abs(line) < _MOST).all():
        raise ValueError("its coordinates are no places")
    return line


def _closed(line: NDArray[np.float64]) -> NDArray[np.float64]:
    return line if not len(line) or (line[0] == line[-1]).all() else np.concatenate([line, line[:1]])

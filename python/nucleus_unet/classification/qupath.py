"""Objects with a class, from the GeoJSON that QuPath exports."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classifier.classes import Colour
from nucleus_unet.errors import DataError
from nucleus_unet.io.unpacking import unpacked

# What our own exports call nuclei without a class.
_UNCLASSIFIED = "Nucleus"
_SUFFIXES = (".geojson", ".json", ".geojson.gz", ".json.gz")
# Larger than any coordinate of an image.
_MOST = 1e9
_SHOWN_PLANES = 2


class QuPathObject(NamedTuple):
    """An object with a class.

    Attributes
    ----------
    name
        Of the class.
    told_by
        Which feature it is, for messages.
    points
        Places (x, y) of an annotation of points.
    rings
        Exterior and holes of all polygons; lines (K, 2).
    single
        Whether it is a detection or a cell. Else it is an annotation.
    plane
        Slice and time point of the image, counted from 0.
    """

    name: str
    told_by: str
    points: Sequence[tuple[float, float]]
    rings: Sequence[NDArray[np.float64]]
    single: bool
    plane: tuple[int, int]


def is_geojson(path: Path) -> bool:
    """Whether the name of a file is that of GeoJSON."""
    return path.name.lower().endswith(_SUFFIXES)


def read_qupath(path: Path) -> tuple[list[QuPathObject], dict[str, Colour]]:
    """Read the objects that have a class, and the colours of classes.

    Classes that end in ``*`` are those that QuPath ignores. They and ``Nucleus``, which nuclei without a class have in
    our own exports, are passed over, and so are lines. Children of objects are read, too.

    Raises
    ------
    DataError
        If the file is damaged, or the objects lie on several planes of the image: it does not tell which was segmented.
    """
    content = path.read_bytes()
    try:
        values = json.loads(unpacked(content))
        features = values.get("features", [values]) if isinstance(values, dict) else values
        if not isinstance(features, list):
            raise ValueError("there is no list of features")
    except (ValueError, EOFError, RecursionError, OSError, zlib.error) as error:
        raise DataError(f"{path}: expected GeoJSON as QuPath exports it, but {error}") from error
    objects: list[QuPathObject] = []
    colours: dict[str, Colour] = {}
    for number, feature in enumerate(_with_children(features), start=1):
        try:
            objects += _objects(feature, f"{path}: feature {number}", colours)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise DataError(f"{path}: feature {number}: expected an object of QuPath, but {error}") from error
    first = {each.plane: each for each in reversed(objects)}
    if len(first) > 1:
        planes = ", and ".join(
            f"on plane {z} at time {t} ({first[z, t].told_by})" for z, t in sorted(first)[:_SHOWN_PLANES]
        )
        raise DataError(f"{path}: expected objects on one plane of the image, got some {planes}: export those of one")
    return objects, colours


def _with_children(features: list[Any]) -> Iterator[Any]:
    """Yield all features, and after each its children."""
    stack = [iter(features)]
    while stack:
        for feature in stack[-1]:
            yield feature
            children = (feature.get("properties") or {}).get("childObjects") if isinstance(feature, dict) else None
            if isinstance(children, list):
                stack.append(iter(children))
                break
        else:
            stack.pop()


def _objects(feature: Mapping[str, Any], told_by: str, colours: dict[str, Colour]) -> Iterator[QuPathObject]:
    properties = feature.get("properties") or {}
    classification = properties.get("classification")
    name = _name(classification)
    if not name or name == _UNCLASSIFIED or name.endswith("*"):
        return
    if (colour := _colour(classification)) is not None:
        colours.setdefault(name, colour)
    kind = properties.get("objectType") or properties.get("object_type") or feature.get("id")
    single = kind in ("detection", "cell", "PathDetectionObject", "PathCellObject")
    geometry = feature.get("nucleusGeometry") or feature["geometry"]
    on = geometry.get("plane")
    plane = (int(on.get("z") or 0), int(on.get("t") or 0)) if isinstance(on, dict) else (0, 0)
    parts = geometry["geometries"] if geometry["type"] == "GeometryCollection" else [geometry]
    for part in parts:
        yield from _part(part, (name, told_by, single, plane))


def _part(geometry: Mapping[str, Any], of: tuple[str, str, bool, tuple[int, int]]) -> Iterator[QuPathObject]:
    name, told_by, single, plane = of
    shape, coordinates = geometry["type"], geometry["coordinates"]
    if shape in ("Point", "MultiPoint"):
        points = _line([coordinates] if shape == "Point" else coordinates)
        yield QuPathObject(name, told_by, [(float(x), float(y)) for x, y in points], [], single, plane)
    elif shape in ("Polygon", "MultiPolygon"):
        pieces = [coordinates] if shape == "Polygon" else coordinates
        rings = [line for rings in pieces for line in map(_closed, map(_line, rings)) if len(line)]
        if rings:
            yield QuPathObject(name, told_by, [], rings, single, plane)


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

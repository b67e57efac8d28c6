"""GeoJSON of QuPath: detections, cells, annotations and their classes.

QuPath writes a FeatureCollection, a bare list of features or one feature, with children of objects inside of them if
asked. Versions before 0.4 name the type of an object in its ``id``. What has no type is an annotation, as in QuPath.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.annotations import Drawing, DrawnObject, Pieces
from nucleus_unet.errors import MaskError
from nucleus_unet.io.packed_json import read_packed_json

_NUCLEI, _CELL, _ANNOTATION = ("detection",), "cell", "annotation"
# Types as versions before 0.4 write them.
_OLD_TYPES = {
    "PathDetectionObject": "detection",
    "PathCellObject": "cell",
    "PathAnnotationObject": "annotation",
    "PathTileObject": "tile",
    "TMACoreObject": "tmaCore",
    "PathRootObject": "root",
}
_NO_NUCLEI = {"tile": "is a tile", "tmaCore": "is a TMA core", "tma_core": "is a TMA core"}
# Largest coordinate in pixels. Larger ones are damage.
_MAX_COORDINATE = 1e9


def read_objects(content: bytes, member: str) -> Drawing:
    """Read GeoJSON.

    Parameters
    ----------
    content, member
        Bytes of the file, which may be compressed by gzip, and its path.

    Returns
    -------
    Drawing
        Detections, nuclei of cells, and annotations. What has no area or is not valid is left out, with the reason.

    Raises
    ------
    MaskError
        The file is not GeoJSON.

    Examples
    --------
    >>> import json
    >>> square = {"type": "Polygon", "coordinates": [[[0, 0], [0, 2], [2, 2], [2, 0], [0, 0]]]}
    >>> feature = {"type": "Feature", "geometry": square, "properties": {"classification": {"name": "Ignore*"}}}
    >>> drawing = read_objects(json.dumps([feature]).encode(), "a.geojson")
    >>> drawing.objects[0].title, drawing.objects[0].classes
    ('a.geojson: object 1', ('Ignore*',))
    """
    objects, unusable = [], []
    for number, feature in enumerate(with_children(_features(_parse(content, member), member)), 1):
        title = f"{member}: object {number}"
        try:
            found = _object(feature, title)
        except MaskError as error:
            unusable.append(f"{title} {error}")
            continue
        if found is not None:
            objects.append(found)
    return Drawing(objects, unusable)


def _parse(content: bytes, member: str) -> Any:
    try:
        return read_packed_json(content)
    except ValueError as error:
        raise MaskError(f"{member}: expected GeoJSON, but {error}") from error


def _features(values: Any, member: str) -> list[Any]:
    match values:
        case list():
            return values
        case {"type": "FeatureCollection", "features": list(features)}:
            return features
        case {"type": str()}:
            return [values]
        case _:
            raise MaskError(f"{member}: expected GeoJSON with features, as QuPath exports them")


def with_children(features: Sequence[Any]) -> Iterator[Any]:
    """Yield all features, and after each its children."""
    stack = [iter(features)]
    while stack:
        for feature in stack[-1]:
            yield feature
            children = _properties(feature).get("childObjects")
            if isinstance(children, list):
                stack.append(iter(children))
                break
        else:
            stack.pop()


def _properties(feature: Any) -> Mapping[str, Any]:
    properties = feature.get("properties") if isinstance(feature, Mapping) else None
    return properties if isinstance(properties, Mapping) else {}


def _object(feature: Any, title: str) -> DrawnObject | None:
    """Return the object of a feature, or None for the root. Raise `MaskError` with what is wrong with it."""
    if not isinstance(feature, Mapping):
        raise MaskError("is no feature")
    if feature.get("type") != "Feature":  # a bare geometry
        feature = {"geometry": feature}
    properties = _properties(feature)
    old = _OLD_TYPES.get(str(feature.get("id")), _ANNOTATION)
    kind = str(properties.get("objectType") or properties.get("object_type") or old)
    if kind == "root":
        return None
    if kind in _NO_NUCLEI:
        raise MaskError(_NO_NUCLEI[kind])
    geometry = feature.get("geometry")
    if kind == _CELL:
        geometry = feature.get("nucleusGeometry")
        if geometry is None:
            raise MaskError("is a cell without a nucleus")
    return DrawnObject(title, _classes(properties), _pieces(geometry), kind not in (*_NUCLEI, _CELL))


def _classes(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the class, of its first part (``Region`` of ``Region: Tumor``) and of the object."""
    match properties.get("classification"):
        case {"names": [*names]}:
            found = names
        case {"name": str(name)} | str(name):
            found = [name, name.partition(":")[0]]
        case _:
            found = []
    return tuple(dict.fromkeys(str(each) for each in [*found, properties.get("name")] if each))


def _pieces(geometry: Any) -> Pieces:
    if not isinstance(geometry, Mapping):
        raise MaskError("has no geometry")
    plane = geometry.get("plane")
    depth, time = (plane.get(axis) or 0 for axis in "zt") if isinstance(plane, Mapping) else (0, 0)
    if depth or time:
        raise MaskError(f"lies on another plane of the image (z {depth}, t {time})")
    pieces: list[list[NDArray[np.float64]]] = []
    pending = [geometry]
    while pending:
        match pending.pop(0):
            case {"type": "Polygon", "coordinates": coordinates}:
                pieces += _with_area([coordinates])
            case {"type": "MultiPolygon", "coordinates": coordinates}:
                pieces += _with_area(coordinates)
            case {"type": "GeometryCollection", "geometries": list(geometries)}:
                pending += geometries
    if not pieces:
        raise MaskError(f"has no area, it is a {geometry.get('type')}")
    return pieces


def _with_area(polygons: Any) -> Iterator[list[NDArray[np.float64]]]:
    """Yield the rings of each polygon, without rings of one or two points, which a stray click leaves."""
    for rings in _list(polygons):
        exterior, *holes = [_ring(ring) for ring in _list(rings)] or [np.empty((0, 2))]
        if len(exterior) > 2:
            yield [exterior, *(hole for hole in holes if len(hole) > 2)]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise MaskError("has coordinates that are no lists of points")
    return value


def _ring(ring: Any) -> NDArray[np.float64]:
    try:
        points = np.array([point[:2] for point in _list(ring)], np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        raise MaskError("has coordinates that are no points (x, y)") from None
    if not (np.abs(points) < _MAX_COORDINATE).all():
        raise MaskError("has a coordinate that is no place in an image")
    return points[:-1] if len(points) > 1 and (points[0] == points[-1]).all() else points

"""Regions to which a run is limited: GeoJSON polygons in pixels of the full resolution, as QuPath exports them.

A nucleus is reported if its centre lies in a region or on its border. It is reported completely. The tiles to predict
are chosen by the cells that a region touches. The nuclei are chosen by the exact region, with the predicates of GEOS.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require
from nucleus_unet.io.packed_json import read_packed_json
from nucleus_unet.slides.tissue_mask import TissueMask

if TYPE_CHECKING:
    from shapely import Geometry

logger = logging.getLogger(__name__)

_TYPES = ("Polygon", "MultiPolygon")
# Largest coordinate in pixels. The squares of much larger numbers overflow.
_MAX_COORDINATE = 1e12


def read_roi(roi: Path | str | Mapping[str, Any] | Sequence[Any]) -> Geometry:
    """Read regions and return their union. What has no area, such as points and lines, is passed over and logged.

    Parameters
    ----------
    roi
        Path of a GeoJSON file (``.gz`` too), or its content: polygons with or without holes, as geometries or as
        features. Coordinates are (x, y) in pixels of the slide.

    Raises
    ------
    SettingsError
        If the content is not GeoJSON, or if nothing in it has an area.
    MissingExtraError
        If the ``roi`` extra is not installed.
    OSError
        If the file cannot be opened.
    """
    shapely = _shapely()
    where, values = "roi", roi
    if isinstance(roi, Path | str):
        where = f"roi: {roi}"
        values = _read_json(Path(roi), where)
    areas: list[Geometry] = []
    passed_over: list[str] = []
    for name, value in _geometries(values, where):
        area = _area(value, f"{where}: {name}")
        if isinstance(area, str):
            passed_over.append(f"{name} {area}")
        else:
            areas.append(area)
    if not areas:
        got = "; ".join(passed_over[:5]) or "none"
        raise SettingsError(f"{where}: expected regions with an area (Polygon or MultiPolygon), got {got}")
    if passed_over:
        logger.warning("%s: %d parts have no area and are passed over: %s", where, len(passed_over), passed_over[0])
    union: Geometry = shapely.normalize(shapely.union_all(areas))
    return union


def _read_json(path: Path, where: str) -> Any:
    if not path.exists():
        raise FileNotFoundError(f"roi: there is no file {path}")
    content = path.read_bytes()
    try:
        return read_packed_json(content)
    except ValueError as error:
        raise SettingsError(f"{where}: expected GeoJSON, but {error}") from error


def _geometries(values: Any, where: str) -> list[tuple[str, Any]]:
    """Return the geometries, each with its name for messages."""
    if isinstance(values, list):  # a list of features, as older versions of QuPath write it
        values = {"type": "FeatureCollection", "features": values}
    match values:
        case {"type": "FeatureCollection", "features": list(features)}:
            named = [(f"feature {number}", _strip_feature(value)) for number, value in enumerate(features, 1)]
        case {"type": str()}:
            named = [("the geometry", _strip_feature(values))]
        case _:
            raise SettingsError(f"{where}: expected GeoJSON with polygons, got {type(values).__name__}")
    return [part for name, value in named for part in _parts(name, value)]


def _strip_feature(value: Any) -> Any:
    return value.get("geometry") if isinstance(value, Mapping) and value.get("type") == "Feature" else value


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the geometries of a collection, or the one geometry."""
    pending = [(name, value)]
    while pending:
        name, value = pending.pop(0)
        match value:
            case {"type": "GeometryCollection", "geometries": list(geometries)}:
                pending += [(f"{name}, geometry {number}", part) for number, part in enumerate(geometries, 1)]
            case _:
                yield name, value


def _area(value: Any, where: str) -> Geometry | str:
    """Return a geometry with an area, or why there is none. Raise `SettingsError` for coordinates that are no place."""
    shapely = _shapely()
    geometry_type = value.get("type") if isinstance(value, Mapping) else None
    if geometry_type not in _TYPES:
        return f"is a {geometry_type}" if isinstance(geometry_type, str) else "has no geometry"
    try:
        with np.errstate(all="ignore"):  # numbers that are not finite are reported below
            geometry: Geometry = shapely.force_2d(shapely.geometry.shape(_without_slivers(value)))
    except (shapely.errors.ShapelyError, ValueError, TypeError, LookupError, OverflowError) as error:
        raise SettingsError(f"{where}: the coordinates are not a {geometry_type}: {error}") from error
    largest = np.abs(shapely.get_coordinates(geometry)).max(initial=0)
    if not largest < _MAX_COORDINATE:
        raise SettingsError(f"{where}: expected coordinates below {_MAX_COORDINATE:g} pixels, got {largest:g}")
    if not geometry.is_valid:  # outlines that cross themselves
        geometry = shapely.make_valid(geometry)
    pieces = shapely.get_parts(geometry)
    with_area = [piece for part in pieces for piece in shapely.get_parts(part) if piece.area]
    return shapely.union_all(with_area) if with_area else f"is a {geometry_type} without an area"


def _without_slivers(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a geometry without rings of one or two points, which a stray click leaves."""
    coordinates: Any = value["coordinates"]
    if value["type"] == "Polygon":
        return {**value, "coordinates": _rings(coordinates)}
    return {**value, "coordinates": [rings for rings in map(_rings, coordinates) if rings]}


def _rings(rings: Any) -> list[Any]:
    if not isinstance(rings, list | tuple) or not all(isinstance(ring, list | tuple) for ring in rings):
        raise TypeError("expected lists of points")
    if not rings:
        return []
    exterior, *holes = rings
    return [exterior, *(hole for hole in holes if len(hole) > 3)] if len(exterior) > 2 else []


class Region:
    """The regions of one slide.

    Parameters
    ----------
    geometry
        Result of `read_roi`.
    shape
        Height and width of the slide.
    side
        Side of a cell of the mask, in pixels of the slide.

    Attributes
    ----------
    mask : TissueMask
        Cells that the regions touch.

    Raises
    ------
    SettingsError
        If no region touches the slide.
    """

    def __init__(self, geometry: Geometry, shape: tuple[int, int], side: int) -> None:
        shapely = _shapely()
        height, width = shape
        if not geometry.intersects(shapely.box(0, 0, width, height)):
            left, top, right, bottom = geometry.bounds
            raise SettingsError(
                f"roi: expected regions on the slide, {width} pixels wide and {height} high, got {left:g} to {right:g} "
                f"across and {top:g} to {bottom:g} down; coordinates are pixels of the full resolution"
            )
        self._geometry = geometry
        shapely.prepare(geometry)
        down, across = (np.arange(0, size, side, dtype=np.float64) for size in shape)
        # The last cells extend beyond the slide, because of rounding at its edges.
        beyond = (np.append(starts[1:], starts[-1] + 2 * side) for starts in (down, across))
        bottoms, rights = beyond
        rows = [
            shapely.intersects(geometry, shapely.box(across, top, rights, bottom))
            for top, bottom in zip(down, bottoms, strict=True)
        ]
        self.mask = TissueMask(side, np.stack(rows))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the regions, hexadecimal. It does not depend on the order of the polygons."""
        return hashlib.sha256(self._geometry.wkb).hexdigest()

    def contains(self, centres: NDArray[np.int64], scale: float) -> NDArray[np.bool_]:
        """Return which pixels lie in a region, by their centres.

        Parameters
        ----------
        centres : NDArray[np.int64] (N, 2)
            Rows and columns in pixels at the model's scale.
        scale
            Magnification from the slide to the model's scale.

        Returns
        -------
        NDArray[np.bool_] (N,)
        """
        rows, columns = ((centres + 0.5) / scale).T
        inside: NDArray[np.bool_] = _shapely().intersects_xy(self._geometry, columns, rows)
        return inside


def geometry_from_text(text: str) -> Geometry:
    """Return the geometry of a hexadecimal well-known binary text, the inverse of ``wkb_hex``."""
    geometry: Geometry = _shapely().from_wkb(text)
    return geometry


def _shapely() -> Any:
    return require("shapely.geometry", "roi= needs more packages", extra="roi")

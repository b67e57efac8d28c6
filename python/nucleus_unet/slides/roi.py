"""Regions drawn on a slide, as QuPath and other programs export them: GeoJSON, in pixels of the full resolution.

A nucleus is reported, whole, if its centre lies in a region or on its border. Cells that a region touches decide which
tiles are looked at; the region itself, by the exact predicates of GEOS, decides on nuclei.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require
from nucleus_unet.slides.tissue_mask import TissueMask

if TYPE_CHECKING:
    from shapely import Geometry

_KINDS = ("Polygon", "MultiPolygon")
# Pixels from the slide's corner; squares of what is far beyond overflow.
_FARTHEST = 1e12


def read_roi(roi: Path | str | Mapping[str, Any] | Sequence[Any]) -> Geometry:
    """Read drawn regions.

    Parameters
    ----------
    roi
        Path of a GeoJSON file (``.gz`` too), or what is in one: a polygon, several, with holes or without, bare or as
        features, (x, y) in pixels of the slide. Where they overlap they count once.

    Raises
    ------
    SettingsError
        If there is no area in it; the message says what was expected and what came.
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
    geometries = [_geometry(each, f"{where}: {name}") for name, each in _geometries(values, where)]
    areas = [shapely.make_valid(each) if not each.is_valid else each for each in geometries]
    union: Geometry = shapely.normalize(shapely.union_all(areas))
    if not union.area:
        raise SettingsError(f"{where}: expected regions with an area, found none")
    return union


def _read_json(path: Path, where: str) -> Any:
    content = path.read_bytes()
    try:
        return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    except (ValueError, EOFError, RecursionError, gzip.BadGzipFile, zlib.error) as error:
        raise SettingsError(f"{where}: expected GeoJSON, but {error}") from error


def _geometries(values: Any, where: str) -> list[tuple[str, Any]]:
    """List the geometries, with what to call them."""
    if isinstance(values, list):  # of features, as QuPath once wrote them
        values = {"type": "FeatureCollection", "features": values}
    match values:
        case {"type": "FeatureCollection", "features": list(features)}:
            return [(f"feature {number}", _of_feature(each)) for number, each in enumerate(features, 1)]
        case {"type": "GeometryCollection", "geometries": list(geometries)}:
            return [(f"geometry {number}", each) for number, each in enumerate(geometries, 1)]
        case {"type": str()}:
            return [("the geometry", _of_feature(values))]
    raise SettingsError(f"{where}: expected GeoJSON with polygons, got {type(values).__name__}")


def _of_feature(value: Any) -> Any:
    return value.get("geometry") if isinstance(value, Mapping) and value.get("type") == "Feature" else value


def _geometry(value: Any, where: str) -> Geometry:
    shapely = _shapely()
    kind = value.get("type") if isinstance(value, Mapping) else type(value).__name__
    if kind not in _KINDS:
        raise SettingsError(f"{where}: expected a Polygon or MultiPolygon, got {kind}")
    try:
        with np.errstate(all="ignore"):  # numbers that are none are told of below
            geometry: Geometry = shapely.force_2d(shapely.geometry.shape(value))
    except (shapely.errors.ShapelyError, ValueError, TypeError, LookupError, OverflowError) as error:
        raise SettingsError(f"{where}: the coordinates are no {kind}: {error}") from error
    farthest = np.abs(shapely.get_coordinates(geometry)).max(initial=0)
    if not farthest < _FARTHEST:
        raise SettingsError(f"{where}: expected coordinates in pixels, of less than {_FARTHEST:g}, found {farthest:g}")
    return geometry


class Region:
    """Drawn regions of one slide.

    Parameters
    ----------
    geometry
        From `read_roi`.
    shape
        Height and width of the slide.
    side
        Of a cell.

    Attributes
    ----------
    mask : TissueMask
        The cells that the regions touch.

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
        # The last cells take what rounding puts beyond the slide.
        beyond = (np.append(starts[1:], starts[-1] + 2 * side) for starts in (down, across))
        bottoms, rights = beyond
        rows = [
            shapely.intersects(geometry, shapely.box(across, top, rights, bottom))
            for top, bottom in zip(down, bottoms, strict=True)
        ]
        self.mask = TissueMask(side, np.stack(rows))

    @property
    def digest(self) -> str:
        """SHA-256: equal regions have equal ones, in whatever order they were drawn."""
        return hashlib.sha256(self._geometry.wkb).hexdigest()

    def contains(self, centres: NDArray[np.int64], scale: float) -> NDArray[np.bool_]:
        """Tell which pixels at the model's scale, (N, 2) rows and columns, have their middles in a region."""
        rows, columns = ((centres + 0.5) / scale).T
        inside: NDArray[np.bool_] = _shapely().intersects_xy(self._geometry, columns, rows)
        return inside


def geometry_from_text(text: str) -> Geometry:
    """Inverse of a geometry's ``wkb_hex``."""
    geometry: Geometry = _shapely().from_wkb(text)
    return geometry


def _shapely() -> Any:
    return require("shapely.geometry", "drawn regions need more packages", extra="roi")

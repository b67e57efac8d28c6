"""Regions to which a run is limited: GeoJSON polygons in pixels of the full resolution, as QuPath exports them.

A nucleus is reported if its centre lies in a region or on its border. It is reported completely. The tiles to predict
are chosen by the cells that a region touches. The nuclei are chosen by the exact region, with the predicates of GEOS.
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

_TYPES = ("Polygon", "MultiPolygon")
# Largest coordinate in pixels. The squares of much larger numbers overflow.
_MAX_COORDINATE = 1e12


def read_roi(roi: Path | str | Mapping[str, Any] | Sequence[Any]) -> Geometry:
    """Read regions and return their union.

    Parameters
    ----------
    roi
        Path of a GeoJSON file (``.gz`` too), or its content: polygons with or without holes, as geometries or as
        features. Coordinates are (x, y) in pixels of the slide.

    Raises
    ------
    SettingsError
        If the content is not GeoJSON with polygons, or if the regions have no area.
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
    geometries = [_geometry(geometry, f"{where}: {name}") for name, geometry in _geometries(values, where)]
    areas = [shapely.make_valid(geometry) if not geometry.is_valid else geometry for geometry in geometries]
    union: Geometry = shapely.normalize(shapely.union_all(areas))
    if not union.area:
        raise SettingsError(f"{where}: expected regions with an area, got none")
    return union


def _read_json(path: Path, where: str) -> Any:
    content = path.read_bytes()
    try:
        return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    except (ValueError, EOFError, RecursionError, gzip.BadGzipFile, zlib.error) as error:
        raise SettingsError(f"{where}: expected GeoJSON, but {error}") from error


def _geometries(values: Any, where: str) -> list[tuple[str, Any]]:
    """Return the geometries, each with its name for error messages."""
    if isinstance(values, list):  # a list of features, as older versions of QuPath write it
        values = {"type": "FeatureCollection", "features": values}
    match values:
        case {"type": "FeatureCollection", "features": list(features)}:
            return [(f"feature {number}", _strip_feature(value)) for number, value in enumerate(features, 1)]
        case {"type": "GeometryCollection", "geometries": list(geometries)}:
            return [(f"geometry {number}", value) for number, value in enumerate(geometries, 1)]
        case {"type": str()}:
            return [("the geometry", _strip_feature(values))]
    raise SettingsError(f"{where}: expected GeoJSON with polygons, got {type(values).__name__}")


def _strip_feature(value: Any) -> Any:
    return value.get("geometry") if isinstance(value, Mapping) and value.get("type") == "Feature" else value


def _geometry(value: Any, where: str) -> Geometry:
    shapely = _shapely()
    geometry_type = value.get("type") if isinstance(value, Mapping) else type(value).__name__
    if geometry_type not in _TYPES:
        raise SettingsError(f"{where}: expected a Polygon or MultiPolygon, got {geometry_type}")
    try:
        with np.errstate(all="ignore"):  # numbers that are not finite are reported below
            geometry: Geometry = shapely.force_2d(shapely.geometry.shape(value))
    except (shapely.errors.ShapelyError, ValueError, TypeError, LookupError, OverflowError) as error:
        raise SettingsError(f"{where}: the coordinates are not a {geometry_type}: {error}") from error
    largest = np.abs(shapely.get_coordinates(geometry)).max(initial=0)
    if not largest < _MAX_COORDINATE:
        raise SettingsError(f"{where}: expected coordinates below {_MAX_COORDINATE:g} pixels, got {largest:g}")
    return geometry


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

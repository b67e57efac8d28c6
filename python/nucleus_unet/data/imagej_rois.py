"""ROIs of ImageJ and Fiji: a zip of the ROI Manager, or one ``.roi`` file.

Coordinates of areas count from the corners of pixels, as in ImageJ. Polygons, traced and freehand selections,
rectangles, ovals and composites are areas.
"""

from __future__ import annotations

import io
import lzma
import math
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.annotations import Drawing, DrawnObject, Pieces
from nucleus_unet.errors import MaskError
from nucleus_unet.extras import require

# A ROI of more bytes is damage.
_MAX_BYTES = 2**26
# Vertices of an oval for each pixel of its longer side, so that polygon and oval have the same pixels.
_OVAL_VERTICES = 16
# So many leave an oval of 100,000 pixels right to 0.001 of a pixel; a damaged one may have any size.
_MOST_VERTICES = 2**16
# Straight lines that stand for a curve of a composite.
_CURVE_STEPS = 16
_MOVE, _LINE, _QUADRATIC, _CUBIC, _CLOSE = range(5)
_POINTS = {_MOVE: 1, _LINE: 1, _QUADRATIC: 2, _CUBIC: 3, _CLOSE: 0}


def read_objects(content: bytes, member: str) -> Drawing:
    """Read ROIs.

    Parameters
    ----------
    content, member
        Bytes of the file, and its path.

    Returns
    -------
    Drawing
        The areas. Their class is the name of the ROI. Lines, points, other planes and damaged ROIs are left out, with
        the reason.

    Raises
    ------
    MaskError
        The file is no ROI, and no zip of ROIs.
    MissingExtraError
        roifile is missing.
    """
    roifile = require("roifile", "ROIs of ImageJ need roifile", extra="imagej")
    found: list[tuple[DrawnObject, int]] = []
    unusable = []
    for name, data in _files(content, member):
        title = f"{member}: {name}" if name else member
        try:
            found.append(_object(roifile, data, title, name))
        except MaskError as error:
            unusable.append(f"{title} {error}")
    # If all have one slice, it is that of the image, such as of a channel. If not, it is the first.
    others = len({position for _, position in found if position}) > 1
    objects = [each for each, position in found if not others or position <= 1]
    unusable += [
        f"{each.title} lies on another slice of the stack ({position})"
        for each, position in found
        if others and position > 1
    ]
    return Drawing(objects, unusable)


def _files(content: bytes, member: str) -> Iterator[tuple[str, bytes | Exception]]:
    """Yield the name and the content of each ROI, or why it cannot be unpacked."""
    if content.startswith(b"Iout"):
        yield "", content
        return
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError) as error:
        raise MaskError(f"{member}: expected ROIs of ImageJ, but {error}") from error
    with archive:
        names = [info for info in archive.infolist() if info.filename.lower().endswith(".roi")]
        if not names and archive.infolist():
            raise MaskError(f"{member}: expected a zip of ROIs (.roi) of ImageJ, found {archive.namelist()[0]}")
        for info in names:
            data: bytes | Exception
            try:
                if info.file_size >= _MAX_BYTES:
                    raise ValueError(f"it unpacks to more than {_MAX_BYTES >> 20} MB")
                if info.flag_bits & 1:
                    raise ValueError("it is encrypted")
                data = archive.read(info)
            except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
                data = error
            except RuntimeError as error:  # packed by a method of other programs
                data = error
            yield info.filename, data


def _object(roifile: Any, data: bytes | Exception, title: str, name: str) -> tuple[DrawnObject, int]:
    """Return the object of a ROI and its slice, 0 for all."""
    if isinstance(data, Exception):
        raise MaskError(f"is damaged: {data}") from data
    try:
        roi = roifile.ImagejRoi.frombytes(data)
        if max(roi.z_position, roi.t_position) > 1:
            raise MaskError(f"lies on another plane of the image (z {roi.z_position}, t {roi.t_position})")
        pieces = _pieces(roifile.ROI_TYPE, roi)
    except MaskError:
        raise
    except Exception as error:  # damage makes roifile raise exceptions of many classes
        raise MaskError(f"is damaged: {error}") from error
    if any(not np.isfinite(ring).all() for rings in pieces for ring in rings):
        raise MaskError("is damaged: a coordinate is no number")
    file_name = name.rpartition("/")[2].removesuffix(".roi")
    names = tuple(dict.fromkeys(each for each in (roi.name, file_name) if each))
    return DrawnObject(title, names, pieces, True), roi.position


def _pieces(kinds: Any, roi: Any) -> Pieces:
    if roi.multi_coordinates is not None:
        return [[ring for ring in _rings(roi.multi_coordinates.tolist()) if len(ring) > 2]]
    if roi.roitype in (kinds.RECT, kinds.OVAL):
        left, top, right, bottom = roi.left, roi.top, roi.right, roi.bottom
        if roi.subpixelrect:
            left, top, right, bottom = roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd
        corners = [[left, top], [left, bottom], [right, bottom], [right, top]]
        return [[np.array(corners, np.float64) if roi.roitype == kinds.RECT else _oval(left, top, right, bottom)]]
    if roi.roitype not in (kinds.POLYGON, kinds.FREEHAND, kinds.TRACED):
        raise MaskError(f"has no area, it is a {roi.roitype.name.lower()}")
    vertices = np.asarray(roi.coordinates(), np.float64)
    if len(vertices) < 3:
        raise MaskError("has no area, it has fewer than 3 points")
    return [[vertices]]


def _oval(left: float, top: float, right: float, bottom: float) -> NDArray[np.float64]:
    width, height = right - left, bottom - top
    count = min(_MOST_VERTICES, max(64, round(_OVAL_VERTICES * max(width, height))))
    angles = np.linspace(0, 2 * math.pi, count, endpoint=False)
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return unit * [width / 2, height / 2] + [(left + right) / 2, (top + bottom) / 2]


def _rings(path: list[float]) -> Iterator[NDArray[np.float64]]:
    """Yield the rings of a composite: numbers of a path, each step a kind and its points."""
    ring: list[tuple[float, float]] = []
    at = 0
    while at < len(path):
        kind = int(path[at])
        if kind not in _POINTS:
            raise MaskError(f"is damaged: a path has the step {path[at]:g}")
        count = 2 * _POINTS[kind]
        numbers = path[at + 1 : at + 1 + count]
        if len(numbers) < count:
            raise MaskError("is damaged: a path is cut off")
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        if kind == _MOVE:
            yield np.array(ring, np.float64).reshape(-1, 2)
            ring = points
        elif kind == _LINE:
            ring += points
        elif points:
            ring += _curve([ring[-1] if ring else points[0], *points])
        at += 1 + count
    yield np.array(ring, np.float64).reshape(-1, 2)


def _curve(control: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return points of a Bezier curve, without its first."""
    degree = len(control) - 1
    steps = np.arange(1, _CURVE_STEPS + 1)[:, None] / _CURVE_STEPS
    weights = [math.comb(degree, k) * steps**k * (1 - steps) ** (degree - k) for k in range(degree + 1)]
    places = np.hstack(weights) @ np.array(control)
    return [(float(x), float(y)) for x, y in places]

"""ImageJ ROI sets: a zip of one ROI for each nucleus, which the ROI Manager of ImageJ and Fiji opens.

The layout is that of ``ij.io.RoiEncoder`` (version 227). A nucleus in one piece without holes is a traced polygon with
integer vertices on pixel edges. Any other nucleus is a composite ROI. Beyond `_MOST_INTEGER` pixels, vertices are
floating point numbers too, as 16 bits do not hold them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.nucleus_table import NucleusTable
from nucleus_unet.exports.stored_zip import StoredZipWriter

Ring = NDArray[np.float64]

_VERSION = 227
_COMPOSITE, _TRACED = 1, 8
_SUB_PIXEL = 128
# ImageJ reads 16 bits from 60,536 on as negative numbers.
_MOST_INTEGER = 60_535
_MOST_COUNTED = 2**16 - 1
_HEADER_BYTES = 64
_MOVE_TO, _LINE_TO, _CLOSE = 0.0, 1.0, 4.0
# A polygon of well-known binary: byte order, kind, number of rings.
_GEOMETRY = struct.Struct("<BII")
_POLYGON = 3
_COUNT = struct.Struct("<I")


class RoiSetWriter:
    """Writes one ROI for each nucleus, named by its label.

    Parameters
    ----------
    file
        Binary file to write to.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._zip = StoredZipWriter(file)

    def __enter__(self) -> RoiSetWriter:
        self._zip.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._zip.__exit__(*error)

    def add(self, nuclei: NucleusTable) -> None:
        """Write the outline of each nucleus."""
        for label, outline in zip(nuclei.label.tolist(), nuclei.outline, strict=True):
            self._zip.add(f"{label}.roi", encode_roi(outline, str(label)))


def encode_roi(outline: bytes, name: str) -> bytes:
    """Return an outline as the content of a ``.roi`` file.

    Parameters
    ----------
    outline
        From `nucleus_unet._core.contours_wkb`.
    name
        What the ROI Manager shows.

    Examples
    --------
    >>> from nucleus_unet import _core
    >>> (square,) = _core.contours_wkb(np.ones((1, 1), np.uint32), (20, 10))
    >>> encode_roi(square, "1")[:4]
    b'Iout'
    """
    rings = list(_rings(outline))
    corners = np.concatenate(rings)
    left, top = (int(least) for least in corners.min(axis=0))
    right, bottom = (int(most) for most in corners.max(axis=0))
    box = [side & _MOST_COUNTED for side in (top, left, bottom, right)]
    if len(rings) > 1:
        path = np.concatenate([_path(ring) for ring in rings])
        return _file(_COMPOSITE, box, 0, len(path), 0, path.astype(">f4").tobytes(), name)
    vertices = rings[0].T
    content = (vertices - [[left], [top]]).astype(">u2").tobytes()
    beyond = max(right, bottom) > _MOST_INTEGER
    if beyond:
        content += vertices.astype(">f4").tobytes()
    return _file(_TRACED, box, vertices.shape[1], 0, _SUB_PIXEL if beyond else 0, content, name)


def _file(kind: int, box: list[int], count: int, path_length: int, options: int, content: bytes, name: str) -> bytes:
    """Return the first header, the coordinates, the second header and the name."""
    counted = (count, 0) if count <= _MOST_COUNTED else (0, count)
    second = _HEADER_BYTES + len(content)
    return b"".join(
        [
            struct.pack(">4shBx4HHi12x", b"Iout", _VERSION, kind, *box, *counted),
            struct.pack(">hi8xhh4xii", 0, path_length, 0, options, 0, second),
            content,
            struct.pack(">16xii40x", second + _HEADER_BYTES, len(name)),
            name.encode("utf-16-be"),
        ]
    )


def _path(ring: Ring) -> NDArray[np.float64]:
    """Return a ring as the segments of a path, each a kind and its point."""
    kinds = np.full((len(ring), 1), _LINE_TO)
    kinds[0] = _MOVE_TO
    return np.append(np.hstack([kinds, ring]), _CLOSE)


def _rings(outline: bytes) -> Iterator[Ring]:
    """Yield the vertices (x, y) of each ring, without the last one, which repeats the first."""
    _, kind, count = _GEOMETRY.unpack_from(outline)
    at, polygons = (0, 1) if kind == _POLYGON else (_GEOMETRY.size, count)
    for _ in range(polygons):
        _, _, rings = _GEOMETRY.unpack_from(outline, at)
        at += _GEOMETRY.size
        for _ in range(rings):
            (vertices,) = _COUNT.unpack_from(outline, at)
            at += _COUNT.size
            yield np.frombuffer(outline, "<f8", 2 * vertices, at).reshape(-1, 2)[:-1]
            at += 16 * vertices

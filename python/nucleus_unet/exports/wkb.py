"""Decoding of polygons in little-endian well-known binary (WKB, OGC 06-103r4), the encoding of GeoParquet."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MULTIPOLYGON = 6
_HEADER, _COUNT = struct.Struct("<BII"), struct.Struct("<I")

Polygons = Sequence[Sequence[NDArray[np.int32]]]
"""Polygons, each an exterior ring and its holes. A ring has (K, 2) vertices (x, y); the last one equals the first."""


def is_multipolygon(outline: bytes) -> bool:
    """Return whether an outline is a MultiPolygon."""
    return outline[1] == _MULTIPOLYGON


def decode_wkb(data: bytes) -> list[list[NDArray[np.int32]]]:
    """Decode an outline from `nucleus_unet._core.contours_wkb`.

    Examples
    --------
    >>> from nucleus_unet import _core
    >>> (square,) = _core.contours_wkb(np.ones((1, 1), np.uint32), (0, 0))
    >>> decode_wkb(square)[0][0].tolist()
    [[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]]
    """
    _, _, count = _HEADER.unpack_from(data)
    several = is_multipolygon(data)
    position = _HEADER.size if several else 0
    polygons = []
    for _ in range(count if several else 1):
        rings, position = _rings(data, position)
        polygons.append(rings)
    return polygons


def _rings(data: bytes, position: int) -> tuple[list[NDArray[np.int32]], int]:
    _, _, count = _HEADER.unpack_from(data, position)
    position += _HEADER.size
    rings = []
    for _ in range(count):
        (vertices,) = _COUNT.unpack_from(data, position)
        ring = np.frombuffer(data, "<f8", 2 * vertices, position + _COUNT.size)
        rings.append(ring.reshape(-1, 2).astype(np.int32))
        position += _COUNT.size + ring.nbytes
    return rings, position

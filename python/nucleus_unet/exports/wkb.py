"""Polygons as well-known binary (OGC 06-103r4), little-endian: the form in which GeoParquet holds them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_POLYGON, _MULTIPOLYGON = 3, 6
_HEADER, _COUNT = struct.Struct("<BII"), struct.Struct("<I")

Polygons = Sequence[Sequence[NDArray[np.int32]]]
"""Pieces, each an exterior ring and its holes, of (K, 2) vertices (x, y), the last one equal to the first."""


def encode_wkb(polygons: Polygons) -> bytes:
    """Encode one piece as a Polygon, several as a MultiPolygon.

    Parameters
    ----------
    polygons
        Of whole numbers, as `nucleus_unet.masks` traces them.

    Examples
    --------
    >>> square = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]], np.int32)
    >>> len(encode_wkb([[square]]))  # header, number of vertices, vertices
    93
    """
    pieces = [_piece(rings) for rings in polygons]
    return pieces[0] if len(pieces) == 1 else _HEADER.pack(1, _MULTIPOLYGON, len(pieces)) + b"".join(pieces)


def decode_wkb(data: bytes) -> list[list[NDArray[np.int32]]]:
    """Decode what `encode_wkb` made.

    Examples
    --------
    >>> square = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]], np.int32)
    >>> decode_wkb(encode_wkb([[square]]))[0][0].tolist()
    [[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]]
    """
    _, kind, count = _HEADER.unpack_from(data)
    several = kind == _MULTIPOLYGON
    position = _HEADER.size if several else 0
    polygons = []
    for _ in range(count if several else 1):
        rings, position = _rings(data, position)
        polygons.append(rings)
    return polygons


def _piece(rings: Sequence[NDArray[np.int32]]) -> bytes:
    parts = [_HEADER.pack(1, _POLYGON, len(rings))]
    for ring in rings:
        parts += [_COUNT.pack(len(ring)), ring.astype("<f8").tobytes()]
    return b"".join(parts)


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

"""Annotations of one image in COCO's form, nucleus by nucleus (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.geojson import Polygons


class CocoWriter:
    """Writes a table of one image and its instances.

    Outlines are polygons: COCO's run lengths count in 32 bits, which a slide's pixels exceed.

    Parameters
    ----------
    file
        Where to.
    shape
        Height and width of the image.
    name
        Its ``file_name``.
    """

    def __init__(self, file: BinaryIO, *, shape: tuple[int, int], name: str) -> None:
        self._file = file
        self._head = {
            "images": [{"id": 1, "file_name": name, "height": shape[0], "width": shape[1]}],
            "categories": [{"id": 1, "name": "nucleus"}],
        }
        self._count = 0

    def __enter__(self) -> CocoWriter:
        self._file.write(json.dumps(self._head, separators=(",", ":"))[:-1].encode() + b',"annotations":[')
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._file.write(b"]}")

    def add(self, polygons: Polygons, *, area: int, box: tuple[int, int, int, int], probability: float) -> None:
        """Write one instance; they are numbered from 1.

        Parameters
        ----------
        polygons
            Its outline.
        area
            In pixels.
        box
            First row and column, and the row and column after the last ones.
        probability
            Its ``score``.
        """
        self._count += 1
        top, left, bottom, right = box
        annotation = {
            "id": self._count,
            "image_id": 1,
            "category_id": 1,
            "segmentation": [_one_ring(rings).ravel().tolist() for rings in polygons],
            "area": area,
            "bbox": [left, top, right - left, bottom - top],
            "iscrowd": 0,
            "score": round(probability, 4),
        }
        text = json.dumps(annotation, separators=(",", ":"), allow_nan=False)
        self._file.write((b"," if self._count > 1 else b"") + text.encode())


def _one_ring(rings: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Join an exterior and its holes, as COCO's polygons have none.

    From the exterior's first vertex a line leads to each hole and back. What is drawn twice encloses nothing by the
    even-odd rule, which is that of pycocotools.
    """
    exterior, *holes = rings
    if not holes:
        return exterior[:-1]
    return np.concatenate([exterior, *(part for hole in holes for part in (hole, exterior[:1]))])

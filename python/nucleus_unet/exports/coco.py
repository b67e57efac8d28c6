"""COCO annotations of one image, written nucleus by nucleus (https://cocodataset.org/#format-data)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.geojson import Polygons


class CocoWriter:
    """Writes an annotation file of one image and its instances.

    Instances are polygons, as a slide has more pixels than the 32-bit counts of COCO's run-length encoding allow.

    Parameters
    ----------
    file
        Binary file to write to.
    shape
        Height and width of the image in pixels.
    name
        The image's ``file_name``.
    categories
        Names of the categories, which are numbered from 1.
    """

    def __init__(
        self, file: BinaryIO, *, shape: tuple[int, int], name: str, categories: Sequence[str] = ("nucleus",)
    ) -> None:
        self._file = file
        self._head = {
            "images": [{"id": 1, "file_name": name, "height": shape[0], "width": shape[1]}],
            "categories": [{"id": number, "name": each} for number, each in enumerate(categories, start=1)],
        }
        self._count = 0

    def __enter__(self) -> CocoWriter:
        self._file.write(json.dumps(self._head, separators=(",", ":"))[:-1].encode() + b',"annotations":[')
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._file.write(b"]}")

    def add(
        self,
        polygons: Polygons,
        *,
        area: int,
        box: tuple[int, int, int, int],
        score: float,
        category: int = 1,
    ) -> None:
        """Write one instance. Instances are numbered from 1.

        Parameters
        ----------
        polygons
            Outline of the instance.
        area
            Area in pixels.
        box
            First row and column, and the row and column after the last ones.
        score
            How certain the instance is, 0 to 1. COCO's average precision ranks instances by it.
        category
            Number of its category.
        """
        self._count += 1
        top, left, bottom, right = box
        annotation = {
            "id": self._count,
            "image_id": 1,
            "category_id": category,
            "segmentation": [_one_ring(rings).ravel().tolist() for rings in polygons],
            "area": area,
            "bbox": [left, top, right - left, bottom - top],
            "iscrowd": 0,
            "score": round(score, 4),
        }
        text = json.dumps(annotation, separators=(",", ":"), allow_nan=False)
        self._file.write((b"," if self._count > 1 else b"") + text.encode())


def _one_ring(rings: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Join an exterior and its holes into one ring, as COCO polygons cannot have holes.

    A line leads from the exterior's first vertex to each hole and back. By the even-odd rule, which pycocotools uses,
    a line that is drawn twice encloses nothing.
    """
    exterior, *holes = rings
    if not holes:
        return exterior[:-1]
    return np.concatenate([exterior, *(part for hole in holes for part in (hole, exterior[:1]))])

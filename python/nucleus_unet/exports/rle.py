"""Run-length encodings (RLE) in the CSV format of the 2018 Data Science Bowl."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nucleus_unet.exports.geojson import Polygons
from nucleus_unet.io.atomic import write_atomically

_HEADER = ("ImageId", "EncodedPixels")


def write_rle_csv(path: Path, images: Mapping[str, Sequence[str]]) -> None:
    """Write one line for each nucleus. An image without nuclei has a line without pixels, as the contest requires.

    Parameters
    ----------
    path
        Path of the CSV file. An existing file is replaced.
    images
        Encodings of each image, by image id.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    for image_id, encodings in images.items():
        writer.writerows([image_id, encoding] for encoding in (encodings or [""]))
    write_atomically(path, text.getvalue())


class RleCsvWriter:
    """Writes the lines of one image nucleus by nucleus, from their outlines.

    Parameters
    ----------
    file
        Binary file to write to.
    height
        Height of the image in pixels.
    image_id
        Id of the image, for the first column.
    """

    def __init__(self, file: BinaryIO, *, height: int, image_id: str) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._height, self._image_id = height, image_id
        self._empty = True

    def __enter__(self) -> RleCsvWriter:
        self._writer.writerow(_HEADER)
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None and self._empty:
            self._writer.writerow((self._image_id, ""))
        self._text.detach()

    def add(self, polygons: Polygons) -> None:
        """Write the line of one nucleus."""
        self._writer.writerow((self._image_id, encode_outline(polygons, self._height)))
        self._empty = False


def encode_outline(polygons: Polygons, height: int) -> str:
    """Encode the pixels that an outline encloses, in the form of `nucleus_unet.masks.labels_to_kaggle`.

    Parameters
    ----------
    polygons
        Outline along pixel edges: all sides are horizontal or vertical.
    height
        Height of the image in pixels.

    Examples
    --------
    >>> encode_outline([[np.array([[1, 0], [3, 0], [3, 2], [1, 2], [1, 0]], np.int32)]], height=5)
    '6 2 11 2'
    """
    begins, ends = (
        np.concatenate([ring[part] for rings in polygons for ring in rings]).astype(np.int64)
        for part in (slice(-1), slice(1, None))
    )
    level = begins[:, 1] == ends[:, 1]
    left, right = np.minimum(begins, ends)[level, 0], np.maximum(begins, ends)[level, 0]
    lengths = right - left
    columns = np.repeat(left - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
    # Down a column, the crossings of the outline alternately enter and leave the nucleus.
    crossings = np.sort(columns * height + np.repeat(begins[level, 1], lengths))
    starts, stops = crossings[::2], crossings[1::2]
    apart = stops[:-1] != starts[1:]  # a run may continue from the end of a column to the start of the next
    starts, stops = starts[np.append(True, apart)], stops[np.append(apart, True)]
    return " ".join(map(str, np.column_stack([starts + 1, stops - starts]).ravel().tolist()))

"""Run-length encodings in the CSV form of the 2018 Data Science Bowl."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from nucleus_unet.files import write_atomically


def write_rle_csv(path: Path, images: Mapping[str, Sequence[str]]) -> None:
    """Write one line for each nucleus; an image without any keeps a line with no pixels, as the contest asks.

    Parameters
    ----------
    path
        Replaced if it exists.
    images
        Encodings by image id.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["ImageId", "EncodedPixels"])
    for image_id, encodings in images.items():
        writer.writerows([image_id, encoding] for encoding in (encodings or [""]))
    write_atomically(path, text.getvalue())

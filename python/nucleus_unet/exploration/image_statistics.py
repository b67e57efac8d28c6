"""What is known of one image of a labelled set once it has been looked at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from nucleus_unet.data.dataset import Example
from nucleus_unet.exploration.clustering import Look, look
from nucleus_unet.exploration.nucleus_statistics import Nuclei, measure_nuclei
from nucleus_unet.preprocessing.normalisation import normalise, percentile_range


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """What is known of one image.

    Attributes
    ----------
    name, kind, mosaic
        As the example has them.
    height, width, channels
        Of the image.
    dtype
        Of its pixels.
    flat
        Whether all its pixels are equal.
    nuclei
        Every nucleus, measured; brightness is 0 to 1, as the network sees the image.
    look
        What images are clustered by.
    pixels_digest, labels_digest
        Of image and label image: equal if these are.
    """

    name: str
    kind: str
    mosaic: str
    height: int
    width: int
    channels: int
    dtype: str
    flat: bool
    nuclei: Nuclei
    look: Look
    pixels_digest: bytes
    labels_digest: bytes


def examine(example: Example, *, threads: int | None = None) -> ImageFacts:
    """Measure one image and its nuclei.

    Parameters
    ----------
    example
        The image and its label image.
    threads
        Of a kernel; None for all cores.
    """
    image, labels = example.image, example.labels
    levels = percentile_range(image)
    shown = normalise(image, levels) if levels else np.zeros(image.shape, np.float32)
    grey = shown if shown.ndim == 2 else shown.mean(axis=-1)
    nuclei = measure_nuclei(labels, grey, threads=threads)
    return ImageFacts(
        name=example.name,
        kind=example.kind,
        mosaic=example.mosaic,
        height=labels.shape[0],
        width=labels.shape[1],
        channels=1 if image.ndim == 2 else image.shape[2],
        dtype=image.dtype.name,
        flat=levels is None,
        nuclei=nuclei,
        look=look(shown, float(np.median(nuclei.diameter)) if len(nuclei) else None),
        pixels_digest=_digest(image),
        labels_digest=_digest(labels),
    )


def _digest(pixels: np.ndarray) -> bytes:
    header = f"{pixels.dtype.str}{pixels.shape}".encode()
    return hashlib.blake2b(header + np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()

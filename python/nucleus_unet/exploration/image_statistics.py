"""Statistics of one image of a labelled set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nucleus_unet.data.dataset import Example, array_digest
from nucleus_unet.exploration.clustering import ImageFeatures, image_features
from nucleus_unet.exploration.nucleus_statistics import NucleusStatistics, compute_nucleus_statistics
from nucleus_unet.preprocessing.levels import normalise_image


@dataclass(frozen=True, eq=False)
class ImageStatistics:
    """Statistics of one image and its nuclei.

    Attributes
    ----------
    name, category, field_id
        Those of the example.
    height, width, channels
        Size of the image in pixels, and its number of channels.
    dtype
        Name of the image's dtype.
    is_constant
        Whether all pixels are equal.
    nuclei
        Statistics of every nucleus. Intensities are those of the normalised image, 0 to 1.
    features
        Features by which images are clustered.
    image_digest, labels_digest
        Digests of the image and of the label image. Equal arrays have equal digests.
    """

    name: str
    category: str
    field_id: str
    height: int
    width: int
    channels: int
    dtype: str
    is_constant: bool
    nuclei: NucleusStatistics
    features: ImageFeatures
    image_digest: str
    labels_digest: str


def measure_image(example: Example) -> ImageStatistics:
    """Measure one image and its nuclei.

    Parameters
    ----------
    example
        The image and its label image.
    """
    image, labels = example.image, example.labels
    normalised = normalise_image(image)
    grey = normalised if normalised.ndim == 2 else normalised.mean(axis=-1)
    nuclei = compute_nucleus_statistics(labels, grey)
    return ImageStatistics(
        name=example.name,
        category=example.category,
        field_id=example.field_id,
        height=labels.shape[0],
        width=labels.shape[1],
        channels=1 if image.ndim == 2 else image.shape[2],
        dtype=image.dtype.name,
        is_constant=not normalised.any(),
        nuclei=nuclei,
        features=image_features(normalised, grey, float(np.median(nuclei.diameter)) if len(nuclei) else None),
        image_digest=example.digest,
        labels_digest=array_digest(labels),
    )

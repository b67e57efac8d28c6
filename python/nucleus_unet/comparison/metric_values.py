"""The figures that models are compared by, each a quotient of sums over images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nucleus_unet.evaluation.metrics import ImageScore


@dataclass(frozen=True)
class Measured:
    """What a model did on one image.

    Attributes
    ----------
    loss
        Of the network's answer, as in training.
    score
        Of the nuclei found.
    milliseconds
        That finding them took.
    """

    loss: float
    score: ImageScore
    milliseconds: float


@dataclass(frozen=True)
class Figure:
    """A figure, and of what it is made.

    Attributes
    ----------
    title
        Name for people.
    meaning
        How it is defined.
    higher_is_better
        Else lower is.
    parts
        From an image, its share of the dividend and of the divisor.
    """

    title: str
    meaning: str
    higher_is_better: bool
    parts: Callable[[Measured], tuple[float, float]]


def _pooled_ap50(image: Measured) -> tuple[float, float]:
    matched = image.score.matches[0]
    return matched, image.score.truths + image.score.predictions - matched


FIGURES = {
    "loss": Figure("loss", "as in training, mean over images, lower is better", False, lambda image: (image.loss, 1)),
    "pixel_accuracy": Figure(
        "pixel accuracy",
        "share of the pixels, pooled, of which nucleus or not is right",
        True,
        lambda image: (image.score.right_pixels, image.score.pixels),
    ),
    "pooled_ap50": Figure("AP50, pooled", "TP / (TP + FP + FN) at IoU .5, counts added first", True, _pooled_ap50),
    "per_image_ap50": Figure(
        "AP50, per image",
        "the same for each image, then the mean",
        True,
        lambda image: (image.score.average_precision[0], 1),
    ),
    "msa": Figure(
        "mSA",
        "average precision over thresholds .50 to .95, mean over images: the score of the 2018 Data Science Bowl",
        True,
        lambda image: (float(np.mean(image.score.average_precision)), 1),
    ),
}

"""The metrics by which models are compared. Each is a quotient of two sums over images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nucleus_unet.evaluation.metrics import ImageScore


@dataclass(frozen=True)
class ImageResult:
    """A model's result on one image.

    Attributes
    ----------
    loss
        Loss of the network's output, with the standard loss weights.
    score
        Score of the predicted nuclei.
    milliseconds
        Prediction time in milliseconds.
    """

    loss: float
    score: ImageScore
    milliseconds: float


@dataclass(frozen=True)
class Metric:
    """A metric by which models are compared.

    Attributes
    ----------
    title
        Name shown to users.
    meaning
        Definition shown to users.
    higher_is_better
        False if lower values are better.
    terms
        Returns an image's terms of the numerator and of the denominator.
    """

    title: str
    meaning: str
    higher_is_better: bool
    terms: Callable[[ImageResult], tuple[float, float]]


def _pooled_ap50(image: ImageResult) -> tuple[float, float]:
    matched = image.score.matches[0]
    return matched, image.score.truths + image.score.predictions - matched


METRICS = {
    "loss": Metric("loss", "mean over images, lower is better", False, lambda image: (image.loss, 1)),
    "pixel_accuracy": Metric(
        "pixel accuracy",
        "share of the pixels, pooled, that are correctly classified as nucleus or background",
        True,
        lambda image: (image.score.correct_pixels, image.score.pixels),
    ),
    "pooled_ap50": Metric("AP50, pooled", "TP / (TP + FP + FN) at IoU 0.5, of pooled counts", True, _pooled_ap50),
    "per_image_ap50": Metric(
        "AP50, per image",
        "the same for each image, then the mean over images",
        True,
        lambda image: (image.score.average_precision[0], 1),
    ),
    "msa": Metric(
        "mSA",
        "average precision, mean over IoU 0.50 to 0.95 and over images: score of the 2018 Data Science Bowl",
        True,
        lambda image: (float(np.mean(image.score.average_precision)), 1),
    ),
}

"""How well predicted nuclei fit the true ones.

A predicted and a true nucleus *match* at a threshold if their intersection over union reaches it; each takes part in
one match at most. *Average precision* at a threshold is TP / (TP + FP + FN), as in the 2018 Data Science Bowl and in
StarDist (Schmidt et al. 2018); it is published in two conventions, which differ by several percent:

- *pooled*: counts are added over all images first;
- *mean per image*: each image's figure counts alike. An image without true or predicted nuclei scores 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet.masks import OverlapTable, overlap_table

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


@dataclass(frozen=True)
class ImageScore:
    """Counts of one image.

    Attributes
    ----------
    truths, predictions
        Number of true and predicted nuclei.
    matches : tuple of int
        Matches at each of `THRESHOLDS`.
    right_pixels, pixels
        Pixels of which nucleus or not is right, and all of them.
    """

    truths: int
    predictions: int
    matches: tuple[int, ...]
    right_pixels: int
    pixels: int

    @property
    def average_precision(self) -> tuple[float, ...]:
        """TP / (TP + FP + FN) at each of `THRESHOLDS`; 1 where there is nothing to find and nothing was found."""
        return tuple(
            _precision(matched, self.truths, self.predictions) if self.truths + self.predictions else 1.0
            for matched in self.matches
        )


@dataclass(frozen=True)
class Scores:
    """Figures of a set of images.

    Attributes
    ----------
    pooled : dict of float to float
        Average precision by threshold, counts pooled over images.
    per_image : dict of float to float
        Average precision by threshold, mean over images.
    pixel_accuracy
        Share of pixels, pooled, of which nucleus or not is right.
    images, truths, predictions
        How many there were.
    """

    pooled: dict[float, float]
    per_image: dict[float, float]
    pixel_accuracy: float
    images: int
    truths: int
    predictions: int

    @property
    def pooled_mean(self) -> float:
        """Pooled average precision, mean over thresholds .50 to .95."""
        return float(np.mean(list(self.pooled.values())))

    @property
    def per_image_mean(self) -> float:
        """Per-image average precision, mean over thresholds: the contest's score ("mSA")."""
        return float(np.mean(list(self.per_image.values())))

    def to_json(self) -> dict[str, object]:
        """Return plain JSON types, rounded to five digits."""
        return {
            "images": self.images,
            "truths": self.truths,
            "predictions": self.predictions,
            "pixel_accuracy": round(self.pixel_accuracy, 5),
            "pooled_ap": {f"{threshold:.2f}": round(value, 5) for threshold, value in self.pooled.items()},
            "pooled_mean_ap": round(self.pooled_mean, 5),
            "per_image_ap": {f"{threshold:.2f}": round(value, 5) for threshold, value in self.per_image.items()},
            "per_image_mean_ap": round(self.per_image_mean, 5),
        }


def score_image(truth: ArrayLike, prediction: ArrayLike) -> ImageScore:
    """Compare two label images.

    Parameters
    ----------
    truth, prediction : (H, W) arrays of integers
        0 background.

    Examples
    --------
    >>> score = score_image([[1, 1, 0, 2]], [[5, 5, 0, 0]])
    >>> score.truths, score.predictions, score.matches[0], score.average_precision[0]
    (2, 1, 1, 0.5)
    """
    true_image, predicted_image = np.asarray(truth), np.asarray(prediction)
    table = overlap_table(true_image, predicted_image)
    return ImageScore(
        truths=len(table.labels_a),
        predictions=len(table.labels_b),
        matches=tuple(len(match(table, threshold)) for threshold in THRESHOLDS),
        right_pixels=int(np.count_nonzero((true_image > 0) == (predicted_image > 0))),
        pixels=true_image.size,
    )


def match(table: OverlapTable, threshold: float) -> NDArray[np.intp]:
    """Pair instances whose intersection over union is at least ``threshold``, best pairs first.

    Parameters
    ----------
    table
        Of the overlaps of two label images.
    threshold
        At least 0.5: above it no instance has two partners, and at it ties go to the earlier instance.

    Returns
    -------
    NDArray[np.intp] (M, 2)
        Positions in the table's ``labels_a`` and ``labels_b``.
    """
    if not 0.5 <= threshold <= 1:
        raise ValueError(f"threshold: expected 0.5 to 1, got {threshold}")
    iou = table.iou
    enough = np.flatnonzero(iou >= threshold)
    best_first = enough[np.argsort(-iou[enough], kind="stable")]
    pairs, used_a, used_b = [], set(), set()
    for a, b in zip(table.index_a[best_first].tolist(), table.index_b[best_first].tolist(), strict=True):
        if a not in used_a and b not in used_b:
            pairs.append((a, b))
            used_a.add(a)
            used_b.add(b)
    return np.array(pairs, np.intp).reshape(-1, 2)


def summarise(scores: Sequence[ImageScore]) -> Scores:
    """Pool and average the scores of images."""
    truths = sum(score.truths for score in scores)
    predictions = sum(score.predictions for score in scores)
    matches = np.sum([score.matches for score in scores], axis=0)
    per_image = np.mean([score.average_precision for score in scores], axis=0)
    return Scores(
        pooled={t: _precision(int(m), truths, predictions) for t, m in zip(THRESHOLDS, matches, strict=True)},
        per_image={t: float(value) for t, value in zip(THRESHOLDS, per_image, strict=True)},
        pixel_accuracy=sum(s.right_pixels for s in scores) / max(sum(s.pixels for s in scores), 1),
        images=len(scores),
        truths=truths,
        predictions=predictions,
    )


def _precision(matched: int, truths: int, predictions: int) -> float:
    union = truths + predictions - matched
    return matched / union if union else 1.0

"""How well predicted nuclei fit the true ones.

A predicted and a true nucleus *match* at a threshold if their intersection over union (IoU) reaches it; each takes part
in one match at most. With TP matches, FN true nuclei without one and FP predictions without one:

- *average precision* (AP) is TP / (TP + FP + FN), as in the 2018 Data Science Bowl and in StarDist (Schmidt et al.
  2018);
- *F1* is 2 TP / (2 TP + FP + FN);
- *panoptic quality* (PQ; Kirillov et al. 2019) is segmentation quality (SQ: the mean IoU of the matches at .5, or 0
  without any) times recognition quality (RQ: F1 at .5). A match at exactly .5 counts, as in StarDist;
- the *aggregated Jaccard index* (AJI; Kumar et al. 2017: the original, not the later AJI+) pairs every true nucleus
  with the prediction of highest IoU, a prediction several times if need be. It divides the pixels that pairs share by
  the pixels of their unions and of the nuclei and predictions that are in no pair.

Each is published in two conventions, which differ by several percent:

- *pooled*: counts are added over all images first;
- *mean per image*: each image's figure counts alike.

Where there is nothing to find and nothing was found, a figure is 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet.errors import DataError
from nucleus_unet.evaluation.error_analysis import ErrorBreakdown, match_outcomes
from nucleus_unet.masks import OverlapTable, overlap_table

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


class PanopticQuality(NamedTuple):
    """PQ, SQ and RQ. Of one image or of pooled counts PQ is SQ times RQ; of means over images it is not."""

    quality: float
    segmentation: float
    recognition: float


@dataclass(frozen=True)
class ImageScore:
    """Counts of one image, or of several together.

    Attributes
    ----------
    truths, predictions
        Number of true and predicted nuclei.
    matches : tuple of int
        Matches at each of `THRESHOLDS`.
    matched_iou
        Sum of the intersections over union of the matches at .5.
    shared_pixels, union_pixels
        Dividend and divisor of the aggregated Jaccard index.
    right_pixels, pixels
        Pixels of which nucleus or not is right, and all of them.
    errors
        What is lost or wrong at .5, by cause.
    """

    truths: int
    predictions: int
    matches: tuple[int, ...]
    matched_iou: float
    shared_pixels: int
    union_pixels: int
    right_pixels: int
    pixels: int
    errors: ErrorBreakdown

    @property
    def average_precision(self) -> tuple[float, ...]:
        """TP / (TP + FP + FN) at each of `THRESHOLDS`."""
        return tuple(_ratio(matched, self.truths + self.predictions - matched) for matched in self.matches)

    @property
    def f1(self) -> tuple[float, ...]:
        """2 TP / (2 TP + FP + FN) at each of `THRESHOLDS`."""
        return tuple(_ratio(2 * matched, self.truths + self.predictions) for matched in self.matches)

    @property
    def panoptic_quality(self) -> PanopticQuality:
        """PQ, SQ and RQ."""
        recognition = self.f1[0]
        # Without a match recognition is 0, or 1 if there was nothing to match: so is segmentation.
        segmentation = self.matched_iou / self.matches[0] if self.matches[0] else recognition
        return PanopticQuality(segmentation * recognition, segmentation, recognition)

    @property
    def aggregated_jaccard(self) -> float:
        """AJI."""
        return _ratio(self.shared_pixels, self.union_pixels)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels of which nucleus or not is right."""
        return _ratio(self.right_pixels, self.pixels)


@dataclass(frozen=True)
class Scores:
    """Figures of a set of images.

    Attributes
    ----------
    pooled, per_image : dict of float to float
        Average precision by threshold: counts pooled over images, and mean over images.
    pooled_f1, per_image_f1 : dict of float to float
        F1 by threshold.
    pooled_pq, per_image_pq
        Panoptic quality.
    pooled_aji, per_image_aji
        Aggregated Jaccard index.
    pixel_accuracy
        Share of pixels, pooled, of which nucleus or not is right.
    images, truths, predictions
        How many there were.
    errors
        What is lost or wrong at .5, by cause.
    """

    pooled: dict[float, float]
    per_image: dict[float, float]
    pooled_f1: dict[float, float]
    per_image_f1: dict[float, float]
    pooled_pq: PanopticQuality
    per_image_pq: PanopticQuality
    pooled_aji: float
    per_image_aji: float
    pixel_accuracy: float
    images: int
    truths: int
    predictions: int
    errors: ErrorBreakdown

    @property
    def pooled_mean(self) -> float:
        """Pooled average precision, mean over thresholds .50 to .95."""
        return float(np.mean(list(self.pooled.values())))

    @property
    def per_image_mean(self) -> float:
        """Per-image average precision, mean over thresholds: the contest's score ("mSA")."""
        return float(np.mean(list(self.per_image.values())))

    @property
    def error_shares(self) -> dict[str, float] | None:
        """Each of `errors` as a share of the true nuclei; None where there is no true nucleus."""
        return {cause: count / self.truths for cause, count in asdict(self.errors).items()} if self.truths else None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, rounded to five digits."""
        shares = self.error_shares
        return {
            "images": self.images,
            "truths": self.truths,
            "predictions": self.predictions,
            "pixel_accuracy": round(self.pixel_accuracy, 5),
            "pooled_ap": _rounded(self.pooled),
            "pooled_mean_ap": round(self.pooled_mean, 5),
            "per_image_ap": _rounded(self.per_image),
            "per_image_mean_ap": round(self.per_image_mean, 5),
            "pooled_f1": _rounded(self.pooled_f1),
            "per_image_f1": _rounded(self.per_image_f1),
            "pooled_pq": _named(self.pooled_pq),
            "per_image_pq": _named(self.per_image_pq),
            "pooled_aji": round(self.pooled_aji, 5),
            "per_image_aji": round(self.per_image_aji, 5),
            "errors": asdict(self.errors),
            "error_shares": None if shares is None else {cause: round(share, 5) for cause, share in shares.items()},
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
    >>> score.panoptic_quality.segmentation, score.errors.missed
    (1.0, 1)
    """
    true_image, predicted_image = np.asarray(truth), np.asarray(prediction)
    table = overlap_table(true_image, predicted_image)
    pairs = [match(table, threshold) for threshold in THRESHOLDS]
    shared, union = _aggregate(table)
    return ImageScore(
        truths=len(table.labels_a),
        predictions=len(table.labels_b),
        matches=tuple(len(each) for each in pairs),
        matched_iou=_sum_of_iou(table, pairs[0]),
        shared_pixels=shared,
        union_pixels=union,
        right_pixels=int(np.count_nonzero((true_image > 0) == (predicted_image > 0))),
        pixels=true_image.size,
        errors=match_outcomes(table, pairs[0]).errors,
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


def _sum_of_iou(table: OverlapTable, pairs: NDArray[np.intp]) -> float:
    # The table is sorted by its pairs, so their ranks are too.
    ranks = table.index_a * len(table.areas_b) + table.index_b
    wanted = pairs[:, 0] * len(table.areas_b) + pairs[:, 1]
    return float(table.iou[np.searchsorted(ranks, wanted)].sum())


def _aggregate(table: OverlapTable) -> tuple[int, int]:
    """Return dividend and divisor of the aggregated Jaccard index; ties go to the earlier prediction."""
    best_first = np.lexsort((table.index_b, -table.iou, table.index_a))
    _, first = np.unique(table.index_a[best_first], return_index=True)
    best = best_first[first]
    partners = table.index_b[best]
    unpaired = np.ones(len(table.areas_b), bool)
    unpaired[partners] = False
    shared = table.pixels[best].sum()
    union = table.areas_a.sum() + table.areas_b[partners].sum() - shared + table.areas_b[unpaired].sum()
    return int(shared), int(union)


def summarise(scores: Sequence[ImageScore]) -> Scores:
    """Pool and average the scores of images.

    Raises
    ------
    DataError
        If there are none: a figure of no images would mean nothing.
    """
    if not scores:
        raise DataError("expected the scores of at least one image, got none")
    total = _together(scores)
    return Scores(
        pooled=_by_threshold(total.average_precision),
        per_image=_by_threshold(np.mean([score.average_precision for score in scores], axis=0)),
        pooled_f1=_by_threshold(total.f1),
        per_image_f1=_by_threshold(np.mean([score.f1 for score in scores], axis=0)),
        pooled_pq=total.panoptic_quality,
        per_image_pq=PanopticQuality(*np.mean([score.panoptic_quality for score in scores], axis=0).tolist()),
        pooled_aji=total.aggregated_jaccard,
        per_image_aji=float(np.mean([score.aggregated_jaccard for score in scores])),
        pixel_accuracy=total.pixel_accuracy,
        images=len(scores),
        truths=total.truths,
        predictions=total.predictions,
        errors=total.errors,
    )


def summarise_by(groups: Sequence[str], scores: Sequence[ImageScore]) -> dict[str, Scores]:
    """Summarise the scores of every group of images.

    Parameters
    ----------
    groups, scores
        Of every image, in one order.

    Returns
    -------
    dict of str to Scores
        By group, sorted.
    """
    members: dict[str, list[ImageScore]] = defaultdict(list)
    for group, score in zip(groups, scores, strict=True):
        members[group].append(score)
    return {group: summarise(members[group]) for group in sorted(members)}


def _together(scores: Sequence[ImageScore]) -> ImageScore:
    return ImageScore(
        truths=sum(score.truths for score in scores),
        predictions=sum(score.predictions for score in scores),
        matches=tuple(map(sum, zip(*(score.matches for score in scores), strict=True))),
        matched_iou=sum(score.matched_iou for score in scores),
        shared_pixels=sum(score.shared_pixels for score in scores),
        union_pixels=sum(score.union_pixels for score in scores),
        right_pixels=sum(score.right_pixels for score in scores),
        pixels=sum(score.pixels for score in scores),
        errors=sum((score.errors for score in scores), ErrorBreakdown()),
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def _by_threshold(values: Sequence[float] | NDArray[np.float64]) -> dict[float, float]:
    return {threshold: float(value) for threshold, value in zip(THRESHOLDS, values, strict=True)}


def _rounded(values: dict[float, float]) -> dict[str, float]:
    return {f"{threshold:.2f}": round(value, 5) for threshold, value in values.items()}


def _named(panoptic: PanopticQuality) -> dict[str, float]:
    return {
        "pq": round(panoptic.quality, 5),
        "sq": round(panoptic.segmentation, 5),
        "rq": round(panoptic.recognition, 5),
    }

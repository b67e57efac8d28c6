"""Metrics of instance segmentation.

A predicted and a true nucleus *match* if their intersection over union (IoU) is at least the threshold. Each nucleus
and each prediction has at most one match. With TP matches, FN true nuclei and FP predictions without a match:

- *average precision* (AP) is TP / (TP + FP + FN), as in the 2018 Data Science Bowl and in StarDist (Schmidt et al.
  2018);
- *F1* is 2 TP / (2 TP + FP + FN);
- *panoptic quality* (PQ; Kirillov et al. 2019) is segmentation quality (SQ: the mean IoU of the matches at 0.5, or 0
  without matches) times recognition quality (RQ: F1 at 0.5). A match at exactly 0.5 counts, as in StarDist;
- the *aggregated Jaccard index* (AJI; Kumar et al. 2017: the original, not the later AJI+) pairs every true nucleus
  with the prediction of highest IoU. A prediction may be in several pairs. AJI is the number of pixels that pairs share
  divided by the number of pixels of the unions of pairs, of unpaired nuclei and of unpaired predictions.

Each metric is published in two conventions, which differ by several percent:

- *pooled*: computed from the counts of all images together;
- *mean per image*: the mean over images of each image's value.

A metric is 1 if there are neither nuclei nor predictions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet.errors import DataError, MaskError
from nucleus_unet.evaluation.annotated import counted_predictions
from nucleus_unet.evaluation.error_analysis import ErrorBreakdown, match_outcomes
from nucleus_unet.masks import OverlapTable, overlap_table

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


class PanopticQuality(NamedTuple):
    """PQ, SQ and RQ. PQ is SQ times RQ for one image and for pooled counts, but not for means over images."""

    quality: float
    segmentation: float
    recognition: float


@dataclass(frozen=True)
class ImageScore:
    """Counts of one image or of several images together. The metrics follow from them.

    Attributes
    ----------
    truths, predictions
        Number of true and of predicted nuclei.
    matches : tuple of int
        Number of matches at each of `THRESHOLDS`.
    matched_iou
        Sum of the IoU of the matches at 0.5.
    shared_pixels, union_pixels
        Numerator and denominator of the aggregated Jaccard index.
    correct_pixels, pixels
        Number of pixels that are correctly classified as nucleus or background, and number of all pixels.
    errors
        Number of errors of each cause at IoU 0.5.
    """

    truths: int
    predictions: int
    matches: tuple[int, ...]
    matched_iou: float
    shared_pixels: int
    union_pixels: int
    correct_pixels: int
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
        # Without matches, SQ equals RQ: 0, or 1 if there is nothing to match.
        segmentation = self.matched_iou / self.matches[0] if self.matches[0] else recognition
        return PanopticQuality(segmentation * recognition, segmentation, recognition)

    @property
    def aggregated_jaccard(self) -> float:
        """AJI."""
        return _ratio(self.shared_pixels, self.union_pixels)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are correctly classified as nucleus or background."""
        return _ratio(self.correct_pixels, self.pixels)


@dataclass(frozen=True)
class Scores:
    """Metrics of a set of images.

    Attributes
    ----------
    pooled, per_image : dict of float to float
        Average precision by threshold: pooled, and mean per image.
    pooled_f1, per_image_f1 : dict of float to float
        F1 by threshold.
    pooled_pq, per_image_pq
        Panoptic quality.
    pooled_aji, per_image_aji
        Aggregated Jaccard index.
    pixel_accuracy
        Share of the pixels, pooled, that are correctly classified as nucleus or background.
    images, truths, predictions
        Number of images, of true nuclei and of predictions.
    errors
        Number of errors of each cause at IoU 0.5.
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
        """Pooled average precision, mean over the thresholds 0.50 to 0.95."""
        return float(np.mean(list(self.pooled.values())))

    @property
    def per_image_mean(self) -> float:
        """Average precision, mean per image and over thresholds: mSA, the score of the 2018 Data Science Bowl."""
        return float(np.mean(list(self.per_image.values())))

    @property
    def error_shares(self) -> dict[str, float] | None:
        """The errors of each cause as shares of the true nuclei. None if there is no true nucleus."""
        return {cause: count / self.truths for cause, count in asdict(self.errors).items()} if self.truths else None

    def to_json(self) -> dict[str, Any]:
        """Return the scores as JSON types, rounded to five digits."""
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


def score_image(truth: ArrayLike, prediction: ArrayLike, valid: NDArray[np.bool_] | None = None) -> ImageScore:
    """Score a predicted label image.

    Parameters
    ----------
    truth, prediction : (H, W) arrays of integers
        Label images of the same shape, 0 background.
    valid : (H, W) array of bool
        The annotated pixels, with all true nuclei. Predictions elsewhere do not count; see
        `nucleus_unet.evaluation.annotated.counted_predictions`. None for all.

    Returns
    -------
    ImageScore
        The counts, from which the metrics follow.

    Raises
    ------
    MaskError
        If the images are no label images, or differ in shape.

    Examples
    --------
    >>> score = score_image([[1, 1, 0, 2]], [[5, 5, 0, 0]])
    >>> score.truths, score.predictions, score.matches[0], score.average_precision[0]
    (2, 1, 1, 0.5)
    >>> score.panoptic_quality.segmentation, score.errors.missed
    (1.0, 1)
    """
    true_image, predicted_image = np.asarray(truth), np.asarray(prediction)
    for name, image in (("truth", true_image), ("prediction", predicted_image)):
        if image.dtype.kind == "b":
            raise MaskError(f"{name}: expected labels, got booleans; number the nuclei with nucleus_unet.masks.label")
    if true_image.shape != predicted_image.shape:
        raise MaskError(f"prediction: expected the shape of truth, {true_image.shape}, got {predicted_image.shape}")
    correct = (true_image > 0) == (predicted_image > 0)
    if valid is not None:
        correct = correct[valid]
        predicted_image = counted_predictions(true_image, predicted_image, valid)
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
        correct_pixels=int(np.count_nonzero(correct)),
        pixels=correct.size,
        errors=match_outcomes(table, pairs[0]).errors,
    )


def match(table: OverlapTable, threshold: float) -> NDArray[np.intp]:
    """Match instances whose intersection over union is at least ``threshold``, best pairs first.

    Parameters
    ----------
    table
        Overlap table of two label images.
    threshold
        IoU threshold, 0.5 to 1. Above 0.5 no instance can have two matches. At 0.5 ties go to the earlier instance.

    Returns
    -------
    NDArray[np.intp] (M, 2)
        Indices in the table's ``labels_a`` and ``labels_b``.

    Raises
    ------
    ValueError
        ``threshold`` is out of range.
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
    # The table is sorted by its pairs, so their keys are sorted too.
    keys = table.index_a * len(table.areas_b) + table.index_b
    pair_keys = pairs[:, 0] * len(table.areas_b) + pairs[:, 1]
    return float(table.iou[np.searchsorted(keys, pair_keys)].sum())


def _aggregate(table: OverlapTable) -> tuple[int, int]:
    """Return numerator and denominator of the aggregated Jaccard index. Ties go to the earlier prediction."""
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
    """Compute the pooled and the mean metrics of several images.

    Raises
    ------
    DataError
        ``scores`` is empty.
    """
    if not scores:
        raise DataError("expected the scores of at least one image, got none")
    total = _pool(scores)
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
    """Summarise the scores of each group of images.

    Parameters
    ----------
    groups, scores
        Group and score of each image, in the same order.

    Returns
    -------
    dict of str to Scores
        Scores of each group, sorted by its name.
    """
    members: dict[str, list[ImageScore]] = defaultdict(list)
    for group, score in zip(groups, scores, strict=True):
        members[group].append(score)
    return {group: summarise(members[group]) for group in sorted(members)}


def _pool(scores: Sequence[ImageScore]) -> ImageScore:
    return ImageScore(
        truths=sum(score.truths for score in scores),
        predictions=sum(score.predictions for score in scores),
        matches=tuple(map(sum, zip(*(score.matches for score in scores), strict=True))),
        matched_iou=sum(score.matched_iou for score in scores),
        shared_pixels=sum(score.shared_pixels for score in scores),
        union_pixels=sum(score.union_pixels for score in scores),
        correct_pixels=sum(score.correct_pixels for score in scores),
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
    return {name: round(value, 5) for name, value in zip(("pq", "sq", "rq"), panoptic, strict=True)}

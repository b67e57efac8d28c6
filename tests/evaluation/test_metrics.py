"""Metrics against an independent implementation: dense overlaps and an optimal assignment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.errors import DataError, MaskError
from nucleus_unet.evaluation.metrics import THRESHOLDS, match, score_image, summarise, summarise_by
from nucleus_unet.masks import overlap_table
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

label_images = hnp.arrays(np.uint32, (12, 12), elements=st.integers(0, 5))


def reference_matches(truth: NDArray[np.uint32], prediction: NDArray[np.uint32], threshold: float) -> int:
    """Largest number of one-to-one pairs with enough overlap, by optimal assignment on the dense matrix."""
    truths, predictions = np.unique(truth[truth > 0]), np.unique(prediction[prediction > 0])
    enough = np.zeros((len(truths), len(predictions)))
    for i, a in enumerate(truths):
        for j, b in enumerate(predictions):
            both = np.sum((truth == a) & (prediction == b))
            either = np.sum((truth == a) | (prediction == b))
            enough[i, j] = both / either >= threshold
    rows, columns = linear_sum_assignment(-enough)
    return int(enough[rows, columns].sum())


@given(label_images, label_images)
def test_matches_agree_with_an_optimal_assignment_above_one_half(
    truth: NDArray[np.uint32], prediction: NDArray[np.uint32]
) -> None:
    score = score_image(truth, prediction)
    for threshold, matches in zip(THRESHOLDS[1:], score.matches[1:], strict=True):
        assert matches == reference_matches(truth, prediction, threshold)


@given(label_images, st.integers(0, 2**32 - 1))
def test_matches_agree_with_an_optimal_assignment_on_nearly_equal_images(truth: NDArray[np.uint32], seed: int) -> None:
    rng = np.random.default_rng(seed)
    prediction = np.where(rng.random(truth.shape) < 0.2, 0, truth)
    score = score_image(truth, prediction)
    for threshold, matches in zip(THRESHOLDS[1:], score.matches[1:], strict=True):
        assert matches == reference_matches(truth, prediction, threshold)


def test_at_exactly_one_half_a_nucleus_has_one_partner() -> None:
    halves = np.array([[1, 2]])
    assert len(match(overlap_table(np.array([[1, 1]]), halves), 0.5)) == 1


@given(label_images)
def test_an_image_compared_with_itself_is_perfect(truth: NDArray[np.uint32]) -> None:
    scores = summarise([score_image(truth, truth)])
    assert scores.pooled_mean == scores.per_image_mean == scores.pixel_accuracy == 1


def test_the_two_conventions_differ_as_published() -> None:
    good = score_image(np.array([[1, 2, 3, 4]]), np.array([[1, 2, 3, 4]]))
    bad = score_image(np.array([[1, 0]]), np.array([[0, 1]]))
    scores = summarise([good, bad])
    assert scores.pooled[0.5] == pytest.approx(4 / 6)
    assert scores.per_image[0.5] == pytest.approx(1 / 2)


def test_an_image_with_nothing_to_find_scores_one_if_nothing_was_found_else_zero() -> None:
    empty, one = np.zeros((2, 2), int), np.eye(2, dtype=int)
    assert score_image(empty, empty).average_precision[0] == 1
    assert score_image(empty, one).average_precision[0] == 0


def test_pixel_accuracy_counts_nucleus_or_not() -> None:
    score = score_image(np.array([[1, 2, 0, 0]]), np.array([[2, 0, 0, 7]]))
    assert (score.correct_pixels, score.pixels) == (2, 4)


def test_thresholds_below_one_half_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 0\.5"):
        match(overlap_table(np.eye(2, dtype=int), np.eye(2, dtype=int)), 0.4)


def test_images_are_summarised_by_group() -> None:
    score = score_image(np.eye(4, dtype=int), np.eye(4, dtype=int))
    groups = summarise_by(["b", "a", "b"], [score] * 3)
    assert [(group, scores.images) for group, scores in groups.items()] == [("a", 1), ("b", 2)]


def test_no_images_have_no_figures() -> None:
    with pytest.raises(DataError, match="at least one image, got none"):
        summarise([])
    assert summarise_by([], []) == {}


# Coarse label images, so that there are good overlaps as well as bad ones.
coarse_images = hnp.arrays(np.uint32, (4, 4), elements=st.integers(0, 4)).map(
    lambda image: np.kron(image, np.ones((3, 3), np.uint32))
)


@st.composite
def similar_pairs(draw: st.DrawFn) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Two label images that share much: the second is the first moved, with some pixels and labels changed."""
    truth = draw(coarse_images)
    moved = np.roll(truth, draw(st.tuples(st.integers(-1, 1), st.integers(-1, 1))), axis=(0, 1))
    renamed = draw(st.permutations(range(1, 6)))
    prediction = np.array([0, *renamed], np.uint32)[moved]
    noise = draw(hnp.arrays(np.int8, truth.shape, elements=st.integers(-1, 5), fill=st.just(-1)))
    return truth, np.where(noise >= 0, noise, prediction).astype(np.uint32)


def masks_of(labels: NDArray[np.uint32]) -> list[NDArray[np.bool_]]:
    return [labels == label for label in np.unique(labels) if label]


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def reference_panoptic(truth: NDArray[np.uint32], prediction: NDArray[np.uint32]) -> tuple[float, float, float]:
    """PQ, SQ and RQ by every pair of masks: of all the ways to match at .5, one that matches most."""
    truths, predictions = masks_of(truth), masks_of(prediction)
    if not truths and not predictions:
        return 1.0, 1.0, 1.0
    if not truths or not predictions:
        return 0.0, 0.0, 0.0
    overlaps = np.array([[iou(a, b) for b in predictions] for a in truths])
    pairs = zip(*linear_sum_assignment(-np.where(overlaps >= 0.5, overlaps, 0)), strict=True)
    matched = [overlaps[pair] for pair in pairs if overlaps[pair] >= 0.5]
    recognition = len(matched) / (0.5 * len(truths) + 0.5 * len(predictions))
    segmentation = float(np.mean(matched)) if matched else 0.0
    return segmentation * recognition, segmentation, recognition


def reference_aji(truth: NDArray[np.uint32], prediction: NDArray[np.uint32]) -> float:
    """Algorithm 1 of Kumar et al. 2017, line by line on masks."""
    truths, predictions = masks_of(truth), masks_of(prediction)
    shared = union = 0
    used = set()
    for nucleus in truths:
        overlaps = [iou(nucleus, segment) for segment in predictions]
        if overlaps and max(overlaps) > 0:
            best = int(np.argmax(overlaps))
            shared += int((nucleus & predictions[best]).sum())
            union += int((nucleus | predictions[best]).sum())
            used.add(best)
        else:
            union += int(nucleus.sum())
    union += sum(int(segment.sum()) for i, segment in enumerate(predictions) if i not in used)
    return shared / union if union else 1.0


@given(similar_pairs() | st.tuples(label_images, label_images))
def test_panoptic_quality_and_f1_agree_with_every_pair_of_masks(
    images: tuple[NDArray[np.uint32], NDArray[np.uint32]],
) -> None:
    score = score_image(*images)
    quality, segmentation, recognition = reference_panoptic(*images)
    assert score.f1[0] == pytest.approx(recognition)
    assert score.panoptic_quality == pytest.approx((quality, segmentation, recognition))


@given(similar_pairs() | st.tuples(label_images, label_images))
def test_aggregated_jaccard_agrees_with_its_published_algorithm(
    images: tuple[NDArray[np.uint32], NDArray[np.uint32]],
) -> None:
    assert score_image(*images).aggregated_jaccard == pytest.approx(reference_aji(*images))


def test_aggregated_jaccard_takes_a_prediction_for_several_nuclei() -> None:
    score = score_image([[1, 1, 1, 2, 2, 0]], [[7, 7, 7, 7, 7, 0]])
    assert score.aggregated_jaccard == (3 + 2) / (5 + 5)


@given(st.lists(similar_pairs(), min_size=1, max_size=4))
def test_a_set_is_scored_as_its_images_pasted_together_and_as_their_mean(
    images: list[tuple[NDArray[np.uint32], NDArray[np.uint32]]],
) -> None:
    apart = [[np.where(labels > 0, labels + 10 * number, 0) for labels in pair] for number, pair in enumerate(images)]
    pasted = score_image(np.hstack([truth for truth, _ in apart]), np.hstack([prediction for _, prediction in apart]))
    single = [score_image(*pair) for pair in images]
    scores = summarise(single)
    assert tuple(scores.pooled.values()) == pasted.average_precision
    assert tuple(scores.pooled_f1.values()) == pasted.f1
    assert scores.pooled_pq == pytest.approx(pasted.panoptic_quality)
    assert scores.pooled_aji == pytest.approx(pasted.aggregated_jaccard)
    assert scores.errors == pasted.errors
    assert (scores.truths, scores.predictions) == (pasted.truths, pasted.predictions)
    assert scores.pixel_accuracy == pasted.pixel_accuracy
    assert scores.per_image_pq.quality == pytest.approx(np.mean([each.panoptic_quality.quality for each in single]))
    assert scores.per_image_aji == pytest.approx(np.mean([each.aggregated_jaccard for each in single]))
    assert scores.per_image_f1[0.75] == pytest.approx(np.mean([each.f1[THRESHOLDS.index(0.75)] for each in single]))


@pytest.mark.parametrize(("truth", "prediction", "figure"), [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 0.0), (1, 1, 1.0)])
def test_figures_where_nothing_is_true_or_nothing_was_found(truth: int, prediction: int, figure: float) -> None:
    image = np.eye(3, dtype=int)
    scores = summarise([score_image(truth * image, prediction * image)])
    for average_precision in (scores.pooled, scores.per_image, scores.pooled_f1, scores.per_image_f1):
        assert set(average_precision.values()) == {figure}
    assert scores.pooled_pq == scores.per_image_pq == (figure, figure, figure)
    assert scores.pooled_aji == scores.per_image_aji == figure


def test_shares_of_no_nuclei_are_none() -> None:
    scores = summarise([score_image(np.zeros((3, 3), int), np.eye(3, dtype=int))])
    assert scores.errors.background == 1
    assert scores.error_shares is None
    assert scores.to_json()["error_shares"] is None


def test_what_are_no_label_images_of_one_shape_is_refused() -> None:
    labels = np.array([[1, 0, 2]])
    with pytest.raises(MaskError, match="booleans"):
        score_image(labels, labels > 0)
    with pytest.raises(MaskError, match="expected the shape of truth"):
        score_image(labels, labels[:, :2])

"""Metrics against an independent implementation: dense overlaps and an optimal assignment."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.evaluation.evaluate import evaluation_of
from nucleus_unet.evaluation.metrics import THRESHOLDS, match, score_image, summarise
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
    assert (score.right_pixels, score.pixels) == (2, 4)


def test_thresholds_below_one_half_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected 0\.5"):
        match(overlap_table(np.eye(2, dtype=int), np.eye(2, dtype=int)), 0.4)


def test_images_of_equal_names_in_several_sets_all_count() -> None:
    score = score_image(np.eye(4, dtype=int), np.eye(4, dtype=int))
    evaluation = evaluation_of(["a", "b", "a"], [score] * 3)
    assert evaluation.overall.images == 3
    assert {kind: scores.images for kind, scores in evaluation.kinds.items()} == {"a": 2, "b": 1}

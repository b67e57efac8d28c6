"""Scores of images that are annotated in part."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.evaluation.annotated import counted_predictions
from nucleus_unet.evaluation.metrics import score_image
from numpy.typing import NDArray

label_images = hnp.arrays(np.uint32, (9, 9), elements=st.integers(0, 4))
LEFT = np.zeros((10, 20), bool)
LEFT[:, :10] = True


def nuclei(*boxes: tuple[int, int, int, int]) -> NDArray[np.uint32]:
    """Nuclei in boxes of left, top, right and bottom."""
    labels = np.zeros((10, 20), np.uint32)
    for number, (left, top, right, bottom) in enumerate(boxes, 1):
        labels[top:bottom, left:right] = number
    return labels


def test_predictions_where_nobody_annotated_are_neither_true_nor_false() -> None:
    truth, prediction = nuclei((1, 1, 5, 5)), nuclei((1, 1, 5, 5), (12, 1, 16, 5), (5, 6, 9, 9))
    score = score_image(truth, prediction, LEFT)
    assert (score.truths, score.predictions, score.matches[0]) == (1, 2, 1)
    assert score.errors.background == 1


def test_at_the_border_a_prediction_counts_if_most_of_it_is_annotated() -> None:
    for left, counts in ((5, True), (6, False), (7, False)):  # of 8 columns, 5, 4 and 3 are annotated
        assert bool(counted_predictions(nuclei(), nuclei((left, 1, left + 8, 5)), LEFT).any()) is counts


def test_a_prediction_of_a_true_nucleus_counts_wherever_most_of_it_lies() -> None:
    truth, prediction = nuclei((6, 1, 14, 5)), nuclei((7, 1, 15, 5))
    valid = LEFT | (truth > 0)
    score = score_image(truth, prediction, valid)
    assert (score.predictions, score.matches[0]) == (1, 1)


def test_only_annotated_pixels_count_for_the_pixel_accuracy() -> None:
    score = score_image(nuclei(), nuclei((0, 0, 20, 2)), LEFT)
    assert (score.correct_pixels, score.pixels) == (80, 100)


@given(label_images, label_images)
def test_a_completely_annotated_image_has_the_same_score_as_without_a_mask(
    truth: NDArray[np.uint32], prediction: NDArray[np.uint32]
) -> None:
    assert score_image(truth, prediction, np.ones(truth.shape, bool)) == score_image(truth, prediction)


@given(label_images, hnp.arrays(bool, (9, 9)))
def test_predictions_are_kept_completely_or_not_at_all(
    prediction: NDArray[np.uint32], valid: NDArray[np.bool_]
) -> None:
    kept = counted_predictions(np.zeros_like(prediction), prediction, valid)
    for label in np.unique(prediction[prediction > 0]):
        share = valid[prediction == label].mean()
        np.testing.assert_array_equal(kept == label, (prediction == label) & (share > 0.5))

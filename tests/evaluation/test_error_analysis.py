"""Why nuclei are lost: made-up cases, and the definitions spelt out on masks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nucleus_unet.evaluation.error_analysis import (
    ErrorBreakdown,
    GroundTruthOutcome,
    MatchOutcomes,
    PredictionOutcome,
    match_outcomes,
)
from nucleus_unet.evaluation.metrics import match
from nucleus_unet.masks import overlap_table
from numpy.typing import ArrayLike, NDArray

label_images = hnp.arrays(np.uint32, (5, 12), elements=st.integers(0, 4))
blocks = hnp.arrays(np.uint32, (2, 6), elements=st.integers(0, 3)).map(lambda image: np.repeat(image, 3, axis=1))


def outcomes_of(truth: ArrayLike, prediction: ArrayLike) -> MatchOutcomes:
    table = overlap_table(truth, prediction)
    return match_outcomes(table, match(table, 0.5))


def names_of(truth: ArrayLike, prediction: ArrayLike) -> tuple[list[str], list[str]]:
    found = outcomes_of(truth, prediction)
    return [GroundTruthOutcome(each).name for each in found.truths], [
        PredictionOutcome(each).name for each in found.predictions
    ]


# Rows of pixels: true nuclei above, predictions below, and what becomes of each.
CASES = {
    "as it should be": ("11110000", "11110000", ["FOUND"], ["CORRECT"]),
    "nothing found": ("11110000", "00000000", ["MISSED"], []),
    "nothing true": ("00000000", "11110000", [], ["BACKGROUND"]),
    "nothing at all": ("00000000", "00000000", [], []),
    "beside it": ("11110000", "00001111", ["MISSED"], ["BACKGROUND"]),
    "three in one prediction": ("11122333", "11111111", ["MERGED", "MERGED", "MERGED"], ["BAD_OUTLINE"]),
    "one in three pieces": ("111111111", "111222333", ["SPLIT"], ["PIECE", "PIECE", "PIECE"]),
    "a piece beside a good prediction": ("11111111", "11111122", ["FOUND"], ["CORRECT", "PIECE"]),
    "far too large": ("11100000", "11111111", ["OUTLINE"], ["BAD_OUTLINE"]),
    "far too small": ("11111111", "11100000", ["OUTLINE"], ["BAD_OUTLINE"]),
    "hardly touched": ("11111000", "00001111", ["MISSED"], ["BAD_OUTLINE"]),
    "a quarter covered is not missed": ("11110000", "00011111", ["OUTLINE"], ["BACKGROUND"]),
    "a pair in a prediction that still fits the larger": ("11111122", "11111111", ["FOUND", "MERGED"], ["CORRECT"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_made_up_case(case: str) -> None:
    truth, prediction, true_outcomes, predicted_outcomes = CASES[case]
    rows = [np.array([list(map(int, row))]) for row in (truth, prediction)]
    assert names_of(*rows) == (true_outcomes, predicted_outcomes)


@given(st.tuples(label_images, label_images) | st.tuples(blocks, blocks))
def test_outcomes_agree_with_their_definitions_spelt_out_on_masks(
    images: tuple[NDArray[np.uint32], NDArray[np.uint32]],
) -> None:
    table = overlap_table(*images)
    matches = match(table, 0.5)
    truths, predictions = ([image == label for label in np.unique(image) if label] for image in images)

    def mostly(inner: NDArray[np.bool_], outer: NDArray[np.bool_]) -> bool:
        return bool(2 * (inner & outer).sum() >= inner.sum())

    def hardly(mask: NDArray[np.bool_], other: NDArray[np.uint32]) -> bool:
        return bool((mask & (other > 0)).sum() / mask.sum() < 0.25)

    def true_outcome(i: int) -> str:
        mine = truths[i]
        if i in matches[:, 0]:
            return "FOUND"
        if hardly(mine, images[1]):
            return "MISSED"
        for prediction in predictions:
            others = (other for k, other in enumerate(truths) if k != i)
            if mostly(mine, prediction) and any(mostly(other, prediction) for other in others):
                return "MERGED"
        return "SPLIT" if sum(mostly(prediction, mine) for prediction in predictions) >= 2 else "OUTLINE"

    def predicted_outcome(j: int) -> str:
        mine = predictions[j]
        if j in matches[:, 1]:
            return "CORRECT"
        if hardly(mine, images[0]):
            return "BACKGROUND"
        for truth in truths:
            others = (other for k, other in enumerate(predictions) if k != j)
            if mostly(mine, truth) and any(mostly(other, truth) for other in others):
                return "PIECE"
        return "BAD_OUTLINE"

    expected = [true_outcome(i) for i in range(len(truths))], [predicted_outcome(j) for j in range(len(predictions))]
    assert names_of(*images) == expected


@given(st.tuples(label_images, label_images))
def test_every_nucleus_has_one_outcome(images: tuple[NDArray[np.uint32], NDArray[np.uint32]]) -> None:
    table = overlap_table(*images)
    matches = match(table, 0.5)
    errors = match_outcomes(table, matches).errors
    assert errors.false_negatives + len(matches) == len(table.labels_a)
    assert errors.false_positives + len(matches) == len(table.labels_b)


def test_errors_add_up() -> None:
    assert ErrorBreakdown(merged=1, piece=2) + ErrorBreakdown(merged=3, missed=1) == ErrorBreakdown(
        merged=4, missed=1, piece=2
    )

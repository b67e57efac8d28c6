"""Error analysis: the causes of false negatives and false positives (compare TIDE, Bolya et al. 2020).

Instances are matched at an intersection over union (IoU) of 0.5. An instance *lies mostly* in another one if at least
half of its pixels lie in it.

The cause of a false negative, a true nucleus without a match, is the first of these that applies:

- *missed*: predictions cover less than 1/4 of the nucleus;
- *merged*: the nucleus lies mostly in a prediction in which another true nucleus lies mostly too;
- *split*: at least two predictions lie mostly in the nucleus;
- *outline*: all other cases. The nucleus is covered, but the outline differs.

The cause of a false positive, a prediction without a match, is the first of these that applies:

- *background*: true nuclei cover less than 1/4 of the prediction;
- *piece*: the prediction lies mostly in a true nucleus in which another prediction lies mostly too;
- *bad outline*: all other cases. Predictions that merge nuclei belong here.

If one prediction merges two nuclei, both are false negatives, or only the smaller one if the prediction still matches
the larger one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.masks import OverlapTable


class GroundTruthOutcome(IntEnum):
    """Outcome of a true nucleus: found, or the cause of the false negative."""

    FOUND = 0
    MERGED = 1
    SPLIT = 2
    OUTLINE = 3
    MISSED = 4


class PredictionOutcome(IntEnum):
    """Outcome of a prediction: correct, or the cause of the false positive."""

    CORRECT = 0
    BACKGROUND = 1
    PIECE = 2
    BAD_OUTLINE = 3


@dataclass(frozen=True)
class ErrorBreakdown:
    """Number of false negatives and false positives of each cause.

    Attributes
    ----------
    merged, split, outline, missed
        Number of false negatives of each cause.
    background, piece, bad_outline
        Number of false positives of each cause.
    """

    merged: int = 0
    split: int = 0
    outline: int = 0
    missed: int = 0
    background: int = 0
    piece: int = 0
    bad_outline: int = 0

    def __add__(self, other: ErrorBreakdown) -> ErrorBreakdown:
        return ErrorBreakdown(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def false_negatives(self) -> int:
        """Number of true nuclei without a match."""
        return self.merged + self.split + self.outline + self.missed

    @property
    def false_positives(self) -> int:
        """Number of predictions without a match."""
        return self.background + self.piece + self.bad_outline


@dataclass(frozen=True, eq=False)
class MatchOutcomes:
    """Outcome of every instance of two label images.

    Attributes
    ----------
    truths : NDArray[np.uint8] (A,)
        A `GroundTruthOutcome` for each of the overlap table's ``labels_a``.
    predictions : NDArray[np.uint8] (B,)
        A `PredictionOutcome` for each of its ``labels_b``.
    """

    truths: NDArray[np.uint8]
    predictions: NDArray[np.uint8]

    @property
    def errors(self) -> ErrorBreakdown:
        """Number of errors of each cause."""
        negatives = np.bincount(self.truths, minlength=len(GroundTruthOutcome))[1:]
        positives = np.bincount(self.predictions, minlength=len(PredictionOutcome))[1:]
        return ErrorBreakdown(*negatives.tolist(), *positives.tolist())


def match_outcomes(table: OverlapTable, matches: NDArray[np.intp]) -> MatchOutcomes:
    """Determine the outcome of every true nucleus and of every prediction.

    Parameters
    ----------
    table
        Overlap table of the true (``a``) and the predicted label image (``b``).
    matches : NDArray[np.intp] (M, 2)
        Indices of matched instances in the table, from `nucleus_unet.evaluation.metrics.match`.

    Examples
    --------
    >>> from nucleus_unet.evaluation.metrics import match
    >>> from nucleus_unet.masks import overlap_table
    >>> table = overlap_table([[1, 1, 2, 2, 0, 3]], [[7, 7, 7, 7, 0, 0]])
    >>> found = match_outcomes(table, match(table, 0.55))
    >>> [GroundTruthOutcome(outcome).name for outcome in found.truths], found.errors.bad_outline
    (['MERGED', 'MERGED', 'MISSED'], 1)
    """
    count_a, count_b = len(table.areas_a), len(table.areas_b)
    a_mostly_in_b = 2 * table.pixels >= table.areas_a[table.index_a]
    b_mostly_in_a = 2 * table.pixels >= table.areas_b[table.index_b]
    truths_in = np.bincount(table.index_b[a_mostly_in_b], minlength=count_b)
    pieces_of = np.bincount(table.index_a[b_mostly_in_a], minlength=count_a)
    merged = a_mostly_in_b & (truths_in[table.index_b] >= 2)
    piece = b_mostly_in_a & (pieces_of[table.index_a] >= 2)

    truths = np.full(count_a, GroundTruthOutcome.OUTLINE, np.uint8)
    truths[pieces_of >= 2] = GroundTruthOutcome.SPLIT
    truths[table.index_a[merged]] = GroundTruthOutcome.MERGED
    truths[_hardly_covered(table.index_a, table.pixels, table.areas_a)] = GroundTruthOutcome.MISSED
    truths[matches[:, 0]] = GroundTruthOutcome.FOUND

    predictions = np.full(count_b, PredictionOutcome.BAD_OUTLINE, np.uint8)
    predictions[table.index_b[piece]] = PredictionOutcome.PIECE
    predictions[_hardly_covered(table.index_b, table.pixels, table.areas_b)] = PredictionOutcome.BACKGROUND
    predictions[matches[:, 1]] = PredictionOutcome.CORRECT
    return MatchOutcomes(truths, predictions)


def _hardly_covered(index: NDArray[np.intp], pixels: NDArray[np.int64], areas: NDArray[np.int64]) -> NDArray[np.bool_]:
    covered = np.bincount(index, weights=pixels, minlength=len(areas))
    return 4 * covered < areas

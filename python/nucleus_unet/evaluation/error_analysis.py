"""Why nuclei are lost, and where predictions that fit no nucleus come from.

At an intersection over union of .5 a true nucleus is *found* or lost by one of four causes, and a prediction is *right*
or wrong by one of three. That a nucleus *lies mostly* in another means: with at least half of its pixels.

Of true nuclei that match no prediction, the first that applies:

- *missed*: predictions cover less than a quarter of it;
- *merged*: it lies mostly in a prediction in which another true nucleus lies mostly too;
- *split*: two predictions or more lie mostly in it;
- *outline*: it is covered, but with another outline.

Of predictions that match no true nucleus, likewise:

- *empty ground*: true nuclei cover less than a quarter of it;
- *piece*: it lies mostly in a true nucleus in which another prediction lies mostly too;
- *bad outline*: anything else: those that merge nuclei are here.

So a merged pair that one prediction covers costs two nuclei, or one where the prediction still fits the larger.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.masks import OverlapTable


class GroundTruthOutcome(IntEnum):
    """What became of a true nucleus."""

    FOUND = 0
    MERGED = 1
    SPLIT = 2
    OUTLINE = 3
    MISSED = 4


class PredictionOutcome(IntEnum):
    """What a prediction turned out to be."""

    RIGHT = 0
    EMPTY_GROUND = 1
    PIECE = 2
    BAD_OUTLINE = 3


@dataclass(frozen=True)
class ErrorBreakdown:
    """How many nuclei were lost and how many predictions are wrong, by cause.

    Attributes
    ----------
    merged, split, outline, missed
        True nuclei.
    empty_ground, piece, bad_outline
        Predictions.
    """

    merged: int = 0
    split: int = 0
    outline: int = 0
    missed: int = 0
    empty_ground: int = 0
    piece: int = 0
    bad_outline: int = 0

    def __add__(self, other: ErrorBreakdown) -> ErrorBreakdown:
        return ErrorBreakdown(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def lost(self) -> int:
        """True nuclei that were not found."""
        return self.merged + self.split + self.outline + self.missed

    @property
    def wrong(self) -> int:
        """Predictions that are no true nucleus."""
        return self.empty_ground + self.piece + self.bad_outline


@dataclass(frozen=True, eq=False)
class MatchOutcomes:
    """The fate of every instance of two label images.

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
        """How many there are of each cause."""
        lost = np.bincount(self.truths, minlength=len(GroundTruthOutcome))[1:]
        wrong = np.bincount(self.predictions, minlength=len(PredictionOutcome))[1:]
        return ErrorBreakdown(*lost.tolist(), *wrong.tolist())


def match_outcomes(table: OverlapTable, matches: NDArray[np.intp]) -> MatchOutcomes:
    """Tell what became of every true nucleus, and what every prediction is.

    Parameters
    ----------
    table
        Of the overlaps of the true (``a``) with the predicted label image (``b``).
    matches : NDArray[np.intp] (M, 2)
        Positions of matched instances in the table, from `nucleus_unet.evaluation.metrics.match`.

    Examples
    --------
    >>> from nucleus_unet.evaluation.metrics import match
    >>> from nucleus_unet.masks import overlap_table
    >>> table = overlap_table([[1, 1, 2, 2, 0, 3]], [[7, 7, 7, 7, 0, 0]])
    >>> found = match_outcomes(table, match(table, 0.55))
    >>> [GroundTruthOutcome(fate).name for fate in found.truths], found.errors.bad_outline
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
    predictions[_hardly_covered(table.index_b, table.pixels, table.areas_b)] = PredictionOutcome.EMPTY_GROUND
    predictions[matches[:, 1]] = PredictionOutcome.RIGHT
    return MatchOutcomes(truths, predictions)


def _hardly_covered(index: NDArray[np.intp], pixels: NDArray[np.int64], areas: NDArray[np.int64]) -> NDArray[np.bool_]:
    covered = np.bincount(index, weights=pixels, minlength=len(areas))
    result: NDArray[np.bool_] = 4 * covered < areas
    return result

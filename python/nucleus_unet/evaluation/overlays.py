"""An image, its truth and a prediction, with what is wrong in colour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.evaluation.error_analysis import GroundTruthOutcome, PredictionOutcome, match_outcomes
from nucleus_unet.evaluation.metrics import match
from nucleus_unet.exports.overlay import displayable, outlines
from nucleus_unet.masks import overlap_table
from nucleus_unet.reports.plots import PALETTE

Colour = tuple[int, int, int]

_, _, _GREEN, _PURPLE, _BLUE, _VERMILION, _YELLOW, _ = PALETTE
TRUE_COLOURS: dict[GroundTruthOutcome, Colour] = {
    GroundTruthOutcome.FOUND: _BLUE,
    GroundTruthOutcome.MERGED: _YELLOW,
    GroundTruthOutcome.SPLIT: _PURPLE,
    GroundTruthOutcome.OUTLINE: _GREEN,
    GroundTruthOutcome.MISSED: _VERMILION,
}
PREDICTED_COLOURS: dict[PredictionOutcome, Colour] = {
    PredictionOutcome.RIGHT: _BLUE,
    PredictionOutcome.EMPTY_GROUND: _VERMILION,
    PredictionOutcome.PIECE: _PURPLE,
    PredictionOutcome.BAD_OUTLINE: _GREEN,
}
_WIDEST = 512
_FILL = 0.5


class Panels(NamedTuple):
    """An image, and the same with its true and with its predicted nuclei; each of them (h, w, 3), uint8."""

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


def error_panels(image: NDArray[Any], truth: NDArray[np.uint32], prediction: NDArray[np.uint32]) -> Panels:
    """Draw an image, its true and its predicted nuclei.

    Nuclei are outlined, and those that are lost or wrong at an intersection over union of .5 are filled, in the colours
    of `TRUE_COLOURS` and `PREDICTED_COLOURS`. Of images wider or higher than 512 pixels, every second, third, ... pixel
    is drawn.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array
        Of any dtype of the contract.
    truth, prediction : NDArray[np.uint32] (H, W)
        0 background.

    Examples
    --------
    >>> nuclei = np.pad(np.ones((4, 4), np.uint32), 2)
    >>> panels = error_panels(nuclei.astype(np.uint8), nuclei, np.zeros_like(nuclei))
    >>> panels.truth.shape, panels.truth[2, 2].tolist()
    ((8, 8, 3), [213, 94, 0])
    """
    table = overlap_table(truth, prediction)
    found = match_outcomes(table, match(table, 0.5))
    step = -(-max(truth.shape) // _WIDEST)
    shown = np.ascontiguousarray(displayable(image)[::step, ::step])
    return Panels(
        shown,
        _coloured(shown, truth[::step, ::step], table.labels_a, found.truths, TRUE_COLOURS),
        _coloured(shown, prediction[::step, ::step], table.labels_b, found.predictions, PREDICTED_COLOURS),
    )


def _coloured(
    shown: NDArray[np.uint8],
    labels: NDArray[np.uint32],
    instances: NDArray[np.uint32],
    instance_fates: NDArray[np.uint8],
    colours: Mapping[Any, Colour],
) -> NDArray[np.uint8]:
    canvas = shown.copy()
    nuclei = labels > 0
    fate = instance_fates[np.searchsorted(instances, labels[nuclei])]
    tint = np.zeros_like(canvas)
    tint[nuclei] = np.array([colours[each] for each in sorted(colours)], np.uint8)[fate]
    bad = np.zeros(labels.shape, bool)
    bad[nuclei] = fate > 0
    canvas[bad] = np.rint((1 - _FILL) * canvas[bad] + _FILL * tint[bad])
    edge = outlines(labels)
    canvas[edge] = tint[edge]
    return canvas

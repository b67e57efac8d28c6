"""Pictures of an image, its ground truth and a prediction, with coloured errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.evaluation.error_analysis import GroundTruthOutcome, PredictionOutcome, match_outcomes
from nucleus_unet.evaluation.metrics import match
from nucleus_unet.exports.overlay import inner_boundaries, to_display_rgb
from nucleus_unet.masks import overlap_table
from nucleus_unet.reports.plots import PALETTE

Colour = tuple[int, int, int]

_, _, _GREEN, _PURPLE, _BLUE, _VERMILION, _YELLOW, _ = PALETTE
TRUTH_COLOURS: dict[GroundTruthOutcome, Colour] = {
    GroundTruthOutcome.FOUND: _BLUE,
    GroundTruthOutcome.MERGED: _YELLOW,
    GroundTruthOutcome.SPLIT: _PURPLE,
    GroundTruthOutcome.OUTLINE: _GREEN,
    GroundTruthOutcome.MISSED: _VERMILION,
}
PREDICTION_COLOURS: dict[PredictionOutcome, Colour] = {
    PredictionOutcome.CORRECT: _BLUE,
    PredictionOutcome.BACKGROUND: _VERMILION,
    PredictionOutcome.PIECE: _PURPLE,
    PredictionOutcome.BAD_OUTLINE: _GREEN,
}
_WIDEST = 512
_FILL = 0.5
# What is not annotated has this fraction of its brightness.
_DARKER = 3


class Panels(NamedTuple):
    """Pictures of an image, of its true nuclei and of its predicted nuclei. Each is (h, w, 3), uint8."""

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


def error_panels(
    image: NDArray[Any],
    truth: NDArray[np.uint32],
    prediction: NDArray[np.uint32],
    valid: NDArray[np.bool_] | None = None,
) -> Panels:
    """Draw an image, its true and its predicted nuclei.

    Nuclei are outlined in the colours of `TRUTH_COLOURS` and `PREDICTION_COLOURS`. False negatives and false positives
    at an IoU of 0.5 are filled too. Images of more than 512 pixels in height or width are subsampled.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) array
        Image of any supported dtype.
    truth, prediction : NDArray[np.uint32] (H, W)
        Label images, 0 background.
    valid : NDArray[np.bool_] (H, W) or None
        The annotated pixels. The others are darkened in the pictures of the nuclei.

    Returns
    -------
    Panels
        The three pictures.

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
    picture = np.ascontiguousarray(to_display_rgb(image)[::step, ::step])
    ground = picture
    if valid is not None:
        ground = np.where(valid[::step, ::step, None], picture, picture // _DARKER)
    return Panels(
        picture,
        _coloured(ground, truth[::step, ::step], table.labels_a, found.truths, TRUTH_COLOURS),
        _coloured(ground, prediction[::step, ::step], table.labels_b, found.predictions, PREDICTION_COLOURS),
    )


def _coloured(
    picture: NDArray[np.uint8],
    labels: NDArray[np.uint32],
    instances: NDArray[np.uint32],
    instance_outcomes: NDArray[np.uint8],
    colours: Mapping[Any, Colour],
) -> NDArray[np.uint8]:
    canvas = picture.copy()
    nuclei = labels > 0
    outcome = instance_outcomes[np.searchsorted(instances, labels[nuclei])]
    tint = np.zeros_like(canvas)
    tint[nuclei] = np.array([colours[each] for each in sorted(colours)], np.uint8)[outcome]
    bad = np.zeros(labels.shape, bool)
    bad[nuclei] = outcome > 0
    canvas[bad] = np.rint((1 - _FILL) * canvas[bad] + _FILL * tint[bad])
    edge = inner_boundaries(labels)
    canvas[edge] = tint[edge]
    return canvas

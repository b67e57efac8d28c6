"""Images that are annotated in part: which predictions count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.masks import overlap_table

# From this IoU on, a prediction is one of a true nucleus.
_MATCH = 0.5


def counted_predictions(
    truth: NDArray[np.integer[Any]], prediction: NDArray[np.integer[Any]], valid: NDArray[np.bool_]
) -> NDArray[np.integer[Any]]:
    """Remove the predictions that are neither true nor false, because they lie where nobody annotated.

    A prediction counts if more than half of it is annotated, or if its intersection over union with a true nucleus is
    at least 0.5. A prediction that counts stays complete.

    Parameters
    ----------
    truth, prediction : NDArray[np.integer] (H, W)
        Label images, 0 background.
    valid : NDArray[np.bool_] (H, W)
        The annotated pixels.

    Returns
    -------
    NDArray[np.integer] (H, W)
        The predictions that count, with their labels.

    Examples
    --------
    >>> valid = np.array([[True, True, True, False, False, False]])
    >>> counted_predictions(np.zeros((1, 6), int), np.array([[1, 1, 0, 2, 2, 2]]), valid)
    array([[1, 1, 0, 0, 0, 0]])
    """
    table = overlap_table(truth, prediction)
    matched = np.bincount(table.index_b[table.iou >= _MATCH], minlength=len(table.labels_b)) > 0
    places = np.searchsorted(table.labels_b, prediction[valid & (prediction > 0)])
    annotated = np.bincount(places, minlength=len(table.labels_b))
    counts = np.append(matched | (2 * annotated > table.areas_b), False)
    is_nucleus = prediction > 0
    kept = np.zeros_like(prediction)
    kept[is_nucleus] = np.where(
        counts[np.searchsorted(table.labels_b, prediction[is_nucleus])], prediction[is_nucleus], 0
    )
    return kept

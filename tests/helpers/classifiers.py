"""Classifiers of nuclei whose numbers are written down, not trained."""

from __future__ import annotations

from typing import Any

import numpy as np
from nucleus_unet.classifier import Classifier
from nucleus_unet.classifier.classes import ClassKind
from nucleus_unet.classifier.estimators import Logistic
from nucleus_unet.classifier.model import FoundBy, MeasuredAs

DIM, BRIGHT = ClassKind("dim", (0, 0, 255)), ClassKind("bright, very", (255, 128, 0))


def threshold_classifier(column: str = "intensity", limit: float = 100.0, **measured: Any) -> Classifier:
    """Nuclei whose value in a column is above the limit are bright."""
    estimator = Logistic(np.array([limit]), np.array([1.0]), np.array([[-1.0], [1.0]]), np.zeros(2))
    settings = {"groups": ("intensity",), "expand": None, "neighbour_radius": 100.0, "mpp": None, **measured}
    found_by = FoundBy("tiny", "")
    return Classifier((DIM, BRIGHT), (column,), np.array([limit + 1]), estimator, MeasuredAs(**settings), found_by)

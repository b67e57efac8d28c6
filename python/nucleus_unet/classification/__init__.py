"""Teach a classifier of nuclei from a handful of marked ones, and apply it to finished tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleus_unet.lazy import lazy_names

if TYPE_CHECKING:
    from nucleus_unet.classification.apply import classify_results
    from nucleus_unet.classification.train import TrainedClassifier, train_classifier

__all__ = ["TrainedClassifier", "classify_results", "train_classifier"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "TrainedClassifier": "nucleus_unet.classification.train",
        "classify_results": "nucleus_unet.classification.apply",
        "train_classifier": "nucleus_unet.classification.train",
    },
)

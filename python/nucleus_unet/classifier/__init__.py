"""The classifier of nuclei: its numbers, its file, and how it is applied. `classification` trains it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nucleus_unet.lazy import lazy_names

if TYPE_CHECKING:
    from nucleus_unet.classifier.file import load_classifier
    from nucleus_unet.classifier.model import Classifier

__all__ = ["Classifier", "load_classifier"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {"Classifier": "nucleus_unet.classifier.model", "load_classifier": "nucleus_unet.classifier.file"},
)

"""What a model has learned to estimate the quality of a nucleus; a model bundle stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nucleus_unet.errors import BundleError
from nucleus_unet.model.number_lists import read_number_lists
from nucleus_unet.model.quadratic import number_of_terms

MEASUREMENTS = 6
"""Number of measurements of a nucleus; see `nucleus_unet.inference.grouping.Grouped`."""
TERMS = number_of_terms(MEASUREMENTS)
"""Number of weights: a constant, the measurements, and their products."""
_LENGTHS = {"mean": MEASUREMENTS, "spread": MEASUREMENTS, "weights": TERMS}


@dataclass(frozen=True)
class QualityScore:
    """A function that estimates the quality of a nucleus: its intersection over union with the true nucleus.

    It is the logistic function of a quadratic function of six measurements. The idea is that of Mask Scoring R-CNN
    (Huang et al. 2019). The grouping evaluates it.

    Attributes
    ----------
    mean, spread : tuple of float
        Mean and standard deviation of each measurement.
    weights : tuple of float
        Weights of the terms; see `nucleus_unet.model.quadratic.terms`.
    """

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {name: list(getattr(self, name)) for name in _LENGTHS}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> QualityScore:
        """Inverse of `to_json`.

        Raises
        ------
        BundleError
            If a list is missing, has another length or contains something else than finite numbers.
        """
        lists = read_number_lists(values, _LENGTHS, "quality_score")
        if min(lists["spread"]) <= 0:
            raise BundleError("quality_score.spread: expected positive numbers")
        return cls(**lists)

"""What a model has learned to estimate the quality of a nucleus; a model bundle stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nucleus_unet.errors import BundleError

MEASUREMENTS = 6
"""Number of measurements of a nucleus; see `nucleus_unet.inference.grouping.Grouped`."""
TERMS = 1 + MEASUREMENTS + MEASUREMENTS * (MEASUREMENTS + 1) // 2
"""Number of weights: a constant, the measurements, and their products."""
CLIP = 4.0
"""Standardised measurements are clipped to this, so that no unusual one decides alone."""
_LISTS = (("mean", MEASUREMENTS), ("spread", MEASUREMENTS), ("weights", TERMS))


@dataclass(frozen=True)
class QualityScore:
    """The logistic function of a quadratic function of the measurements of a nucleus.

    It estimates the intersection over union of the nucleus with the true one, 0 if there is none: its quality. The idea
    is that of Mask Scoring R-CNN (Huang et al. 2019). The grouping evaluates it.

    Attributes
    ----------
    mean, spread : tuple of float
        Mean and standard deviation of each measurement.
    weights : tuple of float
        Weights of a constant, of the standardised measurements, and of their products.
    """

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {name: list(getattr(self, name)) for name, _ in _LISTS}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> QualityScore:
        """Inverse of `to_json`.

        Raises
        ------
        BundleError
            If a list is missing, has another length or contains something else than finite numbers.
        """
        lists = {}
        for name, length in _LISTS:
            numbers = values.get(name) if isinstance(values, Mapping) else None
            valid = isinstance(numbers, list) and len(numbers) == length
            if not valid or not all(type(number) in (int, float) and abs(number) < 1e9 for number in numbers or []):
                raise BundleError(f"quality_score.{name}: expected a list of {length} numbers")
            lists[name] = tuple(float(number) for number in numbers or [])
        if min(lists["spread"]) <= 0:
            raise BundleError("quality_score.spread: expected positive numbers")
        return cls(**lists)

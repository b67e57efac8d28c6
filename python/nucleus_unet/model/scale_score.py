"""What a model has learned to find the scale of an image and to estimate its accuracy; a model bundle stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import BundleError
from nucleus_unet.model.number_lists import read_number_lists
from nucleus_unet.model.quadratic import number_of_terms, terms

FEATURES = 21
"""Number of measurements of a scale; see `nucleus_unet.inference.scale_measurements`."""
TERMS = number_of_terms(FEATURES)
"""Number of weights: a constant, the measurements, and their products."""
_MAX_SMALL_DIAMETER = 1000
_LENGTHS = {"mean": FEATURES, "spread": FEATURES, "weights": TERMS, "accuracy_weights": TERMS}


@dataclass(frozen=True)
class ScaleScore:
    """Two quadratic functions of the measurements of a scale, and the size of nuclei that are too small for the model.

    One function estimates the loss of mSA against the best scale, the other one the mSA of the nuclei that are found.

    Attributes
    ----------
    mean, spread : tuple of float
        Mean and standard deviation of each measurement.
    weights : tuple of float
        Weights of the terms; see `nucleus_unet.model.quadratic.terms`.
    accuracy_weights : tuple of float
        Weights of the terms for the mSA.
    small_diameter
        Median diameter in pixels below which nuclei are too small, so that the image is enlarged.
    """

    mean: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]
    accuracy_weights: tuple[float, ...]
    small_diameter: float

    def predict(self, measurements: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the score of each scale.

        Parameters
        ----------
        measurements : NDArray[np.float64] (N, 21)
            One row for each scale.
        """
        return self._weighted(measurements, self.weights)

    def expected_msa(self, measurements: NDArray[np.float64]) -> float:
        """Return the mSA, 0 to 1, that nuclei with these measurements have on average.

        Parameters
        ----------
        measurements : NDArray[np.float64] (21,)
            Of the scale that was chosen.
        """
        return float(np.clip(self._weighted(measurements[None], self.accuracy_weights)[0], 0, 1))

    def _weighted(self, measurements: NDArray[np.float64], weights: tuple[float, ...]) -> NDArray[np.float64]:
        products = terms(measurements, np.array(self.mean), np.array(self.spread)) * np.array(weights)
        total: NDArray[np.float64] = products.sum(axis=1)
        return total

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        lists = {name: list(getattr(self, name)) for name in _LENGTHS}
        return {**lists, "small_diameter": self.small_diameter}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ScaleScore:
        """Inverse of `to_json`.

        Raises
        ------
        BundleError
            If a list or number is missing, or a list has another length or contains something else than finite numbers.
        """
        lists = read_number_lists(values, _LENGTHS, "scale_score")
        if min(lists["spread"]) <= 0:
            raise BundleError("scale_score.spread: expected positive numbers")
        small: Any = values.get("small_diameter")
        if type(small) not in (int, float) or not 0 <= small <= _MAX_SMALL_DIAMETER:
            raise BundleError(f"scale_score.small_diameter: expected 0 to {_MAX_SMALL_DIAMETER} pixels, got {small!r}")
        return cls(**lists, small_diameter=float(small))

"""Quadratic functions of standardised measurements, as models learn them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CLIP = 4.0
"""Standardised measurements are clipped to this, so that no unusual one decides alone. The kernels have it, too."""


def number_of_terms(measurements: int) -> int:
    """Return the number of terms: a constant, the measurements, and their products."""
    return 1 + measurements + measurements * (measurements + 1) // 2


def terms(
    measurements: NDArray[np.float64], mean: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return a constant, the standardised measurements, and their products.

    Parameters
    ----------
    measurements : NDArray[np.float64] (N, M)
        One row for each observation.
    mean, spread : NDArray[np.float64] (M,)
        Mean and standard deviation of each measurement.

    Returns
    -------
    NDArray[np.float64] (N, 1 + M + M (M + 1) / 2)
        The products are in the order 11, 12, ..., 1M, 22, ..., MM.

    Examples
    --------
    >>> terms(np.array([[3.0, 5.0]]), np.array([1.0, 5.0]), np.array([2.0, 1.0]))
    array([[1., 1., 0., 1., 0., 0.]])
    """
    standardised = np.clip((measurements - mean) / spread, -CLIP, CLIP)
    first, second = np.triu_indices(measurements.shape[1])
    products = standardised[:, first] * standardised[:, second]
    return np.hstack([np.ones((len(measurements), 1)), standardised, products])

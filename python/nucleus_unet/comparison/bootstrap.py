"""Paired bootstrap: a confidence interval of the difference between two models.

The measured images are a sample of all possible images. The bootstrap draws as many units again from this sample, with
replacement, and draws the same units for both models (Efron 1979; for the comparison of systems, Koehn 2004). It
repeats this many times. The interval consists of percentiles of the resulting differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError

_MAX_DRAWS = 4_000_000


class Interval(NamedTuple):
    """A difference and its confidence interval."""

    difference: float
    low: float
    high: float


def paired_bootstrap(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    first_denominators: NDArray[np.float64] | None = None,
    second_denominators: NDArray[np.float64] | None = None,
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Estimate how much higher a metric of the second model is than that of the first.

    Parameters
    ----------
    first, second : NDArray[np.float64] (N,)
        Each model's value for each unit (image or field). Both arrays have the units in the same order.
    first_denominators, second_denominators : NDArray[np.float64] (N,), optional
        Denominators of pooled metrics such as average precision. The metric is the sum of the values divided by the
        sum of the denominators. It is 1 if the denominators add up to 0. Without denominators, the metric is the mean
        over units.
    resamples
        Number of bootstrap resamples.
    confidence
        Confidence level of the interval, between 0 and 1.
    seed
        Seed of the random draws. Equal seeds give equal intervals.

    Returns
    -------
    Interval
        The difference (second minus first) and the bounds of its confidence interval.

    Raises
    ------
    SettingsError
        There are no units, the numbers of units differ, or an option is out of range.

    Examples
    --------
    >>> better = paired_bootstrap(np.array([0.5, 0.6, 0.7, 0.8]), np.array([0.6, 0.7, 0.9, 0.9]))
    >>> round(better.difference, 3), better.low > 0
    (0.125, True)
    """
    ones = np.ones(len(first))
    parts = [
        first,
        ones if first_denominators is None else first_denominators,
        second,
        ones if second_denominators is None else second_denominators,
    ]
    if not len(first) or len({len(part) for part in parts}) > 1:
        raise SettingsError(f"expected as many values of both models, got {[len(part) for part in parts]}")
    if resamples < 1 or not 0 < confidence < 1:
        raise SettingsError(
            f"expected resamples above 0 and a confidence within 0 and 1, got {resamples}, {confidence}"
        )
    table = np.stack(parts, axis=1).astype(np.float64)
    drawn = np.concatenate([_differences(draws @ table) for draws in _draws(len(first), resamples, seed)])
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Interval(float(_differences(table.sum(axis=0)[None])[0]), float(low), float(high))


def _draws(units: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each unit is drawn, in batches of resamples that bound the memory."""
    generator = np.random.default_rng(seed)
    share = np.full(units, 1 / units)
    step = max(1, _MAX_DRAWS // units)
    for start in range(0, resamples, step):
        yield generator.multinomial(units, share, size=min(step, resamples - start))


def _differences(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = (
        np.divide(sums[:, part], sums[:, part + 1], out=np.ones(len(sums)), where=sums[:, part + 1] > 0)
        for part in (0, 2)
    )
    # Equal metrics may differ by rounding errors; these are no difference.
    return np.round(second - first, 12)

"""How far a difference between two models may be chance: the paired bootstrap.

The images that were measured are one draw from all there might have been. Drawing as many anew from them, with
replacement and the same for both models, over and over, shows how far the difference varies from draw to draw (Efron
1979; for the comparison of systems, Koehn 2004). The interval is made of percentiles of those differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError

_CELLS = 4_000_000


class Interval(NamedTuple):
    """A difference, and between which values it lies."""

    difference: float
    low: float
    high: float


def paired_bootstrap(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    divisors_of_first: NDArray[np.float64] | None = None,
    divisors_of_second: NDArray[np.float64] | None = None,
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Estimate how much higher a figure is of the second model than of the first.

    Parameters
    ----------
    first, second : NDArray[np.float64] (N,)
        What each model got on each unit (image or field), in one order.
    divisors_of_first, divisors_of_second : NDArray[np.float64] (N,), optional
        The figure is the sum of what was got over the sum of these, as for pooled average precision; without them, the
        mean over units. Where they add up to 0 the figure is 1: there was nothing to find, and nothing was found.
    resamples
        How often units are drawn anew.
    confidence
        Probability that the interval is to cover, between 0 and 1.
    seed
        Of the draws; equal seeds give equal intervals.

    Raises
    ------
    SettingsError
        There are no units, numbers of units differ, or an option is out of range.

    Examples
    --------
    >>> better = paired_bootstrap(np.array([0.5, 0.6, 0.7, 0.8]), np.array([0.6, 0.7, 0.9, 0.9]))
    >>> round(better.difference, 3), better.low > 0
    (0.125, True)
    """
    ones = np.ones(len(first))
    parts = [
        first,
        ones if divisors_of_first is None else divisors_of_first,
        second,
        ones if divisors_of_second is None else divisors_of_second,
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
    """Yield how often each unit is drawn, some resamples at a time so that memory stays bounded."""
    generator = np.random.default_rng(seed)
    share = np.full(units, 1 / units)
    step = max(1, _CELLS // units)
    for start in range(0, resamples, step):
        yield generator.multinomial(units, share, size=min(step, resamples - start))


def _differences(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = (
        np.divide(sums[:, part], sums[:, part + 1], out=np.ones(len(sums)), where=sums[:, part + 1] > 0)
        for part in (0, 2)
    )
    # What is left of equal figures by rounding is no difference.
    difference: NDArray[np.float64] = np.round(second - first, 12)
    return difference

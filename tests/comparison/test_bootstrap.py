"""The paired bootstrap, against scipy's and against intervals that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from nucleus_unet.comparison import bootstrap
from nucleus_unet.comparison.bootstrap import paired_bootstrap
from nucleus_unet.errors import SettingsError
from numpy.typing import NDArray
from scipy import stats


def models(units: int, *, gain: float = 0.05) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Figures of two models that find the same images hard."""
    generator = np.random.default_rng(units)
    hard = generator.normal(0.7, 0.2, units)
    return hard, hard + generator.normal(gain, 0.1, units)


def test_the_interval_of_a_mean_is_scipys() -> None:
    first, second = models(60)
    ours = paired_bootstrap(first, second)
    theirs = stats.bootstrap(
        (first, second),
        lambda a, b, axis: b.mean(axis=axis) - a.mean(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours.difference == pytest.approx((second - first).mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.05 * (theirs.high - theirs.low))


def test_the_interval_of_a_quotient_of_sums_is_scipys() -> None:
    generator = np.random.default_rng(5)
    nuclei = generator.integers(1, 200, 80).astype(float)
    first, second = (generator.binomial(nuclei.astype(int), share).astype(float) for share in (0.7, 0.75))
    more = nuclei + generator.integers(0, 30, 80)

    def statistic(
        a: NDArray[np.float64], p: NDArray[np.float64], b: NDArray[np.float64], q: NDArray[np.float64]
    ) -> float:
        return float(b.sum() / q.sum() - a.sum() / p.sum())

    ours = paired_bootstrap(first, second, nuclei, more)
    theirs = stats.bootstrap(
        (first, nuclei, second, more),
        statistic,
        paired=True,
        vectorized=False,
        n_resamples=4_000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert ours.difference == pytest.approx(statistic(first, nuclei, second, more))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.05 * (theirs.high - theirs.low))


def test_the_mean_of_many_units_has_the_normal_interval() -> None:
    first, second = models(2_000)
    gain = second - first
    reach = stats.norm.ppf(0.95) * gain.std() / math.sqrt(len(gain))
    interval = paired_bootstrap(first, second, confidence=0.9)
    assert interval.low == pytest.approx(gain.mean() - reach, abs=0.05 * reach)
    assert interval.high == pytest.approx(gain.mean() + reach, abs=0.05 * reach)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        first = generator.normal(0, 1, 50)
        interval = paired_bootstrap(first, first + generator.normal(0.3, 1, 50), resamples=400, confidence=0.9)
        covered += interval.low <= 0.3 <= interval.high
    assert 0.83 < covered / 300 < 0.95


def test_what_both_models_find_hard_does_not_widen_the_interval() -> None:
    first, _ = models(40)
    interval = paired_bootstrap(first, first + 0.01)
    assert (interval.low, interval.high) == pytest.approx((0.01, 0.01))


def test_equal_models_do_not_differ_at_all() -> None:
    first, _ = models(37)
    assert paired_bootstrap(first, first.copy(), first + 1, first + 1) == (0, 0, 0)


def test_models_the_other_way_round_differ_the_other_way_round() -> None:
    first, second = models(30)
    there, back = paired_bootstrap(first, second), paired_bootstrap(second, first)
    assert there == pytest.approx((-back.difference, -back.high, -back.low))


def test_equal_seeds_give_equal_intervals_however_much_is_drawn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = models(30)
    interval = paired_bootstrap(first, second, resamples=500, seed=7)
    assert paired_bootstrap(first, second, resamples=500, seed=8) != interval
    monkeypatch.setattr(bootstrap, "_MAX_DRAWS", 100)
    assert paired_bootstrap(first, second, resamples=500, seed=7) == interval


def test_where_there_is_nothing_to_find_and_nothing_was_found_the_figure_is_one() -> None:
    nothing, some = np.zeros(12), np.ones(12)
    assert paired_bootstrap(nothing, nothing, nothing, some) == (-1, -1, -1)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (([], []), {}),
        (([1.0], [1.0, 2.0]), {}),
        (([1.0], [1.0]), {"resamples": 0}),
        (([1.0], [1.0]), {"confidence": 1.0}),
    ],
)
def test_what_means_nothing_is_refused(values: tuple[list[float], list[float]], options: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="expected"):
        paired_bootstrap(np.array(values[0]), np.array(values[1]), **options)  # type: ignore[arg-type]

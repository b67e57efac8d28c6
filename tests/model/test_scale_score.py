"""The learned score of scales, and its form in a bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet.errors import BundleError
from nucleus_unet.model.quadratic import terms
from nucleus_unet.model.scale_score import FEATURES, TERMS, ScaleScore


def random_score(seed: int) -> ScaleScore:
    rng = np.random.default_rng(seed)
    mean, spread = rng.normal(size=FEATURES), rng.uniform(0.1, 2, FEATURES)
    weights, accuracy_weights = rng.normal(size=(2, TERMS))
    lists = (tuple(values.tolist()) for values in (mean, spread, weights, accuracy_weights))
    return ScaleScore(*lists, small_diameter=15.0)


@given(seed=st.integers(0, 99))
def test_the_score_is_the_quadratic_function_of_its_weights(seed: int) -> None:
    score, rng = random_score(seed), np.random.default_rng(seed + 100)
    measurements = rng.normal(size=(3, FEATURES))
    for row, predicted in zip(measurements, score.predict(measurements), strict=True):
        standard = [min(4, max(-4, (row[i] - score.mean[i]) / score.spread[i])) for i in range(FEATURES)]
        pairs = [standard[i] * standard[j] for i in range(FEATURES) for j in range(i, FEATURES)]
        assert predicted == pytest.approx(np.dot(score.weights, [1, *standard, *pairs]))


@given(seed=st.integers(0, 99))
def test_the_expected_accuracy_is_a_quadratic_function_too_between_0_and_1(seed: int) -> None:
    score = random_score(seed)
    measurements = np.random.default_rng(seed + 100).normal(size=FEATURES)
    same = replace(score, weights=score.accuracy_weights).predict(measurements[None])[0]
    assert score.expected_msa(measurements) == pytest.approx(min(1, max(0, same)))


def test_a_measurement_far_from_all_others_counts_no_more_than_four_deviations() -> None:
    mean, spread = np.zeros(FEATURES), np.ones(FEATURES)
    np.testing.assert_array_equal(
        terms(np.full((1, FEATURES), 1e9), mean, spread), terms(np.full((1, FEATURES), 4.0), mean, spread)
    )


def test_json_keeps_the_score() -> None:
    score = random_score(0)
    assert ScaleScore.from_json(json.loads(json.dumps(score.to_json()))) == score


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", None),
        ("mean", [0.0] * (FEATURES - 1)),
        ("mean", "0" * FEATURES),
        ("weights", [float("nan")] * TERMS),
        ("weights", [float("inf")] * TERMS),
        ("weights", [True] * TERMS),
        ("weights", [["x"]] * TERMS),
        ("accuracy_weights", None),
        ("accuracy_weights", [0.0] * (TERMS + 1)),
        ("spread", [0.0] * FEATURES),
        ("spread", [-1.0] * FEATURES),
        ("small_diameter", None),
        ("small_diameter", -1.0),
        ("small_diameter", float("nan")),
        ("small_diameter", True),
        ("small_diameter", [15.0]),
    ],
)
def test_a_malformed_score_is_refused(name: str, value: Any) -> None:
    with pytest.raises(BundleError, match=f"scale_score.{name}"):
        ScaleScore.from_json({**random_score(0).to_json(), name: value})


@pytest.mark.parametrize("values", [[], 3, "score", {}])
def test_something_else_than_a_score_is_refused(values: Any) -> None:
    with pytest.raises(BundleError, match="scale_score"):
        ScaleScore.from_json(values)

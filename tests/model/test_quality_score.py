"""The learned quality of nuclei: what the grouping makes of it, and its form in a bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.grouping import exact_targets
from helpers.quality import random_score
from hypothesis import given
from hypothesis import strategies as st
from nucleus_unet.errors import BundleError, SettingsError
from nucleus_unet.inference.grouping import group
from nucleus_unet.model.bundle import BundleConfig, load_bundle
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.quality_score import MEASUREMENTS, TERMS, QualityScore
from numpy.typing import NDArray

EVERYTHING = GroupConfig(centre_sigma=0, merge_distance=0, min_area=0, min_score=0, min_peak=0, min_quality=0)


def blurred_maps(seed: int) -> NDArray[np.uint8]:
    """Maps of a few nuclei with noise in every channel."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((60, 70), np.uint32)
    labels[5:20, 6:24], labels[8:30, 30:44], labels[35:50, 10:60] = 1, 2, 3
    noise = rng.integers(-20, 21, (60, 70, 4))
    return np.clip(exact_targets(labels).astype(np.int64) + noise, 0, 255).astype(np.uint8)


@given(seed=st.integers(0, 99))
def test_the_quality_is_the_logistic_function_of_a_quadratic_one(seed: int) -> None:
    score = random_score(seed)
    found = group(blurred_maps(seed), replace(EVERYTHING, quality=score))
    assert len(found.qualities) >= 3
    for row, quality in zip(found.measurements, found.qualities, strict=True):
        standard = [min(4, max(-4, (row[i] - score.mean[i]) / score.spread[i])) for i in range(MEASUREMENTS)]
        pairs = [standard[i] * standard[j] for i in range(MEASUREMENTS) for j in range(i, MEASUREMENTS)]
        expected = 1 / (1 + np.exp(-np.dot(score.weights, [1, *standard, *pairs])))
        assert quality == pytest.approx(expected, abs=1e-6)


def test_without_a_learned_function_the_quality_is_not_known_and_drops_no_nucleus() -> None:
    maps = blurred_maps(0)
    found = group(maps, replace(EVERYTHING, min_quality=1.0))
    assert np.isnan(found.qualities).all()
    np.testing.assert_array_equal(found.labels, group(maps, EVERYTHING).labels)


def test_the_models_of_the_package_drop_nuclei_by_their_quality_alone() -> None:
    for name in ("embedded", "small"):
        config = load_bundle(name).config
        assert (config.grouping.quality, config.grouping.min_score) == (config.quality_score, 0)
        assert config.group.quality is None
        assert config.with_grouping(config.grouping) == config


def test_the_function_has_one_place_in_a_bundle() -> None:
    values = load_bundle().config.to_json()
    values["group"]["quality"] = values["quality_score"]
    with pytest.raises(BundleError, match=r"group\.quality: expected null"):
        BundleConfig.from_json(values)


@pytest.mark.parametrize("quality", [1, {}, replace(random_score(0), weights=(np.nan,) * TERMS)])
def test_settings_with_another_function_are_refused(quality: Any) -> None:
    with pytest.raises(SettingsError, match="quality: expected"):
        replace(EVERYTHING, quality=quality)


def test_a_nucleus_that_fills_the_image_is_as_certain_at_its_border_as_inside() -> None:
    maps = np.full((5, 5, 4), 128, np.uint8)
    maps[..., 0], maps[2, 2, 1] = 200, 255
    (found,) = group(maps, replace(EVERYTHING, assignment_radius=10)).measurements
    assert found[4:].tolist() == [found[0], 0]


def test_json_keeps_the_function() -> None:
    score = random_score(0)
    assert QualityScore.from_json(json.loads(json.dumps(score.to_json()))) == score
    config = replace(EVERYTHING, quality=score)
    assert GroupConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", None),
        ("mean", [0.0] * (MEASUREMENTS - 1)),
        ("mean", "0" * MEASUREMENTS),
        ("spread", [0.0] * MEASUREMENTS),
        ("spread", [True] * MEASUREMENTS),
        ("weights", [0.0] * (TERMS + 1)),
        ("weights", [float("nan")] * TERMS),
        ("weights", [float("inf")] * TERMS),
        ("weights", ["1"] * TERMS),
    ],
)
def test_a_damaged_function_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(BundleError, match=rf"quality_score\.{name}: expected"):
        QualityScore.from_json({**random_score(0).to_json(), name: value})

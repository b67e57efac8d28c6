"""Learning the quality of nuclei from labelled images."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import run
from helpers.labelled_discs import EXAMPLES
from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.model.bundle import load_bundle
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.training import quality_fitting
from nucleus_unet.training.quality_fitting import fit_quality_score, fit_quality_score_of_bundle, observe_nuclei
from nucleus_unet.training.validation import PredictedMaps, predict_examples


@pytest.fixture(scope="module")
def engine() -> Predictor:
    return open_engine(load_bundle(), device="cpu")


def observed(engine: Predictor, each: Example) -> tuple[PredictedMaps, list[float]]:
    (predicted,) = predict_examples(engine, [each])
    return predicted, observe_nuclei(predicted, load_bundle().config.group)[1].tolist()


def test_the_iou_is_that_with_the_true_nucleus_of_largest_overlap(engine: Predictor) -> None:
    _, ious = observed(engine, EXAMPLES[0])
    assert len(ious) == 3
    assert min(ious) > 0.8
    without_second = np.where(EXAMPLES[0].labels == 2, np.uint32(0), EXAMPLES[0].labels)
    _, fewer = observed(engine, dataclasses.replace(EXAMPLES[0], labels=without_second))
    assert sorted(fewer) == [0.0, *sorted(ious[:1] + ious[2:])]


def test_nuclei_where_nobody_annotated_are_left_out(engine: Predictor) -> None:
    valid = np.ones((96, 96), bool)
    valid[:48, 48:] = False
    bare = np.where(EXAMPLES[0].labels == 2, np.uint32(0), EXAMPLES[0].labels)
    predicted, ious = observed(engine, dataclasses.replace(EXAMPLES[0], labels=bare, valid=valid))
    assert len(ious) == 2
    assert min(ious) > 0.8
    assert observe_nuclei(predicted, load_bundle().config.group)[0].shape == (2, 6)


def test_estimates_follow_the_iou_that_was_learned() -> None:
    rng = np.random.default_rng(0)
    measurements = rng.normal(size=(4000, 6)) * [0.1, 0.2, 0.05, 2, 0.1, 0.1] + 0.7
    log_odds = 1 + 9 * (measurements[:, 0] - 0.7) - 3 * (measurements[:, 3] - 0.7) * (measurements[:, 5] - 0.7)
    ious = 1 / (1 + np.exp(-log_odds))
    score = fit_quality_score(measurements, ious, np.ones(4000))
    standard = (measurements - score.mean) / score.spread
    first, second = np.triu_indices(6)
    terms = np.hstack([np.ones((4000, 1)), standard, standard[:, first] * standard[:, second]])
    estimates = 1 / (1 + np.exp(-terms @ score.weights))
    usual = np.abs(standard).max(axis=1) < 4
    assert np.abs(estimates - ious)[usual].max() < 0.01


def test_the_bundle_learns_names_its_images_and_keeps_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_fitting, "MIN_QUALITY_NUCLEI", 9)
    before = load_bundle("small")
    fit_quality_score_of_bundle(before, EXAMPLES, tmp_path / "new", device="cpu")
    after = load_bundle(tmp_path / "new")
    assert after.config.quality_score != before.config.quality_score
    least = after.config.group.min_quality
    same = dataclasses.replace(before.config, name="new", quality_score=after.config.quality_score)
    assert after.config == dataclasses.replace(same, group=dataclasses.replace(before.config.group, min_quality=least))
    assert after.seen.choice == before.seen.choice | {each.digest for each in EXAMPLES}
    assert "learned to estimate the quality of nuclei from 9 nuclei of 3 images" in " ".join(after.card.split())
    found = Segmenter.from_pretrained(tmp_path / "new", device="cpu").predict(EXAMPLES[0].image)
    assert found.qualities.min() > 0.8


def test_too_few_nuclei_teach_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least 4000 nuclei to learn their quality from, found 9"):
        fit_quality_score_of_bundle(load_bundle(), EXAMPLES, tmp_path / "new", device="cpu")
    assert not (tmp_path / "new").exists()


def test_images_without_true_nuclei_teach_nothing(tmp_path: Path) -> None:
    bare = [dataclasses.replace(each, labels=np.zeros_like(each.labels)) for each in EXAMPLES]
    with pytest.raises(DataError, match="expected labelled nuclei to learn from, found none in 3 images"):
        fit_quality_score_of_bundle(load_bundle(), bare, tmp_path / "new", device="cpu")


@pytest.mark.parametrize("iou", [0.0, 1.0])
def test_nuclei_that_are_all_wrong_or_all_right_teach_nothing(iou: float) -> None:
    measurements = np.random.default_rng(0).random((200, 6))
    with pytest.raises(DataError, match="those found are nearly all the same"):
        fit_quality_score(measurements, np.full(200, iou), np.ones(200))


def test_what_is_already_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    with pytest.raises(SettingsError, match="new or empty folder"):
        fit_quality_score_of_bundle(load_bundle(), EXAMPLES, tmp_path, device="cpu")


def test_the_command_learns_one_thing_at_a_time(tmp_path: Path) -> None:
    import imagecodecs

    for part in ("images", "masks"):
        (tmp_path / "set" / part).mkdir(parents=True)
        pixels = {"images": EXAMPLES[0].image, "masks": EXAMPLES[0].labels.astype(np.uint8)}[part]
        (tmp_path / "set" / part / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    arguments = ("calibrate", "small", "--data", tmp_path / "set", "--out", tmp_path / "new", "--quality")
    few = run(*arguments)
    assert few.returncode == 2
    assert "at least 4000 nuclei" in " ".join(few.stderr.split())
    both = run(*arguments, "--scale")
    assert both.returncode == 2
    assert "--scale and --quality: expected one of them" in " ".join(both.stderr.split())

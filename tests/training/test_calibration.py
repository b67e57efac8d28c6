"""Choosing a trained model's grouping anew: figures, and a bundle that is there whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.commands import run
from helpers.images import draw_discs
from helpers.labelled_discs import EXAMPLES
from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.evaluation.evaluate import evaluate
from nucleus_unet.model.bundle import load_bundle, save_bundle
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.training import calibration
from nucleus_unet.training.calibration import calibrate_bundle
from nucleus_unet.training.scale_fitting import fit_scale_score_of_bundle
from scipy import ndimage


@pytest.fixture
def careless(tmp_path: Path, tiny_bundle: Path) -> Path:
    """Folder of a bundle that drops all nuclei but very large ones."""
    bundle = load_bundle(tiny_bundle)
    config = dataclasses.replace(bundle.config, group=dataclasses.replace(bundle.config.group, min_area=240))
    save_bundle(dataclasses.replace(bundle, config=config), tmp_path / "careless")
    return tmp_path / "careless"


def test_the_new_bundle_is_better_by_what_was_said(tmp_path: Path, careless: Path) -> None:
    found = calibrate_bundle(load_bundle(careless), EXAMPLES, tmp_path / "new", device="cpu")
    assert found.after.per_image_mean > found.before.per_image_mean
    assert found.changed["min_area"][0] == 240
    for folder, said in ((careless, found.before), (tmp_path / "new", found.after)):
        segmenter = Segmenter.from_pretrained(folder, device="cpu")
        measured = evaluate(segmenter, EXAMPLES).overall
        assert measured.per_image_mean == pytest.approx(said.per_image_mean, abs=0.02)
        assert measured.pooled[0.5] == said.pooled[0.5]


def test_images_are_calibrated_at_the_scale_at_which_they_are_predicted(tmp_path: Path) -> None:
    image = draw_discs((310, 310), [(row, column, 60) for row in (80, 230) for column in (80, 230)])
    labels = ndimage.label(image > 100)[0].astype(np.uint32)
    large = Example("large", "discs", image, labels, "large")
    found = calibrate_bundle(load_bundle(None), [large, *EXAMPLES], tmp_path / "new", device="cpu")
    measured = evaluate(Segmenter.from_pretrained(device="cpu"), [large, *EXAMPLES]).overall
    assert found.before.pooled == measured.pooled
    assert found.before.per_image_mean > 0.9


def test_a_model_that_learned_to_find_the_scale_names_the_images_it_learned_from(
    tmp_path: Path, tiny_bundle: Path
) -> None:
    fit_scale_score_of_bundle(load_bundle(tiny_bundle), EXAMPLES[:2], tmp_path / "new", device="cpu")
    before, after = load_bundle(tiny_bundle), load_bundle(tmp_path / "new")
    assert before.config.scale_score is None
    assert after.config.scale_score is not None
    assert after.seen.choice == before.seen.choice | {each.digest for each in EXAMPLES[:2]}
    assert (tmp_path / "new" / "weights.safetensors").read_bytes() == (tiny_bundle / "weights.safetensors").read_bytes()
    assert (before.card == "") == (after.card == "")
    assert not after.card or "learned to find the scale of an image from 2 images" in after.card


def test_without_nuclei_there_is_nothing_to_calibrate_on(tmp_path: Path, tiny_bundle: Path) -> None:
    bare = [dataclasses.replace(each, labels=np.zeros_like(each.labels)) for each in EXAMPLES]
    with pytest.raises(DataError, match="expected labelled nuclei to calibrate on, found none in 3 images"):
        calibrate_bundle(load_bundle(tiny_bundle), bare, tmp_path / "new", device="cpu")
    assert not (tmp_path / "new").exists()


def test_only_the_grouping_changes_and_the_bundle_tells_of_it(tmp_path: Path, careless: Path) -> None:
    found = calibrate_bundle(load_bundle(careless), EXAMPLES, tmp_path / "new", device="cpu")
    before, after = load_bundle(careless), load_bundle(tmp_path / "new")
    assert after.config == dataclasses.replace(before.config, name="new", group=found.found)
    assert (tmp_path / "new" / "weights.safetensors").read_bytes() == (careless / "weights.safetensors").read_bytes()
    assert after.metrics["ap50"] == 0.5
    assert after.metrics["calibration"]["images"] == 3
    assert after.metrics["calibration"]["after"] == json.loads(json.dumps(found.after.to_json()))
    assert after.card.startswith("# Tiny\n")
    assert f"{found.before.per_image_mean:.4f} before" in after.card


def test_what_is_already_there_is_not_touched(tmp_path: Path, careless: Path) -> None:
    before = {path: path.read_bytes() for path in careless.iterdir()}
    for out in (careless, careless / "config.json"):
        with pytest.raises(SettingsError, match="new or empty folder"):
            calibrate_bundle(load_bundle(careless), EXAMPLES, out, device="cpu")
    assert {path: path.read_bytes() for path in careless.iterdir()} == before


def test_a_bundle_that_cannot_be_written_whole_is_not_written(
    tmp_path: Path, careless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_up(_bundle: Any, folder: Path) -> None:
        (folder / "weights.safetensors").write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(calibration, "save_bundle", fill_up)
    with pytest.raises(OSError, match="no space left"):
        calibrate_bundle(load_bundle(careless), EXAMPLES[:1], tmp_path / "new", device="cpu")
    assert list(tmp_path.iterdir()) == [careless]


def test_there_is_nothing_to_choose_by_without_images(tmp_path: Path, careless: Path) -> None:
    with pytest.raises(DataError, match="no image"):
        calibrate_bundle(load_bundle(careless), [], tmp_path / "new", device="cpu")


def test_the_command_says_the_figures_before_and_after(tmp_path: Path, careless: Path) -> None:
    import imagecodecs

    for part in ("images", "masks"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for each in EXAMPLES[:2]:
        pictures = {"images": each.image, "masks": each.labels.astype(np.uint8)}
        for part, pixels in pictures.items():
            (tmp_path / "set" / part / f"{each.name}.png").write_bytes(imagecodecs.png_encode(pixels))
    arguments = ("calibrate", careless, "--data", tmp_path / "set", "--out", tmp_path / "new", "--device", "cpu")
    result = run(*arguments)
    assert result.returncode == 0, result.stderr
    lines = {line[:24].strip(): line[24:].split() for line in result.stdout.splitlines()}
    assert "2 images, 6 nuclei" in lines
    assert float(lines["mSA"][0]) < float(lines["mSA"][1])
    assert lines["min_area"][0] == "240"
    assert load_bundle(tmp_path / "new").config.group.min_area == int(lines["min_area"][1])
    assert run(*arguments).returncode == 2

"""Fine-tuning: training that starts from a model bundle, and what the bundle that comes of it says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.training import FIELDS, assert_same_weights, brief, field
from nucleus_unet.data.dataset import Example
from nucleus_unet.data.folds import hold_out_images
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.model.bundle import Bundle, BundleConfig, load_bundle
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.network import network_of
from nucleus_unet.model.targets import targets
from nucleus_unet.training.checkpoint import read_run_state
from nucleus_unet.training.fine_tuning import fine_tuned_card, fine_tuned_config, fine_tuning_config
from nucleus_unet.training.pipeline import train_bundle
from nucleus_unet.training.trainer import CHECKPOINT, Run, check_origin, train
from nucleus_unet.training.validation import (
    MIN_CALIBRATION_NUCLEI,
    PredictedMaps,
    has_enough_nuclei,
    training_subset_metrics,
)


@pytest.fixture(scope="module")
def origin(tiny_bundle: Path) -> Bundle:
    return load_bundle(tiny_bundle)


def stop(run: Run) -> None:
    if run.position:
        raise KeyboardInterrupt


# --- where weights start -----------------------------------------------------------------------------------


def test_weights_start_from_the_model(origin: Bundle, tmp_path: Path) -> None:
    config = dataclasses.replace(brief(origin), samples=2, learning_rate=1e-12)
    network = train(config, FIELDS, tmp_path, origin=origin, device="cpu", workers=0)
    expected = network_of(origin).state_dict()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.detach(), expected[name], rtol=0, atol=1e-6)


def test_the_model_itself_is_left_as_it_was(origin: Bundle, tmp_path: Path) -> None:
    before = {name: each.copy() for name, each in origin.weights.items()}
    train(brief(origin), FIELDS, tmp_path, origin=origin, device="cpu", workers=0)
    for name, each in origin.weights.items():
        assert np.array_equal(each, before[name]), name


def test_the_history_begins_with_the_figures_of_the_model(origin: Bundle, tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []

    def validate(network: torch.nn.Module) -> dict[str, float]:
        expected = network_of(origin).state_dict()
        same = all(torch.equal(each, expected[name]) for name, each in network.state_dict().items())
        return {"validation_loss": 0.0 if same else 1.0}

    def report(run: Run) -> None:
        seen.append(run.history[-1])

    train(brief(origin), FIELDS, tmp_path, origin=origin, validate=validate, device="cpu", workers=0, report=report)
    assert seen[0] == {"samples": 0.0, "validation_loss": 0.0}
    assert [entry["samples"] for entry in seen[1:]] == [8, 16, 24]
    assert {entry["validation_loss"] for entry in seen[1:]} == {1.0}


# --- going on ----------------------------------------------------------------------------------------------


def test_a_fine_tuning_that_was_stopped_goes_on_to_the_very_same_weights(origin: Bundle, tmp_path: Path) -> None:
    config = brief(origin)
    train(config, FIELDS, tmp_path / "whole", origin=origin, device="cpu", workers=0)
    with pytest.raises(KeyboardInterrupt):
        train(config, FIELDS, tmp_path / "parts", origin=origin, device="cpu", workers=0, report=stop)
    assert read_run_state(tmp_path / "parts" / CHECKPOINT)["position"] == 4
    train(config, FIELDS, tmp_path / "parts", origin=origin, device="cpu", workers=0)
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def test_a_run_goes_on_from_the_same_model_only(origin: Bundle, tmp_path: Path) -> None:
    train(brief(origin), FIELDS, tmp_path, origin=origin, device="cpu", workers=0)
    other = dataclasses.replace(origin, fingerprint="0" * 64)
    for given in (other, None):
        with pytest.raises(SettingsError, match="origin"):
            train(brief(origin), FIELDS, tmp_path, origin=given, device="cpu", workers=0)


# --- what contradicts the model ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (NetworkConfig(form="lite0", width=8, depth=2), r"form plain \(requested: lite0\)"),
        (NetworkConfig(form="plain", width=16, depth=2), r"width 8 \(requested: 16\)"),
        (NetworkConfig(form="plain", width=8, depth=3), r"depth 2 \(requested: 3\)"),
    ],
)
def test_another_shape_of_network_is_refused(origin: Bundle, network: NetworkConfig, names: str) -> None:
    with pytest.raises(SettingsError, match=names):
        check_origin(dataclasses.replace(fine_tuning_config(origin), network=network), origin)


def test_imagenet_weights_beside_those_of_the_model_are_refused(origin: Bundle) -> None:
    with pytest.raises(SettingsError, match="pretrained"):
        check_origin(dataclasses.replace(fine_tuning_config(origin), pretrained=True), origin)


def test_dropout_may_be_chosen_anew(origin: Bundle) -> None:
    network = dataclasses.replace(origin.config.network, dropout=0.2)
    check_origin(dataclasses.replace(fine_tuning_config(origin), network=network), origin)


# --- few images --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fields", "held_out"), [(2, 1), (5, 1), (9, 1), (10, 1), (20, 2)])
def test_a_tenth_of_the_fields_is_held_out_and_at_least_one(fields: int, held_out: int) -> None:
    images = [dataclasses.replace(field(number, side=16), field_id=str(number)) for number in range(fields)]
    training, outside = hold_out_images(images, folds=None, category=None, seed=0)
    assert (len(training), len(outside)) == (fields - held_out, held_out)


def test_images_of_a_single_field_cannot_be_divided() -> None:
    images = [dataclasses.replace(field(number, side=16), field_id="one") for number in range(5)]
    with pytest.raises(DataError, match="expected images of at least 2 fields or patients, as one is held out, got 1"):
        hold_out_images(images, folds=None, category=None, seed=0)


def dotted(count: int) -> PredictedMaps:
    """Perfect maps of so many discs."""
    side = 16
    rows, columns = np.mgrid[:side, :side]
    disc = np.hypot(rows - 8, columns - 8) < 6
    labels = np.zeros((side, side * count), np.uint32)
    for number in range(count):
        labels[:, side * number : side * (number + 1)][disc] = number + 1
    found = targets(labels)
    offsets = np.moveaxis(np.rint(found.offset * 2 + 128), 0, -1)
    maps = np.dstack([found.foreground * 255, found.heat * 255, offsets]).astype(np.uint8)
    return PredictedMaps(Example("made up", "made up", labels.astype(np.uint8), labels, "made up"), maps, 0.0)


@pytest.mark.parametrize(("nuclei", "chosen"), [(MIN_CALIBRATION_NUCLEI - 1, False), (MIN_CALIBRATION_NUCLEI, True)])
def test_nuclei_are_counted_over_all_held_out_images(nuclei: int, chosen: bool) -> None:
    assert has_enough_nuclei([dotted(nuclei - 100), dotted(100)]) == chosen


def test_perfect_maps_of_training_images_join_the_history_as_such() -> None:
    assert training_subset_metrics([dotted(5)], GroupConfig()) == {
        "train_pooled_ap50": 1.0,
        "train_pooled_mean_ap": 1.0,
    }


# --- what the bundle says ----------------------------------------------------------------------------------


def test_a_bundle_names_the_images_that_it_and_the_model_it_came_from_were_trained_on(
    origin: Bundle, tmp_path: Path
) -> None:
    first = dataclasses.replace(origin, metrics={"seen": {"training": ["0123456789abcdef"]}})
    metrics = train_bundle(brief(first), FIELDS, tmp_path / "mine", origin=first, device="cpu", workers=0)
    seen = load_bundle(tmp_path / "mine").seen
    mine = {each.digest for each in FIELDS}
    assert "0123456789abcdef" in seen.training
    assert len(seen.training & mine) == metrics["training"]["images"] < len(FIELDS)
    assert seen.choice == mine - seen.training


def test_a_part_of_what_a_model_was_trained_on_does_not_pass_for_all(origin: Bundle, tmp_path: Path) -> None:
    silent = dataclasses.replace(origin, metrics={})
    train_bundle(brief(silent), FIELDS, tmp_path / "mine", origin=silent, device="cpu", workers=0)
    assert not load_bundle(tmp_path / "mine").seen.training


@pytest.fixture(scope="module")
def fine_tuned(origin: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "mine"
    train_bundle(brief(origin), FIELDS, folder, origin=origin, device="cpu", workers=0)
    return folder


def test_the_bundle_keeps_the_shape_and_grouping_of_the_model(origin: Bundle, fine_tuned: Path) -> None:
    config = load_bundle(fine_tuned).config
    assert config.name == "mine"
    assert config.network == origin.config.network
    assert config.group == origin.config.group != GroupConfig()


def test_a_nucleus_has_as_many_micrometres_as_before(origin: Bundle) -> None:
    config = BundleConfig("mine", origin.config.network, diameter=32.0)
    changed = fine_tuned_config(config, origin)
    assert changed.diameter == 32.0
    assert changed.diameter * changed.mpp == pytest.approx(origin.config.diameter * origin.config.mpp)


def test_the_metrics_name_the_model_and_its_figures_on_the_same_images(origin: Bundle, fine_tuned: Path) -> None:
    metrics = json.loads((fine_tuned / "metrics.json").read_text())
    assert metrics["origin"]["fingerprint"] == origin.fingerprint
    first = read_run_state(fine_tuned / "training" / CHECKPOINT)["history"][0]
    assert first["samples"] == 0
    for name in ("validation_pooled_ap50", "validation_per_image_mean_ap", "validation_pixel_accuracy"):
        assert metrics["origin"][name] == pytest.approx(first[name], abs=1e-5)


def test_the_card_holds_the_card_of_the_model(origin: Bundle, fine_tuned: Path) -> None:
    card = load_bundle(fine_tuned).card
    assert card.startswith("# Model card: mine\n")
    assert origin.fingerprint in card
    assert card.endswith("## Tiny\n")


def test_the_card_says_where_the_model_came_without_one(origin: Bundle) -> None:
    card = fine_tuned_card("mine", dataclasses.replace(origin, card=""), images=5, samples=800)
    assert "has no model card" in card


def test_images_of_a_model_card_are_of_the_training_fold(fine_tuned: Path) -> None:
    card = load_bundle(fine_tuned).card
    assert "on 3 images with 24 samples" in card

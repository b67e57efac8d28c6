"""From a network in single precision to its int8 form, and when that is what processors compute in."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from helpers.images import draw_discs
from helpers.networks import brightness_network, bundle_of, random_network
from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError
from nucleus_unet.evaluation.metrics import Scores, score_image, summarise
from nucleus_unet.inference.openvino import OpenVinoEngine
from nucleus_unet.model.bundle import BundleConfig, load_bundle
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.graph import result_channels
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.network import weights_of
from nucleus_unet.model.quantisation import quantise_weight
from nucleus_unet.training import finishing
from nucleus_unet.training.finishing import finish_model, is_nearly_as_good
from nucleus_unet.training.post_training_quantisation import calibration_crops, quantise
from numpy.typing import NDArray
from scipy import ndimage

PLAIN = NetworkConfig(form="plain", width=8, depth=2, stem_stride=2)
LITE = NetworkConfig(decoder=(16, 8, 8, 4))


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_network_that_diverged_is_an_error_and_has_no_int8_form() -> None:
    weights = weights_of(random_network(PLAIN))
    huge = {name: np.full_like(value, 1e38) if value.ndim == 4 else value for name, value in weights.items()}
    with pytest.raises(DataError, match="features of the network are not finite: training diverged"):
        quantise(PLAIN, huge, noise(1))


def noise(count: int, side: int = 64) -> list[NDArray[np.float32]]:
    return list(np.random.default_rng(1).random((count, side, side, 3), dtype=np.float32))


def discs(number: int) -> Example:
    """A hundred bright discs, as an image with its nuclei."""
    places = [(12 + 22 * row, 12 + 22 * column, 7) for row in range(10) for column in range(10)]
    image = draw_discs((232, 230), [(row, column + number % 3, radius) for row, column, radius in places])
    return Example(f"{number}", "discs", image, ndimage.label(image > 100)[0].astype(np.uint32), f"{number}")


# --- crops -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(20, 30), (300, 500), (260, 70, 3), (1, 1)])
def test_crops_are_normalised_pixels_whose_sides_fit_the_network(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    crops = calibration_crops([image], 16)
    assert len(crops) == 4
    for crop in crops:
        assert crop.dtype == np.float32
        assert crop.shape[2] == 3
        assert all(0 < side <= 256 and side % 16 == 0 for side in crop.shape[:2])
        assert 0 <= crop.min() <= crop.max() <= 1


def test_crops_show_every_image_alike_and_are_the_same_for_the_same_seed() -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (70, 32, 32)).astype(np.uint8))
    first, again, other = (calibration_crops(images, 16, seed=seed) for seed in (3, 3, 4))
    assert len(first) == 200
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


# --- ranges ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [PLAIN, LITE], ids=["plain", "lite0"])
def test_bytes_say_what_single_precision_says_but_for_rounding(config: NetworkConfig) -> None:
    network = random_network(config)
    bundle = bundle_of(network)
    images = noise(4)
    in_bytes = bundle_of(network, quantise(config, bundle.weights, images[:3]))
    shown = images[3][None]
    exact, found = OpenVinoEngine(bundle, "float32").run(shown), OpenVinoEngine(in_bytes, "int8").run(shown)
    error = (found - exact).std(axis=(0, 2, 3)) / exact.std(axis=(0, 2, 3))
    assert (error < 0.15).all()
    assert (error > 0).all()


def test_features_that_lie_beside_each_other_share_zero_point_and_unit() -> None:
    found = quantise(LITE, bundle_of(random_network(LITE)).weights, noise(2)).ranges
    for beside in (
        ("form.blocks.7.sum", "form.blocks.4.sum"),
        ("form.up8.mix.1", "form.blocks.2.sum"),
        ("form.up4.mix.1", "form.blocks.0.project", "folded"),
        ("form.up2.mix.1", "image"),
    ):
        assert len({(found[name].zero, float(found[name].unit)) for name in beside}) == 1, beside


def test_what_a_depthwise_filter_reads_has_a_scale_for_each_channel() -> None:
    found = quantise(LITE, bundle_of(random_network(LITE)).weights, noise(2)).ranges
    channels = result_channels(LITE)
    for name, each in found.items():
        expected = (channels[name],) if name.endswith(".expand") else ()
        assert each.scale.shape == expected, name


@pytest.mark.parametrize("value", [0.0, 0.45, 1.0])
def test_flat_images_give_ranges_that_can_be_computed_with(value: float) -> None:
    flat = [np.full((32, 32, 3), value, np.float32)]
    bundle = bundle_of(random_network(LITE))
    quantisation = quantise(LITE, bundle.weights, flat)
    for each in quantisation.ranges.values():
        assert (each.scale > 0).all()
        assert np.isfinite(each.factor).all()
    engine = OpenVinoEngine(bundle_of(random_network(LITE), quantisation), "int8")
    assert np.isfinite(engine.run(noise(1)[0][None])).all()


def test_weights_are_whole_numbers_from_minus_64_to_64() -> None:
    weight = np.random.default_rng(0).standard_normal((5, 3, 3, 3)).astype(np.float32)
    weight[2] = 0
    whole, scale = quantise_weight(weight)
    assert np.abs(whole[[0, 1, 3, 4]]).reshape(4, -1).max(axis=1).tolist() == [64] * 4
    assert not whole[2].any()
    assert (np.abs(whole * scale - weight) <= scale / 2 + 1e-7).all()


def test_the_embedded_model_has_an_int8_form_and_computes_in_it() -> None:
    bundle = load_bundle()
    assert bundle.quantisation is not None
    assert bundle.config.int8_is_default
    figures = bundle.metrics["precisions"]
    for threshold, may_lose in (("0.50", 0.003), ("0.75", 0.003), ("0.90", 0.006)):
        lost = figures["float32"]["pooled_ap"][threshold] - figures["int8"]["pooled_ap"][threshold]
        assert lost <= may_lose
    assert figures["float32"]["per_image_mean_ap"] - figures["int8"]["per_image_mean_ap"] <= 0.003


# --- what becomes of trained weights -----------------------------------------------------------------------


def scores(**changes: Any) -> Scores:
    labels = np.zeros((8, 8), np.uint32)
    labels[2:5, 2:5] = 1
    found = summarise([score_image(labels, labels)])
    pooled = {**found.pooled, **changes.get("pooled", {})}
    per_image = dict.fromkeys(found.per_image, changes.get("msa", 1.0))
    return dataclasses.replace(found, pooled=pooled, per_image=per_image)


@pytest.mark.parametrize(
    ("changes", "is_little"),
    [
        ({}, True),
        ({"pooled": {0.5: 0.998, 0.75: 0.998, 0.9: 0.995}, "msa": 0.998}, True),
        ({"pooled": {0.5: 0.996}}, False),
        ({"pooled": {0.75: 0.996}}, False),
        ({"pooled": {0.9: 0.993}}, False),
        ({"msa": 0.996}, False),
    ],
    ids=str,
)
def test_int8_may_lose_little_of_every_figure(changes: dict[str, Any], is_little: bool) -> None:
    assert is_nearly_as_good(scores(), scores(**changes)) is is_little


def made(count: int) -> finishing.Finished:
    group = GroupConfig(centre_sigma=1.0, merge_distance=4.0, min_area=5, min_score=0.5)
    examples = [discs(number) for number in range(count)]
    weights = weights_of(brightness_network(PLAIN))
    return finish_model(BundleConfig("made", PLAIN, group), weights, examples, examples, seed=0)


def test_int8_is_the_default_of_a_model_that_it_costs_nothing() -> None:
    found = made(6)
    assert found.bundle.config.int8_is_default
    assert found.scores["int8"].truths >= 500
    assert set(found.scores) == {"float32", "int8"}
    assert len(found.predicted) == 6


def test_with_few_held_out_nuclei_int8_is_there_but_not_the_default() -> None:
    found = made(2)
    assert found.scores["int8"].truths < 500
    assert found.bundle.quantisation is not None
    assert not found.bundle.config.int8_is_default


def test_int8_is_not_the_default_of_a_model_that_it_costs_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "is_nearly_as_good", lambda _exact, _quantised: False)
    assert not made(6).bundle.config.int8_is_default

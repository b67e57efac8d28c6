"""The model that comes with the package, on real and made-up pictures."""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from typing import Any

import imagecodecs
import numpy as np
import pytest
from helpers.paths import EXAMPLES
from nucleus_unet import Segmenter
from nucleus_unet.data.dataset import read_examples
from nucleus_unet.errors import SettingsError
from nucleus_unet.evaluation.evaluate import evaluate
from nucleus_unet.model.bundle import EMBEDDED, load_bundle
from nucleus_unet.model.graph import MAX_RADIUS, multiply_adds_per_pixel, receptive_radius
from numpy.typing import NDArray


@pytest.fixture(scope="module")
def embedded() -> Segmenter:
    return Segmenter.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def cells() -> NDArray[np.uint8]:
    """Six bright discs on a dark ground."""
    rows, columns = np.mgrid[:128, :160]
    image = np.full((128, 160), 12.0)
    for row, column in ((25, 25), (30, 80), (28, 130), (90, 30), (95, 85), (90, 132)):
        distance = np.hypot(rows - row, columns - column)
        image += 150 / (1 + np.exp(distance - 11))
    return image.astype(np.uint8)


@pytest.mark.parametrize(("name", "most_multiply_adds"), [("embedded", 80_000), ("small", 50_000)])
def test_the_models_are_small_local_and_light(name: str, most_multiply_adds: int) -> None:
    folder = resources.files("nucleus_unet") / "weights" / name
    assert sum(len(file.read_bytes()) for file in folder.iterdir() if file.is_file()) <= 16 * 2**20
    network = load_bundle(name).config.network
    assert receptive_radius(network) <= MAX_RADIUS
    assert multiply_adds_per_pixel(network) <= most_multiply_adds


def test_nuclei_below_the_least_probability_are_dropped_and_no_others(embedded: Segmenter) -> None:
    image = imagecodecs.imread(str(EXAMPLES / "images" / "fluorescence_crowded.png"))
    every = embedded.predict(image, min_probability=0).table["probability"]
    assert every.min() < 0.7 < 0.85 < every.max()
    for least in (0.7, 0.97):
        kept = embedded.predict(image, min_probability=least).table["probability"]
        assert kept.tolist() == [each for each in every.tolist() if each >= least]


def test_nuclei_below_the_least_quality_are_dropped_and_no_others(embedded: Segmenter) -> None:
    image = imagecodecs.imread(str(EXAMPLES / "images" / "fluorescence_crowded.png"))
    every = embedded.predict(image, min_quality=0).table["quality"]
    default = embedded.bundle.config.group.min_quality
    assert every.min() < 0.3 < default < 0.8 < every.max()
    for least in (0.3, 0.8):
        kept = embedded.predict(image, min_quality=least).table["quality"]
        assert kept.tolist() == [each for each in every.tolist() if each >= np.float32(least)]
    assert len(embedded.predict(image)) == (every >= np.float32(default)).sum()
    both = embedded.predict(image, min_quality=0.3, min_probability=0.9).table
    assert min(both["quality"]) >= np.float32(0.3)
    assert min(both["probability"]) >= np.float32(0.9)
    assert len(both["quality"]) < (every >= np.float32(0.3)).sum()


def test_a_model_that_has_not_learned_the_quality_drops_nuclei_by_their_probability(embedded: Segmenter) -> None:
    config = replace(embedded.bundle.config, quality_score=None)
    segmenter = Segmenter(replace(embedded.bundle, config=config), device="cpu")
    image = imagecodecs.imread(str(EXAMPLES / "images" / "fluorescence_crowded.png"))
    found = segmenter.predict(image)
    assert np.isnan(found.qualities).all()
    every = segmenter.predict(image, min_probability=0).table["probability"]
    assert len(found) == (every >= config.group.min_score).sum() < len(every)
    with pytest.raises(SettingsError, match="has not learned the quality of nuclei: give min_probability"):
        segmenter.predict(image, min_quality=0.5)


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_model_comes_with_its_measurements_and_a_model_card(name: str) -> None:
    bundle = load_bundle(name)
    for heading in ("Data", "Licence", "Recipe", "Numbers", "Limits"):
        assert heading in bundle.card
    for figure in (bundle.parameters, round(multiply_adds_per_pixel(bundle.config.network))):
        assert f"{figure:,}" in bundle.card
    assert f"radius {receptive_radius(bundle.config.network)} pixels" in bundle.card
    assert bundle.metrics["validation"]["overall"]["images"] == 79


def test_the_default_model_comes_with_its_scores_on_the_test_split(embedded: Segmenter) -> None:
    assert embedded.bundle.metrics["stardist_test"]["overall"]["images"] == 50


def test_it_finds_the_nuclei_of_real_images_it_was_not_trained_on(embedded: Segmenter) -> None:
    examples, _ = read_examples(EXAMPLES)
    scores = evaluate(embedded, examples).overall
    assert scores.pooled[0.5] >= 0.75
    assert scores.pixel_accuracy >= 0.95


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_every_dtype_and_channel_count_gives_the_same_nuclei(
    embedded: Segmenter, cells: NDArray[np.uint8], dtype: str, channels: int | None
) -> None:
    image: NDArray[Any] = cells.astype(dtype) * np.dtype(dtype).type(3 if dtype != "uint8" else 1)
    if channels is not None:
        image = np.repeat(image[..., None], channels, axis=-1)
        image[..., 3:] = 1  # alpha, ignored
    np.testing.assert_array_equal(embedded.predict(image).labels, embedded.predict(cells).labels)
    assert len(embedded.predict(image)) == 6


def test_a_bool_image_has_nuclei_too(embedded: Segmenter, cells: NDArray[np.uint8]) -> None:
    assert len(embedded.predict(cells > 80)) == 6


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (64, 64), (64, 64, 3)])
@pytest.mark.parametrize("value", [0, 7, 255])
def test_flat_images_have_no_nuclei(embedded: Segmenter, shape: tuple[int, ...], value: int) -> None:
    assert len(embedded.predict(np.full(shape, value, np.uint8))) == 0


NOISES = {
    "gaussian": lambda rng, shape: rng.normal(0, 1, shape).astype(np.float32),
    "poisson of little light": lambda rng, shape: rng.poisson(0.2, shape).astype(np.uint8),
    "poisson of much light": lambda rng, shape: rng.poisson(400, shape).astype(np.uint16),
    "uniform": lambda rng, shape: rng.integers(0, 256, shape, dtype=np.uint8),
}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("shape", [(8, 8), (12, 12, 3), (16, 16), (64, 64), (300, 300), (256, 256, 3)])
def test_pure_noise_has_no_nuclei(embedded: Segmenter, noise: str, shape: tuple[int, ...]) -> None:
    for seed in range(3):
        assert len(embedded.predict(NOISES[noise](np.random.default_rng(seed), shape))) == 0


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_labels_are_the_same_for_every_tile_size(precision: Any) -> None:
    segmenter = Segmenter.from_pretrained(device="cpu", precision=precision)
    crowded = imagecodecs.imread(EXAMPLES / "images" / "fluorescence_crowded.png")
    image = np.pad(crowded, ((0, 70), (0, 3)))  # so large that there are tiles below and beside each other
    whole = segmenter.predict(image, tile=2048)
    assert len(whole) > 50
    for tile, batch_size in ((320, 1), (304, 3)):
        np.testing.assert_array_equal(segmenter.predict(image, tile=tile, batch_size=batch_size).labels, whole.labels)

"""Test-time augmentation and the ensemble with attenuated DAB: the inputs of the network, and the combined output."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers.networks import engine_of, random_network
from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.ensembles import DabAttenuatedEnsemble, DihedralTTA
from nucleus_unet.inference.predict import predict_maps
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.preprocessing.dab import attenuate_dab
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.segmenter import Segmenter
from numpy.typing import NDArray

Images = NDArray[np.float32]
TURNS: list[Callable[[Images, tuple[int, int]], Images]] = [
    lambda image, axes: np.rot90(image, 1, axes),
    lambda image, axes: np.rot90(image, 2, axes),
    lambda image, axes: np.flip(image, axes[1]),
    lambda image, axes: np.flip(image, axes[0]),
]


class Slope:
    """A network whose offsets are the slope of the image: a field of arrows that turns with the image."""

    stride = 1
    receptive_radius = 1

    def run(self, images: Images) -> Images:
        grey = images.mean(axis=-1)
        rows, columns = np.gradient(grey, axis=(1, 2))
        return np.stack([grey, 2 * grey, rows, columns], axis=1)


@pytest.fixture(scope="module")
def engine() -> Predictor:
    return engine_of(random_network(NetworkConfig(form="plain", width=8, depth=2)))


def random(*shape: int) -> Images:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_arrows_are_turned_back_with_the_image() -> None:
    images = random(2, 12, 20, 3)
    np.testing.assert_allclose(DihedralTTA(Slope()).run(images), Slope().run(images), atol=1e-6)


@pytest.mark.parametrize("turn", TURNS)
def test_the_average_of_a_turned_image_is_the_turned_average(
    engine: Predictor, turn: Callable[[Images, tuple[int, int]], Images]
) -> None:
    images, average = random(1, 32, 64, 3), DihedralTTA(engine)
    turned = average.run(np.ascontiguousarray(turn(images, (1, 2))))
    np.testing.assert_allclose(turned[:, :2], turn(average.run(images), (2, 3))[:, :2], atol=1e-4, rtol=1e-4)


def test_each_pixel_gets_the_output_with_more_foreground(engine: Predictor) -> None:
    images = random(1, 32, 48, 3)
    stretched = np.clip((attenuate_dab(images) - np.float32(0.2)) / (np.float32(0.9) - np.float32(0.2)), 0, 1)
    plain, attenuated = engine.run(images), engine.run(stretched)
    found = DabAttenuatedEnsemble(engine, IntensityRange(0.2, 0.9)).run(images)
    more = attenuated[:, 0] > plain[:, 0]
    assert more.any()
    assert not more.all()
    for channel in range(4):
        np.testing.assert_array_equal(found[:, channel], np.where(more, attenuated[:, channel], plain[:, channel]))


@pytest.mark.parametrize(
    "ensemble", [DihedralTTA, lambda engine: DabAttenuatedEnsemble(engine, IntensityRange(0.2, 0.9))]
)
def test_maps_do_not_depend_on_the_tile(engine: Predictor, ensemble: Callable[[Predictor], Predictor]) -> None:
    image, network = random(150, 205, 3), ensemble(engine)

    def maps(tile: int) -> NDArray[np.uint8]:
        return predict_maps(network, lambda rows, columns: image[rows, columns], image.shape[:2], tile=tile)

    whole = maps(1024)
    for tile in (104, 136, 160):
        assert np.array_equal(maps(tile), whole)


def test_predict_averages_when_asked_and_says_so_in_its_plan() -> None:
    rows, columns = np.ogrid[:80, :80]
    image = np.where((rows - 40) ** 2 + (columns - 30) ** 2 < 150, 200, 20).astype(np.uint8)
    segmenter = Segmenter.from_pretrained()
    once, averaged = segmenter.predict(image, maps=True), segmenter.predict(image, maps=True, augment=True)
    assert len(once) == len(averaged) == 1
    assert once.plan.augment is False
    assert averaged.plan.augment is True
    assert once.maps is not None
    assert averaged.maps is not None
    assert not np.array_equal(once.maps, averaged.maps)

"""Test-time augmentation: turned, mirrored, averaged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from nucleus_unet.averaging import DihedralAverage
from nucleus_unet.inference.predict import predict_maps
from nucleus_unet.model.network import Network, NetworkConfig
from nucleus_unet.segmenter import Segmenter
from torch import Tensor, nn

TURNS: list[Callable[[Tensor], Tensor]] = [
    lambda image: torch.rot90(image, 1, (2, 3)),
    lambda image: torch.rot90(image, 2, (2, 3)),
    lambda image: image.flip(3),
    lambda image: image.flip(2),
]


class Slope(nn.Module):
    """A network whose offsets are the slope of the image: a field of arrows that turns with the image."""

    stride = 1
    receptive_radius = 1

    def forward(self, image: Tensor) -> Tensor:
        grey = image.mean(dim=1)
        rows, columns = torch.gradient(grey, dim=(1, 2))
        return torch.stack([grey, 2 * grey, rows, columns], dim=1)


def average() -> DihedralAverage:
    torch.manual_seed(0)
    return DihedralAverage(Network(NetworkConfig(form="plain", width=8, depth=2)).eval())


@torch.inference_mode()
def test_arrows_are_turned_back_with_the_image() -> None:
    image = torch.rand(2, 3, 12, 20)
    average = DihedralAverage(Slope())  # type: ignore[arg-type]
    torch.testing.assert_close(average(image), Slope()(image))


@pytest.mark.parametrize("turn", TURNS)
@torch.inference_mode()
def test_the_average_of_a_turned_image_is_the_turned_average(turn: Callable[[Tensor], Tensor]) -> None:
    image = torch.rand(1, 3, 32, 64)
    torch.testing.assert_close(average()(turn(image))[:, :2], turn(average()(image)[:, :2]), atol=1e-5, rtol=1e-5)


def test_maps_do_not_depend_on_the_tile() -> None:
    image = np.random.default_rng(0).random((150, 205, 3), dtype=np.float32)
    network = average()

    def maps(tile: int) -> np.ndarray:
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

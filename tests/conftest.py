"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import settings
from nucleus_unet.inference.openvino import OpenVinoEngine
from nucleus_unet.model.bundle import Bundle, BundleConfig, save_bundle
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.network import Network, PlainUNet, weights_of
from nucleus_unet.model.precision import Precision
from nucleus_unet.model.quantisation import Quantisation
from nucleus_unet.segmenter import Segmenter
from numpy.typing import NDArray

if TYPE_CHECKING:
    from distributed import Client

# The files of a finished slide that are equal, to the byte, for equal plans.
RESULTS = ("labels.tif", "nuclei.geojson.gz", "nuclei.parquet", "overview.png", "plan.json", "summary.json")

# A property that holds is no less true on a busy machine.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets, which are not part of the repository; tests that need them skip without."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("NUCLEUS_DATA", default))
    if not (folder / "dsb2018" / "stage1_train.zip").exists():
        pytest.skip("the real data sets are absent (set NUCLEUS_DATA to their folder)")
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a bundle whose small, untrained network takes bright pixels for nuclei."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    group = GroupConfig(centre_sigma=1.0, merge_distance=4.0, min_area=5, min_score=0.5)
    config = BundleConfig("tiny", NetworkConfig(form="plain", width=8, depth=2, stem_stride=2), group, diameter=16.0)
    save_bundle(folder, weights_of(brightness_network(config.network)), config, metrics={"ap50": 0.5}, card="# Tiny\n")
    return folder


@pytest.fixture(scope="session")
def segmenter(tiny_bundle: Path) -> Segmenter:
    """The tiny bundle on the CPU, in float32."""
    return Segmenter.from_pretrained(tiny_bundle, device="cpu", precision="float32")


def lively(config: NetworkConfig) -> Network:
    """An untrained network whose every answer uses the whole range of bytes."""
    torch.manual_seed(3)
    network = Network(config).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 1.0, 2.0)
            torch.nn.init.uniform_(module.bias, -0.5, 1.0)
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
    torch.nn.init.normal_(network.form.head.weight, std=1.0)
    return network


def bundle_of(network: Network, quantisation: Quantisation | None = None) -> Bundle:
    """A network as a bundle in memory."""
    return Bundle(BundleConfig("test", network.config), weights_of(network), quantisation, fingerprint="", metrics={})


def engine_of(network: Network, precision: Precision = "float32") -> OpenVinoEngine:
    """A network on the CPU."""
    return OpenVinoEngine(bundle_of(network), precision)


def brightness_network(config: NetworkConfig) -> Network:
    """Set a plain network's weights by hand: foreground follows brightness, heat follows blurred brightness.

    Channels 0 to 3 of the first level carry the four pixels that the stem folds, channel 4 their blurred mean; the
    others stay random, see the whole receptive field, and move the offsets a little.
    """
    torch.manual_seed(0)
    network = Network(config).eval()
    form = network.form
    assert isinstance(form, PlainUNet)
    blur = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    first, second, third, fourth = (block[0] for block in (*form.down[0], *form.up[-1].mix))
    with torch.no_grad():
        for layer, skipped in (first, None), (second, 0), (third, 2 * config.width), (fourth, 0):
            layer.weight[:5] = 0
            for channel in range(4):
                if skipped is None:
                    layer.weight[channel, channel::4, 1, 1] = 1 / 3
                else:
                    layer.weight[channel, skipped + channel, 1, 1] = 1
            if skipped is None:
                layer.weight[4] = blur / 12
            else:
                layer.weight[4, skipped + 4] = blur
        form.down[0][0][1].bias[:5] = 2.0  # keeps dark pixels above the ReLU
        head = form.head
        head.weight[:8] = 0
        head.weight[8:, :5] = 0
        for pixel in range(4):
            head.weight[pixel, pixel] = 6.0
            head.weight[4 + pixel, 4] = 3.0
        head.weight[8:] *= 0.3
        middle = 2.0 + (0.5 - 0.45) / 0.225
        head.bias[:4] = -6.0 * middle
        head.bias[4:8] = -3.0 * middle
        head.bias[8:] = 0
    return network


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Of a dask cluster of two processes on this machine."""
    from distributed import Client, LocalCluster

    settings = {"dashboard_address": None, "memory_limit": None}
    before = os.environ.copy()
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **settings) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client
    # Starting workers leaves numbers of threads in the environment, which later tests' processes would have.
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def discs() -> NDArray[np.uint8]:
    """Image of five bright discs (100 x 131)."""
    return draw_discs((100, 131), [(20, 25, 8), (22, 70, 9), (60, 40, 7), (70, 100, 8), (91, 12, 6)])


def draw_discs(shape: tuple[int, int], discs: list[tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Draw discs, each a row, a column and a radius, on a noisy dark ground."""
    image = np.random.default_rng(7).integers(10, 30, shape).astype(np.uint8)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for row, column, radius in discs:
        image[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] += 180
    return image

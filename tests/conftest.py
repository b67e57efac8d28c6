"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from helpers.images import draw_discs
from helpers.networks import brightness_network
from hypothesis import settings
from nucleus_unet.model.bundle import Bundle, BundleConfig, save_bundle
from nucleus_unet.model.config import NetworkConfig
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.model.network import weights_of
from nucleus_unet.segmenter import Segmenter
from numpy.typing import NDArray

if TYPE_CHECKING:
    from distributed import Client


# A property that holds is no less true on a busy machine.
# The same examples in every run, so that a change is not blamed for an example that nobody had tried before.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("new-examples", deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data sets. It is not part of the repository. Tests that need it are skipped without it."""
    folder = os.environ.get("NUCLEUS_DATA")
    if folder is None:
        pytest.skip("needs the real data sets: set NUCLEUS_DATA to their folder")
    if not (Path(folder) / "dsb2018" / "stage1_train.zip").exists():
        pytest.fail(f"NUCLEUS_DATA is {folder}, which holds no dsb2018/stage1_train.zip")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a bundle whose small, untrained network takes bright pixels for nuclei."""
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    group = GroupConfig(centre_sigma=1.0, merge_distance=4.0, min_area=5, min_score=0.5)
    config = BundleConfig("tiny", NetworkConfig(form="plain", width=8, depth=2, stem_stride=2), group, diameter=16.0)
    weights = weights_of(brightness_network(config.network))
    save_bundle(Bundle(config, weights, None, "", {"ap50": 0.5}, "# Tiny\n"), folder)
    return folder


@pytest.fixture(scope="session")
def segmenter(tiny_bundle: Path) -> Segmenter:
    """The tiny bundle on the CPU, in float32."""
    return Segmenter.from_pretrained(tiny_bundle, device="cpu", precision="float32")


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

"""Work on slides whose network says what it is told to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nucleus_unet.io.source import open_image
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.plan import Plan
from nucleus_unet.slides.grid import TileGrid
from nucleus_unet.slides.relabel import iter_bands
from nucleus_unet.slides.tasks import SlideTasks, TaskSpec
from numpy.typing import NDArray

# The files of a finished slide that are equal, to the byte, for equal plans.
RESULTS = ("labels.tif", "nuclei.geojson.gz", "nuclei.parquet", "overview.png", "plan.json", "summary.json")


class StoredMaps(SlideTasks):
    """Tasks whose network returns given maps."""

    def __init__(self, maps: NDArray[np.uint8], config: GroupConfig, folder: Path, *, block: int, **where: Any) -> None:
        shape = (maps.shape[0], maps.shape[1])
        grid = TileGrid(shape, tile=96, radius=20, stride=8)
        self._stored = maps
        plan = Plan(
            model="stored maps",
            fingerprint="",
            intensity_range=None,
            padding=None,
            scale=1,
            augment=False,
            dab=None,
            min_area=None,
            engine="",
            device="cpu",
            precision="float32",
            hardware="",
            threads=None,
            tile=None,
            batch_size=None,
            group=config.to_json(),
        )
        engine: Any = None
        super().__init__(TaskSpec(open_image(maps[..., 0]).plane(), engine, plan, grid, block, **where), folder)

    def read_tile(self, number: int) -> NDArray[Any]:
        return np.array([number])

    def predict(self, tile: tuple[int, NDArray[Any]]) -> NDArray[np.uint8]:
        core = self.grid.core(tile[0])
        return self._stored[core.rows, core.columns]


def labels_in_blocks(work: SlideTasks) -> NDArray[np.uint32]:
    """Paint the labels of finished work on one canvas, pixel by pixel."""
    labels = np.zeros(work.shape, np.uint32)
    rows_of = [work.row_extent(block) for block in work.block_numbers]
    for band in iter_bands(
        lambda index: work.read_block(work.block_numbers[index]), rows_of, height=work.shape[0], band=40
    ):
        for block in band.blocks:
            for index, label in enumerate(block.labels):
                for row, start, stop in block.nuclei.runs[slice(*block.nuclei.first_run[index : index + 2])]:
                    if band.rows.start <= row < band.rows.stop:
                        assert not labels[row, start:stop].any(), "a pixel of two nuclei"
                        labels[row, start:stop] = label
    return labels


def random_maps(seed: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    maps = rng.integers(0, 256, (*shape, 4), dtype=np.uint8)
    maps[..., 0] = np.where(rng.random(shape) < rng.random(), 255, 0)  # worms that cross everything
    return maps

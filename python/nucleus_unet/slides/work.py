"""The two steps of a run, each a file at its end: predict a tile's maps, group a block's nuclei.

Either may be called in any order, by any number of workers, as long as the tiles a block needs are there.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.averaging import DihedralAverage
from nucleus_unet.devices import Precision
from nucleus_unet.grouping import GroupConfig, group
from nucleus_unet.images import Levels, normalise
from nucleus_unet.inference import ask, kept_maps, read_padded
from nucleus_unet.masks import filter_by_area
from nucleus_unet.network import Network
from nucleus_unet.resample import resample_part, shown_pixels
from nucleus_unet.slides.geometry import Block, TileGrid, lay_blocks, widen
from nucleus_unet.slides.nuclei import Nuclei, measure_nuclei, no_nuclei
from nucleus_unet.slides.reader import Slide
from nucleus_unet.slides.records import is_whole, read_record, write_record


class Work:
    """A slide, a model, and the folder in which maps and nuclei gather.

    Parameters
    ----------
    slide
        To be segmented.
    network
        In evaluation mode, on its device.
    precision
        In which it computes.
    levels, scale, group_config, min_area
        As the plan has them; ``min_area`` in the slide's pixels.
    grid
        The tiles.
    block
        Side of a block, in pixels at the model's scale.
    folder
        For the nuclei of blocks, which many processes may write to.
    maps
        For the maps of tiles, which this process alone writes and deletes; by default the same.

    Attributes
    ----------
    numbers : list of int
        Of all blocks.
    """

    def __init__(
        self,
        slide: Slide,
        network: Network | DihedralAverage,
        precision: Precision,
        *,
        levels: Levels,
        scale: float,
        group_config: GroupConfig,
        min_area: int | None,
        grid: TileGrid,
        block: int,
        folder: Path,
        maps: Path | None = None,
    ) -> None:
        self.slide, self.levels, self.scale = slide, levels, scale
        self._network, self._precision = network, precision
        self._config, self._min_area = group_config, min_area or 0
        self.grid, self.shape = grid, grid.shape
        self.blocks = lay_blocks(self.shape, block)
        self.numbers = list(range(len(self.blocks)))
        self._margin = _core.group_margin(
            heat_sigma=group_config.heat_sigma,
            window=group_config.window,
            join_distance=group_config.join_distance,
            snap=group_config.snap,
            reach=group_config.reach,
        )
        # Files of runs with other sizes stand beside these and harm nobody.
        self._maps = (maps or folder) / f"maps-{grid.tile}"
        self._nuclei = folder / f"nuclei-{block}"

    def tiles_for(self, block: int) -> list[int]:
        """Return the tiles whose maps decide the nuclei of a block."""
        return self.grid.covering(widen(self.blocks[block], self._margin, self.shape))

    def rows_of(self, block: int) -> slice:
        """Return rows of the slide that the nuclei of a block can't leave."""
        rows, reach = self.blocks[block].rows, self._config.reach + math.ceil(self._config.snap) + 1
        return _pixels_showing(rows.start - reach, rows.stop + reach, self.slide.shape[0], self.scale)

    def has_tile(self, number: int) -> bool:
        """Whether a tile's maps are there, undamaged."""
        return is_whole(self._tile_path(number))

    def has_block(self, number: int) -> bool:
        """Whether a block's nuclei are there, undamaged."""
        return is_whole(self._block_path(number))

    def predict_tile(self, number: int) -> None:
        """Read a tile, ask the network, keep the maps of the tile's core."""
        self.keep_maps(number, self.ask_network(self.read_tile(number)))

    def read_tile(self, number: int) -> NDArray[np.float32]:
        """Read a tile's pixels as the network wants them."""
        return read_padded(self._read, self.shape, self.grid.tiles[number])

    def ask_network(self, pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Predict the maps of a tile; always one a call, as on some hardware convolutions depend on the batch."""
        maps: NDArray[np.uint8] = ask(self._network, np.stack([pixels]), self._precision)[0]
        return maps

    def keep_maps(self, number: int, maps: NDArray[np.uint8]) -> None:
        """Write the maps of a tile's core."""
        kept = kept_maps(maps, self.grid.tiles[number], self.shape)
        # Channel by channel compresses better.
        write_record(self._tile_path(number), {"maps": np.ascontiguousarray(np.moveaxis(kept, -1, 0))})

    def forget_maps(self, number: int) -> None:
        """Delete the maps of a tile that no block needs any more."""
        self._tile_path(number).unlink(missing_ok=True)

    def group_block(self, number: int) -> None:
        """Decide, from the stored maps around a block, the nuclei whose centres it contains, and keep them."""
        write_record(self._block_path(number), self._nuclei_of(self.blocks[number]).arrays())

    def read_block(self, number: int) -> Nuclei:
        """Return the nuclei of a block."""
        return Nuclei(**read_record(self._block_path(number)))

    def _nuclei_of(self, block: Block) -> Nuclei:
        region = widen(block, self._margin, self.shape)
        top, left = region.rows.start, region.columns.start
        grouped = group(self._maps_of(region), self._config, threads=1)
        centres = grouped.centres + np.array([top, left])
        kept = np.ones(len(centres), bool)
        for axis, span in enumerate(block):
            kept &= (centres[:, axis] >= span.start) & (centres[:, axis] < span.stop)
        labels = np.where(np.concatenate([[False], kept])[grouped.labels], grouped.labels, np.uint32(0))
        if not labels.any():
            return no_nuclei()
        rows, columns = _extent(labels, 0), _extent(labels, 1)
        found = Block(slice(top + rows.start, top + rows.stop), slice(left + columns.start, left + columns.stop))
        enlarged, pixels = self._on_the_slide(labels[rows, columns], found)
        if not enlarged.size:  # the model's scale is finer than the slide's, and all fell between its pixels
            return no_nuclei()
        return measure_nuclei(
            enlarged,
            self.slide.read(*pixels),
            corner=(pixels.rows.start, pixels.columns.start),
            centres=centres,
            probabilities=grouped.scores,
        )

    def _on_the_slide(self, labels: NDArray[np.uint32], place: Block) -> tuple[NDArray[np.uint32], Block]:
        """Bring labels from the model's scale onto the slide's pixels, as `enlarge_labels` does with the whole."""
        if self.scale == 1:
            return labels, place
        shown, pixels = [], []
        for span, size, limit in zip(place, self.slide.shape, self.shape, strict=True):
            near = _pixels_showing(span.start, span.stop, size, self.scale)
            index = shown_pixels(near, limit, self.scale)
            inside = np.searchsorted(index, [span.start, span.stop])
            shown.append(index[inside[0] : inside[1]] - span.start)
            pixels.append(slice(near.start + int(inside[0]), near.start + int(inside[1])))
        enlarged: NDArray[np.uint32] = labels[shown[0][:, None], shown[1][None, :]]
        return filter_by_area(enlarged, min_area=self._min_area), Block(*pixels)

    def _maps_of(self, region: Block) -> NDArray[np.uint8]:
        rows, columns = region
        maps = np.empty((rows.stop - rows.start, columns.stop - columns.start, 4), np.uint8)
        for number in self.grid.covering(region):
            core = self.grid.core(number)
            stored = np.moveaxis(read_record(self._tile_path(number))["maps"], 0, -1)
            inside = [
                slice(max(one.start, other.start), min(one.stop, other.stop))
                for one, other in zip(region, core, strict=True)
            ]
            maps[_within(inside, region)] = stored[_within(inside, core)]
        return maps

    def _read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        if self.scale == 1:
            return self._read_normalised(rows, columns)
        return resample_part(self._read_normalised, self.slide.shape, self.scale, rows, columns)

    def _read_normalised(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        return normalise(self.slide.read(rows, columns), self.levels)

    def _tile_path(self, number: int) -> Path:
        return self._maps / f"{number:06}"

    def _block_path(self, number: int) -> Path:
        return self._nuclei / f"{number:06}"


def _pixels_showing(start: int, stop: int, size: int, scale: float) -> slice:
    """Return which of a slide's pixels may show those at the model's scale, and a few beside them, along one axis."""
    return slice(max(0, math.floor((start - 1) / scale) - 1), min(size, math.ceil((stop + 1) / scale) + 1))


def _extent(labels: NDArray[np.uint32], axis: int) -> slice:
    places = np.flatnonzero(np.any(labels, axis=1 - axis))
    return slice(int(places[0]), int(places[-1]) + 1)


def _within(spans: list[slice], whole: Block) -> tuple[slice, ...]:
    return tuple(
        slice(span.start - outer.start, span.stop - outer.start) for span, outer in zip(spans, whole, strict=True)
    )

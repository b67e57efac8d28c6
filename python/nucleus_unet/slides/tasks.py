"""The two steps of a run, each a file at its end: predict a tile's maps, group a block's nuclei.

Either may be called in any order, by any number of workers, as long as the tiles a block needs are there.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.predict import kept_part, maps_of_output, read_padded
from nucleus_unet.io.array_cache import RecentArrays
from nucleus_unet.io.source import Slide
from nucleus_unet.masks import filter_by_area
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.preprocessing.normalisation import Levels, normalise
from nucleus_unet.preprocessing.resample import resample_part, shown_pixels
from nucleus_unet.slides.grid import Block, TileGrid, common, widen
from nucleus_unet.slides.nuclei import Nuclei, measure_nuclei, no_nuclei
from nucleus_unet.slides.roi import Region
from nucleus_unet.slides.store import is_whole, read_record, write_record
from nucleus_unet.slides.tissue_mask import CellMask

# Of the maps of the last tiles, which blocks ask for as soon as they are made: some six of the default size.
_RECENT_BYTES = 2**27


class Work:
    """A slide, a model, and the folder in which maps and nuclei gather.

    Parameters
    ----------
    slide
        To be segmented.
    network
        An engine, or what asks one several times.
    levels, scale, group_config, min_area
        As the plan has them; ``min_area`` in the slide's pixels.
    grid
        The tiles.
    block
        Side of a block, in pixels at the model's scale, at most.
    tissue
        Outside of it all is background; None if all of the slide is taken for tissue.
    region
        Nuclei whose centres are in it are kept, whole, and no others; None to keep all.
    folder
        For the nuclei of blocks, which many processes may write to.
    maps
        For the maps of tiles, which this process alone writes and deletes; by default the same.

    Attributes
    ----------
    blocks : list of Block
        Cut down to where centres may be.
    numbers : list of int
        Of the blocks that may hold a centre; the others are never looked at.
    skipped : float
        Share of the slide's cells that are no tissue, or beyond the region.
    """

    def __init__(
        self,
        slide: Slide,
        network: Predictor,
        *,
        levels: Levels,
        scale: float,
        group_config: GroupConfig,
        min_area: int | None,
        grid: TileGrid,
        block: int,
        tissue: CellMask | None = None,
        region: Region | None = None,
        folder: Path,
        maps: Path | None = None,
    ) -> None:
        self.slide, self.levels, self.scale = slide, levels, scale
        self._network = network
        self._config, self._min_area = group_config, min_area or 0
        self.grid, self.shape = grid, grid.shape
        self._margin, self._smoothing = group_config.margin, group_config.smoothing
        # How far from its centre a nucleus may have pixels.
        self._bound = group_config.max_offset + math.ceil(group_config.assignment_radius) + 1
        self._tissue, self._region = tissue, region
        looked_at = [mask.cells for mask in (tissue, None if region is None else region.mask) if mask is not None]
        self.skipped = 1 - float(np.logical_and.reduce(looked_at).mean()) if looked_at else 0.0
        found = [self._where_centres_may_be(each) for each in grid.blocks(block, self._margin)]
        self.blocks = [each or Block(slice(0, 0), slice(0, 0)) for each in found]
        self.numbers = [number for number, each in enumerate(found) if each]
        # Files of runs with other sizes stand beside these and harm nobody.
        self._maps = (maps or folder) / f"maps-{grid.tile}"
        self._nuclei = folder / f"nuclei-{block}-{grid.tile}"
        self._recent = RecentArrays(_RECENT_BYTES)

    def tiles_for(self, block: int) -> list[int]:
        """Return the tiles whose maps decide the nuclei of a block."""
        covering = self.grid.covering(widen(self.blocks[block], self._margin, self.shape))
        return [number for number in covering if self._is_tissue(self.grid.core(number))]

    def rows_of(self, block: int) -> slice:
        """Return rows of the slide that the nuclei of a block can't leave."""
        rows = self.blocks[block].rows
        return _pixels_showing(rows.start - self._bound, rows.stop + self._bound, self.slide.shape[0], self.scale)

    def has_tile(self, number: int) -> bool:
        """Whether a tile's maps are there, undamaged."""
        return is_whole(self._tile_path(number))

    def has_block(self, number: int) -> bool:
        """Whether a block's nuclei are there, undamaged."""
        return is_whole(self._block_path(number))

    def predict_tile(self, number: int) -> None:
        """Read a tile, run the network, keep the maps of the tile's core."""
        self.keep_maps(number, self.predict((number, self.read_tile(number))))

    def read_tile(self, number: int) -> NDArray[np.float32]:
        """Read a tile's pixels as the network wants them."""
        return read_padded(self._read, self.shape, self.grid.tiles[number])

    def predict(self, tile: tuple[int, NDArray[np.float32]]) -> NDArray[np.uint8]:
        """Return the maps of a tile's core, from the tile's number and pixels.

        Always one tile a call: on some hardware convolutions depend on the batch.
        """
        number, pixels = tile
        rows, columns = kept_part(self.grid.tiles[number], self.shape)
        output = self._network.run(pixels[None])[0]
        return maps_of_output(output[:, rows, columns], least_foreground=self._config.least_foreground, threads=1)

    def keep_maps(self, number: int, maps: NDArray[np.uint8]) -> None:
        """Write the maps of a tile's core."""
        write_record(self._tile_path(number), {"maps": maps})
        self._recent.keep(number, maps)

    def forget_maps(self, number: int) -> None:
        """Delete the maps of a tile that no block needs any more."""
        self._recent.forget(number)
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
        if self._region is not None:
            kept &= self._region.contains(centres, self.scale)
        if not kept.any():
            return no_nuclei()
        near = common(widen(block, self._bound, self.shape), region)  # beyond, these nuclei have no pixels
        if_kept = np.append(np.uint32(0), np.where(kept, np.arange(1, len(kept) + 1), 0).astype(np.uint32))
        labels = if_kept[grouped.labels[_within(near, region)]]
        top, left = near.rows.start, near.columns.start
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
        maps = np.zeros((rows.stop - rows.start, columns.stop - columns.start, 4), np.uint8)
        for number in self.grid.covering(region):
            core = self.grid.core(number)
            if not self._is_tissue(core):
                continue
            stored = self._recent.get(number)
            if stored is None:
                stored = read_record(self._tile_path(number))["maps"]
            inside = common(region, core)
            maps[_within(inside, region)] = stored[_within(inside, core)]
        if self._tissue is not None and not self._tissue.covers(region, self.scale):
            # Cells, not tiles, are the law: else the nuclei at the tissue's border would depend on the size of tiles.
            maps[~self._tissue.pixels(region, self.scale)] = 0
        return maps

    def _is_tissue(self, region: Block) -> bool:
        return self._tissue is None or self._tissue.bounds(region, self.scale) is not None

    def _where_centres_may_be(self, block: Block) -> Block | None:
        """Cut a block down to the region, to the tissue, and what smoothing carries beyond it."""
        if self._region is not None:
            touched = self._region.mask.bounds(block, self.scale)
            if touched is None:
                return None
            block = touched
        if self._tissue is None:
            return block
        bounds = self._tissue.bounds(widen(block, self._smoothing, self.shape), self.scale)
        return None if bounds is None else common(widen(bounds, self._smoothing, self.shape), block)

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


def _within(spans: Block, whole: Block) -> tuple[slice, ...]:
    return tuple(
        slice(span.start - outer.start, span.stop - outer.start) for span, outer in zip(spans, whole, strict=True)
    )

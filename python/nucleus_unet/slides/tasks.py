"""The two tasks of a slide: predict the maps of a tile, and group the nuclei of a block. Each task writes one file.

Tasks may run in any order and in any number of workers. A block can be grouped when the tiles that it needs are
finished.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.inference.engine import Predictor
from nucleus_unet.inference.ensembles import build_predictor
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.label_scaling import axis_points
from nucleus_unet.inference.predict import core_slices, maps_of_output, read_padded
from nucleus_unet.io.array_cache import ArrayCache
from nucleus_unet.io.plane import Plane
from nucleus_unet.masks import filter_by_area
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.levels import Levels
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.preprocessing.padding import Padding
from nucleus_unet.preprocessing.resample import resample_part
from nucleus_unet.slides.grid import Block, TileGrid, intersection, widen
from nucleus_unet.slides.nuclei import Nuclei, measure_nuclei, no_nuclei
from nucleus_unet.slides.roi import Region
from nucleus_unet.slides.scheduler import DependencyTracker
from nucleus_unet.slides.store import is_intact, read_record, write_record
from nucleus_unet.slides.tissue_mask import TissueMask

# Bytes of maps that stay in memory, because blocks need them soon after they are made (about six default tiles).
_CACHE_BYTES = 2**27


@dataclass(frozen=True, eq=False)
class TaskSpec:
    """What the tasks of a slide read, and how the slide is divided. Every process of a run builds an equal one.

    Attributes
    ----------
    slide
        The slide.
    engine
        Runs the network.
    plan
        Intensity range, scale, settings of the grouping and test-time augmentation.
    grid
        The tiles.
    block_side
        Largest side of a block, in pixels at the model's scale.
    tissue
        Pixels outside of it are background. None: the whole slide is tissue.
    region
        Only nuclei whose centres lie in it are reported. None: all nuclei are reported.
    """

    slide: Plane
    engine: Predictor
    plan: Plan
    grid: TileGrid
    block_side: int
    tissue: TissueMask | None = None
    region: Region | None = None


class SlideTasks:
    """The tasks of one slide, and the files that they write.

    Parameters
    ----------
    spec
        What the tasks read.
    folder
        Folder for the nuclei of blocks. Several processes may write to it.
    maps
        Folder for the maps of tiles. Only this process writes to it and deletes from it. Default: ``folder``.

    Attributes
    ----------
    spec : TaskSpec
        What the tasks read.
    blocks : list of Block
        All blocks, each cropped to the pixels that may be the centre of a nucleus.
    block_numbers : list of int
        Numbers of the blocks that may contain a centre. Other blocks are not read.
    skipped : float
        Share of the slide's cells that lie outside of the tissue or of the region, 0 to 1.
    """

    def __init__(self, spec: TaskSpec, folder: Path, maps: Path | None = None) -> None:
        self.spec, self.grid, self.shape = spec, spec.grid, spec.grid.shape
        self.slide, self.scale = spec.slide, spec.plan.scale
        self._predictor = build_predictor(spec.engine, spec.plan)
        # A flat slide has no intensity range. Its tissue mask is empty, so that no tile is read.
        levels = IntensityRange(*(spec.plan.intensity_range or (0, 1)))
        self._levels = Levels(levels, Padding.from_json(spec.plan.padding))
        config = self._config = GroupConfig.from_json(spec.plan.group)
        self._margin, self._smoothing = config.margin, config.smoothing
        # Largest distance of a nucleus's pixel from its centre, along either axis.
        self._max_extent = config.max_offset + math.ceil(config.assignment_radius) + 1
        self._tissue, self._region = spec.tissue, spec.region
        masks = [spec.tissue, None if spec.region is None else spec.region.mask]
        cells = [mask.cells for mask in masks if mask is not None]
        self.skipped = 1 - float(np.logical_and.reduce(cells).mean()) if cells else 0.0
        cropped = [self._crop_to_centres(block) for block in self.grid.blocks(spec.block_side, self._margin)]
        self.blocks = [block or Block(slice(0, 0), slice(0, 0)) for block in cropped]
        self.block_numbers = [number for number, block in enumerate(cropped) if block]
        # The names contain the sides, so that files of runs with other sides do not interfere.
        self._maps = (maps or folder) / f"maps-{self.grid.tile}"
        self._nuclei = folder / f"nuclei-{spec.block_side}-{self.grid.tile}"
        self._cache, self._arrays = ArrayCache(_CACHE_BYTES), threading.local()

    def tiles_for(self, block: int) -> list[int]:
        """Return the numbers of the tiles whose maps determine the nuclei of a block."""
        covering = self.grid.covering(widen(self.blocks[block], self._margin, self.shape))
        return [number for number in covering if self._is_tissue(self.grid.core(number))]

    def unfinished(self, blocks: Iterable[int]) -> DependencyTracker:
        """Return the dependencies of those of the blocks that have no intact file."""
        return DependencyTracker({block: self.tiles_for(block) for block in blocks if not self.has_block(block)})

    def split_tiles(self, tiles: list[int]) -> tuple[list[int], list[int]]:
        """Return the tiles that have an intact file of maps, and the missing ones."""
        finished = [tile for tile in tiles if self.has_tile(tile)]
        return finished, sorted(set(tiles) - set(finished))

    def row_extent(self, block: int) -> slice:
        """Return the rows of the slide that contain all nuclei of a block."""
        rows, extent = self.blocks[block].rows, self._max_extent
        return _source_pixels(rows.start - extent, rows.stop + extent, self.slide.shape[0], self.scale)

    def has_tile(self, number: int) -> bool:
        """Whether the maps of a tile are on disk and intact."""
        return is_intact(self._tile_path(number))

    def has_block(self, number: int) -> bool:
        """Whether the nuclei of a block are on disk and intact."""
        return is_intact(self._block_path(number))

    def predict_tile(self, number: int) -> None:
        """Read a tile, run the network, and save the maps of the tile's core."""
        self.save_maps(number, self.predict((number, self.read_tile(number))))

    def read_tile(self, number: int) -> NDArray[np.float32]:
        """Read the normalised pixels of a tile, (h, w, 3), at the model's scale."""
        return read_padded(self._read, self.shape, self.grid.tiles[number])

    def predict(self, tile: tuple[int, NDArray[np.float32]]) -> NDArray[np.uint8]:
        """Return the maps of a tile's core, (h, w, 4), from the tile's number and pixels.

        Each network call gets one tile, because on some hardware convolutions depend on the batch size.
        """
        number, pixels = tile
        rows, columns = core_slices(self.grid.tiles[number], self.shape)
        output = self._predictor.run(pixels[None])[0]
        return maps_of_output(output[:, rows, columns], least_foreground=self._config.least_foreground, threads=1)

    def save_maps(self, number: int, maps: NDArray[np.uint8]) -> None:
        """Write the maps of a tile's core."""
        write_record(self._tile_path(number), {"maps": maps})
        self._cache.put(number, maps)

    def delete_maps(self, number: int) -> None:
        """Delete the maps of a tile that no unfinished block needs."""
        self._cache.discard(number)
        self._tile_path(number).unlink(missing_ok=True)

    def group_block(self, number: int) -> None:
        """Find the nuclei whose centres lie in a block, from the saved maps around it, and save them."""
        write_record(self._block_path(number), self._find_nuclei(self.blocks[number]).arrays())

    def read_block(self, number: int) -> Nuclei:
        """Return the nuclei of a block."""
        return Nuclei(**read_record(self._block_path(number)))

    def _find_nuclei(self, block: Block) -> Nuclei:
        region = widen(block, self._margin, self.shape)
        top, left = region.rows.start, region.columns.start
        maps = self._read_maps(region)
        grouped = group(maps, self._config, threads=1)
        centres = grouped.centres + np.array([top, left])
        selected = np.ones(len(centres), bool)
        for axis, span in enumerate(block):
            selected &= (centres[:, axis] >= span.start) & (centres[:, axis] < span.stop)
        if self._region is not None:
            selected &= self._region.contains(centres, self.scale)
        if not selected.any():
            return no_nuclei()
        # The selected nuclei have no pixels outside of this rectangle.
        near = intersection(widen(block, self._max_extent, self.shape), region)
        labels, pixels = grouped.labels[_relative(near, region)], near
        if self.scale != 1:
            labels, pixels = self._to_slide_pixels(labels, selected, maps[_relative(near, region)][..., 0], near)
            if not labels.any():  # the model's scale is finer than the slide's, and no slide pixel samples the nuclei
                return no_nuclei()
        return measure_nuclei(
            labels,
            self.slide.read(*pixels),
            corner=(pixels.rows.start, pixels.columns.start),
            centres=centres,
            probabilities=grouped.probabilities,
            qualities=grouped.qualities,
            selected=selected,
            intensity_range=self.spec.plan.intensity_range,
        )

    def _to_slide_pixels(
        self, labels: NDArray[np.uint32], selected: NDArray[np.bool_], foreground: NDArray[np.uint8], bounds: Block
    ) -> tuple[NDArray[np.uint32], Block]:
        """Map the selected labels to the slide's pixels, as `scale_labels` does for a whole image."""
        numbers = np.where(selected, np.arange(1, len(selected) + 1), 0).astype(np.uint32)
        labels = np.append(np.uint32(0), numbers)[labels]
        extent = widen(_extent(labels), 1, labels.shape)  # scaled outlines lie up to a pixel further out
        labels, foreground, bounds = labels[extent], foreground[extent], _moved(extent, bounds)
        points, pixels = [], []
        for span, size, limit in zip(bounds, self.slide.shape, self.shape, strict=True):
            near = _source_pixels(span.start, span.stop, size, self.scale)
            inside, of_axis = axis_points(near, limit, self.scale).within(span.start, span.stop)
            points.append(of_axis)
            pixels.append(slice(near.start + inside.start, near.start + inside.stop))
        scaled = _core.resample_labels(
            labels, foreground, *points, threshold=self._config.foreground_threshold, threads=1
        )
        return filter_by_area(scaled, min_area=self.spec.plan.min_area or 0), Block(*pixels)

    def _read_maps(self, region: Block) -> NDArray[np.uint8]:
        maps = self._array_of_thread((*(span.stop - span.start for span in region), 4))
        for number in self.grid.covering(region):
            core = self.grid.core(number)
            inside = intersection(region, core)
            if not self._is_tissue(core):
                maps[_relative(inside, region)] = 0
                continue
            saved = self._cache.get(number)
            if saved is None:
                saved = read_record(self._tile_path(number))["maps"]
            maps[_relative(inside, region)] = saved[_relative(inside, core)]
        if self._tissue is not None and not self._tissue.covers(region, self.scale):
            # The mask is applied by cells, not by tiles. Nuclei at its border thus do not depend on the tile side.
            maps[~self._tissue.pixels(region, self.scale)] = 0
        if self._levels.padding is not None:
            maps[self._levels.padding.mask_at_scale(self.slide.read, self.slide.shape, *region, self.scale)] = 0
        return maps

    def _array_of_thread(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return an array that this thread uses again and again. The system clears the pages of every new array."""
        size = math.prod(shape)
        array: NDArray[np.uint8] | None = getattr(self._arrays, "bytes", None)
        if array is None or array.size < size:
            array = self._arrays.bytes = np.empty(size, np.uint8)
        return array[:size].reshape(shape)

    def _is_tissue(self, region: Block) -> bool:
        return self._tissue is None or self._tissue.bounds(region, self.scale) is not None

    def _crop_to_centres(self, block: Block) -> Block | None:
        """Crop a block to the region, and to the tissue plus the radius of smoothing. None if nothing remains."""
        if self._region is not None:
            bounds = self._region.mask.bounds(block, self.scale)
            if bounds is None:
                return None
            block = bounds
        if self._tissue is None:
            return block
        bounds = self._tissue.bounds(widen(block, self._smoothing, self.shape), self.scale)
        return None if bounds is None else intersection(widen(bounds, self._smoothing, self.shape), block)

    def _read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        if self.scale == 1:
            return self._read_normalised(rows, columns)
        return resample_part(self._read_normalised, self.slide.shape, self.scale, rows, columns)

    def _read_normalised(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        return self._levels.normalise(self.slide.read(rows, columns))

    def _tile_path(self, number: int) -> Path:
        return self._maps / f"{number:06}"

    def _block_path(self, number: int) -> Path:
        return self._nuclei / f"{number:06}"


def _source_pixels(start: int, stop: int, size: int, scale: float) -> slice:
    """Return, along one axis, the slide pixels from ``start`` to ``stop`` at the model's scale, and a few more."""
    return slice(max(0, math.floor((start - 1) / scale) - 1), min(size, math.ceil((stop + 1) / scale) + 1))


def _extent(labels: NDArray[np.uint32]) -> Block:
    """Return the smallest rectangle that holds all labels."""
    spans = [np.flatnonzero(np.any(labels, axis=axis)) for axis in (1, 0)]
    return Block(*(slice(int(span[0]), int(span[-1]) + 1) for span in spans))


def _moved(block: Block, origin: Block) -> Block:
    """Return a block of an array whose first pixel is that of ``origin``, in the coordinates of ``origin``."""
    return Block(
        *(slice(span.start + outer.start, span.stop + outer.start) for span, outer in zip(block, origin, strict=True))
    )


def _relative(block: Block, origin: Block) -> tuple[slice, ...]:
    """Return the slices of a block in an array whose first pixel is that of ``origin``."""
    return tuple(
        slice(span.start - outer.start, span.stop - outer.start) for span, outer in zip(block, origin, strict=True)
    )

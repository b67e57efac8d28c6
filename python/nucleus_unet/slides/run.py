"""From a slide to a folder of results: look, plan, predict, group, number.

May be killed at any time, and called again.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import imagecodecs

from nucleus_unet.errors import SettingsError
from nucleus_unet.inference.engine import Engine
from nucleus_unet.inference.test_time_augmentation import build_predictor
from nucleus_unet.io.atomic import TEMPORARY, read_json, write_atomically
from nucleus_unet.io.locks import LOCK
from nucleus_unet.io.source import Slide
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.preprocessing.resample import scaled_size
from nucleus_unet.progress import Progress, tracker
from nucleus_unet.slides.block_events import BlockEvents
from nucleus_unet.slides.executors.dask import Cluster, run_on_cluster
from nucleus_unet.slides.executors.shards import (
    SHARDS,
    Shard,
    all_held,
    blocks_of,
    check_finished,
    for_a_moment,
    shard_held,
)
from nucleus_unet.slides.executors.threads import run_on_threads
from nucleus_unet.slides.grid import TileGrid, check_size
from nucleus_unet.slides.nuclei import Nuclei
from nucleus_unet.slides.plan import PLAN, SURVEY, WORK, SlidePlan, Survey, save_or_check_plan, survey
from nucleus_unet.slides.relabel import RowBand, iter_bands
from nucleus_unet.slides.result import SlideResult
from nucleus_unet.slides.roi import Region
from nucleus_unet.slides.tasks import SlideTasks
from nucleus_unet.slides.tissue_mask import cell_side
from nucleus_unet.slides.writers.labels import SIDE
from nucleus_unet.slides.writers.results import (
    check_extras,
    count_if_finished,
    write_results,
    write_summary,
)

if TYPE_CHECKING:
    from shapely import Geometry

logger = logging.getLogger(__name__)

# Of the slide's pixels that are in memory with a block, a side; and of a block at the model's scale.
_BLOCK_PIXELS = 4096
_BLOCK_SIDES = (256, 3072)


@dataclass(frozen=True)
class Model:
    """What a run needs of a segmenter and its options."""

    engine: Engine
    scale: float
    group_config: GroupConfig
    min_area: int | None
    tissue: bool
    roi: Geometry | None
    plan: Callable[[Survey], Plan]


@dataclass(frozen=True)
class Sizes:
    """How a run is cut and spread, which changes nothing of its result; where tiles may, the plan names them.

    Attributes
    ----------
    tile, block
        Sides, in pixels at the model's scale; no block: as suits the scale.
    workers
        Threads beside the network's.
    """

    tile: int
    block: int | None
    workers: int


class SlideRun:
    """A slide, a model, and the folder in which they meet; see `nucleus_unet.Segmenter.predict_slide`.

    Parameters
    ----------
    slide, model
        What, and by what.
    folder
        For the results, and for all that is kept in between.
    origin
        Facts by which the same pixels are known again without reading them; None if there are none.
    sizes
        How to cut it.
    progress
        How the run reports, and how it is cancelled.
    """

    def __init__(
        self,
        slide: Slide,
        model: Model,
        folder: Path,
        *,
        origin: Mapping[str, object] | None,
        sizes: Sizes,
        progress: Progress,
    ) -> None:
        check_extras()
        check_size(slide.shape)
        self._slide, self._model, self._folder = slide, model, folder
        self._origin, self._sizes, self._progress = origin, sizes, progress
        self._block = sizes.block or _block_side(model.scale)
        height, width = (scaled_size(size, model.scale) for size in slide.shape)
        engine = model.engine
        self._grid = TileGrid((height, width), tile=sizes.tile, radius=engine.receptive_radius, stride=engine.stride)
        self._grid.check_blocks(self._block, model.group_config.margin)
        self._region = None if model.roi is None else Region(model.roi, slide.shape, cell_side(model.scale))
        _refuse_foreign(folder)

    def whole(self, *, merge: bool = False, cluster: Cluster | None = None) -> SlideResult:
        """Do all that is not done yet, here or on a cluster; to merge, all blocks must be there already."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with all_held(self._folder), ThreadPoolExecutor(1) as beside:
            _delete_leftovers(self._folder)
            count = count_if_finished(self._folder)
            if count is None and not merge and cluster is None:
                beside.submit(self._model.engine.prepare, self._grid.size)
            plan, seen = self._look()
            save_or_check_plan(self._folder, plan)
            if count is None:
                work = self._work(plan, seen)
                if merge:
                    check_finished(work, self._folder)
                    count = self._write_all(work, plan, seen)
                elif cluster is not None:
                    run_on_cluster(work, cluster, self._folder, block=self._block, track=self._track())
                    count = self._write_all(work, plan, seen)
                else:
                    count = self._write_meanwhile(work, plan, seen)
            shutil.rmtree(self._folder / WORK, ignore_errors=True)
            return SlideResult(self._folder, count, plan)

    def shard(self, shard: Shard) -> None:
        """Do one shard's blocks, which a merge then finds."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with shard_held(self._folder, shard):
            plan, seen = self._look()
            with for_a_moment(self._folder):
                save_or_check_plan(self._folder, plan)
            if count_if_finished(self._folder) is not None:
                return
            maps = self._folder / WORK / shard.name
            work = self._work(plan, seen, maps)
            self._on_threads(work, blocks=blocks_of(work, shard))
            shutil.rmtree(maps, ignore_errors=True)

    def _on_threads(
        self,
        work: SlideTasks,
        *,
        blocks: Iterable[int] | None = None,
        finished: Callable[[int], object] = lambda _block: None,
        watch: Callable[[], object] = lambda: None,
    ) -> None:
        """Do the work; call ``finished`` with every block that is there, and ``watch`` before each tile is awaited."""

        def track(tiles: Sequence[int]) -> Iterator[int]:
            for tile in self._track()(tiles):
                watch()
                yield tile

        workers, calls = self._sizes.workers, self._model.engine.streams
        run_on_threads(work, workers=workers, calls=calls, blocks=blocks, finished=finished, track=track)

    def _write_meanwhile(self, work: SlideTasks, plan: SlidePlan, seen: Survey) -> int:
        """Do the work, and write the results of what is finished from the top on while the rest is not."""
        arrivals, bands = BlockEvents(), SimpleQueue[bool]()
        with ThreadPoolExecutor(1) as pool:
            try:
                written = pool.submit(self._write, work, plan, seen, arrivals, lambda: bands.put(True))
                written.add_done_callback(lambda _: bands.put(False))

                def watch() -> None:
                    if written.done():
                        written.result()  # before the last block came: raise what ended it

                self._on_threads(work, finished=arrivals.arrive, watch=watch)
                for _ in self._numbering():
                    if not bands.get():
                        break
                return written.result()
            except BaseException:
                arrivals.abandon()
                raise

    def _numbering(self) -> Iterable[int]:
        """Go through the bands of the results, showing how far they are."""
        return tracker("numbering", show=self._progress)(range(0, self._slide.shape[0], SIDE))

    def _track(self) -> Callable[[Sequence[int]], Iterable[int]]:
        return tracker("tiles", show=self._progress)

    def _look(self) -> tuple[SlidePlan, Survey]:
        slide, model, cell = self._slide, self._model, cell_side(self._model.scale)
        seen = _known_survey(self._folder, self._origin, cell)
        if seen is None:
            seen = survey(slide, cell=cell, workers=self._sizes.workers, track=tracker("looking", show=self._progress))
            content = {"origin": self._origin, **seen.to_json()}
            write_atomically(self._folder / SURVEY, json.dumps(content, indent=2) + "\n")
        plan = SlidePlan(
            height=slide.shape[0],
            width=slide.shape[1],
            channels=slide.channels,
            dtype=slide.dtype.name,
            pixels=seen.pixels,
            mpp=slide.mpp,
            tissue=seen.tissue.digest if model.tissue else None,
            roi=None if self._region is None else self._region.digest,
            prediction=model.plan(seen),
        )
        return plan, seen

    def _work(self, plan: SlidePlan, seen: Survey, maps: Path | None = None) -> SlideTasks:
        model = self._model
        work = SlideTasks(
            self._slide,
            build_predictor(model.engine, plan.prediction),
            levels=seen.levels or IntensityRange(0, 1),
            scale=model.scale,
            group_config=model.group_config,
            min_area=model.min_area,
            # A flat slide has no levels; its mask is empty, and what is outside of the mask is never looked at.
            tissue=seen.tissue if model.tissue or seen.levels is None else None,
            region=self._region,
            grid=self._grid,
            block=self._block,
            folder=self._folder / WORK,
            maps=maps,
        )
        if work.skipped:
            what = "empty glass" if self._region is None else "empty glass or outside of the drawn regions"
            logger.info("%.1f %% of the slide is %s, and passed over", 100 * work.skipped, what)
        return work

    def _write_all(self, work: SlideTasks, plan: SlidePlan, seen: Survey) -> int:
        """Write the results of work that is done."""
        steps = iter(self._numbering())
        next(steps, None)
        return self._write(work, plan, seen, None, lambda: next(steps, None))

    def _write(
        self,
        work: SlideTasks,
        plan: SlidePlan,
        seen: Survey,
        arrivals: BlockEvents | None,
        band_is_written: Callable[[], object],
    ) -> int:
        """Write the results; where the work goes on meanwhile, wait for each block."""
        height = self._slide.shape[0]
        reaches = [work.rows_of(block) for block in work.numbers]

        def read(index: int) -> Nuclei:
            if arrivals is not None:
                arrivals.wait_for(work.numbers[index])
            return work.read_block(work.numbers[index])

        def bands() -> Iterator[RowBand]:
            for band in iter_bands(read, reaches, height=height, band=SIDE):
                if arrivals is not None:
                    arrivals.check()
                yield band
                band_is_written()

        written = write_results(
            self._folder,
            bands(),
            plan,
            thumbnail=seen.thumbnail,
            scratch=self._folder / WORK,
        )
        write_summary(self._folder, written, skipped=work.skipped)
        return written.nuclei


def _known_survey(folder: Path, origin: Mapping[str, object] | None, cell: int) -> Survey | None:
    """Return what a folder remembers of a look at the same file, by cells of the same size."""
    path = folder / SURVEY
    if origin is None or not path.exists():
        return None
    try:
        known = read_json(path)
        if known["origin"] == origin and known["tissue"]["side"] == cell:
            return Survey.from_json(known)
    except (ValueError, TypeError, LookupError, imagecodecs.PngError):
        logger.warning("%s is damaged: looking at the slide again", path)
    return None


def _block_side(scale: float) -> int:
    least, most = _BLOCK_SIDES
    return max(least, min(most, round(_BLOCK_PIXELS * scale)))


def _refuse_foreign(folder: Path) -> None:
    """Raise `SettingsError` unless a folder is absent, empty, or a run's own."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SettingsError(f"out: expected a folder for the results, got the file {folder}")
    names = {each.name for each in folder.iterdir() if not each.name.startswith(TEMPORARY)}
    if PLAN not in names and names - {LOCK, SURVEY, SHARDS}:
        raise SettingsError(f"out: {folder} holds other things than a slide's results: choose a new folder")


def _delete_leftovers(folder: Path) -> None:
    """Delete what a run that was killed had begun to write."""
    for leftover in list(folder.rglob(f"{TEMPORARY}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()

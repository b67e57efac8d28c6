"""Run a model over a slide: survey, plan, predict, group, and write the results.

The process may be killed at any time. The next run with the same options resumes.
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
from typing import TYPE_CHECKING, NamedTuple

from nucleus_unet.errors import SettingsError
from nucleus_unet.inference.engine import Engine
from nucleus_unet.inference.scale_search import ScaleSearch
from nucleus_unet.io.atomic import TEMPORARY, write_atomically
from nucleus_unet.io.locks import LOCK
from nucleus_unet.io.plane import Plane
from nucleus_unet.plan import Plan
from nucleus_unet.progress import Progress, tracker
from nucleus_unet.slides.executors.dask import Cluster, run_on_cluster
from nucleus_unet.slides.executors.shards import (
    SHARDS,
    Shard,
    check_finished,
    lock_briefly,
    lock_run,
    lock_shard,
    shard_blocks,
)
from nucleus_unet.slides.executors.threads import run_on_threads
from nucleus_unet.slides.grid import TileGrid, check_size, slide_grid
from nucleus_unet.slides.nuclei import Nuclei
from nucleus_unet.slides.plan import PLAN, SURVEY, WORK, SlidePlan, Survey, save_or_check_plan, survey_slide
from nucleus_unet.slides.relabel import RowBand, iter_bands
from nucleus_unet.slides.result import SlideResult
from nucleus_unet.slides.roi import Region
from nucleus_unet.slides.scheduler import BlockEvents
from nucleus_unet.slides.tasks import SlideTasks, TaskSpec
from nucleus_unet.slides.tissue_mask import cell_side
from nucleus_unet.slides.writers.labels import TILE_SIDE
from nucleus_unet.slides.writers.results import (
    check_extras,
    count_if_intact,
    write_results,
    write_summary,
)

if TYPE_CHECKING:
    from shapely import Geometry

logger = logging.getLogger(__name__)

# Default side of a block in pixels of the slide, and the bounds of that side in pixels at the model's scale.
_BLOCK_PIXELS = 3072
_BLOCK_SIDES = (256, 1536)


@dataclass(frozen=True)
class SlideModel:
    """The engine, the model's settings and the options of a run.

    Attributes
    ----------
    engine
        Runs the network.
    scale
        Magnification from the slide to the model's scale. None: the pixels of the slide determine it.
    find_scale
        Finds the scale from the survey of the slide. It is called if ``scale`` is None.
    margin
        See `nucleus_unet.model.group_config.GroupConfig`.
    tissue
        Whether empty glass is skipped.
    roi
        Regions to which the run is limited, in pixels of the slide. None: the whole slide.
    plan
        Makes the plan of the prediction from the survey and the scale of the slide.
    """

    engine: Engine
    scale: float | None
    find_scale: Callable[[Survey], ScaleSearch]
    margin: int
    tissue: bool
    roi: Geometry | None
    plan: Callable[[Survey, ScaleSearch], Plan]


class Layout(NamedTuple):
    """What the scale of a slide determines: the side of its blocks, its tiles, and the cells of its regions."""

    block_side: int
    grid: TileGrid
    region: Region | None


@dataclass(frozen=True)
class ExecutionOptions:
    """Tile and block sides and the number of threads. They do not change the result of an exact engine.

    Attributes
    ----------
    tile
        Largest side of a tile, in pixels at the model's scale.
    block
        Largest side of a block, in pixels at the model's scale. None: chosen from the scale.
    workers
        Number of threads that read, group and write.
    """

    tile: int
    block: int | None
    workers: int


class SlideRun:
    """The run of a model over a slide, with the folder for its results; see `nucleus_unet.Segmenter.predict_slide`.

    Parameters
    ----------
    slide
        The slide.
    model
        The model and the options.
    folder
        Folder for the results and for intermediate files.
    origin
        Facts that identify the file without reading its pixels, such as its size. None if there are none.
    sizes
        Tile and block sides, and the number of threads.
    progress
        How the run reports, and how it is cancelled.
    """

    def __init__(
        self,
        slide: Plane,
        model: SlideModel,
        folder: Path,
        *,
        origin: Mapping[str, object] | None,
        sizes: ExecutionOptions,
        progress: Progress,
    ) -> None:
        check_extras()
        check_size(slide.shape)
        self._slide, self._model, self._folder = slide, model, folder
        self._origin, self._sizes, self._progress = origin, sizes, progress
        self._cell = cell_side(model.scale or 1.0)
        # Where the scale is not known yet, this checks the sides of tiles and blocks before the slide is read.
        self._layout = self._lay_out(model.scale or 1.0)
        _check_folder(folder)

    def whole(self, *, merge: bool = False, cluster: Cluster | None = None) -> SlideResult:
        """Do the unfinished tasks, on this machine or on a cluster, and write the results.

        With ``merge``, all blocks must already be finished.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with lock_run(self._folder), ThreadPoolExecutor(1) as background:
            _delete_temporary_files(self._folder)
            count = count_if_intact(self._folder)
            if count is None and not merge and cluster is None and self._model.scale is not None:
                background.submit(self._model.engine.prepare, self._layout.grid.size)
            plan, survey = self._survey_and_plan()
            save_or_check_plan(self._folder, plan)
            if count is None:
                tasks = self._tasks(plan, survey)
                if merge:
                    check_finished(tasks, self._folder)
                    count = self._write_finished(tasks, plan, survey)
                elif cluster is not None:
                    run_on_cluster(tasks, cluster, self._folder, track=self._track())
                    count = self._write_finished(tasks, plan, survey)
                else:
                    count = self._run_and_write(tasks, plan, survey)
            shutil.rmtree(self._folder / WORK, ignore_errors=True)
            return SlideResult(self._folder, count, plan)

    def shard(self, shard: Shard) -> None:
        """Group the blocks of one shard. A later merge writes the results."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with lock_shard(self._folder, shard):
            plan, survey = self._survey_and_plan()
            with lock_briefly(self._folder):
                save_or_check_plan(self._folder, plan)
            if count_if_intact(self._folder) is not None:
                return
            maps = self._folder / WORK / shard.name
            tasks = self._tasks(plan, survey, maps)
            self._run_on_threads(tasks, blocks=shard_blocks(tasks, shard))
            shutil.rmtree(maps, ignore_errors=True)

    def _lay_out(self, scale: float) -> Layout:
        slide, model = self._slide, self._model
        block_side = self._sizes.block or _default_block_side(scale)
        grid = slide_grid(slide, scale, engine=model.engine, tile=self._sizes.tile)
        grid.check_blocks(block_side, model.margin)
        region = None if model.roi is None else Region(model.roi, slide.shape, max(self._cell, cell_side(scale)))
        return Layout(block_side, grid, region)

    def _run_on_threads(
        self,
        tasks: SlideTasks,
        *,
        blocks: Iterable[int] | None = None,
        on_block_finished: Callable[[int], object] = lambda _block: None,
        before_tile: Callable[[], object] = lambda: None,
    ) -> None:
        """Do the tasks. Call ``on_block_finished`` for each finished block and ``before_tile`` before each tile."""

        def track(tiles: Sequence[int]) -> Iterator[int]:
            for tile in self._track()(tiles):
                before_tile()
                yield tile

        workers, calls = self._sizes.workers, self._model.engine.streams
        run_on_threads(
            tasks, workers=workers, calls=calls, blocks=blocks, on_block_finished=on_block_finished, track=track
        )

    def _run_and_write(self, tasks: SlideTasks, plan: SlidePlan, survey: Survey) -> int:
        """Do the tasks, and write the finished rows from the top at the same time."""
        events, bands = BlockEvents(), SimpleQueue[bool]()
        with ThreadPoolExecutor(1) as pool:
            try:
                written = pool.submit(self._write, tasks, plan, survey, events, lambda: bands.put(True))
                written.add_done_callback(lambda _: bands.put(False))

                def raise_write_error() -> None:
                    if written.done():
                        written.result()  # done before the last block, so it raises

                self._run_on_threads(tasks, on_block_finished=events.mark_finished, before_tile=raise_write_error)
                for _ in self._track_bands():
                    if not bands.get():
                        break
                return written.result()
            except BaseException:
                events.cancel()
                raise

    def _track_bands(self) -> Iterable[int]:
        """Iterate over the bands of the results, with a progress bar."""
        return tracker("numbering", show=self._progress)(range(0, self._slide.shape[0], TILE_SIDE))

    def _track(self) -> Callable[[Sequence[int]], Iterable[int]]:
        return tracker("tiles", show=self._progress)

    def _survey_and_plan(self) -> tuple[SlidePlan, Survey]:
        slide, model = self._slide, self._model
        survey = Survey.load(self._folder, self._origin, self._cell)
        if survey is None:
            track = tracker("surveying", show=self._progress)
            survey = survey_slide(slide, cell=self._cell, workers=self._sizes.workers, track=track)
            content = {"origin": self._origin, **survey.to_json()}
            write_atomically(self._folder / SURVEY, json.dumps(content, indent=2) + "\n")
        search = model.find_scale(survey) if model.scale is None else ScaleSearch(model.scale)
        scale = search.scale
        self._layout = self._lay_out(scale)
        region = self._layout.region
        plan = SlidePlan(
            height=slide.shape[0],
            width=slide.shape[1],
            channels=slide.channels,
            dtype=slide.dtype.name,
            pixels=survey.pixels,
            mpp=slide.mpp,
            tissue=survey.tissue.for_scale(scale).fingerprint if model.tissue else None,
            roi=None if region is None else region.fingerprint,
            prediction=model.plan(survey, search),
        )
        return plan, survey

    def _tasks(self, plan: SlidePlan, survey: Survey, maps: Path | None = None) -> SlideTasks:
        block_side, grid, region = self._layout
        mask = survey.tissue.for_scale(plan.prediction.scale)
        tissue = mask if self._model.tissue or survey.levels.intensity_range is None else None
        if survey.levels.intensity_range is None:
            logger.warning("the slide: all pixels are equal: there are no nuclei to find")
        spec = TaskSpec(self._slide, self._model.engine, plan.prediction, grid, block_side, tissue, region)
        tasks = SlideTasks(spec, self._folder / WORK, maps)
        if tasks.skipped:
            reasons = (("empty glass", tissue), ("outside of the regions of roi=", region))
            what = " or ".join(reason for reason, part in reasons if part is not None)
            logger.info("%.1f %% of the slide is %s, and is skipped", 100 * tasks.skipped, what)
        return tasks

    def _write_finished(self, tasks: SlideTasks, plan: SlidePlan, survey: Survey) -> int:
        """Write the results after all tasks are finished."""
        steps = iter(self._track_bands())
        next(steps, None)
        return self._write(tasks, plan, survey, None, lambda: next(steps, None))

    def _write(
        self,
        tasks: SlideTasks,
        plan: SlidePlan,
        survey: Survey,
        events: BlockEvents | None,
        on_band_written: Callable[[], object],
    ) -> int:
        """Write the results. If ``events`` are given, wait for each block."""
        height = self._slide.shape[0]
        row_extents = [tasks.row_extent(block) for block in tasks.block_numbers]

        def read(index: int) -> Nuclei:
            if events is not None:
                events.wait_for(tasks.block_numbers[index])
            return tasks.read_block(tasks.block_numbers[index])

        def bands() -> Iterator[RowBand]:
            for band in iter_bands(read, row_extents, height=height, band=TILE_SIDE):
                if events is not None:
                    events.check_cancelled()
                yield band
                on_band_written()

        written = write_results(self._folder, bands(), plan, thumbnail=survey.thumbnail, scratch=self._folder / WORK)
        write_summary(self._folder, written, skipped=tasks.skipped)
        return written.nuclei


def _default_block_side(scale: float) -> int:
    lower, upper = _BLOCK_SIDES
    return max(lower, min(upper, round(_BLOCK_PIXELS * scale)))


def _check_folder(folder: Path) -> None:
    """Raise `SettingsError` unless the folder is absent, is empty, or belongs to a run."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise SettingsError(f"out: expected a folder for the results, got the file {folder}")
    names = {path.name for path in folder.iterdir() if not path.name.startswith(TEMPORARY)}
    if PLAN not in names and names - {LOCK, SURVEY, SHARDS}:
        raise SettingsError(f"out: {folder} holds other things than a slide's results: choose a new folder")


def _delete_temporary_files(folder: Path) -> None:
    """Delete the unfinished files of a run that was killed."""
    for path in list(folder.rglob(f"{TEMPORARY}*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

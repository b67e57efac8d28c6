"""From a slide to a folder of results: look, plan, predict, group, number.

May be killed at any time, and called again.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nucleus_unet.averaging import DihedralAverage
from nucleus_unet.devices import Precision
from nucleus_unet.errors import SettingsError
from nucleus_unet.files import TEMPORARY, write_atomically
from nucleus_unet.grouping import GroupConfig
from nucleus_unet.images import Levels
from nucleus_unet.locks import LOCK, locked
from nucleus_unet.network import Network
from nucleus_unet.resample import scaled_size
from nucleus_unet.segmentation import Plan
from nucleus_unet.slides.geometry import TileGrid
from nucleus_unet.slides.nuclei import Nuclei
from nucleus_unet.slides.plan import PLAN, SlidePlan, Survey, keep_plan, survey
from nucleus_unet.slides.progress import tracker
from nucleus_unet.slides.reader import Slide
from nucleus_unet.slides.results import (
    LABELS,
    OUTLINES,
    OVERVIEW,
    TABLE,
    check_extras,
    count_if_finished,
    write_results,
    write_summary,
)
from nucleus_unet.slides.results_labels import SIDE
from nucleus_unet.slides.run import run_work
from nucleus_unet.slides.sweep import sweep
from nucleus_unet.slides.work import Work

logger = logging.getLogger(__name__)

_SURVEY, _WORK = "survey.json", "work"
# Of the slide's pixels that are in memory with a block, a side.
_BLOCK_PIXELS = 4096
_BLOCK_SIDES = (256, 2048)


@dataclass(frozen=True)
class SlideResult:
    """The folder of a finished run.

    Attributes
    ----------
    folder
        Holds ``nuclei.parquet`` (GeoParquet: a row for each nucleus, as `Segmentation.table`, and its outline),
        ``labels.tif`` (OME-TIFF, a pyramid of uint32), ``nuclei.geojson.gz`` (detections for QuPath; beyond some
        250,000 of them ``nuclei-2.geojson.gz`` and so on), ``overview.png`` (density over a thumbnail) and
        ``plan.json`` (how they were found).
    count
        How many nuclei there are.
    plan
        How they were found.
    """

    folder: Path
    count: int
    plan: SlidePlan

    def __len__(self) -> int:
        return self.count

    @property
    def table(self) -> Path:
        """Path of the table."""
        return self.folder / TABLE

    @property
    def labels(self) -> Path:
        """Path of the label image."""
        return self.folder / LABELS

    @property
    def outlines(self) -> Path:
        """Path of the outlines, of the first file if there are several."""
        return self.folder / OUTLINES

    @property
    def overview(self) -> Path:
        """Path of the picture."""
        return self.folder / OVERVIEW


@dataclass(frozen=True)
class Model:
    """What a run needs of a segmenter."""

    network: Network | DihedralAverage
    precision: Precision
    scale: float
    group_config: GroupConfig
    min_area: int | None
    plan: Callable[[Levels | None], Plan]


def segment_slide(
    slide: Slide,
    model: Model,
    folder: Path,
    *,
    origin: Mapping[str, object] | None,
    tile: int,
    block: int | None,
    workers: int,
    progress: bool,
) -> SlideResult:
    """Find every nucleus of a slide; see `nucleus_unet.Segmenter.predict_slide`.

    Parameters
    ----------
    slide, model
        What, and by what.
    folder
        For the results, and for all that is kept in between.
    origin
        Facts by which the same pixels are known again without reading them; None if there are none.
    tile, block
        Sides, in pixels at the model's scale; no block: as suits the scale.
    workers
        Threads beside the network's.
    progress
        Show bars if standard error is a terminal.
    """
    check_extras()
    height, width = (scaled_size(size, model.scale) for size in slide.shape)
    network = model.network
    grid = TileGrid((height, width), tile=tile, radius=network.receptive_radius, stride=network.stride)
    _refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    busy = f"another process works in {folder}: wait for it, or choose another out="
    with locked(folder, patience=0, busy=busy):
        _delete_leftovers(folder)
        seen = _survey(slide, folder, origin, workers=workers, progress=progress)
        plan = SlidePlan(
            *slide.shape, slide.channels, slide.dtype.name, seen.pixels, slide.mpp, model.plan(seen.levels)
        )
        keep_plan(folder, plan)
        count = count_if_finished(folder)
        if count is None:
            work = None
            if seen.levels is not None:
                work = Work(
                    slide,
                    network,
                    model.precision,
                    levels=seen.levels,
                    scale=model.scale,
                    group_config=model.group_config,
                    min_area=model.min_area,
                    grid=grid,
                    block=block or _block_side(model.scale),
                    folder=folder / _WORK,
                )
                run_work(work, workers=workers, track=tracker("tiles", show=progress))
            count = _write(folder, slide, plan, work, workers=workers, progress=progress)
        shutil.rmtree(folder / _WORK, ignore_errors=True)
        return SlideResult(folder, count, plan)


def _write(folder: Path, slide: Slide, plan: SlidePlan, work: Work | None, *, workers: int, progress: bool) -> int:
    def no_block(number: int) -> Nuclei:
        raise IndexError(number)

    reaches = [work.rows_of(block) for block in range(len(work.blocks))] if work else []
    bands = sweep(work.read_block if work else no_block, reaches, height=slide.shape[0], band=SIDE)
    steps = tracker("numbering", show=progress)(range(0, slide.shape[0], SIDE))
    watched = (band for band, _ in zip(bands, steps, strict=True))
    track = tracker("overview", show=progress)
    written = write_results(folder, watched, slide, plan, scratch=folder / _WORK, workers=workers, track=track)
    write_summary(folder, written)
    return written.nuclei


def _survey(slide: Slide, folder: Path, origin: Mapping[str, object] | None, *, workers: int, progress: bool) -> Survey:
    """Look at a slide, unless the folder remembers a look at the same file."""
    path = folder / _SURVEY
    if origin is not None and path.exists():
        try:
            known = json.loads(path.read_text())
            if known["origin"] == origin:
                return Survey(known["pixels"], None if known["levels"] is None else Levels(*known["levels"]))
        except (ValueError, TypeError, KeyError):
            logger.warning("%s is damaged: looking at the slide again", path)
    seen = survey(slide, workers=workers, track=tracker("looking", show=progress))
    content = {"origin": origin, "pixels": seen.pixels, "levels": seen.levels}
    write_atomically(path, json.dumps(content, indent=2) + "\n")
    return seen


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
    if PLAN not in names and names - {LOCK, _SURVEY}:
        raise SettingsError(f"out: {folder} holds other things than a slide's results: choose a new folder")


def _delete_leftovers(folder: Path) -> None:
    """Delete what a run that was killed had begun to write."""
    for leftover in list(folder.rglob(f"{TEMPORARY}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()

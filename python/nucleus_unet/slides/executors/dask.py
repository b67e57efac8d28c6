"""A run's tiles and blocks as tasks of dask's workers, which share the file system of its folder.

A task is a number; all else lies in the folder: the plan, the survey, the model's weights, and the maps and nuclei that
tasks leave there. So a worker that dies loses nothing but the tile or block it was at, which dask gives to another.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require
from nucleus_unet.inference.factory import open_engine
from nucleus_unet.inference.test_time_augmentation import build_predictor
from nucleus_unet.io.atomic import read_json, write_atomically
from nucleus_unet.io.source import open_slide
from nucleus_unet.model.bundle import Bundle, copy_bundle, load_bundle
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.preprocessing.resample import scaled_size
from nucleus_unet.slides.executors.threads import unfinished
from nucleus_unet.slides.grid import TileGrid
from nucleus_unet.slides.plan import PLAN, SURVEY, WORK, Survey
from nucleus_unet.slides.roi import Region, geometry_from_text
from nucleus_unet.slides.tasks import SlideTasks

if TYPE_CHECKING:
    from distributed import Client, Future
    from shapely import Geometry

_JOB, _MODEL = "job.json", "model"
_opening = threading.Lock()


@dataclass(frozen=True)
class Job:
    """What a worker must know of a run beside its plan, its survey and the model's weights.

    Attributes
    ----------
    slide, channel, channel_axis
        As `nucleus_unet.io.source.open_slide` takes them; an absolute path.
    tile, block
        Sides, in pixels at the model's scale, at most.
    roi
        Drawn regions, as the hexadecimal form of their well-known binary; None for the whole slide.
    """

    slide: str
    channel: int | str | None
    channel_axis: int | None
    tile: int
    block: int
    roi: str | None


@dataclass(frozen=True)
class Cluster:
    """Where to run, and what its workers open there.

    Attributes
    ----------
    client
        Of the cluster.
    bundle
        The model.
    slide
        Absolute path.
    channel, channel_axis
        As `nucleus_unet.io.source.open_slide` takes them.
    roi
        From `nucleus_unet.slides.roi.read_roi`.
    """

    client: Client
    bundle: Bundle
    slide: Path
    channel: int | str | None
    channel_axis: int | None
    roi: Geometry | None


def connect(address: str) -> Client:
    """Return a client of the scheduler at an address such as ``tcp://host:8786``.

    Raises
    ------
    MissingExtraError
        If the ``dask`` extra is not installed.
    SettingsError
        If it is no address.
    OSError
        If there is no scheduler.
    """
    try:
        client: Client = _distributed().Client(address, set_as_default=False)
    except ValueError as error:
        raise SettingsError(
            f"scheduler: expected an address like tcp://host:8786, got {address!r} ({error})"
        ) from error
    return client


def run_on_cluster(
    work: SlideTasks,
    cluster: Cluster,
    folder: Path,
    *,
    block: int,
    track: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> None:
    """Do as `nucleus_unet.slides.executors.threads.run_on_threads` does, on a cluster.

    Parameters
    ----------
    work
        What is to be done, and where its files are.
    cluster
        Who does it.
    folder
        Of the run; holds its plan and its survey.
    block
        Side of the blocks of ``work``.
    track
        Wraps the list of tiles, to show progress.

    Raises
    ------
    SettingsError
        If a worker does not see the folder, has another engine or other hardware, or died again and again.
    """
    folder = folder.resolve()
    copy_bundle(cluster.bundle, folder / WORK / _MODEL)
    job = Job(
        slide=str(cluster.slide),
        channel=cluster.channel,
        channel_axis=cluster.channel_axis,
        tile=work.grid.tile,
        block=block,
        roi=None if cluster.roi is None else cluster.roi.wkb_hex,
    )
    write_atomically(folder / WORK / _JOB, json.dumps(asdict(job), indent=2) + "\n")
    tasks = _Tasks(cluster.client, folder)
    try:
        _go(work, tasks, track)
    except _distributed().KilledWorker as error:
        raise SettingsError(
            f"workers died again and again at {error.task}: do they have the memory for a tile of {job.tile} pixels? "
            "What is done is kept; call again to go on"
        ) from error
    finally:
        tasks.cancel()


def _go(work: SlideTasks, tasks: _Tasks, track: Callable[[Sequence[int]], Iterable[int]]) -> None:
    ledger = unfinished(work, work.numbers)
    there = {tile for tile in ledger.tiles if work.has_tile(tile)}
    missing = [tile for tile in ledger.tiles if tile not in there]
    for tile in missing:
        tasks.submit(predict_tile, tile, priority=0)
    for tile in sorted(there):
        for block in ledger.tile_is_there(tile):
            tasks.submit(group_block, block, priority=1)
    steps = iter(track(missing))
    for task, number in tasks.finished():
        if task is predict_tile:
            next(steps, None)
            for block in ledger.tile_is_there(number):
                # Before further tiles: maps are kept until their blocks are done.
                tasks.submit(group_block, block, priority=1)
        else:
            for tile in ledger.block_is_there(number):
                work.forget_maps(tile)
    next(steps, None)


class _Tasks:
    """Tasks on their way, and back in the order in which they finish."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client, self._folder = client, str(folder)
        content = (folder / PLAN).read_bytes() + (folder / WORK / _JOB).read_bytes()
        self._key = hashlib.sha256(content).hexdigest()
        self._what: dict[Future[None], tuple[Callable[[str, str, int], None], int]] = {}
        self._finished = _distributed().as_completed(loop=client.loop)

    def submit(self, task: Callable[[str, str, int], None], number: int, *, priority: int) -> None:
        future = self._client.submit(task, self._folder, self._key, number, pure=False, priority=priority)
        self._what[future] = (task, number)
        self._finished.add(future)

    def finished(self) -> Iterator[tuple[Callable[[str, str, int], None], int]]:
        for future in self._finished:
            future.result()
            yield self._what.pop(future)

    def cancel(self) -> None:
        if self._what:
            self._client.cancel(list(self._what))  # type: ignore[no-untyped-call, unused-ignore]


def predict_tile(folder: str, key: str, number: int) -> None:
    """Predict a tile of the run in a folder, in a worker, unless another has."""
    work = _opened(folder, key)
    if not work.has_tile(number):
        work.predict_tile(number)


def group_block(folder: str, key: str, number: int) -> None:
    """Group a block of the run in a folder, in a worker, unless another has."""
    work = _opened(folder, key)
    if not work.has_block(number):
        work.group_block(number)


def _opened(folder: str, key: str) -> SlideTasks:
    """Open a run in a worker, once a process; ``key`` tells it from earlier ones in the same folder."""
    with _opening:
        return _open(folder, key)


@lru_cache(maxsize=1)
def _open(name: str, key: str) -> SlideTasks:  # noqa: ARG001
    folder = Path(name)
    if not (folder / PLAN).exists():
        raise SettingsError(f"a worker does not see {folder}: workers must share the file system that out= is on")
    plan = read_json(folder / PLAN)
    job = Job(**read_json(folder / WORK / _JOB))
    prediction = Plan(**plan["prediction"])
    engine = open_engine(load_bundle(folder / WORK / _MODEL), device=prediction.device, precision=prediction.precision)
    ours = engine.identity
    if (ours.engine, ours.hardware, ours.threads) != (prediction.engine, prediction.hardware, prediction.threads):
        raise SettingsError(
            f"a worker has {ours.engine} on {ours.hardware} with {ours.threads or 'any number of'} threads, the plan "
            f"has {prediction.engine} on {prediction.hardware} with {prediction.threads or 'any number of'}: tiles "
            "would differ in their last bits; take workers of one kind, the kind of this machine"
        )
    slide = open_slide(job.slide, channel=job.channel, channel_axis=job.channel_axis)
    height, width = (scaled_size(size, prediction.scale) for size in slide.shape)
    survey = Survey.from_json(read_json(folder / SURVEY))
    return SlideTasks(
        slide,
        build_predictor(engine, prediction),
        levels=survey.levels or IntensityRange(0, 1),
        scale=prediction.scale,
        group_config=GroupConfig.from_json(prediction.group),
        min_area=prediction.min_area,
        tissue=None if plan["tissue"] is None else survey.tissue,
        region=None if job.roi is None else Region(geometry_from_text(job.roi), slide.shape, survey.tissue.side),
        grid=TileGrid((height, width), tile=job.tile, radius=engine.receptive_radius, stride=engine.stride),
        block=job.block,
        folder=folder / WORK,
    )


def _distributed() -> Any:
    return require("distributed", "clusters need more packages", extra="dask")

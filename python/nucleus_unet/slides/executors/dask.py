"""Run the tasks of a slide on the workers of a dask cluster, which share the file system of the run's folder.

A dask task is the number of a tile or block. Everything else is in the folder: the plan, the survey, the model's
weights, and the maps and nuclei that tasks write. If a worker dies, only its current tile or block is lost, and dask
gives it to another worker.
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
from nucleus_unet.io.atomic import read_json, write_atomically
from nucleus_unet.io.selection import Selection
from nucleus_unet.io.source import open_image
from nucleus_unet.model.bundle import Bundle, load_bundle, save_bundle
from nucleus_unet.plan import Plan
from nucleus_unet.slides.grid import slide_grid
from nucleus_unet.slides.plan import PLAN, SURVEY, WORK, Survey
from nucleus_unet.slides.roi import Region, geometry_from_text
from nucleus_unet.slides.tasks import SlideTasks, TaskSpec

if TYPE_CHECKING:
    from distributed import Client, Future
    from shapely import Geometry

_WORKER_CONFIG, _MODEL = "worker.json", "model"
_loading = threading.Lock()


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker needs in addition to the plan, the survey and the model's weights.

    Attributes
    ----------
    slide
        Absolute path of the slide.
    selection
        Fields of the `Selection` of the plane.
    axes, channel_axis
        See `nucleus_unet.Segmenter.predict`.
    tile
        Largest side of a tile, in pixels at the model's scale.
    block
        Largest side of a block, in pixels at the model's scale.
    roi
        Hexadecimal well-known binary of the regions to which the run is limited. None: the whole slide.
    """

    slide: str
    selection: dict[str, Any]
    axes: str | None
    channel_axis: int | None
    tile: int
    block: int
    roi: str | None


@dataclass(frozen=True)
class Cluster:
    """A dask cluster, and what its workers open.

    Attributes
    ----------
    client
        Client of the cluster.
    bundle
        The model.
    slide
        Absolute path of the slide.
    selection
        The plane that is meant.
    axes, channel_axis
        See `nucleus_unet.Segmenter.predict`.
    roi
        Result of `nucleus_unet.slides.roi.read_roi`. None: the whole slide.
    """

    client: Client
    bundle: Bundle
    slide: Path
    selection: Selection
    axes: str | None
    channel_axis: int | None
    roi: Geometry | None


def connect(address: str) -> Client:
    """Return a client of the scheduler at an address such as ``tcp://host:8786``.

    Raises
    ------
    MissingExtraError
        If the ``dask`` extra is not installed.
    SettingsError
        If the address is malformed.
    OSError
        If no scheduler answers at the address.
    """
    try:
        client: Client = _distributed().Client(address, set_as_default=False)
    except ValueError as error:
        raise SettingsError(
            f"scheduler: expected an address like tcp://host:8786, got {address!r} ({error})"
        ) from error
    return client


def run_on_cluster(
    tasks: SlideTasks,
    cluster: Cluster,
    folder: Path,
    *,
    track: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> None:
    """Predict the missing tiles and group the unfinished blocks on a cluster.

    Parameters
    ----------
    tasks
        The tasks of the slide.
    cluster
        The cluster.
    folder
        Folder of the run, with its plan and its survey.
    track
        Wraps the list of tiles to show progress.

    Raises
    ------
    SettingsError
        If a worker does not see the folder, has another engine or other hardware, or if workers died repeatedly.
    """
    folder = folder.resolve()
    save_bundle(cluster.bundle, folder / WORK / _MODEL)
    config = WorkerConfig(
        slide=str(cluster.slide),
        selection=asdict(cluster.selection),
        axes=cluster.axes,
        channel_axis=cluster.channel_axis,
        tile=tasks.grid.tile,
        block=tasks.spec.block_side,
        roi=None if cluster.roi is None else cluster.roi.wkb_hex,
    )
    write_atomically(folder / WORK / _WORKER_CONFIG, json.dumps(asdict(config), indent=2) + "\n")
    submissions = _Submissions(cluster.client, folder)
    try:
        _run(tasks, submissions, track)
    except _distributed().KilledWorker as error:
        raise SettingsError(
            f"workers died repeatedly at {error.task}: do they have enough memory for a tile of {config.tile} pixels? "
            "Finished tiles and blocks are saved; call again to resume"
        ) from error
    finally:
        submissions.cancel()


def _run(tasks: SlideTasks, submissions: _Submissions, track: Callable[[Sequence[int]], Iterable[int]]) -> None:
    dependencies = tasks.unfinished(tasks.block_numbers)
    finished, missing = tasks.split_tiles(dependencies.tiles)
    for tile in missing:
        submissions.submit(predict_tile, tile, priority=0)
    for tile in finished:
        for block in dependencies.tile_finished(tile):
            submissions.submit(group_block, block, priority=1)
    steps = iter(track(missing))
    for function, number in submissions.completed():
        if function is predict_tile:
            next(steps, None)
            for block in dependencies.tile_finished(number):
                # Blocks come before further tiles, because maps stay on disk until their blocks are finished.
                submissions.submit(group_block, block, priority=1)
        else:
            for tile in dependencies.block_finished(number):
                tasks.delete_maps(tile)
    next(steps, None)


class _Submissions:
    """Tasks that were submitted to the cluster, in the order in which they complete."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client, self._folder = client, str(folder)
        content = (folder / PLAN).read_bytes() + (folder / WORK / _WORKER_CONFIG).read_bytes()
        self._key = hashlib.sha256(content).hexdigest()
        self._pending: dict[Future[None], tuple[Callable[[str, str, int], None], int]] = {}
        self._completed = _distributed().as_completed(loop=client.loop)

    def submit(self, function: Callable[[str, str, int], None], number: int, *, priority: int) -> None:
        future = self._client.submit(function, self._folder, self._key, number, pure=False, priority=priority)
        self._pending[future] = (function, number)
        self._completed.add(future)

    def completed(self) -> Iterator[tuple[Callable[[str, str, int], None], int]]:
        for future in self._completed:
            future.result()
            yield self._pending.pop(future)

    def cancel(self) -> None:
        if self._pending:
            self._client.cancel(list(self._pending))  # type: ignore[no-untyped-call, unused-ignore]


def predict_tile(folder: str, key: str, number: int) -> None:
    """Predict a tile of the run in a folder, unless its maps exist. Runs in a worker."""
    tasks = _tasks(folder, key)
    if not tasks.has_tile(number):
        tasks.predict_tile(number)


def group_block(folder: str, key: str, number: int) -> None:
    """Group a block of the run in a folder, unless its nuclei exist. Runs in a worker."""
    tasks = _tasks(folder, key)
    if not tasks.has_block(number):
        tasks.group_block(number)


def _tasks(folder: str, key: str) -> SlideTasks:
    """Return the tasks of a run, loaded once per process. ``key`` distinguishes runs in the same folder."""
    with _loading:
        return _load_tasks(folder, key)


@lru_cache(maxsize=1)
def _load_tasks(name: str, key: str) -> SlideTasks:  # noqa: ARG001
    folder = Path(name)
    if not (folder / PLAN).exists():
        raise SettingsError(f"a worker does not see {folder}: workers must share the file system that out= is on")
    plan = read_json(folder / PLAN)
    config = WorkerConfig(**read_json(folder / WORK / _WORKER_CONFIG))
    prediction = Plan(**plan["prediction"])
    engine = open_engine(load_bundle(folder / WORK / _MODEL), device=prediction.device, precision=prediction.precision)
    own = engine.identity
    if (own.engine, own.hardware, own.threads) != (prediction.engine, prediction.hardware, prediction.threads):
        raise SettingsError(
            f"a worker has {own.engine} on {own.hardware} with {own.threads or 'any number of'} threads, the plan "
            f"has {prediction.engine} on {prediction.hardware} with {prediction.threads or 'any number of'}: tiles "
            "would differ in their last bits; use workers with the engine and hardware of this machine"
        )
    opened = open_image(config.slide, axes=config.axes, channel_axis=config.channel_axis)
    slide = Selection(**config.selection).only(opened)
    survey = Survey.from_json(read_json(folder / SURVEY))
    roi = None if config.roi is None else geometry_from_text(config.roi)
    mask = survey.tissue.for_scale(prediction.scale)
    region = None if roi is None else Region(roi, slide.shape, mask.side)
    grid = slide_grid(slide, prediction.scale, engine=engine, tile=config.tile)
    tissue = None if plan["tissue"] is None else mask
    spec = TaskSpec(slide, engine, prediction, grid, config.block, tissue, region)
    return SlideTasks(spec, folder / WORK)


def _distributed() -> Any:
    return require("distributed", "clusters need more packages", extra="dask")

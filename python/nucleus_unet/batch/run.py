"""Segment the images of a batch on several threads, and keep the record of it."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nucleus_unet.batch.prepare import Batch, Job, list_jobs, read_record
from nucleus_unet.batch.record import RUN_FOLDER, SUMMARY, Done, RecordWriter, RunRecord, lock_output
from nucleus_unet.batch.summary import BatchResult, FileSummary, write_summary
from nucleus_unet.errors import CancelledError, NucleusError, SettingsError
from nucleus_unet.exports.formats import is_own_zarr
from nucleus_unet.exports.names import FORMATS
from nucleus_unet.inference.engine import Engine
from nucleus_unet.inference.planning import PLACES, settings_of
from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.inference.scale_log import log_searches, without_log_of_images
from nucleus_unet.io.atomic import TEMPORARY
from nucleus_unet.io.locks import LOCK
from nucleus_unet.measures.textures import require_texture
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.options import PredictOptions
from nucleus_unet.options.checks import MOST_WORKERS, whole_number
from nucleus_unet.progress import Progress, tracker
from nucleus_unet.segmentation import Segmentation

# Images at once by default: while the network is at one, others are read, grouped and written.
DEFAULT_WORKERS = 3
# After these errors nothing more can be written.
_NO_MORE_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

OnFailure = Callable[[FileSummary], object]


class Model(Protocol):
    """What finds the nuclei of an image: a `nucleus_unet.Segmenter`."""

    bundle: Bundle
    engine: Engine

    @property
    def predict(self) -> Callable[..., Any]:
        """Takes a path and options, and returns a `Segmentation`."""


def check_workers(workers: int | None) -> int:
    """Return a number of images at once.

    Raises
    ------
    SettingsError
        If it is not a whole number of 1 to `MOST_WORKERS`.
    """
    return DEFAULT_WORKERS if workers is None else int(whole_number(1, MOST_WORKERS)("workers", workers))


def run_batch(
    model: Model,
    batch: Batch,
    options: PredictOptions,
    *,
    workers: int = DEFAULT_WORKERS,
    on_failure: OnFailure = lambda _row: None,
) -> BatchResult:
    """Segment the images that are not done, write their results, the record and the summary.

    Parameters
    ----------
    model
        A segmenter.
    batch
        From `nucleus_unet.batch.prepare.prepare_batch`.
    options
        Of every image.
    workers
        Number of images at once.
    on_failure
        Is called with the row of each image that cannot be segmented.

    Raises
    ------
    SettingsError
        If the output folder holds results of a run with other settings, or another process works in it.
    MissingExtraError
        If measures need an extra that is not installed.
    CancelledError
        If the call was cancelled. The same call resumes.
    OSError
        If nothing more can be written.
    """
    if "texture" in (options.measure or ()):
        require_texture()
    with _removed_if_empty(batch.out), lock_output(batch.out):
        record, writer = read_record(batch), RecordWriter(batch.out)
        settings = _settings(model, options)
        if record.settings is None or not record.has_results(batch.out):
            jobs = list_jobs(batch, record)
            writer.begin(settings, earlier=record)
            _delete_other_formats(batch, record, jobs)
        else:
            _check_settings(batch.out, record.settings, settings)
            jobs = list_jobs(batch, record)
        return _Run(model, batch, options, jobs, writer, on_failure).go(record, workers)


class _Run:
    """The work at one batch."""

    def __init__(
        self,
        model: Model,
        batch: Batch,
        options: PredictOptions,
        jobs: Sequence[Job],
        writer: RecordWriter,
        on_failure: OnFailure,
    ) -> None:
        self._model, self._batch, self._jobs, self._writer = model, batch, jobs, writer
        self._progress = Progress(options.progress, options.cancel)
        self._options = options
        self._on_failure = on_failure

    def go(self, record: RunRecord, workers: int) -> BatchResult:
        waiting = [job for job in self._jobs if job.done is None]
        rows = {job.name: _row_of(self._batch, job, job.done) for job in self._jobs if job.done is not None}
        if waiting:
            result = BatchResult(self._batch.out, [], [], 0, [])
            result.summary.unlink(missing_ok=True)  # a summary is that of a finished run
            self._plan(record, waiting)
            _delete_temporary_files({(self._batch.out / job.name).parent for job in waiting}, self._batch.out)
            with ThreadPoolExecutor(workers) as pool, self._options.for_each() as options, ExitStack() as stack:
                segment = partial(self._segment, options)
                found = stack.enter_context(closing(prefetch_map(pool, segment, waiting, depth=2 * workers)))
                for job, row in zip(tracker("images", show=self._progress)(waiting), found, strict=True):
                    rows[job.name] = row
                    if row.error:
                        self._on_failure(row)
        result = BatchResult(
            self._batch.out,
            [rows[job.name] for job in self._jobs],
            self._batch.passed_over,
            len(self._jobs) - len(waiting),
            [job.path for job in waiting if job.changed],
        )
        write_summary(result)
        searches = [(row.scale, row.expected_msa) for row in result.files if row.scale is not None]
        log_searches(searches, "image", SUMMARY, is_told=self._options.tells_scale)
        return result

    def _plan(self, record: RunRecord, waiting: Sequence[Job]) -> None:
        """Name the results in the record before they are written, so that the next run knows whose they are."""
        new = [job for job in waiting if record.planned.get(job.name) != job.planned]
        if new or not set(self._batch.formats) <= record.formats.keys():
            self._writer.plan([(job.name, job.planned) for job in new], self._batch.formats)

    def _segment(self, options: PredictOptions, job: Job) -> FileSummary:
        try:
            done = self._segment_and_save(options, job)
        except CancelledError:
            raise
        except (NucleusError, OSError, MemoryError) as error:
            if isinstance(error, OSError) and error.errno in _NO_MORE_WRITING:
                text = f"{error.strerror}; the images before are done: make room, and the same call goes on"
                raise OSError(error.errno, text, error.filename) from error
            return FileSummary.failed(job.path, self._batch.out / job.name, error)
        self._writer.done(job.name, done)
        return _row_of(self._batch, job, done)

    def _segment_and_save(self, options: PredictOptions, job: Job) -> Done:
        begun = time.perf_counter()
        with without_log_of_images(str(job.path)):
            nuclei: Segmentation = self._model.predict(job.path, **options.keywords())
        for each, path in zip(self._batch.formats, self._batch.results(job.name), strict=True):
            nuclei.save(path, file_format=each)
        areas = nuclei.table["area"]
        known = {*job.formats, *self._batch.formats}
        return Done(
            facts=job.planned.facts,
            formats=[each for each in FORMATS if each in known],
            nuclei=len(nuclei),
            median_area=float(np.median(areas)) if len(areas) else None,
            scale=nuclei.plan.scale,
            expected_msa=nuclei.plan.expected_msa,
            seconds=round(time.perf_counter() - begun, 3),
            scene="" if options.scene is None else nuclei.place.scene_name,
        )


def _row_of(batch: Batch, job: Job, done: Done) -> FileSummary:
    return FileSummary(
        file=job.path,
        scene=done.scene,
        nuclei=done.nuclei,
        median_area=done.median_area,
        scale=done.scale,
        expected_msa=done.expected_msa,
        seconds=done.seconds,
        results=batch.out / job.name,
    )


def _settings(model: Model, options: PredictOptions) -> dict[str, Any]:
    """Return all that the labels of every image depend on."""
    settings = settings_of(model.bundle, model.engine.identity, options)
    return settings | {name: getattr(options, name) for name in PLACES}


def _check_settings(out: Path, saved: dict[str, Any], now: dict[str, Any]) -> None:
    names = [*now, *(name for name in saved if name not in now)]
    differences = [
        f"{name} was {saved.get(name)}, now is {now.get(name)}" for name in names if saved.get(name) != now.get(name)
    ]
    if differences:
        raise SettingsError(
            f"{out} holds a run with other settings: {'; '.join(differences)}. Give the same to resume it, "
            "give another output folder, or begin anew with --overwrite (overwrite=True)"
        )


@contextmanager
def _removed_if_empty(out: Path) -> Iterator[None]:
    """Remove the output folder again if it was not there and an error leaves nothing in it but the lock."""
    new, unmarked = not out.exists(), not (out / RUN_FOLDER).exists()
    try:
        yield
    except BaseException:
        if unmarked and [path.name for path in (out / RUN_FOLDER).glob("*")] in ([], [LOCK]):
            shutil.rmtree(out / RUN_FOLDER, ignore_errors=True)
            if new:
                with suppress(OSError):
                    out.rmdir()
        raise


def _delete_other_formats(batch: Batch, record: RunRecord, jobs: Sequence[Job]) -> None:
    """Delete the results of a run that begins anew in formats that are not asked for now: they would be stale."""
    stale = [FORMATS[each].suffixes[0] for each in record.formats if each in FORMATS and each not in batch.formats]
    for job in jobs:
        if job.name not in record.planned:
            continue
        for path in (batch.out / f"{job.name}{suffix}" for suffix in stale):
            if is_own_zarr(path):
                shutil.rmtree(path)
            elif path.is_file():
                path.unlink()


def _delete_temporary_files(folders: set[Path], out: Path) -> None:
    """Delete what a killed run left, but nothing in other runs' output folders."""
    for folder in folders:
        if folder != out and (folder / RUN_FOLDER).exists():
            continue
        for path in folder.glob(f"{TEMPORARY}*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

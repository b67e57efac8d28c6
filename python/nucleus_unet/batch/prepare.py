"""Prepare a run: find the images, name their results, skip the finished ones, and check that results can be written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nucleus_unet.batch.find import FoundImages, check_named, find_images
from nucleus_unet.batch.names import absolute, choose_names
from nucleus_unet.batch.not_images import why_not
from nucleus_unet.batch.record import RUN_FOLDER, SUMMARY, Done, Planned, RunRecord
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports.formats import check_extras
from nucleus_unet.exports.names import FORMATS, check_formats
from nucleus_unet.io.atomic import check_output_folder
from nucleus_unet.io.file_facts import file_facts
from nucleus_unet.io.folders import PassedOver
from nucleus_unet.io.formats import SEARCHED_SUFFIXES
from nucleus_unet.io.paths import check_path
from nucleus_unet.io.zarr import is_zarr

_ALL_SUFFIXES = [suffix for each in FORMATS.values() for suffix in each.suffixes[:1]]


@dataclass(frozen=True)
class Job:
    """An image of a run.

    Attributes
    ----------
    path
        As it was named or found.
    name
        Of its results, relative to the output folder and without a suffix, with ``/`` between folders.
    planned
        The image, as the record names it.
    done
        What an earlier run found in it; None if it is to be segmented.
    formats
        Formats of its results that an earlier run wrote from the same file.
    changed
        Whether an earlier run segmented it and the file changed since.
    """

    path: Path
    name: str
    planned: Planned
    done: Done | None = None
    formats: Sequence[str] = ()
    changed: bool = False


@dataclass(frozen=True)
class Batch:
    """Images, and where their results go.

    Attributes
    ----------
    found
        The images and what is passed over.
    out
        The output folder.
    formats
        Names of the formats of the results.
    overwrite
        Whether to begin anew.
    """

    found: FoundImages
    out: Path
    formats: Sequence[str]
    overwrite: bool

    @property
    def passed_over(self) -> list[PassedOver]:
        """What lies in the same folders and is not segmented."""
        return self.found.passed_over

    def results(self, name: str) -> list[Path]:
        """Return the paths of the results that have a name."""
        return [self.out / f"{name}{FORMATS[each].suffixes[0]}" for each in self.formats]


def prepare_batch(
    images: str | Path | Iterable[str | Path], out: str | Path, *, formats: Sequence[str], overwrite: bool
) -> Batch:
    """Find the images, and check all that can be checked before a model is loaded. Nothing is written.

    Parameters
    ----------
    images
        Paths of images, of folders to be searched, and glob patterns; or one of these.
    out
        Folder for the results.
    formats
        Names of formats.
    overwrite
        Begin anew in an output folder that holds a run, and replace what lies there under the names of results.

    Raises
    ------
    SettingsError
        If there is no image, a format is unknown, or a result would replace a file that is not a result.
    MissingExtraError
        If a format needs an extra that is not installed.
    OSError
        If nothing can be written to the output folder.
    """
    check_formats(formats)
    check_extras(formats)
    out = check_path(out, "out")
    named = check_named(images)
    found = find_images(named, why_not, is_whole=is_zarr)
    if not found.images:
        raise nothing_found(named, found)
    check_output_folder(out, "results")
    batch = Batch(found, out, list(dict.fromkeys(formats)), overwrite)
    list_jobs(batch, read_record(batch))
    return batch


def nothing_found(named: Sequence[str | Path], found: FoundImages) -> SettingsError:
    """Return the error for paths without an image; it counts what was passed over."""
    text = (
        f"no image found in: {', '.join(map(str, named)) or 'an empty list'} (known are {', '.join(SEARCHED_SUFFIXES)})"
    )
    reasons: dict[str, int] = {}
    for each in found.passed_over:
        reasons[each.reason] = reasons.get(each.reason, 0) + 1
    passed = "; ".join(f"{count} {reason}" for reason, count in reasons.items())
    return SettingsError(f"{text}; passed over: {passed}" if passed else text)


def read_record(batch: Batch) -> RunRecord:
    """Return the record of the output folder; to begin anew, one that only knows which names results have."""
    if not batch.overwrite:
        return RunRecord.read(batch.out)
    try:
        earlier = RunRecord.read(batch.out)
    except DataError:
        return RunRecord()
    return RunRecord(planned=earlier.planned, formats=earlier.formats)


def list_jobs(batch: Batch, record: RunRecord) -> list[Job]:
    """Give each image its name, and find out which are done.

    Raises
    ------
    SettingsError
        If a result would replace an image, the result of another image, or a file that is no result.
    """
    images = batch.found.images
    kept = {Path(planned.source): Path(name) for name, planned in record.planned.items()}
    names = choose_names(images, suffixes=_ALL_SUFFIXES, kept=kept, reserved=(SUMMARY, RUN_FOLDER))
    inputs = {_identity(path) for path, _ in images} - {None}
    jobs = []
    for (path, _), name in zip(images, names, strict=True):
        job = _job(batch, record, path, name.as_posix())
        if job.done is None:
            _refuse_to_replace(batch, record, job.name, inputs)
        jobs.append(job)
    if not batch.overwrite and record.settings is None and (batch.out / SUMMARY).exists():
        raise SettingsError(_in_the_way(batch.out / SUMMARY))
    return jobs


def _job(batch: Batch, record: RunRecord, path: Path, name: str) -> Job:
    planned = Planned(str(absolute(path)), file_facts(path) if path.exists() else None)
    known, done = record.planned.get(name), record.done.get(name)
    if known is not None and not batch.overwrite and not _is_same_image(known, planned):
        if done is not None or any(map(Path.exists, batch.results(name))):
            raise SettingsError(
                f"{batch.out / name}: these are the results of {known.source}, which is another image than {path}: "
                "give another output folder, or segment all images with one command"
            )
        return Job(path, name, planned)
    if done is None:
        return Job(path, name, planned)
    if not _same(done.facts, planned.facts):
        return Job(path, name, planned, changed=planned.facts is not None)
    complete = set(batch.formats) <= set(done.formats) and all(map(Path.exists, batch.results(name)))
    return Job(path, name, planned, done if complete else None, done.formats)


def _is_same_image(known: Planned, now: Planned) -> bool:
    """Whether two images are one: at one place, through a link, or moved. Two images may share name, size and time."""
    before, here = Path(known.source), Path(now.source)
    if before == here or not before.exists():
        return before == here or _same(known.facts, now.facts)
    return here.exists() and before.samefile(here)


def _same(one: object, other: object) -> bool:
    return one is not None and one == other


def _refuse_to_replace(batch: Batch, record: RunRecord, name: str, inputs: set[tuple[int, int] | None]) -> None:
    for result in batch.results(name):
        _check_place(batch.out, result)
        identity = _identity(result)
        if identity in inputs and identity is not None:
            raise SettingsError(f"{result} is one of the images and would be overwritten: give another --out")
        if identity is not None and not batch.overwrite and name not in record.planned:
            raise SettingsError(_in_the_way(result))


def _check_place(out: Path, result: Path) -> None:
    """Raise `SettingsError` if a result cannot lie there even if it may replace what does."""
    if result.is_dir() and result.suffix != ".zarr":
        raise SettingsError(f"{result} is a folder, and a result of that name would be a file: give another --out")
    for folder in result.relative_to(out).parents:
        if (out / folder).exists() and not (out / folder).is_dir():
            raise SettingsError(
                f"{out / folder} is a file, and results go to a folder of that name: give another --out"
            )


def _in_the_way(path: Path) -> str:
    return (
        f"{path} is there already, and no record says that it is a result of this command: give another output "
        "folder, or replace it with --overwrite (overwrite=True)"
    )


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what the names of one file have in common; None if there is no file."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return None
    return facts.st_dev, facts.st_ino

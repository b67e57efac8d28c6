"""Segment the planes of an image one after another, and write one set of results; a run that was killed goes on."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nucleus_unet.errors import ImageError, SettingsError
from nucleus_unet.exports.names import STACK_FORMATS, check_formats
from nucleus_unet.exports.parquet import pyarrow
from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.inference.scale_log import log_searches, without_log_of_images
from nucleus_unet.io.atomic import TEMPORARY, check_output_folder
from nucleus_unet.io.locks import LOCK, locked
from nucleus_unet.io.selection import Place, Selection
from nucleus_unet.io.source import ImageSource
from nucleus_unet.progress import Progress, tracker
from nucleus_unet.segmentation import Segmentation
from nucleus_unet.stacks.layout import PLANES, Layout
from nucleus_unet.stacks.record import RECORD, StackRecord
from nucleus_unet.stacks.result import StackResult
from nucleus_unet.stacks.store import FinishedPlane, PlaneStore, fingerprint
from nucleus_unet.stacks.write import result_files, write_results

# In the output folder: the finished planes of a run that is not finished.
WORK = "work"

Find = Callable[[Place, NDArray[Any]], Segmentation]
"""Segments the plane at a place, whose pixels are given."""
Others = Callable[[Place, float | None], Iterable[NDArray[Any]]]
"""Returns what else the results at a place depend on, for its pixel size: the pixels of channels that are measured."""


@dataclasses.dataclass(frozen=True)
class StackRun:
    """What a run is to do.

    Attributes
    ----------
    image
        Path of the file; None for an array.
    out
        Folder for the results.
    formats
        Names of `nucleus_unet.exports.names.STACK_FORMATS`.
    selection
        The planes.
    settings
        All that the labels of a plane depend on, beside its pixels, as plain JSON types.
    overwrite
        Begin anew where ``out`` holds another run or other files.
    """

    image: Path | None
    out: Path
    formats: Sequence[str]
    selection: Selection
    settings: dict[str, Any]
    overwrite: bool

    def check(self) -> None:
        """Check before any work what can be checked without the image.

        Raises
        ------
        SettingsError
            If a format is unknown, or ``out`` is a file.
        MissingExtraError
            If a format needs an extra that is not installed.
        OSError
            If ``out`` is not writable.
        """
        check_formats(self.formats, STACK_FORMATS)
        if "parquet" in self.formats:
            pyarrow()
        check_output_folder(self.out, "the results of several planes")

    def go(
        self,
        source: ImageSource,
        finding: AbstractContextManager[Find],
        others: Others,
        *,
        together: int,
        progress: Progress,
    ) -> StackResult:
        """Segment the planes that are not done yet, and write the results.

        Parameters
        ----------
        source
            The image.
        finding
            Gives what segments a plane. At its end, planes in progress are cancelled.
        others
            Returns the pixels of further channels that are measured.
        together
            Number of planes at once.
        progress
            Reports, and cancels.

        Raises
        ------
        ImageError
            If a plane cannot be read.
        SettingsError
            If ``out`` holds the results of another run, or another process works in it.
        """
        places = self.selection.places(source)
        layout = Layout(self.out, source, several_scenes=_is_several_scenes(self.selection))
        record = StackRecord.of(
            self.image, self.settings, self.selection, self.formats, self_contained=source.self_contained
        )
        saved = self._saved(record, result_files(layout, places, self.formats))
        if saved is not None and saved.is_of(record) and not self.overwrite:
            result = saved.result(self.out)
            if set(record.formats) <= set(saved.formats) and all(path.exists() for path in result.files):
                return result
            record = dataclasses.replace(record, formats=list(dict.fromkeys([*saved.formats, *record.formats])))
        with self._work() as work:
            store = PlaneStore(work)
            finished = self._segment(source, store, places, finding, others, together=together, progress=progress)
            self._clear(saved, record, result_files(layout, places, record.formats))
            files = write_results(store, layout, finished, record.formats)
            searches = [(each.summary.scale, each.summary.expected_msa) for each in finished]
            is_told = self.settings["diameter"] is not None or self.settings["mpp"] is not None
            log_searches(searches, "plane", PLANES, is_told=is_told)
            return record.write(self.out, [plane.summary for plane in finished], files)

    def _saved(self, record: StackRecord, results: Sequence[Path]) -> StackRecord | None:
        """Return the record of the last run, and see that nothing of others is overwritten.

        Raises
        ------
        SettingsError
            If there are results of another run, or other files of the names of results.
        """
        try:
            saved = StackRecord.read(self.out)
        except SettingsError:
            if self.overwrite:
                return None
            raise
        if self.overwrite:
            return saved
        if saved is None:
            there = [each for each in results if each.exists()]
            if there and not (self.out / WORK).exists():
                raise SettingsError(
                    f"{there[0]} is there, and no run of this folder wrote it: give another out=, or overwrite=True "
                    "(--overwrite)"
                )
        elif differences := saved.differences(record):
            raise SettingsError(
                f"{self.out} holds the results of another run: {'; '.join(differences)}. Give another out=, or begin "
                "anew with overwrite=True (--overwrite)"
            )
        return saved

    @contextmanager
    def _work(self) -> Iterator[Path]:
        """Lock the folder of finished planes, and delete it at the end; after an error, only if there are none."""
        new, work = not self.out.exists(), self.out / WORK
        work.mkdir(parents=True, exist_ok=True)
        try:
            busy = f"another process works in {self.out}: wait for it, or give another out="
            with locked(work, patience=0, busy=busy):
                yield work
        except BaseException:
            if {path.name for path in work.iterdir()} <= {LOCK}:
                shutil.rmtree(work, ignore_errors=True)
                if new:
                    with suppress(OSError):
                        self.out.rmdir()
            raise
        shutil.rmtree(work)

    def _clear(self, saved: StackRecord | None, record: StackRecord, results: Sequence[Path]) -> None:
        """Delete the results of another run, and what a killed run left half-written."""
        if saved is not None and not saved.is_of(record):
            (self.out / RECORD).unlink()
            for path in saved.result(self.out).files:
                _delete(path)
        for folder in {self.out, *(path.parent for path in results)}:
            for path in folder.glob(f"{TEMPORARY}*"):
                _delete(path)

    def _segment(
        self,
        source: ImageSource,
        store: PlaneStore,
        places: Sequence[Place],
        finding: AbstractContextManager[Find],
        others: Others,
        *,
        together: int,
        progress: Progress,
    ) -> list[FinishedPlane]:
        def segment(find: Find, place: Place) -> FinishedPlane:
            plane = self.selection.open(source, place)
            if 0 in plane.shape:
                raise ImageError(f"{source.name}: expected at least one pixel, got planes of {plane.shape}")
            pixels = source.read(plane)
            key = fingerprint(chain([pixels], others(place, plane.mpp)), plane.mpp, self.settings)
            with without_log_of_images():
                summary = store.find(place, key) or store.save(place, key, find(place, pixels))
            return FinishedPlane(summary, self.settings["mpp"] or plane.mpp, key)

        with ThreadPoolExecutor(together) as pool, finding as find:
            results = prefetch_map(pool, partial(segment, find), places, depth=together)
            return [each for _, each in zip(tracker("planes", show=progress)(places), results, strict=True)]


def _is_several_scenes(selection: Selection) -> bool:
    return Selection(scene=selection.scene).several


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

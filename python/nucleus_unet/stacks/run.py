"""Segment the planes of an image one after another, and write one set of results; a run that was killed goes on."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nucleus_unet.errors import ImageError, SettingsError
from nucleus_unet.exports.names import STACK_FORMATS, check_formats
from nucleus_unet.exports.parquet import pyarrow
from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.io.atomic import check_output_folder, read_json, write_atomically
from nucleus_unet.io.file_facts import file_facts
from nucleus_unet.io.locks import locked
from nucleus_unet.io.selection import Place, Selection
from nucleus_unet.io.source import ImageSource
from nucleus_unet.progress import Progress, tracker
from nucleus_unet.segmentation import Segmentation
from nucleus_unet.stacks.layout import Layout
from nucleus_unet.stacks.result import PlaneSummary, StackResult
from nucleus_unet.stacks.store import FinishedPlane, PlaneStore, fingerprint
from nucleus_unet.stacks.write import result_files, write_results

# In the output folder: what was done, and the finished planes of a run that is not finished.
RECORD, WORK = "run.json", "work"

Find = Callable[[NDArray[Any], float | None, Place], Segmentation]
"""Segments the pixels of a plane, whose pixel size and place are given."""


@dataclasses.dataclass(frozen=True)
class StackRun:
    """What a run is to do.

    Attributes
    ----------
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

    def go(self, source: ImageSource, find: Find, *, together: int, progress: Progress) -> StackResult:
        """Segment the planes that are not done yet, and write the results.

        Parameters
        ----------
        source
            The image.
        find
            Segments a plane.
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
        record = self._record(source)
        done = self._finished(record, places, layout)
        if done is not None:
            return done
        work = self.out / WORK
        work.mkdir(parents=True, exist_ok=True)
        with locked(work, patience=0, busy=f"another process works in {self.out}: wait for it, or give another out="):
            store = PlaneStore(work)
            finished = self._segment(source, store, places, find, together=together, progress=progress)
            files = write_results(store, layout, finished, self.formats)
            planes = [plane.summary for plane in finished]
            record["planes"] = [plane.to_json() for plane in planes]
            record["files"] = [str(path.relative_to(self.out)) for path in files]
            write_atomically(self.out / RECORD, json.dumps(record, indent=1) + "\n")
        shutil.rmtree(work)
        return StackResult(self.out, tuple(planes), tuple(files))

    def _segment(
        self,
        source: ImageSource,
        store: PlaneStore,
        places: Sequence[Place],
        find: Find,
        *,
        together: int,
        progress: Progress,
    ) -> list[FinishedPlane]:
        def segment(place: Place) -> FinishedPlane:
            plane = self.selection.open(source, place)
            if 0 in plane.shape:
                raise ImageError(f"{source.name}: expected at least one pixel, got planes of {plane.shape}")
            pixels = source.read(plane)
            key = fingerprint(pixels, plane.mpp, self.settings)
            summary = store.find(place, key) or store.save(place, key, find(pixels, plane.mpp, place))
            return FinishedPlane(summary, self.settings["mpp"] or plane.mpp, key)

        with ThreadPoolExecutor(together) as pool:
            results = prefetch_map(pool, segment, places, depth=together)
            return [each for _, each in zip(tracker("planes", show=progress)(places), results, strict=True)]

    def _record(self, source: ImageSource) -> dict[str, Any]:
        """Return what tells this run from others."""
        path = Path(source.name)
        facts = {"path": str(path.resolve()), **(file_facts(path) or {})} if path.exists() else None
        selection = dataclasses.asdict(self.selection)
        record = {"source": facts, "settings": self.settings, "selection": selection, "formats": list(self.formats)}
        plain: dict[str, Any] = json.loads(json.dumps(record))
        return plain

    def _finished(self, record: dict[str, Any], places: Sequence[Place], layout: Layout) -> StackResult | None:
        """Return the result of the same run if it is finished, and see that nothing else is overwritten.

        Raises
        ------
        SettingsError
            If there are results of another run, or other files of the names of results.
        """
        path = self.out / RECORD
        if self.overwrite:
            return None
        if not path.exists():
            there = [each for each in result_files(layout, places, self.formats) if each.exists()]
            if there and not (self.out / WORK).exists():
                raise SettingsError(
                    f"{there[0]} is there, and no run of this folder wrote it: give another out=, or overwrite=True "
                    "(--overwrite)"
                )
            return None
        saved = _read_record(path)
        self._refuse_another(saved, record)
        files = [self.out / name for name in saved.get("files", ())]
        same = record["source"] is not None and all(saved.get(name) == value for name, value in record.items())
        if not (same and all(each.exists() for each in files)):
            return None
        return StackResult(self.out, tuple(map(PlaneSummary.from_json, saved["planes"])), tuple(files))

    def _refuse_another(self, saved: dict[str, Any], record: dict[str, Any]) -> None:
        before, now = ({**each.get("settings", {}), **each.get("selection", {})} for each in (saved, record))
        differences = [
            f"{name} was {before.get(name)}, now is {now[name]}" for name in now if before.get(name) != now[name]
        ]
        images = [(each.get("source") or {}).get("path") for each in (saved, record)]
        if images[0] != images[1]:
            differences.insert(0, f"the image was {images[0] or 'an array'}, now is {images[1] or 'an array'}")
        if differences:
            raise SettingsError(
                f"{self.out} holds the results of another run: {'; '.join(differences)}. Give another out=, or begin "
                "anew with overwrite=True (--overwrite)"
            )


def _is_several_scenes(selection: Selection) -> bool:
    return Selection(scene=selection.scene).several


def _read_record(path: Path) -> dict[str, Any]:
    try:
        saved = read_json(path)
        if not isinstance(saved, dict) or not isinstance(saved.get("planes"), list):
            raise ValueError("it is no record of a run")
    except ValueError as error:
        raise SettingsError(
            f"{path} is damaged ({error}): give another out=, or overwrite=True (--overwrite)"
        ) from error
    return saved

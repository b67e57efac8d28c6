"""Recognise what this library wrote, so that no run takes the results of another for images."""

from __future__ import annotations

from pathlib import Path

from nucleus_unet.batch.record import RUN_FOLDER, SUMMARY, RunRecord
from nucleus_unet.errors import DataError
from nucleus_unet.exports.formats import is_own_zarr
from nucleus_unet.io.software_tag import is_marked
from nucleus_unet.slides.plan import PLAN
from nucleus_unet.slides.writers.results import LABELS, OUTLINES, OVERVIEW, TABLE
from nucleus_unet.slides.writers.results import SUMMARY as SLIDE_SUMMARY

OWN = "results of nucleus-unet"

_MARKED = (".png", ".tif", ".tiff")
_OF_SLIDES = (PLAN, LABELS, OUTLINES, OVERVIEW, TABLE, SLIDE_SUMMARY)


class OwnResults:
    """Tells results from images: by the record of the run in an output folder, or by the content of the file."""

    def __init__(self) -> None:
        self._files: dict[Path, frozenset[Path]] = {}  # by output folder

    def __contains__(self, path: Path) -> bool:
        if path.is_dir():
            return path.name == RUN_FOLDER or is_own_zarr(path) or self._recorded(path)
        if path.suffix.lower() in _MARKED and is_marked(path):
            return True
        if path.name in _OF_SLIDES and (path.parent / PLAN).exists():
            return True
        return self._recorded(path)

    def _recorded(self, path: Path) -> bool:
        """Whether a record in the file's folder or in one above it names the file."""
        place = path.parent.resolve() / path.name
        return any(place in self._results_in(folder) for folder in place.parents)

    def _results_in(self, folder: Path) -> frozenset[Path]:
        if folder not in self._files:
            self._files[folder] = _read(folder)
        return self._files[folder]


def _read(folder: Path) -> frozenset[Path]:
    if not (folder / RUN_FOLDER).is_dir():
        return frozenset()
    try:
        record = RunRecord.read(folder)
    except (DataError, OSError):
        return frozenset()
    return frozenset({folder / SUMMARY, *(folder / file for file in record.result_files())})

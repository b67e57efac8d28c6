"""The finished planes of a run, on disk until all are there.

A plane is stored with a fingerprint of its pixels and of all settings that its labels depend on. A run that was killed
and repeated reuses the planes whose fingerprint still matches, and no others.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.classifier.classes import CLASS, Classes, kinds_from_text, kinds_to_text
from nucleus_unet.errors import DataError
from nucleus_unet.exports.nucleus_table import NUMBERS, NucleusTable
from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.io.selection import Place
from nucleus_unet.segmentation import Segmentation
from nucleus_unet.stacks.result import PlaneSummary

# Begin of the names of columns in the file of a plane, and the names of the arrays of classes.
_COLUMN, _INDEX, _KINDS = "column ", "class index", "class kinds"
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def fingerprint(channels: Iterable[NDArray[Any]], mpp: float | None, settings: Mapping[str, Any]) -> str:
    """Return a text that is equal for equal pixels and settings, and for no others."""
    digest = hashlib.sha256(json.dumps([mpp, settings], sort_keys=True).encode())
    for pixels in channels:
        digest.update(json.dumps([pixels.shape, pixels.dtype.str]).encode())
        digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


class FinishedPlane(NamedTuple):
    """A stored plane.

    Attributes
    ----------
    summary
        What was found in it.
    mpp
        Its pixel size in micrometres.
    key
        From `fingerprint`.
    """

    summary: PlaneSummary
    mpp: float | None
    key: str

    @property
    def place(self) -> Place:
        """Where it lies in the file."""
        return self.summary.place


class PlaneStore:
    """Finished planes in a folder. Several threads may use it.

    Parameters
    ----------
    folder
        Made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, place: Place, key: str) -> PlaneSummary | None:
        """Return what was found at a place; None if it is not stored, damaged, or of another fingerprint."""
        try:
            with np.load(self._path(place), allow_pickle=False) as stored:
                if str(stored["key"]) == key:
                    expected = float(stored["expected_msa"])
                    known = None if np.isnan(expected) else expected
                    return _summary(place, stored["area"], float(stored["scale"]), known)
        except _DAMAGED:
            pass
        return None

    def save(self, place: Place, key: str, found: Segmentation) -> PlaneSummary:
        """Store a plane."""
        content = io.BytesIO()
        columns: dict[str, Any] = {_COLUMN + name: values for name, values in found.table.items()}
        if found.classes is not None:
            columns |= {_INDEX: found.classes.index, _KINDS: np.array(kinds_to_text(found.classes.kinds))}
        scale, expected, area = found.plan.scale, found.plan.expected_msa, found.table["area"]
        columns |= {"scale": scale, "expected_msa": np.nan if expected is None else expected, "area": area}
        np.savez_compressed(content, key=np.array(key), labels=found.labels, **columns)
        write_atomically(self._path(place), content.getvalue())
        return _summary(place, area, scale, expected)

    def labels(self, place: Place) -> NDArray[np.uint32]:
        """Return the label image of a stored plane. Raise `DataError` if it is damaged."""
        try:
            labels: NDArray[np.uint32] = self._load(place, "labels")["labels"]
        except KeyError as error:
            raise self._damaged(place, error) from error
        return labels

    def table(self, place: Place, *, outlines: bool) -> NucleusTable:
        """Return the nuclei of a stored plane, with empty outlines unless they are wanted.

        Raises
        ------
        DataError
            If it is damaged.
        """
        stored = self._load(place, _COLUMN, _INDEX, _KINDS)
        columns = {name.removeprefix(_COLUMN): values for name, values in stored.items() if name.startswith(_COLUMN)}
        columns.pop(CLASS, None)
        try:
            first: dict[str, Any] = {name: columns.pop(name) for name in NUMBERS}
            classes = Classes(kinds_from_text(str(stored[_KINDS])), stored[_INDEX]) if _KINDS in stored else None
        except (KeyError, ValueError) as error:
            raise self._damaged(place, error) from error
        outline = _core.contours_wkb(self.labels(place), (0, 0)) if outlines else [b""] * len(first["label"])
        return NucleusTable(**first, outline=outline, measures=columns, classes=classes)

    def _load(self, place: Place, *beginnings: str) -> dict[str, NDArray[Any]]:
        """Return the arrays of a stored plane whose names begin with one of these."""
        try:
            with np.load(self._path(place), allow_pickle=False) as stored:
                return {name: stored[name] for name in stored if name.startswith(beginnings)}
        except _DAMAGED as error:
            raise self._damaged(place, error) from error

    def _damaged(self, place: Place, error: Exception) -> DataError:
        return DataError(f"{self._path(place)} is damaged: repeat the same call to segment it again ({error})")

    def _path(self, place: Place) -> Path:
        plane = "projected" if place.plane is None else place.plane
        return self._folder / f"{place.scene}-{place.frame}-{plane}.npz"


def _summary(place: Place, area: NDArray[np.int64], scale: float, expected_msa: float | None) -> PlaneSummary:
    return PlaneSummary(place, len(area), float(np.median(area)) if len(area) else None, scale, expected_msa)

"""The finished planes of a run, on disk until all are there.

A plane is stored with a fingerprint of its pixels and of all settings that its labels depend on. A run that was killed
and repeated reuses the planes whose fingerprint still matches, and no others.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.errors import DataError
from nucleus_unet.exports.nucleus_table import NUMBERS, NucleusTable
from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.io.selection import Place
from nucleus_unet.segmentation import Segmentation
from nucleus_unet.stacks.result import PlaneSummary

_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def fingerprint(pixels: NDArray[Any], mpp: float | None, settings: Mapping[str, Any]) -> str:
    """Return a text that is equal for equal pixels and settings, and for no others."""
    about = json.dumps([pixels.shape, pixels.dtype.str, mpp, settings], sort_keys=True)
    digest = hashlib.sha256(about.encode())
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
                    return _summary(place, stored["area"])
        except _DAMAGED:
            pass
        return None

    def save(self, place: Place, key: str, found: Segmentation) -> PlaneSummary:
        """Store a plane."""
        content = io.BytesIO()
        columns: dict[str, Any] = found.table
        np.savez_compressed(content, key=np.array(key), labels=found.labels, **columns)
        write_atomically(self._path(place), content.getvalue())
        return _summary(place, found.table["area"])

    def labels(self, place: Place) -> NDArray[np.uint32]:
        """Return the label image of a stored plane. Raise `DataError` if it is damaged."""
        labels: NDArray[np.uint32] = self._load(place, ("labels",))[0]
        return labels

    def table(self, place: Place, *, outlines: bool) -> NucleusTable:
        """Return the nuclei of a stored plane, with empty outlines unless they are wanted.

        Raises
        ------
        DataError
            If it is damaged.
        """
        columns: dict[str, Any] = dict(zip(NUMBERS, self._load(place, NUMBERS), strict=True))
        outline = _core.contours_wkb(self.labels(place), (0, 0)) if outlines else [b""] * len(columns["label"])
        return NucleusTable(**columns, outline=outline)

    def _load(self, place: Place, names: tuple[str, ...]) -> list[NDArray[Any]]:
        path = self._path(place)
        try:
            with np.load(path, allow_pickle=False) as stored:
                return [stored[name] for name in names]
        except _DAMAGED as error:
            raise DataError(f"{path} is damaged: repeat the same call to segment it again ({error})") from error

    def _path(self, place: Place) -> Path:
        plane = "projected" if place.plane is None else place.plane
        return self._folder / f"{place.scene}-{place.frame}-{plane}.npz"


def _summary(place: Place, area: NDArray[np.int64]) -> PlaneSummary:
    return PlaneSummary(place, len(area), float(np.median(area)) if len(area) else None)

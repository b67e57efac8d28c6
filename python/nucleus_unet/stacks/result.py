"""The result of an image of many planes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nucleus_unet.io.selection import Place
from nucleus_unet.wording import counted


@dataclass(frozen=True)
class PlaneSummary:
    """What was found in a plane.

    Attributes
    ----------
    place
        Where it lies in the file.
    nuclei
        Their number.
    median_area
        In pixels; None without nuclei.
    scale
        Magnification from the plane to what the network saw.
    expected_msa
        See `nucleus_unet.plan.Plan`.
    """

    place: Place
    nuclei: int
    median_area: float | None
    scale: float
    expected_msa: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "place": vars(self.place)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PlaneSummary:
        """Inverse of `to_json`."""
        nuclei, scale = int(values["nuclei"]), float(values["scale"])
        return cls(Place(**values["place"]), nuclei, values["median_area"], scale, values["expected_msa"])


@dataclass(frozen=True)
class StackResult:
    """The folder of a finished run.

    Attributes
    ----------
    folder
        Holds ``labels.ome.tif`` (axes TZYX, uint32; of several scenes, in a folder for each), ``nuclei.csv`` (a row for
        each nucleus, with the columns ``scene``, ``frame`` and ``plane``), ``planes.csv`` (a row for each plane) and
        what else was asked for.
    planes
        What was found in each plane, in the order of scenes, times and planes of a stack.
    files
        Paths of the results.
    """

    folder: Path
    planes: tuple[PlaneSummary, ...]
    files: tuple[Path, ...]

    def __len__(self) -> int:
        """Return the number of nuclei in all planes."""
        return sum(plane.nuclei for plane in self.planes)

    def __bool__(self) -> bool:
        """Return True, also without nuclei."""
        return True

    def __repr__(self) -> str:
        return f"StackResult({counted(len(self), 'nucleus')} in {counted(len(self.planes), 'plane')}, in {self.folder})"

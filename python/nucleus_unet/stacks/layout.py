"""Where the results of many planes go: the names of files, and the first columns of tables."""

from __future__ import annotations

import re
from pathlib import Path

from nucleus_unet.io.selection import Place
from nucleus_unet.io.source import ImageSource
from nucleus_unet.io.zarr import PLATE

LABELS, TABLE, PLANES, OVERVIEW = "labels.ome.tif", "nuclei", "planes.csv", "plate.png"

# OME-Zarr has letters and digits in the names of rows and columns.
_FIELD = re.compile(r"([A-Za-z0-9]+)/([A-Za-z0-9]+)/([A-Za-z0-9_-]+)")


class Layout:
    """Names of the results of one run.

    Parameters
    ----------
    out
        Folder for them.
    source
        The image.
    several_scenes
        Whether each scene gets a folder of its own.

    Attributes
    ----------
    plate
        Whether the scenes are fields of a plate, which get a folder for each well.
    columns : tuple of str
        First columns of tables.
    """

    def __init__(self, out: Path, source: ImageSource, *, several_scenes: bool) -> None:
        self.out = out
        self._several = several_scenes
        self.plate = source.format == PLATE and all(_FIELD.fullmatch(name) for name in source.scenes)
        self.columns = ("scene", "frame", "plane", *(("well_row", "well_column", "field") if self.plate else ()))

    def where(self, place: Place) -> dict[str, str | int | None]:
        """Return the first columns of the rows of a plane."""
        where: dict[str, str | int | None] = {
            "scene": place.scene_name,
            "frame": place.frame,
            "plane": place.plane,
        }
        if self.plate:
            where |= zip(self.columns[3:], _parts(place), strict=True)
        return where

    def labels(self, place: Place) -> Path:
        """Return the path of the label images of a place's scene."""
        if self.plate and self._several:
            row, column, field = _parts(place)
            return self.out / row / column / f"{field}.ome.tif"
        return self._folder(place) / LABELS

    def challenge(self, place: Place) -> Path:
        """Return the folder of the frames of a place's scene, as the Cell Tracking Challenge names it."""
        if self.plate and self._several:
            row, column, field = _parts(place)
            return self.out / row / column / f"{field}_RES"
        return self._folder(place) / "01_RES"

    def table(self, file_format: str) -> Path:
        """Return the path of the table of all nuclei."""
        return self.out / f"{TABLE}.{file_format}"

    def _folder(self, place: Place) -> Path:
        """Return the folder of a scene; its number keeps scenes of similar names apart."""
        if not self._several:
            return self.out
        name = re.sub(r"[^\w.-]+", "_", place.scene_name).strip("._")[:80]
        number = str(place.scene)
        return self.out / (number if name in ("", number) else f"{number}-{name}")


def _parts(place: Place) -> tuple[str, str, str]:
    row, column, field = place.scene_name.split("/")
    return row, column, field

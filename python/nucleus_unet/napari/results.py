"""Open the results of a slide for a viewer: the label pyramid tile by tile, the table, the thumbnail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError, SettingsError
from nucleus_unet.io.atomic import read_json
from nucleus_unet.io.pyramid import LevelArray, open_levels
from nucleus_unet.slides.plan import SURVEY, Survey
from nucleus_unet.slides.writers.results import LABELS, TABLE, count_if_finished

MOST_ROWS = 500_000
"""A longer table is not loaded, so that memory stays bounded."""

Table = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class SlideView:
    """What a viewer shows of a slide's results. Rows and columns are pixels of the slide.

    Attributes
    ----------
    name
        Name of the slide.
    count
        Number of nuclei.
    levels
        The label image, the full resolution first.
    table
        Columns of `nucleus_unet.Segmentation.table`. None if it has more than `MOST_ROWS` rows.
    thumbnail : NDArray[np.uint8] (h, w, 3) or None
        The slide, reduced. None if the run did not leave it.
    """

    name: str
    count: int
    levels: list[LevelArray]
    table: Table | None
    thumbnail: NDArray[np.uint8] | None


def is_finished(folder: Path) -> bool:
    """Whether a folder holds the results of a finished slide."""
    return folder.is_dir() and (folder / LABELS).exists() and count_if_finished(folder) is not None


def open_results(folder: Path) -> SlideView:
    """Open the results of a slide. Pixels are read when they are shown.

    Raises
    ------
    SettingsError
        If the folder holds no finished results.
    DataError, ImageError
        If a file is damaged.
    MissingExtraError
        If the extra ``slides`` is not installed.
    """
    if not is_finished(folder):
        raise SettingsError(
            f"{folder}: expected the folder of a finished slide, got {_what(folder)}; run the slide into it first"
        )
    count = count_if_finished(folder) or 0
    return SlideView(
        name=folder.name.removesuffix(".nuclei"),
        count=count,
        levels=open_levels(folder / LABELS, indices=True),
        table=_read_table(folder / TABLE) if count <= MOST_ROWS else None,
        thumbnail=_thumbnail(folder),
    )


def _what(folder: Path) -> str:
    if not folder.exists():
        return "nothing of that name"
    if not folder.is_dir():
        return "a file"
    return "a run that is not finished" if (folder / SURVEY).exists() else "a folder with other files"


def _read_table(path: Path) -> Table:
    from nucleus_unet.exports.nucleus_table import empty_table
    from nucleus_unet.exports.parquet import read_table

    # Outlines, which take most of the memory, go with each group of rows.
    groups = [group.numbers() for group in read_table(path)] or [empty_table().numbers()]
    return {name: np.concatenate([group[name] for group in groups]) for name in groups[0]}


def _thumbnail(folder: Path) -> NDArray[np.uint8] | None:
    try:
        return Survey.from_json(read_json(folder / SURVEY)).thumbnail
    except (OSError, ValueError, TypeError, LookupError):
        return None


def open_slide(path: Path) -> list[LevelArray] | None:
    """Open the picture of a slide, level by level. None for files that are no TIFF pyramids: their thumbnail is shown.

    Raises
    ------
    OSError
        If the file cannot be opened.
    """
    try:
        levels = open_levels(path)
    except (ImageError, ValueError):
        return None
    coarsest = max(levels[-1].shape[:2])
    return levels if coarsest <= 4096 else None


def layers_of(view: SlideView) -> list[tuple[Any, dict[str, Any], str]]:
    """Return the layers of a slide's results, as napari takes them from readers: data, options, and kind."""
    layers: list[tuple[Any, dict[str, Any], str]] = []
    height, width = view.levels[0].shape
    if view.thumbnail is not None:
        factors = np.array([height, width]) / view.thumbnail.shape[:2]
        place = {"scale": tuple(factors), "translate": tuple((factors - 1) / 2)}
        layers.append((view.thumbnail, {"name": f"{view.name} (thumbnail)", "rgb": True, **place}, "image"))
    several = len(view.levels) > 1
    options: dict[str, Any] = {"name": f"{view.name} nuclei", "multiscale": several}
    if view.table is not None:
        options["features"] = features_of(view.table)
    # A single level is small, and can be corrected if it is in memory.
    layers.append((view.levels if several else view.levels[0][:], options, "labels"))
    return layers


def features_of(table: Table) -> Table:
    """Return a table as napari takes it: its column ``index`` says which label a row is of.

    Examples
    --------
    >>> features_of({"label": np.array([4]), "area": np.array([70])})
    {'index': array([4]), 'label': array([4]), 'area': array([70])}
    """
    return {"index": np.asarray(table["label"], np.int64), **table}

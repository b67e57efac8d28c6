"""The marked nuclei of an image: their measures, their classes and their pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classification.apply import measured_as
from nucleus_unet.classification.marks import Marks
from nucleus_unet.classification.matching import Matcher
from nucleus_unet.classifier.check import FIRST_COLUMNS
from nucleus_unet.classifier.classes import Colour
from nucleus_unet.classifier.model import PREFIX, FoundBy, MeasuredAs
from nucleus_unet.errors import DataError
from nucleus_unet.exports.csv_reader import read_csv_table
from nucleus_unet.exports.nucleus_table import NucleusTable, concatenate_tables
from nucleus_unet.exports.overlay import inner_boundaries, to_display_rgb
from nucleus_unet.exports.parquet import read_table
from nucleus_unet.io.atomic import read_json
from nucleus_unet.measures.settings import GROUPS
from nucleus_unet.options import PredictOptions
from nucleus_unet.segmentation import Segmentation
from nucleus_unet.slides.plan import PLAN
from nucleus_unet.slides.writers.results import TABLE, count_if_finished

Picture = NDArray[np.uint8]

# Pixels around a nucleus in its picture, and the largest picture.
_AROUND, _LARGEST = 12, 160
_OUTLINE = (255, 200, 0)


@dataclass(frozen=True, eq=False)
class MarkedImage:
    """The marked nuclei of an image.

    Attributes
    ----------
    name
        Of the image.
    labels : NDArray[np.uint32] (M,)
        Labels of the marked nuclei.
    classes
        The class of each.
    columns
        Values (M,) of each column of the table that may tell a class.
    colours
        Colours of classes, as far as the marks tell them.
    measured
        How they were measured.
    found_by
        The model that found them.
    pictures
        Of each nucleus, (h, w, 3); empty if the pixels are not there.
    """

    name: str
    labels: NDArray[np.uint32]
    classes: Sequence[str]
    columns: Mapping[str, NDArray[np.float64]]
    colours: Mapping[str, Colour]
    measured: MeasuredAs
    found_by: FoundBy
    pictures: Sequence[Picture]


class _Told(NamedTuple):
    """Nuclei, part by part, with what is known of how they were found and measured."""

    parts: Iterable[NucleusTable]
    measured: MeasuredAs
    found_by: FoundBy
    shape: tuple[int, int] | None


def is_result(path: object) -> bool:
    """Whether this is a finished result: the folder of a slide, or a table."""
    if not isinstance(path, Path | str):
        return False
    return Path(path).suffix.lower() in (".csv", ".parquet") or (Path(path) / TABLE).exists()


def marked_segmentation(name: str, found: Segmentation, marks: Marks, options: PredictOptions) -> MarkedImage:
    """Return the marked nuclei of an image that was segmented with these options."""
    measured = MeasuredAs(tuple(options.measure or ()), options.expand, options.neighbour_radius, found.mpp)
    nuclei = found.outlined
    found_by = FoundBy(found.plan.model, found.plan.fingerprint)
    marked = _marked(name, _Told([nuclei], measured, found_by, found.labels.shape), marks)
    shown = to_display_rgb(found.image)
    pictures = [_picture(shown, found.labels, nuclei, label - 1) for label in marked.labels.tolist()]
    return dataclasses.replace(marked, pictures=pictures)


def marked_result(path: Path, marks: Marks, options: PredictOptions) -> MarkedImage:
    """Return the marked nuclei of a finished result: the folder of a slide, a Parquet or a CSV table.

    Parameters
    ----------
    path
        Of the result.
    marks
        The marks.
    options
        Of a table that does not tell how its nuclei were measured: ``expand``, ``neighbour_radius`` and ``mpp``.

    Raises
    ------
    DataError
        If the result is damaged, or has no measures.
    """
    return _marked(str(path), _read_result(path, options), marks)


def _marked(name: str, told: _Told, marks: Marks) -> MarkedImage:
    matcher = Matcher(marks, told.shape)
    kept: list[NucleusTable] = []
    classes: list[str] = []
    for part in told.parts:
        found = matcher.match(part)
        kept.append(part.reordered(np.array(list(found), np.intp)))
        classes += found.values()
    matcher.finish()
    nuclei = concatenate_tables(kept)
    columns = {each: getattr(nuclei, each) for each in FIRST_COLUMNS}
    columns |= {each: values for each, values in nuclei.measures.items() if not each.startswith(PREFIX)}
    return MarkedImage(
        name,
        nuclei.label,
        classes,
        {each: np.asarray(values, np.float64) for each, values in columns.items()},
        marks.colours,
        told.measured,
        told.found_by,
        [],
    )


def _read_result(path: Path, options: PredictOptions) -> _Told:
    folder = path if path.is_dir() else None
    if folder is not None and count_if_finished(folder) is None:
        raise DataError(f"{folder}: expected the folder of a finished slide; run `nucleus-unet slide` again")
    table = path / TABLE if folder is not None else path
    told: Mapping[str, Any] = {}
    if table.suffix.lower() == ".csv":
        parts = iter([read_csv_table(table)])
    else:
        parts, told = read_table(table), measured_as(table)
    first = next(parts)  # the table of no nuclei has a part, too
    groups = groups_of(first.measures)
    if not groups:
        raise DataError(f"{table}: expected a table with measures: repeat the run with measure= (--measure)")
    has_cells = any(name.startswith(("ring_", "cell_")) for name in first.measures)
    if not told:
        if has_cells != (options.expand is not None):
            have = "cells" if has_cells else "no cells"
            raise DataError(
                f"{table}: the table has {have}: give the same expand= (--expand) with which it was made, or none"
            )
        told = {name: getattr(options, name) for name in ("expand", "neighbour_radius", "mpp")}
    found_by, shape = (FoundBy("", ""), None) if folder is None else _planned(folder)
    return _Told(chain([first], parts), MeasuredAs(groups, **told), found_by, shape)


def _planned(folder: Path) -> tuple[FoundBy, tuple[int, int]]:
    """Return the model of a slide's run, and height and width of the slide, as its plan tells them."""
    try:
        plan = read_json(folder / PLAN)
        model = plan["prediction"]
        return FoundBy(str(model["model"]), str(model["fingerprint"])), (int(plan["height"]), int(plan["width"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: {PLAN} is damaged ({error})") from error


def groups_of(measures: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the groups of measures that a table has, by the names of its columns.

    Examples
    --------
    >>> groups_of({"nucleus_perimeter": 0, "nucleus_DAPI_median": 0})
    ('intensity', 'shape')
    """
    stains = ("nucleus_haematoxylin_", "nucleus_dab_")
    tests = {
        "intensity": lambda name: name.endswith("_median") and not name.startswith(stains),
        "shape": lambda name: name == "nucleus_perimeter",
        "neighbours": lambda name: name == "neighbour_count",
        "stain": lambda name: name == "nucleus_dab_mean",
        "texture": lambda name: "_texture_" in name,
    }
    return tuple(group for group in GROUPS if any(map(tests[group], measures)))


def _picture(shown: Picture, labels: NDArray[np.uint32], nuclei: NucleusTable, row: int) -> Picture:
    """Return the surroundings of a nucleus with its outline."""
    height, width = labels.shape
    box = [int(getattr(nuclei, name)[row]) for name in ("top", "left", "bottom", "right")]
    middle = (box[0] + box[2]) // 2, (box[1] + box[3]) // 2
    half = min(max(box[2] - box[0], box[3] - box[1]) // 2 + _AROUND, _LARGEST // 2)
    rows = slice(max(0, middle[0] - half), min(height, middle[0] + half))
    columns = slice(max(0, middle[1] - half), min(width, middle[1] + half))
    picture = shown[rows, columns].copy()
    own = np.where(labels[rows, columns] == nuclei.label[row], np.uint32(1), np.uint32(0))
    picture[inner_boundaries(own)] = _OUTLINE
    return picture

"""Read marks from QuPath, from napari or from a table."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from nucleus_unet.classification.marks import Mark, Marks
from nucleus_unet.classification.qupath import read_qupath
from nucleus_unet.classifier.classes import is_class_name
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.io.source import open_image

logger = logging.getLogger(__name__)

_GEOJSON = (".geojson", ".json", ".geojson.gz", ".json.gz")
_TABLES = (".csv", ".tsv", ".txt")
_CLASS_COLUMNS = ("class", "classification")
# Names of the columns of x and of y, and what is added to both: napari and our tables have pixel centres at integers.
_PLACES = {("x", "y"): 0.0, ("column", "row"): 0.5, ("axis-1", "axis-0"): 0.5}


def read_marks(path: Path, *, image: str | None = None, names: Mapping[int, str] | None = None) -> Marks:
    """Read the marks of an image.

    Parameters
    ----------
    path
        GeoJSON as QuPath exports it (also ``.gz``); a table (``.csv``, ``.tsv``) with a column ``class`` and either
        ``label``, or ``x`` and ``y``, or ``row`` and ``column``, or napari's ``axis-0`` and ``axis-1``; or an image of
        whole numbers, 0 where nothing is marked, such as napari's Labels.
    image
        Name of the image: of a table with a column ``image``, only its rows are taken.
    names
        Names of the numbers of an image. By default ``class 1`` and so on.

    Raises
    ------
    DataError
        If the file is damaged, or holds no marks.
    OSError
        If it cannot be opened.
    """
    if path.name.lower().endswith(_GEOJSON):
        marks, colours = read_qupath(path)
        return _checked(Marks(str(path), marks, None, {}, colours))
    if path.suffix.lower() in _TABLES:
        return _checked(Marks(str(path), list(_read_table(path, image)), None, {}, {}))
    return _checked(_read_painted(path, names or {}))


def has_image_column(path: Path) -> bool:
    """Whether this is a table that tells the image of each mark."""
    if path.suffix.lower() not in _TABLES:
        return False
    return "image" in _open_table(path)[0]


def check_images(path: Path, images: Sequence[str]) -> None:
    """Check that a table with the column ``image`` tells images apart, and log if some are none of these.

    Raises
    ------
    DataError
        If the name of a row is that of two images.
    """
    header, rows = _open_table(path)
    place = header.index("image")
    unknown = []
    for told in dict.fromkeys(row[place] for row in rows if len(row) > place):
        meant = [image for image in images if _is_image(told, image)]
        if len(meant) > 1:
            raise DataError(f"{path}: {told!r} may be {meant[0]} or {meant[1]}: write the path as it is given")
        unknown += [] if meant else [told]
    if unknown:
        logger.warning("%s: rows of %d other images are left out, first %r", path, len(unknown), unknown[0])


def parse_names(values: Sequence[str]) -> dict[int, str]:
    """Read names of the numbers of painted marks.

    Raises
    ------
    SettingsError
        If one is not of the form NUMBER=NAME.

    Examples
    --------
    >>> parse_names(["1=Tumor", "2=Stroma"])
    {1: 'Tumor', 2: 'Stroma'}
    """
    names = {}
    for value in values:
        number, _, name = value.partition("=")
        if not number.strip().isdecimal() or not is_class_name(name.strip()):
            raise SettingsError(f"name: expected NUMBER=NAME, such as 1=Tumor, got {value!r}")
        names[int(number)] = name.strip()
    return names


def _checked(marks: Marks) -> Marks:
    if not marks.marks and marks.painted is None:
        raise DataError(f"{marks.source}: expected marked nuclei, got none that have a class")
    for name in {mark.name for mark in marks.marks} | set(marks.names.values()):
        if not is_class_name(name):
            raise DataError(f"{marks.source}: {name!r} is no name of a class: expected one line of at most 200 letters")
    return marks


def _open_table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns in small letters, and the rows."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        head = text.partition("\n")[0]
        delimiter = next((each for each in "\t;," if each in head), ",")
        rows = list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a table of text, but {error}") from error
    return ([name.strip().lower() for name in rows[0]] if rows else []), rows[1:]


def _read_table(path: Path, image: str | None) -> Iterator[Mark]:
    header, rows = _open_table(path)
    classes = [header.index(name) for name in _CLASS_COLUMNS if name in header]
    places = [(header.index(x), header.index(y), add) for (x, y), add in _PLACES.items() if x in header and y in header]
    if not classes or not (places or "label" in header):
        raise DataError(
            f"{path}: expected the column class, and label, or x and y, or row and column, got {', '.join(header)}"
        )
    if "axis-2" in header:
        raise DataError(f"{path}: expected points of one plane, with axis-0 and axis-1, got axis-2 too")
    of_image = header.index("image") if "image" in header else None
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(f"{path}: line {number}: expected {len(header)} cells, got {len(row)}")
        name = row[classes[0]].strip()
        if not name or (of_image is not None and image is not None and not _is_image(row[of_image], image)):
            continue
        yield _mark_of_row(row, name, header, places, f"{path}: line {number}")


def _is_image(told: str, image: str) -> bool:
    return told.strip() in (image, Path(image).name, Path(image).stem)


def _mark_of_row(
    row: Sequence[str], name: str, header: Sequence[str], places: Sequence[tuple[int, int, float]], told_by: str
) -> Mark:
    try:
        if "label" in header and row[header.index("label")].strip():
            return Mark(name, told_by, label=int(row[header.index("label")]))
        x, y, add = places[0]
        place = float(row[x]) + add, float(row[y]) + add
        if not np.isfinite(place).all():
            raise ValueError(f"{place} is no place")
    except (ValueError, IndexError) as error:
        raise DataError(f"{told_by}: expected the label or the place of a nucleus ({error})") from error
    return Mark(name, told_by, place=place)


def _read_painted(path: Path, names: Mapping[int, str]) -> Marks:
    with open_image(path, indices=True) as source:
        values = source.read(source.plane())
    if values.ndim != 2 or values.dtype.kind not in "ub":
        raise DataError(f"{path}: expected an image of whole numbers, one for each class, got {values.dtype}")
    found = [int(value) for value in np.unique(values) if value]
    if not found:
        raise DataError(f"{path}: expected marked nuclei, got 0 everywhere")
    if len(found) > 256:
        raise DataError(f"{path}: expected numbers of at most 256 classes, got {len(found)}: is it a label image?")
    return Marks(str(path), [], values, {value: names.get(value, f"class {value}") for value in found}, {})

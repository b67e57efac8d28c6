"""Tables of nuclei, column by column and row by row, by the label of the nucleus."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.classifier.classes import CLASS
from nucleus_unet.classifier.model import PREFIX
from nucleus_unet.errors import DataError
from nucleus_unet.exports.parquet import pyarrow
from nucleus_unet.extras import require
from nucleus_unet.io.array_cache import ArrayCache
from nucleus_unet.io.packed_json import read_packed_json
from nucleus_unet.viewer.results import TableFile

_OUTLINES = ("geometry", "cell_geometry")
# Bytes of the columns of a table that are kept.
_CACHE_BYTES = 2**27
_GEOJSON_NAMES = {
    "Area px^2": "area",
    "Mean intensity": "intensity",
    "Probability": "probability",
    "Quality": "quality",
}

Row = dict[str, float | int | str | None]


class Table(Protocol):
    """A row for each nucleus.

    Attributes
    ----------
    names
        Of the columns of numbers. The class of a nucleus, a name, is in its row only.
    """

    names: tuple[str, ...]

    def column(self, name: str) -> NDArray[np.float32]:
        """Return a column by label, (N + 1,): NaN where there is no value, and for the background."""
        ...

    def row(self, label: int) -> Row | None:
        """Return what is known of a nucleus; None if there is none of this label."""
        ...


class MemoryTable:
    """A table whose columns are in memory.

    Parameters
    ----------
    columns
        By name, ``label`` among them.
    """

    def __init__(self, columns: Mapping[str, NDArray[Any]]) -> None:
        self._columns = columns
        self.names = tuple(name for name in columns if name != CLASS)

    def column(self, name: str) -> NDArray[np.float32]:
        """See `Table`."""
        return _by_label(self._columns["label"], self._columns[name])

    def row(self, label: int) -> Row | None:
        """See `Table`."""
        places = np.flatnonzero(self._columns["label"] == label)
        return _plain({name: values[places[0]] for name, values in self._columns.items()}) if len(places) else None


class ParquetTable:
    """A table that is read from a Parquet file as it is asked for.

    Parameters
    ----------
    file
        Of a slide, of an image, or of a stack.

    Raises
    ------
    DataError
        If the file is damaged or not a table of nuclei.
    MissingExtraError
        If pyarrow is not installed.
    """

    def __init__(self, file: TableFile) -> None:
        self._file, self._arrow = file, pyarrow()
        self._cache = ArrayCache(_CACHE_BYTES)
        with self._opened() as opened:
            names = [name for name in opened.schema_arrow.names if name not in (*_OUTLINES, *file.where)]
            left_out = {"well_row", "well_column", "field"} if file.where else set()
            self._shown = [name for name in names if name not in left_out]
            self.names = tuple(name for name in self._shown if name != CLASS)
            if "label" not in self.names:
                raise ValueError("it has no column of labels")
            groups = [opened.metadata.row_group(number).num_rows for number in range(opened.num_row_groups)]
        self._ends = np.cumsum([0, *groups])

    def column(self, name: str) -> NDArray[np.float32]:
        """See `Table`."""
        known = self._cache.get(name)
        if known is None:
            known = _by_label(self._labels(), self._read(name)[self._rows()])
            self._cache.put(name, known)
        return known

    def row(self, label: int) -> Row | None:
        """See `Table`. One group of rows is read."""
        found = np.flatnonzero(self._labels() == label)
        if not len(found):
            return None
        place = int(self._rows()[found[0]])
        group = int(np.searchsorted(self._ends, place, side="right")) - 1
        with self._opened() as opened:
            values = opened.read_row_group(group, columns=self._shown).slice(place - int(self._ends[group]), 1)
            return _plain({name: value[0] for name, value in values.to_pydict().items()})

    def _labels(self) -> NDArray[Any]:
        known = self._cache.get(("labels",))
        if known is None:
            known = self._read("label")[self._rows()]
            self._cache.put(("labels",), known)
        return known

    def _rows(self) -> NDArray[np.intp]:
        """Return the numbers of the rows that are of this image."""
        known = self._cache.get(("rows",))
        if known is None:
            known = np.arange(int(self._ends[-1]))
            for name, value in self._file.where.items():
                known = known[np.isin(known, self._equal(name, value))]
            self._cache.put(("rows",), known)
        return known

    def _equal(self, name: str, value: str | int | None) -> NDArray[Any]:
        """Return the numbers of the rows that have a value in a column."""
        with self._opened() as opened:
            column = opened.read(columns=[name]).column(0)
            compute = require("pyarrow.compute", "slides need more packages", extra="slides").compute
            mask = column.is_null() if value is None else compute.equal(column, value)
            return np.from_dlpack(compute.indices_nonzero(mask))

    def _read(self, name: str) -> NDArray[Any]:
        with self._opened() as opened:
            chunks = opened.read(columns=[name]).column(0).chunks
            # `to_numpy` of pyarrow would import pandas if it is installed, which takes a second.
            return np.concatenate([np.empty(0, np.uint8), *map(np.from_dlpack, chunks)])

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with self._arrow.parquet.ParquetFile(self._file.path, page_checksum_verification=True) as opened:
                yield opened
        except FileNotFoundError:
            raise
        except (self._arrow.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
            raise DataError(f"{self._file.path} is damaged ({error}): repeat the run") from error


def open_table(file: TableFile | None, labels: NDArray[np.uint32] | None) -> Table | None:
    """Open the table of an image.

    Parameters
    ----------
    file
        From the results; None if they have no table.
    labels : NDArray[np.uint32] (H, W)
        Label image of a small image. What it tells is added to what a file without coordinates does. None: unknown.

    Raises
    ------
    DataError
        If the file is damaged.
    OSError
        If it cannot be read.
    """
    if file is not None and file.file_format == "parquet":
        return ParquetTable(file)
    if file is not None and file.file_format == "csv":
        return MemoryTable(_read_csv(file))
    measured = {} if labels is None else _measured(labels)
    if file is not None:
        said = _read_geojson(file.path)
        if not measured or len(measured["label"]) == len(said["label"]):
            return MemoryTable({**measured, **said})
    return MemoryTable(measured) if measured else None


def _measured(labels: NDArray[np.uint32]) -> dict[str, NDArray[Any]]:
    present, area, box, centroid, _ = _core.measure(np.ascontiguousarray(labels))
    sides = dict(zip(("top", "left", "bottom", "right"), box.T, strict=True))
    return {"label": present, "row": centroid[:, 0], "column": centroid[:, 1], **sides, "area": area}


def _read_csv(file: TableFile) -> dict[str, NDArray[Any]]:
    try:
        with file.path.open(encoding="utf-8", newline="") as text:
            rows = csv.reader(text)
            header = next(rows)
            where = {header.index(name): "" if value is None else str(value) for name, value in file.where.items()}
            first = header.index("label")
            mine = [row[first:] for row in rows if all(row[place] == value for place, value in where.items())]
        columns: list[list[str]] = np.array(mine, object).reshape(len(mine), len(header) - first).T.tolist()
        return {name: _of_text(name, cells) for name, cells in zip(header[first:], columns, strict=True)}
    except (ValueError, LookupError, StopIteration, csv.Error) as error:
        raise DataError(f"{file.path} is damaged ({error}): repeat the run with --overwrite") from error


def _of_text(name: str, cells: list[str]) -> NDArray[Any]:
    return np.array(cells, str) if name == CLASS else np.array([float(cell) if cell else np.nan for cell in cells])


def _read_geojson(path: Path) -> dict[str, NDArray[Any]]:
    """Return the measurements of the features, which are in the order of labels."""
    content = path.read_bytes()
    try:
        said = read_packed_json(content)
        properties = [each["properties"] for each in said["features"]]
        rows = [each["measurements"] for each in properties]
        names = list(rows[0]) if rows else ["Area px^2"]
        columns: dict[str, NDArray[Any]] = {
            _GEOJSON_NAMES.get(name, name): np.array([float(row[name]) for row in rows]) for name in names
        }
        if any(name.startswith(PREFIX) for name in names):
            columns[CLASS] = np.array([str(each["classification"]["name"]) for each in properties])
    except (ValueError, TypeError, LookupError) as error:
        raise DataError(f"{path} is damaged ({error}): repeat the run with --overwrite") from error
    return {"label": np.arange(1, len(rows) + 1), **columns}


def _by_label(labels: NDArray[Any], values: NDArray[Any]) -> NDArray[np.float32]:
    """Return values in the order of labels, from 0 on. Labels are 1 to N, in any order."""
    count = len(labels)
    if count and not (labels.min() >= 1 and labels.max() <= count):
        raise DataError(f"the table is damaged: expected the labels 1 to {count}, got {labels.min()} to {labels.max()}")
    ordered = np.full(count + 1, np.nan, np.float32)
    ordered[labels.astype(np.intp)] = values
    return ordered


def _plain(row: Mapping[str, Any]) -> Row:
    return {name: str(value) if name == CLASS else _number(value) for name, value in row.items()}


def _number(value: Any) -> float | int | None:
    if value is None or not np.isfinite(value):
        return None
    return int(value) if float(value).is_integer() else float(value)

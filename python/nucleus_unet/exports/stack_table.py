"""One table of the nuclei of many planes: the columns that say where a plane lies, then those of `Nucleus`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classifier.classes import kinds_to_text
from nucleus_unet.exports.csv_table import csv_cells
from nucleus_unet.exports.nucleus_table import NucleusTable, empty_table
from nucleus_unet.exports.parquet import KINDS_NOTE, GeometryMetadata, nucleus_schema, pyarrow, to_arrow
from nucleus_unet.io.atomic import written_atomically

Where = Mapping[str, str | int | None]
"""Where a plane lies: values of the first columns. None is an empty cell."""

# Rows that are written together at least. Because of the outlines they take tens of megabytes.
_GROUP_ROWS = 2**14


class StackTable(Protocol):
    """A table that is being written."""

    def add(self, where: Where, nuclei: NucleusTable) -> None:
        """Add the nuclei of a plane."""


def common_columns(tables: Iterable[NucleusTable]) -> NucleusTable:
    """Return a table without nuclei that has the measures of all tables, and their classes."""
    measures: dict[str, NDArray[Any]] = {}
    classes = None
    for table in tables:
        measures |= {name: values[:0] for name, values in table.measures.items()}
        classes = classes or (None if table.classes is None else table[:0].classes)
    return replace(empty_table(), measures=measures, classes=classes)


def _with_columns_of(like: NucleusTable, nuclei: NucleusTable) -> NucleusTable:
    """Return nuclei with the measures of another table; what was not measured is NaN."""
    unknown = np.full(len(nuclei), np.nan)
    return replace(nuclei, measures={name: nuclei.measures.get(name, unknown) for name in like.measures})


@contextmanager
def open_stack_table(file_format: str, path: Path, columns: Sequence[str], like: NucleusTable) -> Iterator[StackTable]:
    """Open a table for writing. The file appears at the end.

    Parameters
    ----------
    file_format
        ``csv`` or ``parquet``.
    path
        Replaced if it exists.
    columns
        Names of the first columns. Of Parquet, ``frame`` and ``plane`` are whole numbers, and the others are text.
    like
        A table with all further columns, from `common_columns`.
    """
    with written_atomically(path) as file:
        if file_format == "csv":
            text = io.TextIOWrapper(file, encoding="utf-8", newline="")
            try:
                yield _Csv(text, columns, like)
            finally:
                text.detach()
        else:
            with _Parquet(file, columns, like) as table:
                yield table


class _Csv:
    def __init__(self, text: io.TextIOWrapper, columns: Sequence[str], like: NucleusTable) -> None:
        self._columns, self._like, self._writer = columns, like, csv.writer(text, lineterminator="\n")
        self._writer.writerow([*columns, *like.numbers()])

    def add(self, where: Where, nuclei: NucleusTable) -> None:
        cells = [repeat(where[name], len(nuclei)) for name in self._columns]
        numbers = _with_columns_of(self._like, nuclei).numbers().values()
        self._writer.writerows(zip(*cells, *map(csv_cells, numbers), strict=True))


class _Parquet:
    def __init__(self, file: BinaryIO, columns: Sequence[str], like: NucleusTable) -> None:
        self._arrow = arrow = pyarrow()
        self._columns = columns
        types = [arrow.int64() if name in ("frame", "plane") else arrow.string() for name in columns]
        self._like, self._fields = like, nucleus_schema(arrow, like)
        self._schema = arrow.schema([*zip(columns, types, strict=True), *self._fields])
        self._writer = arrow.parquet.ParquetWriter(file, self._schema, compression="zstd", write_page_checksum=True)
        self._geometry = GeometryMetadata()
        self._pending: list[Any] = []
        self._rows = 0

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._flush()
            classes = self._like.classes
            kinds = {} if classes is None else {KINDS_NOTE: kinds_to_text(classes.kinds)}
            self._writer.add_key_value_metadata({**self._geometry.to_parquet(), **kinds})
        self._writer.close()

    def add(self, where: Where, nuclei: NucleusTable) -> None:
        arrow, count = self._arrow, len(nuclei)
        self._geometry.add(nuclei)
        cells = [
            arrow.nulls(count, self._schema.field(name).type)
            if where[name] is None
            else arrow.repeat(arrow.scalar(where[name], self._schema.field(name).type), count)
            for name in self._columns
        ]
        columns: list[Any] = [*_with_columns_of(self._like, nuclei).numbers().values(), nuclei.outline]
        measures = [to_arrow(arrow, values, field.type) for values, field in zip(columns, self._fields, strict=True)]
        self._pending.append(arrow.Table.from_arrays([*cells, *measures], schema=self._schema))
        self._rows += count
        if self._rows >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        empty = self._schema.empty_table()
        self._writer.write_table(self._arrow.concat_tables([empty, *self._pending]).combine_chunks())
        self._pending, self._rows = [], 0

"""One table of the nuclei of many planes: the columns that say where a plane lies, then those of `Nucleus`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from nucleus_unet.exports.nucleus_table import NUMBERS, NucleusTable, empty_table
from nucleus_unet.exports.parquet import GeometryMetadata, nucleus_schema, pyarrow, to_arrow
from nucleus_unet.io.atomic import written_atomically

Where = Mapping[str, str | int | None]
"""Where a plane lies: values of the first columns. None is an empty cell."""

# Rows that are written together at least. Because of the outlines they take tens of megabytes.
_GROUP_ROWS = 2**14


class StackTable(Protocol):
    """A table that is being written."""

    def add(self, where: Where, nuclei: NucleusTable) -> None:
        """Add the nuclei of a plane."""


@contextmanager
def open_stack_table(file_format: str, path: Path, columns: Sequence[str]) -> Iterator[StackTable]:
    """Open a table for writing. The file appears at the end.

    Parameters
    ----------
    file_format
        ``csv`` or ``parquet``.
    path
        Replaced if it exists.
    columns
        Names of the first columns. Of Parquet, ``frame`` and ``plane`` are whole numbers, and the others are text.
    """
    with written_atomically(path) as file:
        if file_format == "csv":
            text = io.TextIOWrapper(file, encoding="utf-8", newline="")
            try:
                yield _Csv(text, columns)
            finally:
                text.detach()
        else:
            with _Parquet(file, columns) as table:
                yield table


class _Csv:
    def __init__(self, text: io.TextIOWrapper, columns: Sequence[str]) -> None:
        self._columns, self._writer = columns, csv.writer(text, lineterminator="\n")
        self._writer.writerow([*columns, *NUMBERS])

    def add(self, where: Where, nuclei: NucleusTable) -> None:
        cells = [repeat(where[name], len(nuclei)) for name in self._columns]
        measures = nuclei.numbers().values()
        self._writer.writerows(zip(*cells, *(values.tolist() for values in measures), strict=True))


class _Parquet:
    def __init__(self, file: BinaryIO, columns: Sequence[str]) -> None:
        self._arrow = arrow = pyarrow()
        self._columns = columns
        types = [arrow.int64() if name in ("frame", "plane") else arrow.string() for name in columns]
        self._schema = arrow.schema([*zip(columns, types, strict=True), *nucleus_schema(arrow, empty_table())])
        self._writer = arrow.parquet.ParquetWriter(file, self._schema, compression="zstd", write_page_checksum=True)
        self._geometry = GeometryMetadata()
        self._pending: list[Any] = []
        self._rows = 0

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._flush()
            self._writer.add_key_value_metadata(self._geometry.to_parquet())
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
        columns: list[Any] = [*nuclei.numbers().values(), nuclei.outline]
        fields = nucleus_schema(arrow, empty_table())
        measures = [to_arrow(arrow, values, field.type) for values, field in zip(columns, fields, strict=True)]
        self._pending.append(arrow.Table.from_arrays([*cells, *measures], schema=self._schema))
        self._rows += count
        if self._rows >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        empty = self._schema.empty_table()
        self._writer.write_table(self._arrow.concat_tables([empty, *self._pending]).combine_chunks())
        self._pending, self._rows = [], 0

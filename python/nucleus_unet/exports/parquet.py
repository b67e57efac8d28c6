"""Write and read the table of a slide: GeoParquet, one row per nucleus, with its outline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nucleus_unet import _core
from nucleus_unet.errors import DataError
from nucleus_unet.exports.nucleus_table import NucleusTable, concatenate_tables, empty_table
from nucleus_unet.extras import require

# Rows of a row group. Because of the outlines they take tens of megabytes.
_GROUP_ROWS = 2**14
# By the first byte of the type in little-endian well-known binary.
_GEOMETRY_TYPES = {3: "Polygon", 6: "MultiPolygon"}
# Larger than any coordinate of a slide.
_MAX_COORDINATE = 2**31


class TableWriter:
    """Writes nuclei to a GeoParquet file, in groups of rows.

    Parameters
    ----------
    file
        Receives the Parquet file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._arrow = pyarrow()
        arrow = self._arrow
        self._schema = nucleus_schema(arrow)
        self._writer = arrow.parquet.ParquetWriter(file, self._schema, compression="zstd", write_page_checksum=True)
        self._pending: list[NucleusTable] = []
        self._geometry = GeometryMetadata()

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._write(concatenate_tables([empty_table(), *self._pending]))
            self._writer.add_key_value_metadata(self._geometry.to_parquet())
        self._writer.close()

    def add(self, nuclei: NucleusTable) -> None:
        """Add rows."""
        self._geometry.add(nuclei)
        self._pending.append(nuclei)
        if sum(map(len, self._pending)) >= _GROUP_ROWS:
            pending = concatenate_tables(self._pending)
            complete = len(pending) - len(pending) % _GROUP_ROWS
            for first in range(0, complete, _GROUP_ROWS):
                self._write(pending[first : first + _GROUP_ROWS])
            self._pending = [pending[complete:]]

    def _write(self, group: NucleusTable) -> None:
        columns = zip(group.columns, self._schema, strict=True)
        arrays = [to_arrow(self._arrow, values, field.type) for values, field in columns]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))


class GeometryMetadata:
    """What GeoParquet 1.1 says of outlines: planar polygons in pixels, without a coordinate reference system."""

    def __init__(self) -> None:
        self._types: set[str] = set()
        self._bounds = (_MAX_COORDINATE, _MAX_COORDINATE, 0, 0)

    def add(self, nuclei: NucleusTable) -> None:
        """Take nuclei into account."""
        self._types |= {_GEOMETRY_TYPES[outline[1]] for outline in nuclei.outline}
        left, top, right, bottom = self._bounds
        self._bounds = (
            int(nuclei.left.min(initial=left)),
            int(nuclei.top.min(initial=top)),
            int(nuclei.right.max(initial=right)),
            int(nuclei.bottom.max(initial=bottom)),
        )

    def to_parquet(self) -> dict[str, str]:
        """Return the metadata of a file."""
        column: dict[str, object] = {
            "encoding": "WKB",
            "geometry_types": sorted(self._types),
            "crs": None,
            "orientation": "counterclockwise",
        }
        if self._types:
            column["bbox"] = self._bounds
        return {"geo": json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}})}


def to_arrow(arrow: Any, values: Sequence[Any], column_type: Any) -> Any:
    """Return a pyarrow array, made from buffers: `pyarrow.array` would import pandas if it is installed."""
    if column_type == arrow.binary():
        ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
        parts = [arrow.py_buffer(ends), arrow.py_buffer(b"".join(values))]
    else:
        parts = [arrow.py_buffer(np.ascontiguousarray(values, column_type.to_pandas_dtype()))]
    return arrow.Array.from_buffers(column_type, len(values), [None, *parts])


def read_table(path: Path) -> Iterator[NucleusTable]:
    """Yield the rows of a table that `TableWriter` wrote, one row group at a time.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    arrow = pyarrow()
    try:
        with arrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(nucleus_schema(arrow)):
                raise ValueError("it has other columns than a table of nuclei")
            for number in range(file.num_row_groups):
                try:
                    group = _parse_group(file.read_row_group(number))
                except ValueError as error:
                    raise ValueError(f"row group {number}, {error}") from error
                yield group
    except (arrow.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise DataError(f"{path} is damaged: delete it, then repeat the same run ({error})") from error


def nucleus_schema(arrow: Any) -> Any:
    """Return the columns of a table of nuclei."""
    types = dict.fromkeys(("row", "column"), arrow.float64())
    types |= dict.fromkeys(("top", "left", "bottom", "right", "area"), arrow.int64())
    types = {"label": arrow.uint32(), **types, "intensity": arrow.float64(), "probability": arrow.float32()}
    return arrow.schema([*types.items(), ("geometry", arrow.binary())])


def _parse_group(group: Any) -> NucleusTable:
    """Return the rows of a group. Raise `ValueError` if a value is missing or impossible."""
    if any(column.null_count for column in group.columns):
        raise ValueError("a value is missing")
    *numbers, outlines = group.columns
    nuclei = NucleusTable(*[*(column.to_numpy() for column in numbers), outlines.to_pylist()])
    _core.check_outlines(nuclei.outline)
    invalid = ~((nuclei.area > 0) & (nuclei.probability >= 0) & (nuclei.probability <= 1))
    if invalid.any():
        first = int(np.argmax(invalid))
        area, probability = nuclei.area[first], nuclei.probability[first]
        raise ValueError(f"row {first}: area {area} and probability {probability} are impossible")
    return nuclei


def pyarrow() -> Any:
    """Import pyarrow. Raise `MissingExtraError` if it is not installed."""
    return require("pyarrow.parquet", "slides need more packages", extra="slides")

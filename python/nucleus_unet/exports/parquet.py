"""The table of a slide: one row for each nucleus, outline included, as GeoParquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nucleus_unet import _core
from nucleus_unet.errors import DataError
from nucleus_unet.exports.nucleus_table import NucleusTable, empty_table, joined
from nucleus_unet.exports.wkb import is_multipolygon
from nucleus_unet.extras import require

# Outlines make rows large: so many of them take some tens of megabytes.
_ROWS_IN_A_GROUP = 2**14
# Beyond, no slide has a pixel.
_FARTHEST = 2**31


class TableWriter:
    """Writes nuclei to a GeoParquet file, in groups of rows.

    Parameters
    ----------
    file
        Where to.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._arrow = pyarrow()
        arrow = self._arrow
        self._schema = _schema(arrow)
        self._writer = arrow.parquet.ParquetWriter(file, self._schema, compression="zstd", write_page_checksum=True)
        self._waiting: list[NucleusTable] = []
        self._kinds: set[str] = set()
        self._bounds = (_FARTHEST, _FARTHEST, 0, 0)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._write(joined([empty_table(), *self._waiting]))
            self._writer.add_key_value_metadata({"geo": json.dumps(self._geo())})
        self._writer.close()

    def add(self, nuclei: NucleusTable) -> None:
        """Add rows."""
        self._kinds |= {"MultiPolygon" if is_multipolygon(outline) else "Polygon" for outline in nuclei.outline}
        left, top, right, bottom = self._bounds
        self._bounds = (
            int(nuclei.left.min(initial=left)),
            int(nuclei.top.min(initial=top)),
            int(nuclei.right.max(initial=right)),
            int(nuclei.bottom.max(initial=bottom)),
        )
        self._waiting.append(nuclei)
        if sum(map(len, self._waiting)) >= _ROWS_IN_A_GROUP:
            waiting = joined(self._waiting)
            whole = len(waiting) - len(waiting) % _ROWS_IN_A_GROUP
            for first in range(0, whole, _ROWS_IN_A_GROUP):
                self._write(waiting[first : first + _ROWS_IN_A_GROUP])
            self._waiting = [waiting[whole:]]

    def _write(self, group: NucleusTable) -> None:
        arrays = [self._column(values, each.type) for values, each in zip(group.columns, self._schema, strict=True)]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))

    def _column(self, values: Sequence[Any], kind: Any) -> Any:
        """Make an array of its buffers: `pyarrow.array` first imports pandas, if that is installed."""
        arrow = self._arrow
        if kind == arrow.binary():
            ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
            parts = [arrow.py_buffer(ends), arrow.py_buffer(b"".join(values))]
        else:
            parts = [arrow.py_buffer(np.ascontiguousarray(values, kind.to_pandas_dtype()))]
        return arrow.Array.from_buffers(kind, len(values), [None, *parts])

    def _geo(self) -> dict[str, object]:
        """Make the metadata of GeoParquet 1.1: planar polygons in pixels, of no place on Earth."""
        column: dict[str, object] = {
            "encoding": "WKB",
            "geometry_types": sorted(self._kinds),
            "crs": None,
            "orientation": "counterclockwise",
        }
        if self._kinds:
            column["bbox"] = self._bounds
        return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def read_table(path: Path) -> Iterator[NucleusTable]:
    """Yield the rows of a table that `TableWriter` wrote, a group at a time.

    Raises
    ------
    DataError
        If it is damaged.
    """
    arrow = pyarrow()
    try:
        with arrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            if not file.schema_arrow.equals(_schema(arrow)):
                raise ValueError("the columns are others")
            for number in range(file.num_row_groups):
                try:
                    group = _checked(file.read_row_group(number))
                except ValueError as error:
                    raise ValueError(f"row group {number}, {error}") from error
                yield group
    except (arrow.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise DataError(
            f"{path} is damaged: delete it, and the same run, from its beginning, makes it anew ({error})"
        ) from error


def _schema(arrow: Any) -> Any:
    types = dict.fromkeys(("row", "column"), arrow.float64())
    types |= dict.fromkeys(("top", "left", "bottom", "right", "area"), arrow.int64())
    types = {"label": arrow.uint32(), **types, "intensity": arrow.float64(), "probability": arrow.float32()}
    return arrow.schema([*types.items(), ("geometry", arrow.binary())])


def _checked(group: Any) -> NucleusTable:
    """Return the rows of a group; raise `ValueError` if they are no nuclei that were written here."""
    if any(column.null_count for column in group.columns):
        raise ValueError("a value is missing")
    *numbers, outlines = group.columns
    nuclei = NucleusTable(*[*(column.to_numpy() for column in numbers), outlines.to_pylist()])
    _core.check_outlines(nuclei.outline)
    wrong = ~((nuclei.area > 0) & (nuclei.probability >= 0) & (nuclei.probability <= 1))
    if wrong.any():
        first = int(np.argmax(wrong))
        area, probability = nuclei.area[first], nuclei.probability[first]
        raise ValueError(f"row {first}: no nucleus has the area {area} and the probability {probability}")
    return nuclei


def pyarrow() -> Any:
    """Import pyarrow, or say what to install."""
    return require("pyarrow.parquet", "slides need more packages", extra="slides")

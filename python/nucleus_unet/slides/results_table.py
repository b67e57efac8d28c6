"""The table of a slide: one row for each nucleus, outline included, as GeoParquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from nucleus_unet import _core
from nucleus_unet.errors import DataError
from nucleus_unet.exports.wkb import is_multipolygon
from nucleus_unet.extras import require

# Outlines make rows large: so many of them take some tens of megabytes.
_ROWS_IN_A_GROUP = 2**14


class Nucleus(NamedTuple):
    """A row of the table, as `nucleus_unet.Segmentation.table` has them, and the outline.

    ``outline`` is well-known binary: a piece's exterior ring and its holes, or several pieces, of vertices (x, y) in
    the slide's pixels, pixel edges at integers.
    """

    label: int
    row: float
    column: float
    top: int
    left: int
    bottom: int
    right: int
    area: int
    intensity: float
    probability: float
    outline: bytes


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
        self._rows: list[Nucleus] = []
        self._kinds: set[str] = set()
        self._bounds = (np.inf, np.inf, -np.inf, -np.inf)

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self._flush()
            self._writer.add_key_value_metadata({"geo": json.dumps(self._geo())})
        self._writer.close()

    def add(self, nucleus: Nucleus) -> None:
        """Add a row."""
        self._rows.append(nucleus)
        self._kinds.add("MultiPolygon" if is_multipolygon(nucleus.outline) else "Polygon")
        left, top, right, bottom = self._bounds
        self._bounds = (
            min(left, nucleus.left),
            min(top, nucleus.top),
            max(right, nucleus.right),
            max(bottom, nucleus.bottom),
        )
        if len(self._rows) == _ROWS_IN_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        arrays = [self._column(values, each.type) for values, each in zip(columns, self._schema, strict=True)]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows = []

    def _column(self, values: Sequence[Any], kind: Any) -> Any:
        """Make an array from what it is made of: `pyarrow.array` first imports pandas, if that is installed."""
        arrow = self._arrow
        if kind == arrow.binary():
            ends = np.cumsum([0, *map(len, values)], dtype=np.int32)
            parts = [arrow.py_buffer(ends), arrow.py_buffer(b"".join(values))]
        else:
            parts = [arrow.py_buffer(np.array(values, kind.to_pandas_dtype()))]
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


def read_nuclei(path: Path) -> Iterator[Nucleus]:
    """Yield the rows of a table that `TableWriter` wrote, a group at a time in memory.

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
            for group in range(file.num_row_groups):
                for row in file.read_row_group(group).to_pylist():
                    yield _checked(Nucleus(*row.values()))
    except (arrow.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise DataError(f"{path} is damaged: delete it, and the same run makes it anew ({error})") from error


def _schema(arrow: Any) -> Any:
    types = dict.fromkeys(("row", "column"), arrow.float64())
    types |= dict.fromkeys(("top", "left", "bottom", "right", "area"), arrow.int64())
    types = {"label": arrow.uint32(), **types, "intensity": arrow.float64(), "probability": arrow.float32()}
    return arrow.schema([*types.items(), ("geometry", arrow.binary())])


def _checked(nucleus: Nucleus) -> Nucleus:
    """Raise `ValueError` or `TypeError` if this is no nucleus that was written here."""
    _core.wkb_coordinates(nucleus.outline)
    if None in nucleus or nucleus.area <= 0 or not 0 <= nucleus.probability <= 1:
        raise ValueError(f"no nucleus: {nucleus[:-1]}")
    return nucleus


def pyarrow() -> Any:
    """Import pyarrow, or say what to install."""
    return require("pyarrow.parquet", "slides need more packages", extra="slides")

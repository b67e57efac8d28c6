"""Write and read the table of a slide: GeoParquet, one row per nucleus, with its outline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nucleus_unet import _core
from nucleus_unet.classifier.classes import CLASS, Classes, ClassKind, kinds_from_text, kinds_to_text
from nucleus_unet.errors import DataError
from nucleus_unet.exports.nucleus_table import NUMBERS, NucleusTable, concatenate_tables, empty_table
from nucleus_unet.extras import require

# Rows of a row group. Because of the outlines they take tens of megabytes.
_GROUP_ROWS = 2**14
# By the first byte of the type in little-endian well-known binary.
_GEOMETRY_TYPES = {3: "Polygon", 6: "MultiPolygon"}
# Columns of outlines: of nuclei, and of cells if there are any.
_OUTLINES = ("geometry", "cell_geometry")
KINDS_NOTE = "classes"
"""Name of the metadata that tell the classes of the nuclei."""
# Larger than any coordinate of a slide.
_MAX_COORDINATE = 2**31


class TableWriter:
    """Writes nuclei to a GeoParquet file, in groups of rows.

    Parameters
    ----------
    file
        Receives the Parquet file.
    notes
        Texts by name, which `read_notes` returns.
    """

    def __init__(self, file: BinaryIO, *, notes: Mapping[str, str] | None = None) -> None:
        self._notes = dict(notes or {})
        self._arrow = pyarrow()
        self._file = file
        self._schema: Any = None
        self._writer: Any = None
        self._pending: list[NucleusTable] = []
        self._geometry = GeometryMetadata()
        self._kinds: Sequence[ClassKind] | None = None
        self._finished = False

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.finish()
        elif self._writer is not None:
            self._writer.close()

    def finish(self) -> None:
        """Write the last rows and the metadata. No rows can be added afterwards. Leaving the context does the same."""
        if self._finished:
            return
        self._write(concatenate_tables([*self._pending, empty_table()]))
        kinds = {} if self._kinds is None else {KINDS_NOTE: kinds_to_text(self._kinds)}
        self._writer.add_key_value_metadata({**self._geometry.to_parquet(), **kinds, **self._notes})
        self._writer.close()
        self._finished = True

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
        if self._writer is None:
            self._schema = nucleus_schema(self._arrow, group)
            self._kinds = None if group.classes is None else group.classes.kinds
            self._writer = self._arrow.parquet.ParquetWriter(
                self._file, self._schema, compression="zstd", write_page_checksum=True
            )
        columns: dict[str, Any] = {**group.numbers(), "geometry": group.outline, "cell_geometry": group.cell}
        arrays = [to_arrow(self._arrow, columns[field.name], field.type) for field in self._schema]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))


class GeometryMetadata:
    """What GeoParquet 1.1 says of outlines: planar polygons in pixels, without a coordinate reference system."""

    def __init__(self) -> None:
        self._types: set[str] = set()
        self._cell_types: set[str] | None = None
        self._bounds = (_MAX_COORDINATE, _MAX_COORDINATE, 0, 0)

    def add(self, nuclei: NucleusTable) -> None:
        """Take nuclei into account."""
        self._types |= {_GEOMETRY_TYPES[outline[1]] for outline in nuclei.outline}
        if nuclei.cell is not None:
            self._cell_types = (self._cell_types or set()) | {_GEOMETRY_TYPES[outline[1]] for outline in nuclei.cell}
        left, top, right, bottom = self._bounds
        self._bounds = (
            int(nuclei.left.min(initial=left)),
            int(nuclei.top.min(initial=top)),
            int(nuclei.right.max(initial=right)),
            int(nuclei.bottom.max(initial=bottom)),
        )

    def to_parquet(self) -> dict[str, str]:
        """Return the metadata of a file."""
        common: dict[str, object] = {"encoding": "WKB", "crs": None, "orientation": "counterclockwise"}
        columns: dict[str, object] = {"geometry": {**common, "geometry_types": sorted(self._types)}}
        if self._types:
            columns["geometry"] = {**common, "geometry_types": sorted(self._types), "bbox": self._bounds}
        if self._cell_types is not None:
            columns["cell_geometry"] = {**common, "geometry_types": sorted(self._cell_types)}
        return {"geo": json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": columns})}


def to_arrow(arrow: Any, values: Sequence[Any], column_type: Any) -> Any:
    """Return a pyarrow array, made from buffers: `pyarrow.array` would import pandas if it is installed."""
    if column_type == arrow.string():
        values, column_type = [str(value).encode() for value in values], arrow.binary()
        return to_arrow(arrow, values, column_type).cast(arrow.string())
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
            _check_schema(file.schema_arrow, arrow)
            kinds = _kinds_of(file.metadata.metadata or {})
            for number in range(file.num_row_groups):
                try:
                    group = _parse_group(file.read_row_group(number), kinds)
                except ValueError as error:
                    raise ValueError(f"row group {number}, {error}") from error
                yield group
    except (arrow.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise DataError(f"{path} is damaged: delete it, then repeat the same run ({error})") from error


def read_notes(path: Path) -> dict[str, str]:
    """Return the texts that `TableWriter` got as notes, and other metadata of the file.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    metadata = _metadata(path).metadata or {}
    return {key.decode(): value.decode(errors="replace") for key, value in metadata.items()}


def read_kinds(path: Path) -> tuple[ClassKind, ...]:
    """Return the classes of the nuclei of a table; none if they have none.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    try:
        return _kinds_of({name.encode(): text.encode() for name, text in read_notes(path).items()}) or ()
    except ValueError as error:
        raise DataError(f"{path} is damaged: delete it, then repeat the same run ({error})") from error


def _kinds_of(metadata: Mapping[bytes, bytes]) -> tuple[ClassKind, ...] | None:
    text = metadata.get(KINDS_NOTE.encode())
    return None if text is None else kinds_from_text(text.decode(errors="replace"))


def count_groups(path: Path) -> int:
    """Return the number of groups that `read_table` yields.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    return int(_metadata(path).num_row_groups)


def _metadata(path: Path) -> Any:
    arrow = pyarrow()
    try:
        return arrow.parquet.read_metadata(path)
    except arrow.ArrowException as error:
        raise DataError(f"{path} is damaged: delete it, then repeat the same run ({error})") from error


def nucleus_schema(arrow: Any, table: NucleusTable) -> Any:
    """Return the columns of a table: numbers, further measures, outlines of nuclei, and of cells if there are any."""
    columns = _first_columns(arrow)
    columns |= {name: arrow.from_numpy_dtype(column.dtype) for name, column in table.measures.items()}
    if table.classes is not None:
        columns[CLASS] = arrow.string()
    columns["geometry"] = arrow.binary()
    if table.cell is not None:
        columns["cell_geometry"] = arrow.binary()
    return arrow.schema(list(columns.items()))


def _check_schema(schema: Any, arrow: Any) -> None:
    """Raise `ValueError` if a file has other columns than a table of nuclei."""
    found = dict(zip(schema.names, schema.types, strict=True))
    outlines = [name for name in found if name in _OUTLINES]
    first = _first_columns(arrow)
    measures = [kind for name, kind in found.items() if name not in {*first, *outlines, CLASS}]
    if (
        list(found)[: len(first)] != list(first)
        or any(found[name] != kind for name, kind in first.items())
        or outlines not in (["geometry"], ["geometry", "cell_geometry"])
        or any(found[name] != arrow.binary() for name in outlines)
        or any(kind not in (arrow.float64(), arrow.int64()) for kind in measures)
        or found.get(CLASS, arrow.string()) != arrow.string()
    ):
        raise ValueError("it has other columns than a table of nuclei")


def _first_columns(arrow: Any) -> dict[str, Any]:
    types = dict.fromkeys(("row", "column"), arrow.float64())
    types |= dict.fromkeys(("top", "left", "bottom", "right", "area"), arrow.int64())
    types |= {"intensity": arrow.float64(), "probability": arrow.float32(), "quality": arrow.float32()}
    return {"label": arrow.uint32(), **types}


def _parse_group(group: Any, kinds: tuple[ClassKind, ...] | None) -> NucleusTable:
    """Return the rows of a group. Raise `ValueError` if a value is missing or impossible."""
    if any(column.null_count for column in group.columns):
        raise ValueError("a value is missing")
    columns = dict(zip(group.column_names, group.columns, strict=True))
    numbers = {name: column.to_numpy() for name, column in columns.items() if name not in (*_OUTLINES, CLASS)}
    cells = columns["cell_geometry"].to_pylist() if "cell_geometry" in columns else None
    first: dict[str, Any] = {name: numbers.pop(name) for name in NUMBERS}
    nuclei = NucleusTable(
        **first,
        outline=columns["geometry"].to_pylist(),
        measures=numbers,
        cell=cells,
        classes=_parse_classes(columns.get(CLASS), kinds),
    )
    _core.check_outlines(nuclei.outline)
    _core.check_outlines(nuclei.cell or [])
    invalid = ~((nuclei.area > 0) & (nuclei.probability >= 0) & (nuclei.probability <= 1))
    invalid |= (nuclei.quality < 0) | (nuclei.quality > 1)  # NaN: the quality is not known
    if invalid.any():
        row = int(np.argmax(invalid))
        values = f"area {nuclei.area[row]}, probability {nuclei.probability[row]} and quality {nuclei.quality[row]}"
        raise ValueError(f"row {row}: {values} are impossible")
    return nuclei


def _parse_classes(names: Any, kinds: tuple[ClassKind, ...] | None) -> Classes | None:
    if names is None or kinds is None:
        if names is not kinds:
            raise ValueError("the classes of the nuclei are not told")
        return None
    places = {kind.name: place for place, kind in enumerate(kinds)}
    try:
        return Classes(kinds, np.array([places[name] for name in names.to_pylist()], np.int64))
    except KeyError as error:
        raise ValueError(f"{error} is none of the classes") from error


def pyarrow() -> Any:
    """Import pyarrow. Raise `MissingExtraError` if it is not installed."""
    return require("pyarrow.parquet", "Parquet tables and slides need pyarrow", extra="slides")

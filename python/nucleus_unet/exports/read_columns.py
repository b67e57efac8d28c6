"""Some columns of a finished table, CSV or Parquet, of an image, a slide or several planes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classifier.classes import CLASS
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports.csv_reader import CsvTable
from nucleus_unet.exports.parquet import pyarrow


def read_columns(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return columns of a table by name; ``class`` is text, and others are numbers.

    Raises
    ------
    SettingsError
        If the file is no table, or lacks a column.
    DataError
        If it is damaged.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise SettingsError(f"{path}: expected a table (.csv, .parquet), or the folder of a finished slide")
    return _of_csv(path, names) if suffix == ".csv" else _of_parquet(path, names)


def _of_csv(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    table = CsvTable(path)
    _check(path, names, table.header)
    return {name: np.array(table.texts(name), np.str_) if name == CLASS else table.column(name) for name in names}


def _of_parquet(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    arrow = pyarrow()
    try:
        with arrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            _check(path, names, file.schema_arrow.names)
            for name in names:
                kind = file.schema_arrow.field(name).type
                if name != CLASS and not (arrow.types.is_integer(kind) or arrow.types.is_floating(kind)):
                    raise SettingsError(f"{path}: column {name}: expected numbers, got {kind}")
            table = file.read(columns=list(names))
    except (arrow.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise DataError(f"{path} is damaged ({error})") from error
    columns = {name: table.column(name) for name in names}
    return {
        name: np.array(values.to_pylist(), np.str_) if name == CLASS else values.to_numpy()
        for name, values in columns.items()
    }


def _check(path: Path, names: Sequence[str], there: Sequence[str]) -> None:
    hints = {CLASS: "repeat the run with classifier= (--classifier)"}
    for name in names:
        if name not in there:
            hint = hints.get(name, "repeat the run with measure= (--measure), such as stain")
            raise SettingsError(f"{path}: expected a table with the column {name}: {hint}")

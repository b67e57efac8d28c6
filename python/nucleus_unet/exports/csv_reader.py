"""Tables of nuclei as CSV: read them, and add columns to them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classifier.classes import CLASS
from nucleus_unet.errors import DataError
from nucleus_unet.exports.nucleus_table import NUMBERS, NucleusTable, empty_table
from nucleus_unet.io.atomic import write_atomically

# Text columns of tables of several planes.
_TEXTS = ("scene", "well_row", "well_column", "field", CLASS)


class CsvTable:
    """A table as text, whose numbers are read column by column.

    Parameters
    ----------
    path
        Of a CSV file that this package wrote.

    Raises
    ------
    DataError
        If it is no table of nuclei.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig")), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path}: expected a table of nuclei, but {error}") from error
        self.header: Sequence[str] = rows[0] if rows else []
        self._rows = rows[1:]
        if not set(NUMBERS) <= set(self.header):
            raise DataError(f"{path}: expected a table of nuclei with the columns {', '.join(NUMBERS)}")
        if len(set(self.header)) < len(self.header):
            twice = next(name for name in self.header if self.header.count(name) > 1)
            raise DataError(f"{path}: expected columns of different names, got {twice!r} twice")
        for number, row in enumerate(self._rows, start=2):
            if len(row) != len(self.header):
                raise DataError(f"{path}: line {number}: expected {len(self.header)} cells, got {len(row)}")

    def __len__(self) -> int:
        return len(self._rows)

    def numbers(self) -> dict[str, NDArray[np.float64]]:
        """Return all columns of numbers; an empty cell is NaN."""
        return {name: self.column(name) for name in self.header if name not in _TEXTS}

    def texts(self, name: str) -> list[str]:
        """Return a column as it is written."""
        place = self.header.index(name)
        return [row[place] for row in self._rows]

    def write(self, path: Path, added: Mapping[str, NDArray[Any]]) -> None:
        """Write the table with further columns, in place of those of the same names. All other text stays as it is."""
        kept = [place for place, name in enumerate(self.header) if name not in added]
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*(self.header[place] for place in kept), *added])
        further = zip(*(values.tolist() for values in added.values()), strict=True)
        for row, more in zip(self._rows, further, strict=True):
            writer.writerow([*(row[place] for place in kept), *more])
        write_atomically(path, text.getvalue())

    def column(self, name: str) -> NDArray[np.float64]:
        """Return a column of numbers; an empty cell is NaN."""
        place = self.header.index(name)
        try:
            return np.array([float(row[place]) if row[place] else np.nan for row in self._rows], np.float64)
        except ValueError as error:
            raise DataError(f"{self.path}: column {name}: expected numbers ({error})") from error


def read_csv_table(path: Path) -> NucleusTable:
    """Return the nuclei of a CSV table, without outlines.

    Raises
    ------
    DataError
        If it is no table of nuclei.
    """
    columns = CsvTable(path).numbers()
    like = empty_table()
    first: dict[str, Any] = {}
    for name in NUMBERS:
        values = columns.pop(name)
        known = values[~np.isnan(values)] if name == "quality" else values
        if not np.isfinite(known).all():
            raise DataError(f"{path}: column {name}: expected a number in every row")
        first[name] = values.astype(getattr(like, name).dtype)
    return NucleusTable(**first, outline=[b""] * len(values), measures=columns)

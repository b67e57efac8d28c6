"""The table of nuclei as CSV: one row for each nucleus."""

from __future__ import annotations

import csv
import io
from typing import Any, BinaryIO

from numpy.typing import NDArray

from nucleus_unet.exports.nucleus_table import NucleusTable, empty_table


class TableCsvWriter:
    """Writes rows as they come.

    Parameters
    ----------
    file
        Binary file to write to.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        self._writer = csv.writer(self._text, lineterminator="\n")

        self._started = False

    def __enter__(self) -> TableCsvWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if not self._started and error[0] is None:
            self.add(empty_table())
        self._text.detach()

    def add(self, nuclei: NucleusTable) -> None:
        """Write one row for each nucleus; first, the names of the columns."""
        columns = nuclei.numbers()
        if not self._started:
            self._writer.writerow(columns)
            self._started = True
        self._writer.writerows(zip(*map(csv_cells, columns.values()), strict=True))


def csv_cells(column: NDArray[Any]) -> list[Any]:
    """Return values as CSV has them: what is not a number is left empty."""
    return [None if value != value else value for value in column.tolist()]

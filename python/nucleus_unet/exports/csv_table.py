"""The table of nuclei as CSV: one row for each nucleus."""

from __future__ import annotations

import csv
import io
from typing import BinaryIO

from nucleus_unet.exports.nucleus_table import MEASURES, NucleusTable


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

    def __enter__(self) -> TableCsvWriter:
        self._writer.writerow(MEASURES)
        return self

    def __exit__(self, *error: object) -> None:
        self._text.detach()

    def add(self, nuclei: NucleusTable) -> None:
        """Write one row for each nucleus."""
        self._writer.writerows(zip(*(values.tolist() for values in nuclei.measures().values()), strict=True))

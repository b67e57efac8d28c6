"""CSV tables as text."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence


def csv_text(rows: Sequence[Mapping[str, object]], *, columns: Sequence[str] | None = None) -> str:
    r"""Return rows as CSV with a header. A cell is empty if its row lacks the column.

    Parameters
    ----------
    rows
        Value of each column by its name.
    columns
        Names of the columns; None for those of the rows, in the order in which they first occur.

    Examples
    --------
    >>> csv_text([{"a": 1}, {"a": 2, "b": 3}])
    'a,b\n1,\n2,3\n'
    """
    text = io.StringIO()
    names = columns or list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

"""The table of nuclei as a data frame of pandas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from nucleus_unet.extras import require

if TYPE_CHECKING:
    from pandas import DataFrame


def data_frame(table: Mapping[str, NDArray[Any]]) -> DataFrame:
    """Return the columns as a data frame, with the labels as its index.

    Raises
    ------
    MissingExtraError
        If pandas is not installed.
    """
    frame: DataFrame = require("pandas", "data frames need pandas", extra="pandas").DataFrame(dict(table))
    return frame.set_index("label")

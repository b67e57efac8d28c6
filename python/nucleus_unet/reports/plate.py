"""A picture of a plate of wells (the ``plot`` extra)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.reports.plots import new_figure, png

# Inches of a well, and around the plate.
_WELL, _AROUND = 0.62, 1.4


def save_plate_overview(path: Path, counts: Mapping[tuple[str, str], int]) -> None:
    """Draw the number of nuclei in each well, in colour and as a number, and write it as a PNG.

    Parameters
    ----------
    path
        Of the picture. An existing file is replaced.
    counts
        Number of nuclei by the names of a well's row and column.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    rows = sorted({row for row, _ in counts}, key=_order)
    columns = sorted({column for _, column in counts}, key=_order)
    wells = np.full((len(rows), len(columns)), np.nan)
    for (row, column), count in counts.items():
        wells[rows.index(row), columns.index(column)] = count
    figure = new_figure(len(columns) * _WELL + _AROUND, len(rows) * _WELL + _AROUND)
    axes = figure.add_subplot()
    most = max(1, *counts.values())
    image = axes.imshow(wells, cmap="viridis", vmin=0, vmax=most)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.xaxis.tick_top()
    axes.set_title("Nuclei in each well")
    for (row, column), count in counts.items():
        colour = "black" if count > most / 2 else "white"
        place = columns.index(column), rows.index(row)
        axes.text(*place, f"{count:,}", ha="center", va="center", color=colour, fontsize=7)
    figure.colorbar(image, ax=axes, label="nuclei")
    write_atomically(path, png(figure))


def _order(name: str) -> tuple[int, int, str]:
    """Sort A, B, ..., Z, AA, and 1, 2, ..., 10, 11, as plates have them."""
    digits = re.fullmatch(r"[0-9]+", name)
    return (0, int(name), name) if digits else (1, len(name), name)

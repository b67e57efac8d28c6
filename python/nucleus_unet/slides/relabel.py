"""One pass over the blocks, from top to bottom: gives nuclei their numbers, 1..N by first pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.nucleus_table import NucleusTable, empty_table, joined
from nucleus_unet.slides.nuclei import Nuclei


@dataclass(frozen=True, eq=False)
class RelabelledBlock:
    """The nuclei of a block; those that begin further down than the sweep has come have the number 0 still."""

    nuclei: Nuclei
    labels: NDArray[np.uint32]

    @cached_property
    def _outlines(self) -> list[bytes]:
        return self.nuclei.outlines()

    def beginning(self, rows: slice) -> NDArray[np.intp]:
        """Return which nuclei have their first pixel in some rows of the slide."""
        row = self.nuclei.first_pixel[:, 0]
        return np.flatnonzero((row >= rows.start) & (row < rows.stop))

    def table(self, index: NDArray[np.intp]) -> NucleusTable:
        """Return some of them as people get them."""
        nuclei = self.nuclei
        centroid, box = nuclei.centroid[index], nuclei.box[index]
        return NucleusTable(
            label=self.labels[index],
            row=centroid[:, 0],
            column=centroid[:, 1],
            top=box[:, 0],
            left=box[:, 1],
            bottom=box[:, 2],
            right=box[:, 3],
            area=nuclei.area[index],
            intensity=nuclei.intensity[index],
            probability=nuclei.probability[index],
            outline=[self._outlines[each] for each in index],
        )


@dataclass(frozen=True, eq=False)
class RowBand:
    """Some rows of a slide.

    Attributes
    ----------
    rows
        Of the slide.
    blocks
        Those that may have pixels here.
    beginning
        The nuclei whose first pixel is here, by their numbers, ascending.
    """

    rows: slice
    blocks: list[RelabelledBlock]
    beginning: NucleusTable


def iter_bands(
    read_block: Callable[[int], Nuclei], reaches: list[slice], *, height: int, band: int
) -> Iterator[RowBand]:
    """Go through a slide by bands of rows; only the blocks a band touches are in memory.

    Parameters
    ----------
    read_block
        Gives the nuclei of a block by its number; may wait for them.
    reaches
        For each block, rows of the slide that its nuclei can't leave.
    height
        Of the slide.
    band
        Rows in a band.
    """
    loaded: dict[int, RelabelledBlock] = {}
    count = 0
    for top in range(0, height, band):
        rows = slice(top, min(top + band, height))
        for number, reach in enumerate(reaches):
            if reach.stop <= rows.start:
                loaded.pop(number, None)
            elif reach.start < rows.stop and number not in loaded:
                nuclei = read_block(number)
                loaded[number] = RelabelledBlock(nuclei, np.zeros(len(nuclei), np.uint32))
        blocks = [block for block in loaded.values() if len(block.nuclei)]
        beginning = _numbered(blocks, rows, count)
        count += len(beginning)
        yield RowBand(rows, blocks, beginning)


def _numbered(blocks: list[RelabelledBlock], rows: slice, count: int) -> NucleusTable:
    """Give the nuclei that begin in some rows, in the order of their first pixels, the numbers after ``count``."""
    if not blocks:
        return empty_table()
    found = [block.beginning(rows) for block in blocks]
    first = np.concatenate([block.nuclei.first_pixel[index] for block, index in zip(blocks, found, strict=True)])
    order = np.lexsort((first[:, 1], first[:, 0]))
    labels = np.empty(len(order), np.uint32)
    labels[order] = count + 1 + np.arange(len(order))
    ends = np.cumsum([len(index) for index in found])
    for block, index, part in zip(blocks, found, np.split(labels, ends[:-1]), strict=True):
        block.labels[index] = part
    return joined([block.table(index) for block, index in zip(blocks, found, strict=True)]).ordered(order)

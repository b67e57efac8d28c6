"""Number the nuclei of a slide from 1 to N by their first pixels, in one pass over the blocks from top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.nucleus_table import NucleusTable, concatenate_tables, empty_table
from nucleus_unet.slides.nuclei import Nuclei


@dataclass(frozen=True, eq=False)
class RelabelledBlock:
    """The nuclei of a block. The label of each is 0 until the pass reaches its first pixel."""

    nuclei: Nuclei
    labels: NDArray[np.uint32]
    outlines: list[bytes]

    def starting_in(self, rows: slice) -> NDArray[np.intp]:
        """Return the indices of the nuclei whose first pixel lies in the given rows of the slide."""
        row = self.nuclei.first_pixel[:, 0]
        return np.flatnonzero((row >= rows.start) & (row < rows.stop))

    def table(self, index: NDArray[np.intp]) -> NucleusTable:
        """Return the table of the nuclei with the given indices."""
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
            quality=nuclei.quality[index],
            outline=[self.outlines[number] for number in index],
        )


@dataclass(frozen=True, eq=False)
class RowBand:
    """A band of rows of a slide.

    Attributes
    ----------
    rows
        Rows of the slide.
    blocks
        Blocks that may have pixels in the rows.
    nuclei
        Nuclei whose first pixel lies in the rows, by label, ascending.
    """

    rows: slice
    blocks: list[RelabelledBlock]
    nuclei: NucleusTable


def iter_bands(
    read_block: Callable[[int], Nuclei], row_extents: list[slice], *, height: int, band: int
) -> Iterator[RowBand]:
    """Yield bands of rows from top to bottom. Only the blocks that a band touches are in memory.

    Parameters
    ----------
    read_block
        Returns the nuclei of a block by its index. It may wait until the block is finished.
    row_extents
        For each block, the rows of the slide that contain all its nuclei.
    height
        Height of the slide.
    band
        Number of rows in a band.
    """
    loaded: dict[int, RelabelledBlock] = {}
    count = 0
    for top in range(0, height, band):
        rows = slice(top, min(top + band, height))
        for number, extent in enumerate(row_extents):
            if extent.stop <= rows.start:
                loaded.pop(number, None)
            elif extent.start < rows.stop and number not in loaded:
                nuclei = read_block(number)
                # The outlines are drawn here, while later blocks of the band are still being predicted.
                loaded[number] = RelabelledBlock(nuclei, np.zeros(len(nuclei), np.uint32), nuclei.outlines())
        blocks = [block for block in loaded.values() if len(block.nuclei)]
        table = _number_nuclei(blocks, rows, count)
        count += len(table)
        yield RowBand(rows, blocks, table)


def _number_nuclei(blocks: list[RelabelledBlock], rows: slice, count: int) -> NucleusTable:
    """Label the nuclei whose first pixel lies in the rows, in raster order, from ``count`` + 1. Return their table."""
    if not blocks:
        return empty_table()
    indices = [block.starting_in(rows) for block in blocks]
    first = np.concatenate([block.nuclei.first_pixel[index] for block, index in zip(blocks, indices, strict=True)])
    order = np.lexsort((first[:, 1], first[:, 0]))
    labels = np.empty(len(order), np.uint32)
    labels[order] = count + 1 + np.arange(len(order))
    ends = np.cumsum([len(index) for index in indices])
    for block, index, part in zip(blocks, indices, np.split(labels, ends[:-1]), strict=True):
        block.labels[index] = part
    tables = [block.table(index) for block, index in zip(blocks, indices, strict=True)]
    return concatenate_tables(tables).reordered(order)

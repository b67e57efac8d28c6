"""One pass over the blocks, from top to bottom: gives nuclei their numbers, 1..N by first pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.slides.nuclei import Nuclei
from nucleus_unet.slides.results_table import Nucleus


@dataclass(frozen=True, eq=False)
class Numbered:
    """The nuclei of a block; those that begin further down than the sweep has come have the number 0 still."""

    nuclei: Nuclei
    labels: NDArray[np.uint32]

    def nucleus(self, index: int) -> Nucleus:
        """Return one of them, as people get it."""
        return Nucleus(int(self.labels[index]), *self._facts[index])

    @cached_property
    def _facts(self) -> list[tuple[Any, ...]]:
        nuclei = self.nuclei
        columns = (
            *nuclei.centroid.T,
            *nuclei.box.T,
            nuclei.area,
            nuclei.intensity,
            nuclei.probability,
        )
        return [*zip(*(column.tolist() for column in columns), nuclei.outlines(), strict=True)]


@dataclass(frozen=True, eq=False)
class Band:
    """Some rows of a slide.

    Attributes
    ----------
    rows
        Of the slide.
    blocks
        Those that may have pixels here.
    beginning
        Block and index of the nuclei whose first pixel is here, by their numbers, ascending.
    """

    rows: slice
    blocks: list[Numbered]
    beginning: list[tuple[Numbered, int]]


def sweep(read_block: Callable[[int], Nuclei], reaches: list[slice], *, height: int, band: int) -> Iterator[Band]:
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
    loaded: dict[int, Numbered] = {}
    count = 0
    for top in range(0, height, band):
        rows = slice(top, min(top + band, height))
        for number, reach in enumerate(reaches):
            if reach.stop <= rows.start:
                loaded.pop(number, None)
            elif reach.start < rows.stop and number not in loaded:
                nuclei = read_block(number)
                loaded[number] = Numbered(nuclei, np.zeros(len(nuclei), np.uint32))
        blocks = [block for block in loaded.values() if len(block.nuclei)]
        beginning = _beginning(blocks, rows)
        for block, index in beginning:
            count += 1
            block.labels[index] = count
        yield Band(rows, blocks, beginning)


def _beginning(blocks: list[Numbered], rows: slice) -> list[tuple[Numbered, int]]:
    found: list[tuple[int, int, Numbered, int]] = []
    for block in blocks:
        first = block.nuclei.first_pixel
        here = np.flatnonzero((first[:, 0] >= rows.start) & (first[:, 0] < rows.stop))
        found += [(int(first[index, 0]), int(first[index, 1]), block, int(index)) for index in here]
    found.sort(key=lambda each: each[:2])
    return [(block, index) for _, _, block, index in found]

"""Nuclei as the results have them: many as columns, one as a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Nucleus(NamedTuple):
    """A row of the table, as `nucleus_unet.Segmentation.table` has them, and the outline.

    ``outline`` is well-known binary: a piece's exterior ring and its holes, or several pieces, of vertices (x, y) in
    the slide's pixels, pixel edges at integers.
    """

    label: int
    row: float
    column: float
    top: int
    left: int
    bottom: int
    right: int
    area: int
    intensity: float
    probability: float
    outline: bytes


@dataclass(frozen=True, eq=False)
class NucleusTable:
    """Nuclei by columns, each with the name that it has in `Nucleus`, of one length."""

    label: NDArray[np.uint32]
    row: NDArray[np.float64]
    column: NDArray[np.float64]
    top: NDArray[np.int64]
    left: NDArray[np.int64]
    bottom: NDArray[np.int64]
    right: NDArray[np.int64]
    area: NDArray[np.int64]
    intensity: NDArray[np.float64]
    probability: NDArray[np.float32]
    outline: list[bytes]

    def __len__(self) -> int:
        return len(self.outline)

    def __getitem__(self, part: slice) -> NucleusTable:
        return NucleusTable(*[column[part] for column in self.columns])

    def ordered(self, order: NDArray[np.intp]) -> NucleusTable:
        """Return the nuclei in another order."""
        *numbers, outlines = self.columns
        return NucleusTable(*[*(column[order] for column in numbers), [outlines[each] for each in order]])

    @property
    def columns(self) -> list[Any]:
        """All columns, in order."""
        return [getattr(self, each.name) for each in fields(self)]

    def measures(self) -> dict[str, NDArray[Any]]:
        """Return all columns but the outlines, by name."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "outline"}

    def nuclei(self) -> Iterator[Nucleus]:
        """Yield the nuclei one by one."""
        *numbers, outlines = self.columns
        for values in zip(*(column.tolist() for column in numbers), outlines, strict=True):
            yield Nucleus(*values)


def joined(parts: Sequence[NucleusTable]) -> NucleusTable:
    """Return the nuclei of all parts, one after the other."""
    *numbers, outlines = zip(*(part.columns for part in parts), strict=True)
    columns: list[Any] = [*map(np.concatenate, numbers), [outline for part in outlines for outline in part]]
    return NucleusTable(*columns)


def empty_table() -> NucleusTable:
    """Return a table without nuclei."""
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    return NucleusTable(
        label=np.zeros(0, np.uint32),
        row=real,
        column=real,
        top=whole,
        left=whole,
        bottom=whole,
        right=whole,
        area=whole,
        intensity=real,
        probability=np.zeros(0, np.float32),
        outline=[],
    )

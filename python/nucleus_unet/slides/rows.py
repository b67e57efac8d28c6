"""Nuclei as the results have them: rows of a table, and outlines."""

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
class Rows:
    """Many nuclei, by columns, through which NumPy and Rust go: Python would hold up those who run the network."""

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

    @classmethod
    def of(cls, columns: Sequence[Any]) -> Rows:
        """Make rows of all columns, in order."""
        return cls(*columns)

    def __len__(self) -> int:
        return len(self.outline)

    def __getitem__(self, part: slice) -> Rows:
        return Rows.of([column[part] for column in self.columns])

    def ordered(self, order: NDArray[np.intp]) -> Rows:
        """Return the rows in another order."""
        *numbers, outlines = self.columns
        return Rows.of([*(column[order] for column in numbers), [outlines[each] for each in order]])

    @property
    def columns(self) -> list[Any]:
        """All columns, in order."""
        return [getattr(self, each.name) for each in fields(self)]

    def nuclei(self) -> Iterator[Nucleus]:
        """Yield the nuclei one by one."""
        *numbers, outlines = self.columns
        for values in zip(*(column.tolist() for column in numbers), outlines, strict=True):
            yield Nucleus(*values)


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of one part after those of another."""
    *numbers, outlines = zip(*(part.columns for part in parts), strict=True)
    return Rows.of([*map(np.concatenate, numbers), [outline for part in outlines for outline in part]])


def no_rows() -> Rows:
    """Return none."""
    centroid, box, area = np.zeros((2, 0)), np.zeros((4, 0), np.int64), np.zeros(0, np.int64)
    return Rows.of([np.zeros(0, np.uint32), *centroid, *box, area, np.zeros(0), np.zeros(0, np.float32), []])

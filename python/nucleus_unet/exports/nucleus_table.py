"""Tables of nuclei for the result files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Nucleus(NamedTuple):
    """One nucleus: a row of `nucleus_unet.Segmentation.table`, and the outline.

    Attributes
    ----------
    label
        Number of the nucleus in the label image, from 1.
    row, column
        Centroid, in pixels of the slide.
    top, left, bottom, right
        Half-open bounding box, in pixels of the slide.
    area
        Number of pixels.
    intensity
        Mean pixel value (of the mean over the channels, for colour images).
    probability
        Mean foreground probability, 0 to 1.
    outline
        Well-known binary: a polygon with holes, or a multipolygon. Vertices are (x, y) in pixels of the slide, and
        pixel edges are integers.
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
    """Nuclei as columns of equal length. The columns are named as in `Nucleus`."""

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

    def reordered(self, order: NDArray[np.intp]) -> NucleusTable:
        """Return the nuclei in another order."""
        *numbers, outlines = self.columns
        return NucleusTable(*[*(column[order] for column in numbers), [outlines[index] for index in order]])

    @property
    def columns(self) -> list[Any]:
        """All columns, in the order of the fields."""
        return [getattr(self, field.name) for field in fields(self)]

    def measures(self) -> dict[str, NDArray[Any]]:
        """Return all columns but the outlines, by name."""
        return {name: getattr(self, name) for name in MEASURES}

    def nuclei(self) -> Iterator[Nucleus]:
        """Yield the nuclei one by one."""
        *numbers, outlines = self.columns
        for values in zip(*(column.tolist() for column in numbers), outlines, strict=True):
            yield Nucleus(*values)


MEASURES = tuple(each.name for each in fields(NucleusTable) if each.name != "outline")
"""Names of all columns but the outlines."""


def concatenate_tables(parts: Sequence[NucleusTable]) -> NucleusTable:
    """Return one table with the nuclei of all parts, in order."""
    *numbers, outlines = zip(*(part.columns for part in parts), strict=True)
    columns: list[Any] = [*map(np.concatenate, numbers), [outline for part in outlines for outline in part]]
    return NucleusTable(*columns)


def empty_table() -> NucleusTable:
    """Return a table without nuclei."""
    integers, floats = np.zeros(0, np.int64), np.zeros(0)
    return NucleusTable(
        label=np.zeros(0, np.uint32),
        row=floats,
        column=floats,
        top=integers,
        left=integers,
        bottom=integers,
        right=integers,
        area=integers,
        intensity=floats,
        probability=np.zeros(0, np.float32),
        outline=[],
    )

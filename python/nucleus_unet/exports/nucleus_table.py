"""Tables of nuclei for the result files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classifier.classes import CLASS, Classes


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
    quality
        Estimated intersection over union with the true nucleus, 0 to 1. NaN if the model has not learned it.
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
    quality: float
    outline: bytes


@dataclass(frozen=True, eq=False)
class NucleusTable:
    """Nuclei as columns of equal length. The first columns are named as in `Nucleus`.

    Attributes
    ----------
    measures
        Further columns by name, of float64 or int64.
    cell
        Outlines of the cells around the nuclei, in the form of ``outline``. None if there are no cells.
    classes
        The classes of the nuclei. None if they have none.
    """

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
    quality: NDArray[np.float32]
    outline: list[bytes]
    measures: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    cell: list[bytes] | None = None
    classes: Classes | None = None

    def __len__(self) -> int:
        return len(self.outline)

    def __getitem__(self, part: slice) -> NucleusTable:
        return self._chosen(lambda column: column[part])

    def reordered(self, order: NDArray[np.intp]) -> NucleusTable:
        """Return the nuclei in another order."""
        return self._chosen(
            lambda column: [column[index] for index in order] if isinstance(column, list) else column[order]
        )

    def numbers(self) -> dict[str, NDArray[Any]]:
        """Return all columns but the outlines, by name; last the names of the classes, if there are any."""
        numbers = {**{name: getattr(self, name) for name in NUMBERS}, **self.measures}
        return numbers if self.classes is None else {**numbers, CLASS: self.classes.names}

    def nuclei(self) -> Iterator[Nucleus]:
        """Yield the nuclei one by one, without further measures."""
        numbers = [getattr(self, name).tolist() for name in NUMBERS]
        for values in zip(*numbers, self.outline, strict=True):
            yield Nucleus(*values)

    def _chosen(self, choose: Callable[[Any], Any]) -> NucleusTable:
        numbers: dict[str, Any] = {name: choose(getattr(self, name)) for name in NUMBERS}
        return NucleusTable(
            **numbers,
            outline=choose(self.outline),
            measures={name: choose(column) for name, column in self.measures.items()},
            cell=None if self.cell is None else choose(self.cell),
            classes=None if self.classes is None else self.classes.chosen(choose),
        )


NUMBERS = tuple(name for name in Nucleus._fields if name != "outline")
"""The names of the first columns, without the outlines."""


def concatenate_tables(parts: Sequence[NucleusTable]) -> NucleusTable:
    """Return one table with the nuclei of all parts, in order. The parts have the same columns, or no nuclei."""
    kept = [part for part in parts if len(part)] or parts[:1]
    cells = [part.cell for part in kept if part.cell is not None]
    classes = [part.classes for part in kept if part.classes is not None]
    numbers: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in kept]) for name in NUMBERS}
    return NucleusTable(
        **numbers,
        outline=[outline for part in kept for outline in part.outline],
        measures={name: np.concatenate([part.measures[name] for part in kept]) for name in kept[0].measures},
        cell=[outline for part in cells for outline in part] if cells else None,
        classes=Classes(classes[0].kinds, np.concatenate([each.index for each in classes])) if classes else None,
    )


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
        quality=np.zeros(0, np.float32),
        outline=[],
    )

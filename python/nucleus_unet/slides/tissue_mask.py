"""Masks of square cells of a slide, such as the tissue that may contain nuclei."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nucleus_unet.masks import coco_to_labels, labels_to_coco
from nucleus_unet.slides.grid import Block

# Side of a cell in pixels at the model's scale, and the bounds of its side in pixels of the slide. A power of two
# divides the side of the regions in which a slide is surveyed.
_CELL_SIDE = 64
_MIN_SIDE, _MAX_SIDE = 32, 1024


def cell_side(scale: float) -> int:
    """Return the side of a cell in pixels of the slide: the power of two nearest to 64 pixels at the model's scale.

    Examples
    --------
    >>> cell_side(1.0), cell_side(0.4), cell_side(20.0)
    (64, 128, 32)
    """
    return min(_MAX_SIDE, max(_MIN_SIDE, 1 << round(math.log2(_CELL_SIDE / scale))))


@dataclass(frozen=True, eq=False)
class TissueMask:
    """A subset of the cells of a slide.

    Attributes
    ----------
    side
        Side of a cell, in pixels of the slide.
    cells : NDArray[np.bool_] (h, w)
        True for the cells in the mask. The last row and column may extend beyond the slide.
    """

    side: int
    cells: NDArray[np.bool_]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the mask, hexadecimal."""
        shape = repr((self.side, self.cells.shape))
        return hashlib.sha256(shape.encode() + np.packbits(self.cells).tobytes()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types: run lengths of the cells in COCO's format."""
        return {"side": self.side, "size": list(self.cells.shape), "masks": [*labels_to_coco(self.cells).values()]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TissueMask:
        """Inverse of `to_json`."""
        return cls(int(values["side"]), coco_to_labels(values["masks"], values["size"])[0] > 0)

    def for_scale(self, scale: float) -> TissueMask:
        """Return the mask in cells that suit a scale, if these are larger than its own cells.

        A large nucleus may have cells without contrast inside. Each larger cell with a cell of the mask, and its
        neighbours, are in the new mask.

        Examples
        --------
        >>> mask = TissueMask(64, np.eye(8, dtype=bool))
        >>> coarser = mask.for_scale(0.25)
        >>> coarser.side, coarser.cells.tolist()
        (256, [[True, True], [True, True]])
        """
        factor = cell_side(scale) // self.side
        if factor <= 1:
            return self
        rows, columns = (size + -size % factor for size in self.cells.shape)
        padded = np.zeros((rows, columns), bool)
        padded[: self.cells.shape[0], : self.cells.shape[1]] = self.cells
        cells = padded.reshape(rows // factor, factor, columns // factor, factor).any(axis=(1, 3))
        near: NDArray[np.bool_] = sliding_window_view(np.pad(cells, 1), (3, 3)).max(axis=(2, 3))
        return TissueMask(self.side * factor, near)

    def pixels(self, region: Block, scale: float) -> NDArray[np.bool_]:
        """Return which pixels of a region, at the model's scale, lie in the mask, by their centres."""
        rows, columns = self._cell_indices(region, scale)
        inside: NDArray[np.bool_] = self.cells[rows[:, None], columns[None, :]]
        return inside

    def covers(self, region: Block, scale: float) -> bool:
        """Return whether all pixels of a region, at the model's scale, lie in the mask."""
        rows, columns = self._cell_indices(region, scale)
        return bool(self.cells[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all())

    def bounds(self, region: Block, scale: float) -> Block | None:
        """Return the bounding box, at the model's scale, of the mask in a region. None if it is empty."""
        rows, columns = self._cell_indices(region, scale)
        top, left = rows[0], columns[0]
        near: NDArray[np.bool_] = self.cells[top : rows[-1] + 1, left : columns[-1] + 1]
        if not near.any():
            return None
        down = np.flatnonzero(near[rows - top].any(axis=1))
        across = np.flatnonzero(near[:, columns - left].any(axis=0))
        return Block(
            *(
                slice(span.start + int(places[0]), span.start + int(places[-1]) + 1)
                for span, places in zip(region, (down, across), strict=True)
            )
        )

    def _cell_indices(self, region: Block, scale: float) -> list[NDArray[np.intp]]:
        """Return the row and column of the cell that contains the centre of each row and column of a region."""
        return [
            np.minimum(((np.arange(span.start, span.stop) + 0.5) / scale).astype(np.intp) // self.side, count - 1)
            for span, count in zip(region, self.cells.shape, strict=True)
        ]

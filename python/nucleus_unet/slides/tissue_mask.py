"""Which parts of a slide may hold nuclei, by square cells of its pixels."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.masks import coco_to_labels, labels_to_coco
from nucleus_unet.slides.grid import Block

# Of a cell, in pixels at the model's scale. Powers of two lie on the regions in which a slide is looked at.
_SIDE = 64
_LEAST, _MOST = 32, 1024


def cell_side(scale: float) -> int:
    """Return the side of a cell in the slide's pixels: about 64 at the model's scale, a power of two.

    Examples
    --------
    >>> cell_side(1.0), cell_side(0.4), cell_side(20.0)
    (64, 128, 32)
    """
    return min(_MOST, max(_LEAST, 1 << round(math.log2(_SIDE / scale))))


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Some cells of a slide.

    Attributes
    ----------
    side
        Of a cell, in the slide's pixels.
    cells : NDArray[np.bool_] (h, w)
        Those that count; the last row and column may reach beyond the slide.
    """

    side: int
    cells: NDArray[np.bool_]

    @property
    def digest(self) -> str:
        """SHA-256: equal masks have equal ones."""
        shape = repr((self.side, self.cells.shape))
        return hashlib.sha256(shape.encode() + np.packbits(self.cells).tobytes()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types: run lengths in COCO's form, of cells for pixels."""
        return {"side": self.side, "size": list(self.cells.shape), "masks": [*labels_to_coco(self.cells).values()]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TissueMask:
        """Inverse of `to_json`."""
        return cls(int(values["side"]), coco_to_labels(values["masks"], values["size"])[0] > 0)

    def pixels(self, region: Block, scale: float) -> NDArray[np.bool_]:
        """Tell which pixels of a region, at the model's scale, lie in the cells, by their middles."""
        rows, columns = self._showing(region, scale)
        found: NDArray[np.bool_] = self.cells[rows[:, None], columns[None, :]]
        return found

    def covers(self, region: Block, scale: float) -> bool:
        """Tell whether all pixels of a region, at the model's scale, lie in the cells."""
        rows, columns = self._showing(region, scale)
        return bool(self.cells[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all())

    def bounds(self, region: Block, scale: float) -> Block | None:
        """Return the least part of a region, at the model's scale, with all its pixels in the cells; None if none."""
        rows, columns = self._showing(region, scale)
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

    def _showing(self, region: Block, scale: float) -> list[NDArray[np.intp]]:
        return [
            np.minimum(((np.arange(span.start, span.stop) + 0.5) / scale).astype(np.intp) // self.side, count - 1)
            for span, count in zip(region, self.cells.shape, strict=True)
        ]

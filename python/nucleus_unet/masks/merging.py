"""Report of merging masks into one label image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """Overlap of two masks. Its pixels are assigned to the earlier mask of the list. Masks are counted from 0.

    Attributes
    ----------
    earlier
        Index of the mask that keeps the pixels.
    later
        Index of the mask that loses the pixels.
    pixels
        Number of lost pixels.
    """

    earlier: int
    later: int
    pixels: int


@dataclass(frozen=True)
class MergeReport:
    """Overlapping, empty and hidden masks of a merged label image. Masks are counted from 0.

    Attributes
    ----------
    overlaps
        Lost pixels of each pair of overlapping masks, sorted by (earlier, later). A pixel of three masks is lost by the
        second and by the third, each to the first.
    empty
        Indices of the masks without any pixel. Their labels are absent.
    hidden
        Indices of the masks that lost every pixel to earlier masks. Their labels are absent.
    """

    overlaps: tuple[Overlap, ...]
    empty: tuple[int, ...]
    hidden: tuple[int, ...]

    @property
    def lost_pixels(self) -> int:
        """Total number of lost pixels. It is 0 if the label image contains every mask exactly."""
        return sum(overlap.pixels for overlap in self.overlaps)


def merged(
    parts: tuple[NDArray[np.uint32], list[tuple[int, int, int]], list[int], list[int]],
) -> tuple[NDArray[np.uint32], MergeReport]:
    """Return the label image and the `MergeReport` of a kernel's result."""
    labels, overlaps, empty, hidden = parts
    return labels, MergeReport(tuple(Overlap(*overlap) for overlap in overlaps), tuple(empty), tuple(hidden))

"""Masks merged into one label image, and what that cost."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Overlap:
    """Pixels that one mask lost to another that came earlier in the list. Masks are counted from 0.

    Attributes
    ----------
    earlier
        The mask that keeps the pixels.
    later
        The mask that loses them.
    pixels
        How many they are.
    """

    earlier: int
    later: int
    pixels: int


@dataclass(frozen=True)
class MergeReport:
    """What merging masks into one label image had to give up. Masks are counted from 0.

    Attributes
    ----------
    overlaps
        Pixels lost, one entry a pair of masks, sorted by (earlier, later). A pixel that three masks claim is
        lost by the second and by the third, each to the first.
    empty
        Masks without a pixel. Their labels are absent.
    hidden
        Masks that lost every pixel to earlier ones. Their labels are absent too.
    """

    overlaps: tuple[Overlap, ...]
    empty: tuple[int, ...]
    hidden: tuple[int, ...]

    @property
    def lost_pixels(self) -> int:
        """Pixels lost in all; 0 where the label image holds every mask exactly."""
        return sum(overlap.pixels for overlap in self.overlaps)


def merged(
    parts: tuple[NDArray[np.uint32], list[tuple[int, int, int]], list[int], list[int]],
) -> tuple[NDArray[np.uint32], MergeReport]:
    """Put in words what a kernel returned."""
    labels, overlaps, empty, hidden = parts
    return labels, MergeReport(tuple(Overlap(*overlap) for overlap in overlaps), tuple(empty), tuple(hidden))

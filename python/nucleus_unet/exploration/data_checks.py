"""What looks wrong in a labelled set, by image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.dataset import ReadReport
from nucleus_unet.exploration.image_statistics import ImageFacts

LEAST_AREA = 10
LEAST_SHARE = 1 / 50


class Fault(Enum):
    """What can be wrong, with its name for people and what it means."""

    UNREADABLE = "left out", "The image or its masks cannot be used; training leaves it out too."
    DUPLICATE = "duplicate images", "Pixel for pixel the same: keep one, or a test image may also be a training image."
    FLAT = "flat images", "All pixels are equal."
    NO_NUCLEI = "images without nuclei", "Fine if there is nothing to see in them; else their masks are missing."
    EMPTY_MASK = "empty masks", "Masks without a pixel."
    OVERLAP = "overlapping masks", "Pixels that several masks claim; the first mask keeps them."
    HIDDEN_MASK = "hidden masks", "Masks that lie wholly in earlier ones and so are lost: often drawn twice."
    SPECK = (
        "specks",
        f"Nuclei of less than {LEAST_AREA} pixels, or of less than a fiftieth of the image's median: often slips.",
    )
    HOLE = "holes", "Nuclei that enclose background: often unfilled outlines."
    PIECES = (
        "nuclei in several pieces",
        "One mask or label on parts that do not touch: often two nuclei, or a stray pixel.",
    )

    @property
    def title(self) -> str:
        """Name for people."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """What it is, and what it may come from."""
        return self.value[1]


@dataclass(frozen=True)
class Problem:
    """Something that looks wrong in one image.

    Attributes
    ----------
    fault
        Of what sort it is.
    image
        Name of the image.
    detail
        How many, how large, or with which other image.
    """

    fault: Fault
    image: str
    detail: str


def find_problems(images: Sequence[ImageFacts], report: ReadReport | None) -> list[Problem]:
    """List what looks wrong, sorted by fault, then image.

    Parameters
    ----------
    images
        What was measured.
    report
        Of what reading them met; without it, masks that are lost once images are read go unreported.
    """
    found = _of_reading(report) if report is not None else []
    found += _duplicates(images)
    for image in images:
        found += _of_image(image)
    order = list(Fault)
    return sorted(found, key=lambda problem: (order.index(problem.fault), problem.image))


def _of_reading(report: ReadReport) -> list[Problem]:
    found = [Problem(Fault.UNREADABLE, name, why) for name, why in report.skipped.items()]
    found += [Problem(Fault.EMPTY_MASK, name, counted(n, "mask")) for name, n in report.empty_masks.items()]
    found += [Problem(Fault.OVERLAP, name, counted(n, "pixel")) for name, n in report.overlaps.items()]
    found += [Problem(Fault.HIDDEN_MASK, name, counted(n, "mask")) for name, n in report.hidden_masks.items()]
    return found


def _duplicates(images: Sequence[ImageFacts]) -> list[Problem]:
    alike: dict[bytes, list[ImageFacts]] = defaultdict(list)
    for image in images:
        alike[image.pixels_digest].append(image)
    found = []
    for first, *others in alike.values():
        for other in others:
            masks = "the same" if other.labels_digest == first.labels_digest else "other"
            found.append(Problem(Fault.DUPLICATE, other.name, f"as {first.name}, with {masks} masks"))
    return found


def _of_image(image: ImageFacts) -> list[Problem]:
    found = []
    if image.flat:
        found.append(Problem(Fault.FLAT, image.name, "no contrast"))
    nuclei = image.nuclei
    if not len(nuclei):
        return [*found, Problem(Fault.NO_NUCLEI, image.name, "0 nuclei")]
    small = (nuclei.area < LEAST_AREA) | (nuclei.area < LEAST_SHARE * np.median(nuclei.area))
    if small.any():
        found.append(
            Problem(Fault.SPECK, image.name, f"{counted(small.sum(), 'speck')}: {_pixels(nuclei.area[small])}")
        )
    holes = nuclei.hole_pixels[nuclei.hole_pixels > 0]
    if holes.size:
        found.append(Problem(Fault.HOLE, image.name, f"{counted(holes.size, 'nucleus')}: holes of {_pixels(holes)}"))
    pieces = nuclei.pieces[nuclei.pieces > 1]
    if pieces.size:
        most = f"in up to {pieces.max()} pieces"
        found.append(Problem(Fault.PIECES, image.name, f"{counted(pieces.size, 'nucleus')} {most}"))
    return found


def _pixels(areas: NDArray[np.int64]) -> str:
    least, most = int(areas.min()), int(areas.max())
    return counted(least, "pixel") if least == most else f"{least} to {most} pixels"


def counted(count: int | np.integer[Any], what: str) -> str:
    """Say how many: ``1 nucleus``, ``2 nuclei``."""
    several = "nuclei" if what == "nucleus" else f"{what}s"
    return f"{count} {what if count == 1 else several}"

"""Checks of a labelled set: possible problems of each image and its masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.dataset import ReadReport
from nucleus_unet.exploration.image_statistics import ImageStatistics
from nucleus_unet.wording import counted

MIN_AREA = 10
MIN_AREA_SHARE = 1 / 50


class ProblemType(Enum):
    """Type of a problem, with a title and an explanation for users."""

    UNREADABLE = "skipped images", "The image or its masks cannot be used. Training skips the image too."
    DUPLICATE = "duplicate images", "Identical pixels. Keep one: otherwise a test image may also be a training image."
    CONSTANT = "constant images", "All pixels are equal."
    NO_NUCLEI = "images without nuclei", "Correct if the image shows no nucleus. Otherwise the masks are missing."
    EMPTY_MASK = "empty masks", "Masks without any pixel."
    OVERLAP = (
        "overlapping masks",
        "Pixels in several masks. The first mask has them, or of drawn polygons the smallest.",
    )
    HIDDEN_MASK = "hidden masks", "Masks that lie completely in earlier masks and are lost. Often drawn twice."
    UNUSABLE_MASK = "unusable annotations", "Annotations that are left out. Their nuclei count as background."
    PARTLY_ANNOTATED = (
        "partly annotated images",
        "Only a part counts: the rest is ignored, or lies outside of drawn regions. Correct if you drew it so.",
    )
    SPECK = (
        "specks",
        f"Nuclei of less than {MIN_AREA} pixels or 1/50 of the image's median area. Often annotation errors.",
    )
    HOLE = "holes", "Nuclei that enclose background. Often unfilled outlines."
    PIECES = (
        "nuclei in several pieces",
        "One mask or label with several unconnected parts. Often two nuclei, or a stray pixel.",
    )

    @property
    def title(self) -> str:
        """Name shown to users."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """Explanation and likely cause."""
        return self.value[1]


@dataclass(frozen=True)
class Problem:
    """A possible problem of one image.

    Attributes
    ----------
    type
        Type of the problem.
    image
        Name of the image.
    detail
        Number or size of the affected masks, or name of the other image.
    """

    type: ProblemType
    image: str
    detail: str


def find_problems(images: Sequence[ImageStatistics], report: ReadReport | None) -> list[Problem]:
    """List the possible problems of a set, sorted by type and image.

    Parameters
    ----------
    images
        Statistics of each image.
    report
        Report of reading the images. Without it, skipped images and lost masks are not listed.
    """
    found = _reading_problems(report) if report is not None else []
    found += _duplicates(images)
    for image in images:
        found += _image_problems(image)
    order = list(ProblemType)
    return sorted(found, key=lambda problem: (order.index(problem.type), problem.image))


def _reading_problems(report: ReadReport) -> list[Problem]:
    found = [Problem(ProblemType.UNREADABLE, name, why) for name, why in report.skipped.items()]
    found += [Problem(ProblemType.EMPTY_MASK, name, counted(n, "mask")) for name, n in report.empty_masks.items()]
    found += [Problem(ProblemType.OVERLAP, name, counted(n, "pixel")) for name, n in report.overlaps.items()]
    found += [Problem(ProblemType.HIDDEN_MASK, name, counted(n, "mask")) for name, n in report.hidden_masks.items()]
    found += [Problem(ProblemType.UNUSABLE_MASK, name, why) for name, why in report.unusable_masks.items()]
    for name, share in report.partly_annotated.items():
        found.append(Problem(ProblemType.PARTLY_ANNOTATED, name, f"{share:.0%} of the pixels count"))
    return found


def _duplicates(images: Sequence[ImageStatistics]) -> list[Problem]:
    by_digest: dict[str, list[ImageStatistics]] = defaultdict(list)
    for image in images:
        by_digest[image.image_digest].append(image)
    found = []
    for first, *others in by_digest.values():
        for other in others:
            masks = "the same" if other.labels_digest == first.labels_digest else "different"
            found.append(Problem(ProblemType.DUPLICATE, other.name, f"same as {first.name}, with {masks} masks"))
    return found


def _image_problems(image: ImageStatistics) -> list[Problem]:
    found = []
    if image.is_constant:
        found.append(Problem(ProblemType.CONSTANT, image.name, "no contrast"))
    nuclei = image.nuclei
    if not len(nuclei):
        return [*found, Problem(ProblemType.NO_NUCLEI, image.name, "0 nuclei")]
    small = (nuclei.area < MIN_AREA) | (nuclei.area < MIN_AREA_SHARE * np.median(nuclei.area))
    if small.any():
        found.append(
            Problem(ProblemType.SPECK, image.name, f"{counted(small.sum(), 'speck')}: {_pixels(nuclei.area[small])}")
        )
    holes = nuclei.hole_pixels[nuclei.hole_pixels > 0]
    if holes.size:
        found.append(Problem(ProblemType.HOLE, image.name, f"{counted(holes.size, 'nucleus')}: {_pixels(holes)}"))
    pieces = nuclei.pieces[nuclei.pieces > 1]
    if pieces.size:
        most = f"in up to {pieces.max()} pieces"
        found.append(Problem(ProblemType.PIECES, image.name, f"{counted(pieces.size, 'nucleus')} {most}"))
    return found


def _pixels(areas: NDArray[np.int64]) -> str:
    least, most = int(areas.min()), int(areas.max())
    return counted(least, "pixel") if least == most else f"{least} to {most} pixels"

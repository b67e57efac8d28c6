"""From drawn objects to the label image of an image, and to the part of it that is annotated.

Objects of some classes are no nuclei: *ignored* regions do not count, and if there are *regions*, only they count. An
annotation in which two or more other objects lie mostly is an area, such as a field in which nuclei were detected.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.annotations import Drawing, DrawnObject, Pieces
from nucleus_unet.data.label_images import Masks, numbered
from nucleus_unet.errors import MaskError, SettingsError
from nucleus_unet.masks import MergeReport, polygons_to_labels, relabel_by_position

logger = logging.getLogger(__name__)

IGNORE_CLASSES: tuple[str, ...] = ("Ignore",)
"""Default names of classes whose objects do not count."""
REGION_CLASSES: tuple[str, ...] = ("Region", "Only here")
"""Default names of classes outside of whose objects nothing counts."""

# QuPath marks classes that are passed over by `*`. ROI managers number names: `Ignore-1`.
_DECORATION = re.compile(r"[\s*#._-]*\d*[\s*]*$")
# The part that QuPath appends to the name of an exported region.
_REGION = re.compile(
    r"\s*\[(?:d=(?P<d>\d+(?:\.\d+)?),)?x=(?P<x>-?\d+),y=(?P<y>-?\d+),w=\d+,?h=\d+(?:,z=\d+)?(?:,t=\d+)?\]"
)


@dataclass(frozen=True)
class RegionClasses:
    """Names of the classes that mean regions. Case, a trailing ``*`` and trailing numbers make no difference.

    Attributes
    ----------
    ignore
        Classes whose objects do not count.
    region
        Classes outside of whose objects nothing counts.

    Raises
    ------
    SettingsError
        A name means both, or is empty.
    """

    ignore: tuple[str, ...] = IGNORE_CLASSES
    region: tuple[str, ...] = REGION_CLASSES

    def __post_init__(self) -> None:
        names = [_plain(each) for each in (*self.ignore, *self.region)]
        if not all(names):
            raise SettingsError("ignore_classes, region_classes: expected names of classes, got an empty name")
        if both := {_plain(each) for each in self.ignore} & {_plain(each) for each in self.region}:
            raise SettingsError(f"ignore_classes, region_classes: expected different names, got {min(both)!r} in both")

    def role(self, each: DrawnObject) -> str:
        """Return ``"ignore"``, ``"region"`` or ``"nucleus"``."""
        plain = {_plain(name) for name in each.classes}
        for role, names in (("ignore", self.ignore), ("region", self.region)):
            if plain & {_plain(name) for name in names}:
                return role
        return "nucleus"


class View(NamedTuple):
    """The part of a slide that an exported image shows: its corner, and pixels of the slide for one of its own.

    Attributes
    ----------
    x, y, downsample
        The corner, and the pixels.
    of_slide
        Whether the annotations are named after the slide, and not after the image: then they lie in its pixels.
    """

    x: float
    y: float
    downsample: float
    of_slide: bool = False


def view_of(image: str, annotation: str = "") -> View | None:
    """Return the part of a slide that an image shows, by the name that QuPath gave the file. None for others.

    Parameters
    ----------
    image, annotation
        Paths of the image and of its annotations.

    Examples
    --------
    >>> view_of("tiles/slide [d=2,x=4096,y=512,w=1024,h=1024].tif")
    View(x=4096.0, y=512.0, downsample=2.0, of_slide=False)
    """
    found = _REGION.search(PurePosixPath(image).name)
    if found is None:
        return None
    slide, file = without_view(PurePosixPath(image).stem).lower(), PurePosixPath(annotation).name.lower()
    of_slide = bool(slide) and file.startswith(slide) and _REGION.search(file) is None
    return View(float(found["x"]), float(found["y"]), float(found["d"] or 1) or 1.0, of_slide)


def without_view(stem: str) -> str:
    """Return the name of a file without the part that names a region."""
    return _REGION.sub("", stem)


def masks_of(
    drawing: Drawing, shape: tuple[int, int], *, view: View | None, classes: RegionClasses, threads: int | None
) -> Masks:
    """Draw objects as a label image.

    Parameters
    ----------
    drawing
        The objects.
    shape
        Height and width of the image.
    view
        Part of a slide that the image shows. Objects are those of the slide if their file is named after it, or if not
        all of them lie in the image as they are.
    classes
        Classes that mean regions.
    threads
        Number of threads of each kernel.

    Returns
    -------
    Masks
        The label image. Where polygons overlap, the smallest has the pixels, so that none hides another completely.

    Raises
    ------
    MaskError
        No object can be used, or all of the image is ignored.
    """
    unusable = list(drawing.unusable)
    objects = _placed(drawing.objects, shape, view, unusable)
    if not objects and (unusable or drawing.objects):
        first = unusable[0] if unusable else f"{drawing.objects[0].title} lies outside of the image"
        raise MaskError(f"none of its {len(drawing.objects) + len(drawing.unusable)} objects can be used: {first}")
    by_role: dict[str, list[DrawnObject]] = {"nucleus": [], "ignore": [], "region": []}
    for each in objects:
        by_role[classes.role(each)].append(each)
    nuclei = sorted(by_role["nucleus"], key=lambda each: _area(each.pieces))
    labels, merging = polygons_to_labels([each.pieces for each in nuclei], shape, threads=threads)
    if areas := _areas(nuclei, merging):
        unusable += [f"{nuclei[n].title} is taken for an area: {count} objects lie in it" for n, count in areas.items()]
        nuclei = [each for number, each in enumerate(nuclei) if number not in areas]
        labels, merging = polygons_to_labels([each.pieces for each in nuclei], shape, threads=threads)
    # A region beside the image says, too, that only regions count.
    limited = any(classes.role(each) == "region" for each in drawing.objects)
    valid = _annotated(by_role["region"], by_role["ignore"], shape, limited=limited)
    if valid is not None and not valid.any():
        raise MaskError("nothing of the image counts: it is ignored, or no region lies in it")
    return settled(numbered((labels, merging), unusable)._replace(valid=valid))


def settled(masks: Masks) -> Masks:
    """Let each nucleus count completely or not at all: completely if at least half of it is annotated.

    Parameters
    ----------
    masks
        Labels 1 to N, and the annotated pixels.

    Returns
    -------
    Masks
        All labels lie in ``valid``. The pixels of other nuclei are background that does not count.
    """
    labels, valid = masks.labels, masks.valid
    if valid is None:
        return masks
    counts = np.bincount(labels.ravel())
    annotated = np.bincount(labels[valid], minlength=len(counts))
    stays = 2 * annotated >= counts
    stays[0] = False
    kept = np.where(stays[labels], labels, 0)
    valid = (valid & (labels == 0)) | (kept > 0)
    return masks._replace(labels=relabel_by_position(kept)[0], valid=None if valid.all() else valid)


def _plain(name: str) -> str:
    return _DECORATION.sub("", name).strip().casefold()


def _placed(
    objects: Sequence[DrawnObject], shape: tuple[int, int], view: View | None, unusable: list[str]
) -> list[DrawnObject]:
    """Return the objects that lie in the image, in its pixels. Others of a slide are none of the image's."""
    inside = [_touches(each, shape, View(0, 0, 1)) for each in objects]
    if view is not None and (view.of_slide or not all(inside)):
        return [replace(each, pieces=_moved(each.pieces, view)) for each in objects if _touches(each, shape, view)]
    height, width = shape
    unusable += [
        f"{each.title} lies outside of the image of {height} x {width} pixels"
        for each, lies_inside in zip(objects, inside, strict=True)
        if not lies_inside
    ]
    return [each for each, lies_inside in zip(objects, inside, strict=True) if lies_inside]


def _touches(drawn: DrawnObject, shape: tuple[int, int], view: View) -> bool:
    left, top, right, bottom = drawn.bounds
    height, width = shape[0] * view.downsample, shape[1] * view.downsample
    return left < view.x + width and right > view.x and top < view.y + height and bottom > view.y


def _moved(pieces: Pieces, view: View) -> Pieces:
    return [[(ring - [view.x, view.y]) / view.downsample for ring in rings] for rings in pieces]


def _area(pieces: Pieces) -> float:
    """Return the area of an object: of exteriors, without their holes."""
    signed = [[_shoelace(ring) for ring in rings] for rings in pieces]
    return sum(sides[0] - sum(sides[1:]) for sides in signed if sides)


def _shoelace(ring: NDArray[np.float64]) -> float:
    x, y = ring.T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _areas(nuclei: Sequence[DrawnObject], merging: MergeReport) -> dict[int, int]:
    """Return which annotations hold at least two other objects, and how many. Objects come smallest first."""
    held = Counter(
        overlap.later
        for overlap in merging.overlaps
        if nuclei[overlap.later].may_be_area and 2 * overlap.pixels >= _area(nuclei[overlap.earlier].pieces)
    )
    return {number: count for number, count in sorted(held.items()) if count > 1}


def _annotated(
    regions: Sequence[DrawnObject], ignored: Sequence[DrawnObject], shape: tuple[int, int], *, limited: bool
) -> NDArray[np.bool_] | None:
    if not limited and not ignored:
        return None
    valid = _covered(regions, shape) if limited else np.ones(shape, bool)
    return valid & ~_covered(ignored, shape)


def _covered(objects: Sequence[DrawnObject], shape: tuple[int, int]) -> NDArray[np.bool_]:
    pieces = [piece for each in objects for piece in each.pieces]
    return polygons_to_labels([pieces], shape)[0] > 0

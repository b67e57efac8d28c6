"""Marks: what a person says of the class of some nuclei.

Places are (x, y) in pixels with pixel edges at integers, as QuPath and the outlines of nuclei have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classifier.classes import Colour

Rings = Sequence[NDArray[np.float64]]
"""Lines (K, 2) of (x, y), the last vertex equal to the first. A place in an odd number of them is inside."""


class Mark(NamedTuple):
    """A class, and the nuclei that it is given to: by label, by a place, or by a polygon.

    Attributes
    ----------
    name
        Of the class.
    told_by
        Where in the file it stands, for messages.
    label
        Of the nucleus.
    place
        (x, y) in the nucleus.
    rings
        Of a polygon.
    single
        Whether the polygon is the outline of one nucleus. Else all nuclei are marked whose centroids lie in it.
    """

    name: str
    told_by: str
    label: int | None = None
    place: tuple[float, float] | None = None
    rings: Rings | None = None
    single: bool = False


class Marks(NamedTuple):
    """The marks of an image.

    Attributes
    ----------
    source
        Name of the file, for messages.
    marks
        Those that are told one by one.
    painted : NDArray[Any] (H, W) or None
        Image whose values are numbers of classes, 0 where nothing is marked.
    names
        Name of each number of ``painted``.
    colours
        Colours of classes, as far as the file tells them.
    """

    source: str
    marks: Sequence[Mark]
    painted: NDArray[Any] | None
    names: Mapping[int, str]
    colours: Mapping[str, Colour]

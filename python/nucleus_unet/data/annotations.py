"""Files of drawn annotations: the table of their formats, and what every format is read into.

Each format has a module in this folder with one function, ``read_objects(content: bytes, member: str) -> Drawing``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

Pieces = Sequence[Sequence[NDArray[np.float64]]]
"""Pieces, each an exterior ring and its holes, of (K, 2) vertices (x, y), with pixel edges at whole numbers."""


@dataclass(frozen=True, eq=False)
class DrawnObject:
    """An object that a person or a program drew on an image.

    Attributes
    ----------
    title
        The object in messages, with its file.
    classes
        Names of its class, any of which may mean a region.
    pieces
        Its outline, in pixels of the image as the program showed it.
    may_be_area
        Whether it may be an area in which nuclei lie, as QuPath's annotations may.
    """

    title: str
    classes: tuple[str, ...]
    pieces: Pieces
    may_be_area: bool

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom. Those of no place if it has no vertex."""
        vertices = [ring for rings in self.pieces for ring in rings if len(ring)]
        if not vertices:
            return math.inf, math.inf, -math.inf, -math.inf
        points = vertices[0] if len(vertices) == 1 else np.concatenate(vertices)
        (left, top), (right, bottom) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return left, top, right, bottom


class Drawing(NamedTuple):
    """The objects of a file.

    Attributes
    ----------
    objects
        Those that can be used.
    unusable
        Why others are left out, one sentence each that names the file.
    """

    objects: list[DrawnObject]
    unusable: list[str]


class AnnotationFormat(NamedTuple):
    """A format of files with drawn annotations.

    Attributes
    ----------
    module
        Its module in ``nucleus_unet.data``.
    suffixes
        Suffixes of its files, in lower case.
    endings
        What programs append to the name of the image, in lower case.
    alone
        Names in lower case of files that belong to the only image of their folder.
    """

    module: str
    suffixes: tuple[str, ...]
    endings: tuple[str, ...] = ("",)
    alone: tuple[str, ...] = ()


ANNOTATION_FORMATS = (
    AnnotationFormat("geojson", (".geojson", ".geojson.gz")),
    AnnotationFormat(
        "imagej_rois", (".zip", ".roi"), ("", "_rois", "_roiset", "-roiset", "_roi", ".roi", ".rois"), ("roiset.zip",)
    ),
)
"""The formats. A further one needs a line here, and the module that it names."""


def read_drawing(content: bytes, member: str) -> Drawing:
    """Read a file of annotations by the format that its suffix names.

    Parameters
    ----------
    content, member
        Bytes of the file, and its path in the source.

    Raises
    ------
    MaskError
        The file is damaged or of another format. The message names it.
    MissingExtraError
        The package that reads the format is missing.
    """
    (form,) = (each for each in ANNOTATION_FORMATS if member.lower().endswith(each.suffixes))
    return cast(Drawing, import_module(f"nucleus_unet.data.{form.module}").read_objects(content, member))

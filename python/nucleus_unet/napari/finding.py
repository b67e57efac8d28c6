"""Find the nuclei of a part of a layer: one plane, or each of several planes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.io.projections import PROJECTIONS
from nucleus_unet.io.whole import ArrayLike
from nucleus_unet.napari.jobs import Progress
from nucleus_unet.napari.regions import Placement, Region, Window, place_result
from nucleus_unet.segmentation import Segmentation
from nucleus_unet.segmenter import Segmenter

ALL = "all"
# Columns of the table that are rows and columns of pixels.
_ROWS, _COLUMNS = ("row", "top", "bottom"), ("column", "left", "right")
# The most labels that a result can have.
_MOST_LABELS = 2**32 - 1


@dataclass(frozen=True)
class Part:
    """A part of a layer.

    Attributes
    ----------
    array
        Of the layer, of any library; only the part is read.
    axes
        A letter for each axis of the array; see `nucleus_unet.napari.regions.possible_axes`.
    region
        Rows and columns.
    time
        Number, or ``"all"`` for each in turn. It is ignored without an axis T.
    z
        Number, ``"all"``, or one of `nucleus_unet.io.projections.PROJECTIONS`. It is ignored without an axis Z.
    channel
        Number. None: the only one, or the colours.
    """

    array: ArrayLike
    axes: str
    region: Region
    time: int | str = 0
    z: int | str = 0
    channel: int | None = None

    @property
    def sizes(self) -> dict[str, int]:
        """The length of each axis."""
        return dict(zip(self.axes, map(int, self.array.shape), strict=True))

    @property
    def placement(self) -> Placement:
        """How a label image of this part lies on the layer."""
        found: dict[str, int | range | None] = {}
        for axis, chosen in (("T", self.time), ("Z", self.z)):
            if axis in self.axes:
                found[axis] = self._numbers(axis, chosen)
        return place_result(self.axes, self.sizes, self.region, found)

    def planes(self) -> list[dict[str, Any]]:
        """Return the options of `Segmenter.predict` that choose each plane, in the order of the label image.

        Raises
        ------
        SettingsError
            If several channels are there and none is chosen.
        """
        if "C" in self.axes and self.sizes["C"] > 1 and self.channel is None:
            raise SettingsError(f"channel: expected one of 0 to {self.sizes['C'] - 1}, as the layer has several")
        common = {"axes": self.axes} | ({} if self.channel is None else {"channel": self.channel})
        order = [axis for axis in self.axes if axis in "TZ"]
        choices = [self._choices(axis) for axis in order]
        names = {"T": "time", "Z": "z"}
        planes: list[dict[str, Any]] = [common]
        for axis, each in zip(order, choices, strict=True):
            planes = [plane | {names[axis]: choice} for plane in planes for choice in each]
        return planes

    @property
    def window(self) -> Window:
        """The pixels of the region."""
        return Window(self.array, self.axes, self.region)

    def _choices(self, axis: str) -> list[int | str]:
        chosen = self.time if axis == "T" else self.z
        if chosen == ALL:
            return list(range(self.sizes[axis]))
        return [chosen]

    def _numbers(self, axis: str, chosen: int | str) -> int | range | None:
        if chosen == ALL:
            return range(self.sizes[axis])
        return None if chosen in PROJECTIONS else int(chosen)


@dataclass(frozen=True, eq=False)
class FoundNuclei:
    """The nuclei of a part of a layer.

    Attributes
    ----------
    labels : NDArray[np.uint32]
        Label image of the shape of ``part.placement``. No two nuclei of different planes have the same number.
    cells : NDArray[np.uint32] or None
        Label image of the cells, if they were asked for.
    table
        Columns of `nucleus_unet.Segmentation.table`, with rows and columns in pixels of the layer, preceded by ``time``
        and ``z`` where the layer has several.
    part
        What was segmented.
    options
        How.
    """

    labels: NDArray[np.uint32]
    cells: NDArray[np.uint32] | None
    table: dict[str, NDArray[Any]]
    part: Part
    options: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table["label"])


def find_nuclei(segmenter: Segmenter, part: Part, options: Mapping[str, Any], progress: Progress) -> FoundNuclei:
    """Find the nuclei of a part of a layer.

    Parameters
    ----------
    segmenter
        The model.
    part
        The part.
    options
        Of `Segmenter.predict`: how, such as ``diameter`` and ``measure``.
    progress
        Gets reports, and cancels.

    Raises
    ------
    ImageError, SettingsError
        As `Segmenter.predict` raises them.
    CancelledError
        If the call was cancelled.

    Examples
    --------
    >>> image = np.zeros((3, 64, 96), np.uint8)
    >>> image[:, 20:40, 50:70] = 200
    >>> part = Part(image, "ZYX", Region(0, 32, 64, 96), z="all")
    >>> found = find_nuclei(Segmenter.from_pretrained(), part, {"diameter": 20}, Progress(""))
    >>> middle = found.table["column"][0]  # of columns 50 to 69
    >>> found.labels.shape, found.table["label"].tolist(), bool(abs(middle - 59.5) < 1)
    ((3, 64, 64), [1, 2, 3], True)
    """
    planes, shape = part.planes(), part.placement.shape
    labels = np.zeros((len(planes), *part.region.shape), np.uint32)
    cells = np.zeros_like(labels) if options.get("expand") is not None else None
    tables: list[dict[str, NDArray[Any]]] = []
    pixels: Any = part.window
    for number, plane in enumerate(planes):
        report = progress.report if len(planes) == 1 else False
        found: Segmentation = segmenter.predict(pixels, **options, **plane, progress=report, cancel=progress.cancel)
        first = sum(len(table["label"]) for table in tables)
        if first + len(found) > _MOST_LABELS:
            raise SettingsError(f"expected at most {_MOST_LABELS} nuclei in one layer, got more: choose a part of it")
        labels[number] = _moved(found.labels, first)
        if cells is not None and found.cells is not None:
            cells[number] = _moved(found.cells, first)
        tables.append(in_layer(found.table, part, plane, first))
        if len(planes) > 1:
            progress.report("planes", number + 1, len(planes))
    table = {name: np.concatenate([each[name] for each in tables]) for name in tables[0]}
    return FoundNuclei(
        labels.reshape(shape), None if cells is None else cells.reshape(shape), table, part, options=dict(options)
    )


def _moved(labels: NDArray[np.uint32], first: int) -> NDArray[np.uint32]:
    return labels if first == 0 else np.where(labels > 0, labels + np.uint32(first), np.uint32(0))


def in_layer(
    table: Mapping[str, NDArray[Any]], part: Part, plane: Mapping[str, Any], first: int
) -> dict[str, NDArray[Any]]:
    """Return a table with the places of a plane, and numbers and pixels of the layer."""
    columns: dict[str, NDArray[Any]] = {"label": table["label"] + np.uint32(first)}
    for name, axis in (("time", "T"), ("z", "Z")):
        if part.sizes.get(axis, 1) > 1 and plane[name] not in PROJECTIONS:
            columns[name] = np.full(len(table["label"]), plane[name])
    for name, values in table.items():
        if name != "label":
            offset = part.region.top if name in _ROWS else part.region.left if name in _COLUMNS else 0
            columns[name] = values + offset if offset else values
    return columns


def plane_images(part: Part) -> Iterator[NDArray[Any]]:
    """Yield the pixels of each plane of a part, as `find_nuclei` saw them: (H, W), or (H, W, 3) of colours.

    Raises
    ------
    ImageError
        If they cannot be read.
    """
    from nucleus_unet.io.selection import Selection
    from nucleus_unet.io.source import open_image

    for plane in part.planes():
        chosen = {name: plane[name] for name in ("time", "z", "channel") if name in plane}
        with open_image(part.window, axes=part.axes) as source:
            yield source.read(Selection(**chosen).only(source))

"""The results of one image, open: its picture, its labels and its table; and the few that are open at a time."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.errors import ImageError, MissingExtraError, NucleusError, SettingsError
from nucleus_unet.exports.ome_zarr import is_label_zarr, require_zarr
from nucleus_unet.io.plane import Plane, ScenePlane
from nucleus_unet.io.source import open_image
from nucleus_unet.slides.writers.cells import expansion_of
from nucleus_unet.viewer.picture import Picture, Shown, open_picture, overview_picture
from nucleus_unet.viewer.pyramid import TILE_SIDE, Pyramid, Tile, level_count, level_shape
from nucleus_unet.viewer.results import LabelFile, Result
from nucleus_unet.viewer.tables import Table, open_table

MARGIN = 1
"""Pixels around a tile of labels, so that the outlines at its edge are right."""

# Results that are open at a time. Each holds some hundreds of megabytes of decoded tiles at most.
_MOST_OPEN = 2
# Pixels of a label image that is measured where there is no table with coordinates.
_MOST_MEASURED = 2**26
# Columns that tell where a nucleus is, and are no measures.
_PLACES = ("label", "row", "column", "top", "left", "bottom", "right")


class OpenedResult:
    """What is shown of a result. A context manager; any number of threads may use it.

    Parameters
    ----------
    result
        One of `nucleus_unet.viewer.results.find_results`.

    Raises
    ------
    ImageError
        If there is neither an image nor labels.
    """

    def __init__(self, result: Result) -> None:
        self._result, self._stack = result, ExitStack()
        self.problems = [result.problem] if result.problem else []
        if result.labels is None and result.nuclei is not None:
            self.problems.append("there is no label image to draw: run `predict` again with tif among --format")
        self._labels = self._opened_labels(result.labels)
        self._cells = self._opened_labels(result.cells)
        self._expand = self._expansion()
        self.table = self._opened_table()
        self._picture = self._opened_picture()
        if self._labels is None and self._picture is None:
            self.close()
            raise ImageError("; ".join(dict.fromkeys(self.problems)) or "there is nothing to show")
        self.shape = self._labels.shape if self._labels is not None else self._shape_of_picture()

    def facts(self) -> dict[str, Any]:
        """Return what the page needs to know, as plain JSON types."""
        picture, names = self._picture, () if self.table is None else self.table.names
        return {
            "name": self._result.name,
            "image": None if self._result.image is None else str(self._result.image),
            "nuclei": self._result.nuclei,
            "height": self.shape[0],
            "width": self.shape[1],
            "levels": level_count(self.shape),
            "pixel_size": self._result.mpp or (None if picture is None else picture.mpp),
            "channels": [] if picture is None else [dataclasses.asdict(each) for each in picture.channels],
            "labels": self._labels is not None,
            "cells": self._cells is not None or self._expand is not None,
            "measures": [name for name in names if name not in _PLACES],
            "problems": list(dict.fromkeys(self.problems)),
        }

    def picture_tile(self, tile: Tile, shown: Sequence[Shown]) -> bytes | None:
        """Return a tile of the image as JPEG. None if there is no such tile."""
        if self._picture is None or not self._is_tile(tile):
            return None
        if any(not 0 <= each.channel < len(self._picture.channels) for each in shown):
            return None
        return self._picture.tile(tile, shown)

    def label_tile(self, tile: Tile, *, cells: bool) -> bytes | None:
        """Return a tile of labels with a margin: little-endian uint32, compressed by zlib. None if there is none."""
        if self._labels is None or not self._is_tile(tile):
            return None
        pyramid = self._labels if not cells or self._cells is None else self._cells
        expand = self._expand if cells and self._cells is None else None
        if cells and self._cells is None and expand is None:
            return None
        # At a coarse level, the distance is that between its pixels.
        around = MARGIN + (0 if expand is None else math.ceil(expand / 2**tile.level))
        labels = self._labels_around(pyramid, tile, around)
        if expand is not None:
            labels = _core.expand_labels(labels, expand / 2**tile.level)
            cut = slice(around - MARGIN, around + MARGIN + TILE_SIDE)
            labels = labels[cut, cut]
        return bytes(imagecodecs.zlib_encode(np.ascontiguousarray(labels, "<u4").tobytes(), level=1))

    def close(self) -> None:
        """Close all files."""
        self._stack.close()

    def _is_tile(self, tile: Tile) -> bool:
        if not 0 <= tile.level < level_count(self.shape):
            return False
        height, width = level_shape(self.shape, tile.level)
        return 0 <= tile.row * TILE_SIDE < height and 0 <= tile.column * TILE_SIDE < width

    def _labels_around(self, pyramid: Pyramid, tile: Tile, around: int) -> NDArray[np.uint32]:
        """Return the labels of a tile and around it; what lies beyond the image is background."""
        labels = np.zeros((TILE_SIDE + 2 * around, TILE_SIDE + 2 * around), np.uint32)
        spans, places = [], []
        for place, size in zip(tile[1:], level_shape(self.shape, tile.level), strict=True):
            start, stop = place * TILE_SIDE - around, (place + 1) * TILE_SIDE + around
            spans.append(slice(max(0, start), min(size, stop)))
            places.append(slice(spans[-1].start - start, spans[-1].stop - start))
        labels[places[0], places[1]] = pyramid.read(tile.level, spans[0], spans[1])
        return labels

    def _opened_labels(self, file: LabelFile | None) -> Pyramid | None:
        if file is None:
            return None
        try:
            planes = _zarr_planes(file.path) if is_label_zarr(file.path) else self._file_planes(file)
            if planes[0].channels is not None or planes[0].dtype.kind not in "ui":
                raise ImageError(f"{file.path}: expected a label image, got {planes[0].dtype} values")
            return Pyramid(planes, average=False)
        except (NucleusError, OSError) as error:
            self.problems.append(f"the labels cannot be shown: {error}")
            return None

    def _file_planes(self, file: LabelFile) -> list[Plane]:
        source = self._stack.enter_context(open_image(file.path, indices=True))
        levels = range(len(source.readable_levels()))
        return [source.plane(time=file.frame, z=file.plane, level=level) for level in levels]

    def _expansion(self) -> float | None:
        if self._result.slide is None or self._labels is None:
            return None
        with suppress(SettingsError):  # there are no cells
            try:
                return expansion_of(self._result.slide)
            except (NucleusError, OSError) as error:
                if isinstance(error, SettingsError):
                    raise
                self.problems.append(str(error))
        return None

    def _opened_table(self) -> Table | None:
        small = self._labels is not None and math.prod(self._labels.shape) <= _MOST_MEASURED
        try:
            labels = None
            if self._labels is not None and small and (self._result.table is None or not _is_complete(self._result)):
                height, width = self._labels.shape
                labels = self._labels.read(0, slice(0, height), slice(0, width)).astype(np.uint32)
            return open_table(self._result.table, labels)
        except (NucleusError, OSError) as error:
            self.problems.append(f"the table cannot be shown: {error}")
            return None

    def _opened_picture(self) -> Picture | None:
        shape = None if self._labels is None else self._labels.shape
        try:
            picture = open_picture(self._result)
            self._stack.callback(picture.close)
            if shape in (None, picture.shape):
                return picture
            self.problems.append(
                f"{self._result.image} has {picture.shape[0]} x {picture.shape[1]} pixels and the results have "
                f"{shape[0]} x {shape[1]}: it is another image"
                if shape
                else ""
            )
        except (NucleusError, OSError) as error:
            self.problems.append(str(error))
        if self._result.slide is None or shape is None:
            return None
        return overview_picture(self._result.slide, shape)

    def _shape_of_picture(self) -> tuple[int, int]:
        assert self._picture is not None
        return self._picture.shape


def _zarr_planes(path: Path) -> list[Plane]:
    """Return the levels of a label image of OME-Zarr, which is no image to `open_image`."""
    try:
        group = require_zarr().open_group(path, mode="r")
        return [_zarr_plane(group[name]) for name in sorted(group.array_keys(), key=int)]
    except MissingExtraError:
        raise
    except Exception as error:  # zarr raises exceptions of many classes for damaged metadata
        raise ImageError(f"{path} is damaged ({error})") from error


def _zarr_plane(array: Any) -> Plane:
    return ScenePlane(array.shape, array.dtype, lambda rows, columns: np.asarray(array[rows, columns]), colours=False)


def _is_complete(result: Result) -> bool:
    """Whether the table tells where nuclei are."""
    return result.table is not None and result.table.file_format in ("parquet", "csv")


class OpenResults:
    """The results that are open: the few that were used last, and those in use.

    Parameters
    ----------
    results
        All there are.
    """

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = results
        self._lock = threading.Lock()
        self._opened: OrderedDict[int, _Slot] = OrderedDict()

    @contextmanager
    def use(self, number: int) -> Iterator[OpenedResult]:
        """Yield a result, which stays open meanwhile; it is opened if it is not."""
        with self._lock:
            slot = self._opened.setdefault(number, _Slot())
            self._opened.move_to_end(number)
            slot.users += 1
        try:
            with slot.lock:
                if slot.opened is None:
                    slot.opened = OpenedResult(self._results[number])
            yield slot.opened
        finally:
            with self._lock:
                slot.users -= 1
                self._close_unused(_MOST_OPEN)

    def close(self) -> None:
        """Close all that are not in use."""
        with self._lock:
            self._close_unused(0)

    def _close_unused(self, most: int) -> None:
        for number, slot in list(self._opened.items()):
            if len(self._opened) <= most:
                return
            if not slot.users:
                del self._opened[number]
                if slot.opened is not None:
                    slot.opened.close()


class _Slot:
    def __init__(self) -> None:
        self.lock, self.users = threading.Lock(), 0
        self.opened: OpenedResult | None = None

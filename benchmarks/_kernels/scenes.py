"""Label images to work on: real nuclei, and shapes that are hard on one algorithm or another."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import imagecodecs
import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.uint32]

SIDE = 2304
"""Of the mosaic and of the hard shapes, in pixels: nine real images of 256 pixels."""

LARGE_SIDE = 8192

_TILE = 256


@dataclass(frozen=True)
class Field:
    """One real image's masks, as files and merged."""

    files: list[bytes]
    labels: Labels


class Scenes:
    """Label images by name, each drawn on first use; `quick` leaves out what takes long."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick
        folder = os.environ.get("NUCLEUS_DATA")
        archive = Path(folder) / "dsb2018" / "stage1_train.zip" if folder else None
        self._archive = archive if archive is not None and archive.exists() else None

    @property
    def origin(self) -> str:
        """Where the nuclei come from."""
        if self._archive is None:
            return "synthetic ellipses, seed 0 (stage1_train.zip was not found: set NUCLEUS_DATA to its data folder)"
        return "masks of stage1_train.zip (2018 Data Science Bowl)"

    @cached_property
    def field(self) -> Field:
        """The image with the most masks."""
        if self._archive is None:
            labels = _ellipses((603, 1272), 375)
            masks = [(labels == label).astype(np.uint8) * 255 for label in range(1, labels.max() + 1)]
            files = [bytes(imagecodecs.png_encode(mask)) for mask in masks]
        else:
            with zipfile.ZipFile(self._archive) as archive:
                fields = _mask_names(archive)
                most = max(fields, key=lambda name: (len(fields[name]), name))
                files = [archive.read(name) for name in fields[most]]
        return Field(files, _merged(files))

    @cached_property
    def mosaic(self) -> Labels:
        """81 real images of 256 pixels a side, the first by name, side by side."""
        if self._archive is None:
            return _ellipses((SIDE, SIDE), 2500)
        labels = np.zeros((SIDE, SIDE), np.uint32)
        places = [(row, column) for row in range(0, SIDE, _TILE) for column in range(0, SIDE, _TILE)]
        with zipfile.ZipFile(self._archive) as archive:
            for names in _mask_names(archive).values():
                tile = _merged([archive.read(name) for name in names])
                if tile.shape == (_TILE, _TILE):
                    row, column = places.pop(0)
                    tile[tile > 0] += labels.max()
                    labels[row : row + _TILE, column : column + _TILE] = tile
                if not places:
                    break
        return labels

    @cached_property
    def large(self) -> Labels:
        """The mosaic repeated and cut to 8192 pixels a side, no label twice."""
        times = -(-LARGE_SIDE // SIDE)
        labels = np.tile(self.mosaic, (times, times))
        block = np.arange(times * times, dtype=np.uint32).reshape(times, times).repeat(SIDE, 0).repeat(SIDE, 1)
        labels += np.where(labels > 0, block * self.mosaic.max(), 0).astype(np.uint32)
        return np.ascontiguousarray(labels[:LARGE_SIDE, :LARGE_SIDE])

    @cached_property
    def checkerboard(self) -> Labels:
        """Every other pixel, all of one label: no run is longer than a pixel."""
        return np.ascontiguousarray(np.indices((SIDE, SIDE)).sum(0) % 2, np.uint32)

    @cached_property
    def spiral(self) -> Labels:
        """One path of a pixel's width, a pixel apart, that winds inwards: deep for union-find."""
        labels = np.zeros((SIDE, SIDE), np.uint32)
        low, high = 0, SIDE - 1
        while low < high:
            labels[low, max(low - 2, 0) : high + 1] = 1
            labels[low : high + 1, high] = 1
            labels[high, low : high + 1] = 1
            labels[low + 2 : high + 1, low] = 1
            low, high = low + 2, high - 2
        return labels

    @cached_property
    def one_label(self) -> Labels:
        """All pixels one nucleus."""
        return np.ones((SIDE, SIDE), np.uint32)

    @cached_property
    def specks(self) -> Labels:
        """1.3 million nuclei of one pixel."""
        labels = np.zeros((SIDE, SIDE), np.uint32)
        labels[::2, ::2] = np.arange(1, (SIDE // 2) ** 2 + 1).reshape(SIDE // 2, SIDE // 2)
        return labels

    @cached_property
    def empty(self) -> Labels:
        """Background alone."""
        return np.zeros((SIDE, SIDE), np.uint32)

    def cases(self, threads: int) -> dict[str, Labels]:
        """Images for most rows. The hard shapes are quickly done with one thread alone."""
        if self._quick and threads > 1:
            return {"mosaic": self.mosaic}
        large = {} if self._quick else {"8192 x 8192": self.large}
        return {
            "mosaic": self.mosaic,
            "checkerboard": self.checkerboard,
            "spiral": self.spiral,
            "one label": self.one_label,
            "a million specks": self.specks,
            "empty": self.empty,
            **large,
        }


def _mask_names(archive: zipfile.ZipFile) -> dict[str, list[str]]:
    """Mask files by image, both sorted."""
    fields: dict[str, list[str]] = {}
    for name in sorted(archive.namelist()):
        path = PurePosixPath(name)
        if path.suffix == ".png" and path.parent.name == "masks":
            fields.setdefault(path.parts[-3], []).append(name)
    return fields


def _merged(files: list[bytes]) -> Labels:
    """Masks by a decoder that is not ours; of two that claim a pixel the earlier has it."""
    masks = [imagecodecs.png_decode(file) for file in files]
    labels = np.zeros(masks[0].shape[:2], np.uint32)
    for label, mask in reversed(list(enumerate(masks, 1))):
        labels[(mask if mask.ndim == 2 else mask[..., :3].any(-1)) > 0] = label
    return labels


def _ellipses(shape: tuple[int, int], count: int) -> Labels:
    """Draw ellipses of a nucleus's size, the later ones on top, numbered without gaps."""
    rng = np.random.default_rng(0)
    labels = np.zeros(shape, np.uint32)
    for label in range(1, count + 1):
        row, column = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        long, short, turn = rng.uniform(6, 16), rng.uniform(5, 10), rng.uniform(0, np.pi)
        top, left = max(0, int(row) - 18), max(0, int(column) - 18)
        window = labels[top : int(row) + 18, left : int(column) + 18]
        rows, columns = np.ogrid[: window.shape[0], : window.shape[1]]
        down, right = rows + top - row, columns + left - column
        along = (down * np.cos(turn) + right * np.sin(turn)) / long
        across = (right * np.cos(turn) - down * np.sin(turn)) / short
        window[along**2 + across**2 <= 1] = label
    present, inverse = np.unique(labels, return_inverse=True)
    return (np.arange(present.size, dtype=np.uint32) + (present[0] != 0))[inverse].reshape(shape)

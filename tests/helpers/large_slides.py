"""A large slide with results, made quickly: one square of nuclei, again and again, as a pyramid of JPEG tiles."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np
import tifffile
from nucleus_unet import _core
from nucleus_unet.slides.nuclei import Nuclei, measure_nuclei
from nucleus_unet.slides.plan import SlidePlan, save_or_check_plan
from nucleus_unet.slides.relabel import iter_bands
from nucleus_unet.slides.source import SlideSource
from nucleus_unet.slides.survey.thumbnail import thumbnail_factor
from nucleus_unet.slides.writers.labels import TILE_SIDE
from nucleus_unet.slides.writers.results import write_results, write_summary
from numpy.typing import NDArray

from helpers.slide_results import PREDICTION

PERIOD = 2048
_STEP = 80


class LargeSlide(NamedTuple):
    """Where a slide and its results are, its side in pixels, and the number of nuclei."""

    image: Path
    results: Path
    side: int
    nuclei: int


def square() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Draw a square of 625 discs of different sizes on stained ground, and their labels."""
    rows, columns = np.ogrid[:PERIOD, :PERIOD]
    rng = np.random.default_rng(3)
    labels = np.zeros((PERIOD, PERIOD), np.uint32)
    for row, column in itertools.product(range(_STEP // 2, PERIOD - _STEP, _STEP), repeat=2):
        near = np.s_[row - 20 : row + 21, column - 20 : column + 21]
        inside = (rows[near[0]] - row) ** 2 + (columns[:, near[1]] - column) ** 2 <= rng.integers(8, 20) ** 2
        labels[near][inside] = labels.max() + 1
    ground = 225 + 20 * np.sin(rows / 300) * np.cos(columns / 200) + rng.normal(0, 1, labels.shape)
    shade = rng.integers(60, 130, int(labels.max()) + 1)
    colours = np.stack([ground, ground - 25, ground], axis=-1)
    colours[labels > 0] = np.stack([shade, shade - 30, shade + 50], axis=-1)[labels[labels > 0]]
    return np.clip(colours, 0, 255).astype(np.uint8), labels


def write_slide(path: Path, colours: NDArray[np.uint8], side: int, *, mpp: float) -> None:
    """Write a slide of the side, whose content is a square again and again, and whose levels end at 1,024 pixels."""
    shapes = [side]
    while shapes[-1] > 1024:
        shapes.append(shapes[-1] // 2)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for level, size in enumerate(shapes):
            period = PERIOD >> level
            content = colours.reshape(period, 2**level, period, 2**level, 3).mean(axis=(1, 3)).round().astype(np.uint8)
            file.write(
                _tiles(content, size),
                shape=(size, size, 3),
                dtype=np.uint8,
                tile=(512, 512),
                photometric="rgb",
                compression="jpeg",
                subifds=len(shapes) - 1 if level == 0 else None,
                subfiletype=1 if level else 0,
                resolution=(1e4 / mpp / 2**level,) * 2,
                resolutionunit="CENTIMETER",
                metadata=None,
            )


def _tiles(content: NDArray[np.uint8], size: int) -> Iterator[bytes]:
    """Yield the compressed tiles of a level; each that differs is compressed once."""
    known: dict[tuple[int, int], bytes] = {}
    for top, left in itertools.product(range(0, size, 512), repeat=2):
        place = top % len(content), left % len(content)
        if place not in known:
            rows, columns = ((np.arange(start, start + 512)) % len(content) for start in place)
            tile = np.ascontiguousarray(content[np.ix_(rows, columns)])
            known[place] = bytes(imagecodecs.jpeg8_encode(tile, level=85, colorspace="rgb", outcolorspace="rgb"))
        yield known[place]


def write_large_slide(folder: Path, *, side: int = 20 * PERIOD, mpp: float = 0.25) -> LargeSlide:
    """Write a slide and the results of nuclei that no network found; the side is a multiple of `PERIOD`."""
    colours, labels = square()
    image, results = folder / "large slide.tif", folder / "large slide.nuclei"
    results.mkdir(parents=True)
    write_slide(image, colours, side, mpp=mpp)
    boxes = _core.measure(labels)[2]
    one = measure_nuclei(
        labels,
        colours,
        corner=(0, 0),
        centres=np.column_stack([boxes[:, 0], boxes[:, 1]]),
        probabilities=np.linspace(0.5, 1, len(boxes), dtype=np.float32),
        qualities=np.linspace(1, 0.5, len(boxes), dtype=np.float32),
    )
    along = side // PERIOD
    plan = SlidePlan(side, side, 3, "uint8", "0" * 64, mpp, None, None, PREDICTION)
    save_or_check_plan(results, plan)
    factor = thumbnail_factor((side, side))
    small = (np.arange(-(-side // factor)) * factor) % PERIOD
    bands = iter_bands(
        lambda row: _row_of(one, row, along),
        [slice(top, top + PERIOD) for top in range(0, side, PERIOD)],
        height=side,
        band=TILE_SIDE,
    )
    written = write_results(
        results, bands, plan, thumbnail=np.ascontiguousarray(colours[np.ix_(small, small)]), scratch=folder / "work"
    )
    write_summary(results, written, skipped=0.0)
    SlideSource(str(image)).write(results)
    return LargeSlide(image, results, side, written.nuclei)


def _row_of(one: Nuclei, row: int, along: int) -> Nuclei:
    """Return the nuclei of a row of squares."""
    parts = [_moved(one, row * PERIOD, column * PERIOD) for column in range(along)]
    arrays = {
        name: np.concatenate([each.arrays()[name] for each in parts]) for name in one.arrays() if name != "first_run"
    }
    counts = np.concatenate([np.diff(each.first_run) for each in parts])
    return Nuclei(**arrays, first_run=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def _moved(nuclei: Nuclei, down: int, across: int) -> Nuclei:
    return replace(
        nuclei,
        centre=nuclei.centre + np.array([down, across]),
        box=nuclei.box + np.array([down, across] * 2),
        centroid=nuclei.centroid + np.array([down, across]),
        runs=(nuclei.runs + np.array([down, across, across])).astype(np.int32),
    )

"""Results of a slide whose nuclei no network found."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from nucleus_unet import _core
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.slides.grid import lay_blocks
from nucleus_unet.slides.nuclei import Nuclei, measure_nuclei
from nucleus_unet.slides.plan import SlidePlan, save_or_check_plan
from nucleus_unet.slides.relabel import iter_bands
from nucleus_unet.slides.survey.thumbnail import ThumbnailBuilder
from nucleus_unet.slides.writers import labels as results_labels
from nucleus_unet.slides.writers.results import write_results, write_summary
from numpy.typing import NDArray

from helpers.segmentations import PLAN

SHAPE = (1300, 2100)
PREDICTION = replace(PLAN, intensity_range=[0.0, 255.0])


def drawn(count: int) -> NDArray[np.uint32]:
    """Discs across tiles and at the borders, a square with holes, and a nucleus of two pieces that meet in a corner."""
    labels = np.zeros(SHAPE, np.uint32)
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    rng = np.random.default_rng(5)
    for label in range(1, count + 1):
        row, column, radius = rng.integers(0, SHAPE[0]), rng.integers(0, SHAPE[1]), rng.integers(3, 14)
        near = np.s_[max(0, row - radius) : row + radius + 1, max(0, column - radius) : column + radius + 1]
        inside = (rows[near[0]] - row) ** 2 + (columns[:, near[1]] - column) ** 2 <= radius**2
        labels[near][inside & (labels[near] == 0)] = label
    labels[500:530, 1020:1050] = count + 1
    labels[510:515, 1030:1033] = labels[505, 1044] = 0
    labels[600:605, 100:105] = labels[605:610, 105:110] = count + 2
    return _core.relabel_sequential(labels)[0]


LABELS = drawn(300)
PICTURE = np.where(LABELS > 0, 200, 20 + np.arange(SHAPE[1]) % 50).astype(np.uint8)


@dataclass(frozen=True)
class Run:
    """A folder of results, and what was to be written."""

    folder: Path
    plan: SlidePlan


def written(
    folder: Path, labels: NDArray[np.uint32] = LABELS, picture: NDArray[Any] = PICTURE, *, mpp: float | None = 0.25
) -> Run:
    """Write the results of nuclei that no network found, from blocks of 700 rows."""
    channels = 3 if picture.ndim == 3 else None
    plan = SlidePlan(*labels.shape, channels, "uint8", "0" * 64, mpp, None, None, PREDICTION)
    _, _, boxes, _, _ = _core.measure(labels)
    probabilities = np.linspace(0.5, 1, len(boxes), dtype=np.float32)

    def block(number: int) -> Nuclei:
        mine = boxes[:, 0] // 700 == number
        part = np.where(np.append(False, mine)[labels], labels, np.uint32(0))
        centres = np.column_stack([boxes[:, 0], boxes[:, 1]])
        return measure_nuclei(
            part, picture, corner=(0, 0), centres=centres, probabilities=probabilities, qualities=probabilities[::-1]
        )

    reaches = [slice(top, min(top + 740, labels.shape[0])) for top in range(0, labels.shape[0], 700)]
    bands = iter_bands(block, reaches, height=labels.shape[0], band=results_labels.TILE_SIDE)
    folder.mkdir(parents=True, exist_ok=True)
    save_or_check_plan(folder, plan)
    thumbnail = thumbnail_of(picture, side=2048)
    write_summary(folder, write_results(folder, bands, plan, thumbnail=thumbnail, scratch=folder / "work"), skipped=0.0)
    shutil.rmtree(folder / "work", ignore_errors=True)
    return Run(folder, plan)


def thumbnail_of(picture: NDArray[Any], *, side: int) -> NDArray[np.uint8]:
    """Look at a picture in regions of a side."""
    shape = (picture.shape[0], picture.shape[1])
    view = ThumbnailBuilder(shape, 3 if picture.ndim == 3 else None)
    for region in lay_blocks(shape, side):
        view.add(region, view.sums(region, picture[region]))
    return view.image(IntensityRange(0, 255))


def collected(folder: Path, pattern: str) -> Iterator[list[dict[str, Any]]]:
    for path in sorted(folder.glob(pattern), key=lambda path: (len(path.name), path.name)):
        data = path.read_bytes()
        yield json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)["features"]

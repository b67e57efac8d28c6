"""The survey and the plan of a slide: all that is fixed before the first tile is predicted.

The block side, the order of tasks and the number of workers do not change the result and are not part of the plan.
The tile side is part of it only for engines that are not exact.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import DataError, ImageError, SettingsError
from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.io.atomic import read_json, write_atomically
from nucleus_unet.io.plane import Plane
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.dab import Stains
from nucleus_unet.preprocessing.levels import Levels
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.preprocessing.padding import Padding, PaddingFinder
from nucleus_unet.preprocessing.streaming_percentiles import streaming_percentiles_for
from nucleus_unet.slides.grid import Block, lay_blocks
from nucleus_unet.slides.survey.stain_sample import StainSampler
from nucleus_unet.slides.survey.thumbnail import ThumbnailBuilder, decode_thumbnail, encode_thumbnail
from nucleus_unet.slides.survey.tissue import TissueDetector
from nucleus_unet.slides.tissue_mask import TissueMask

logger = logging.getLogger(__name__)

# Files in a run's folder, and the subfolder for intermediate files, which is deleted at the end.
PLAN, SURVEY, WORK = "plan.json", "survey.json", "work"

# Side of the regions that are read, in pixels. It is fixed, because the fingerprint of the pixels depends on it.
_REGION_SIDE = 2048
Measured = TypeVar("Measured")


@dataclass(frozen=True, eq=False)
class Survey:
    """What is measured from all pixels of a slide.

    Attributes
    ----------
    pixels
        Fingerprint of the pixels (SHA-256, hexadecimal). Equal fingerprints mean equal pixels.
    levels
        Result of `nucleus_unet.preprocessing.levels.measure_levels` for the whole slide.
    tissue
        Cells of the slide that are not empty glass.
    stains
        Result of `nucleus_unet.preprocessing.dab.detect_dab` for the whole slide.
    thumbnail : NDArray[np.uint8] (h, w, 3)
        The slide, reduced and normalised to 0..255.
    """

    pixels: str
    levels: Levels
    tissue: TissueMask
    stains: Stains
    thumbnail: NDArray[np.uint8]

    def levels_for(self, dab: bool | None) -> tuple[Levels, IntensityRange | None]:
        """Return the levels, and the intensity range once DAB is attenuated; see `Stains.range_for`."""
        attenuated_range = self.stains.range_for(dab)
        return self.levels if attenuated_range is None else self.levels.on_glass(), attenuated_range

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "pixels": self.pixels,
            "intensity_range": self.levels.intensity_range,
            "padding": None if self.levels.padding is None else self.levels.padding.to_json(),
            "tissue": self.tissue.to_json(),
            "stains": self.stains,
            "thumbnail": encode_thumbnail(self.thumbnail),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Survey:
        """Inverse of `to_json`."""
        levels = Levels(_intensity_range(values["intensity_range"]), Padding.from_json(values["padding"]))
        stains = Stains(values["stains"][0], _intensity_range(values["stains"][1]))
        tissue, thumbnail = TissueMask.from_json(values["tissue"]), decode_thumbnail(values["thumbnail"])
        return cls(values["pixels"], levels, tissue, stains, thumbnail)

    @classmethod
    def load(cls, folder: Path, origin: Mapping[str, object] | None, cell: int) -> Survey | None:
        """Return the survey that a folder holds, if it is of the same file and of cells with the same side."""
        path = folder / SURVEY
        if origin is None or not path.exists():
            return None
        try:
            saved = read_json(path)
            if saved["origin"] == origin and saved["tissue"]["side"] == cell:
                return cls.from_json(saved)
        except (ValueError, TypeError, LookupError, imagecodecs.PngError):
            logger.warning("%s is damaged: the slide is surveyed again", path)
        return None


def _intensity_range(values: list[float] | None) -> IntensityRange | None:
    return None if values is None else IntensityRange(*values)


@dataclass(frozen=True)
class SlidePlan:
    """All that the results of a slide depend on.

    Attributes
    ----------
    height, width
        Size of the slide in pixels.
    channels
        3 for colour, None for grey.
    dtype
        Type of the pixels.
    pixels
        Fingerprint of the pixels.
    mpp
        Micrometres per pixel, from the options or from the slide's file. None if unknown. It is the unit of the
        results; the scale is ``prediction.scale``.
    tissue
        Fingerprint of the tissue mask. None if the whole slide is taken for tissue.
    roi
        Fingerprint of the regions to which the run is limited. None for the whole slide.
    prediction
        The plan that a `nucleus_unet.Segmentation` of the same pixels contains.
    """

    height: int
    width: int
    channels: int | None
    dtype: str
    pixels: str
    mpp: float | None
    tissue: str | None
    roi: str | None
    prediction: Plan

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def survey_slide(
    slide: Plane, *, cell: int, workers: int, track: Callable[[Sequence[Block]], Iterable[Block]] = iter
) -> Survey:
    """Read every pixel of a slide in bounded memory: once, or several times for floating-point pixels.

    Parameters
    ----------
    slide
        The slide.
    cell
        Side of a cell of the tissue mask, in pixels of the slide; see `nucleus_unet.slides.tissue_mask.cell_side`.
    workers
        Number of threads that read.
    track
        Wraps the list of regions to show progress.

    Raises
    ------
    ImageError
        If pixels are NaN or infinite, or cannot be read.
    """
    detector = TissueDetector(slide.shape, slide.channels, cell)
    thumbnail = ThumbnailBuilder(slide.shape, slide.channels)
    stains = StainSampler(slide.shape, slide.channels, slide.dtype)
    padding = PaddingFinder(slide.shape, slide.channels, slide.dtype)
    percentiles = streaming_percentiles_for(slide.dtype, math.prod(slide.shape) * (slide.channels or 1))

    def measure(region: Block, pixels: NDArray[Any]) -> _FirstPass:
        return _FirstPass(
            detector.extremes(pixels),
            thumbnail.sums(region, pixels),
            stains.sample(region, pixels),
            padding.extremes(region.rows.start, region.columns.start, pixels),
            percentiles.count(pixels),
        )

    def add(region: Block, measured: _FirstPass) -> None:
        row, column = region.rows.start, region.columns.start
        detector.add(row, column, measured.extremes)
        thumbnail.add(region, measured.sums)
        stains.add(region, measured.stains)
        padding.add(row, column, measured.padding)
        percentiles.add(measured.counts)

    fingerprint = _read_all(slide, workers, track, measure, add)
    percentiles.end_pass()
    passes = percentiles.passes - 1
    surroundings = padding.surroundings()
    if surroundings is not None:  # the first pass counted padding too
        values = surroundings.data_area(slide.shape) * (slide.channels or 1)
        percentiles = streaming_percentiles_for(slide.dtype, values)
        passes = percentiles.passes

    def count(region: Block, pixels: NDArray[Any]) -> Any:
        if surroundings is not None:
            pixels = surroundings.data_pixels(pixels, region.rows.start, region.columns.start)
        return percentiles.count(pixels)

    def run_passes(number: int) -> None:
        for _ in range(number):
            again = _read_all(slide, workers, track, count, lambda _region, counts: percentiles.add(counts))
            if again != fingerprint:
                raise ImageError("slide: its pixels changed while they were read")
            percentiles.end_pass()

    run_passes(passes)
    if (others := percentiles.others()) is not None:
        percentiles = others
        run_passes(percentiles.passes)
    intensity_range = None if padding.is_flat else percentiles.intensity_range()
    levels = Levels(intensity_range, surroundings and surroundings.padding(intensity_range))
    tissue, image = detector.mask(intensity_range), thumbnail.image(intensity_range)
    return Survey(fingerprint, levels, tissue, stains.detect(levels), image)


def _read_all(
    slide: Plane,
    workers: int,
    track: Callable[[Sequence[Block]], Iterable[Block]],
    measure: Callable[[Block, NDArray[Any]], Measured],
    add: Callable[[Block, Measured], None],
) -> str:
    """Read a slide once, measure each region in any thread, and add the results in order. Return the fingerprint."""

    def read(region: Block) -> tuple[Block, bytes, Measured]:
        pixels = slide.read(*region)
        return region, hashlib.sha256(np.ascontiguousarray(pixels).data).digest(), measure(region, pixels)

    digest = hashlib.sha256(repr((slide.shape, slide.channels, slide.dtype.name)).encode())
    with ThreadPoolExecutor(workers) as pool:
        regions = track(lay_blocks(slide.shape, _REGION_SIDE))
        for region, part, measured in prefetch_map(pool, read, regions, depth=workers + 1):
            digest.update(part)
            add(region, measured)
    return digest.hexdigest()


class _FirstPass(NamedTuple):
    extremes: tuple[NDArray[np.floating], NDArray[np.floating]]
    sums: NDArray[Any]
    stains: NDArray[Any]
    padding: tuple[NDArray[Any], NDArray[Any]]
    counts: Any


def save_or_check_plan(folder: Path, plan: SlidePlan) -> None:
    """Write the plan into a run's folder. If the folder has a plan, check that it is the same.

    Raises
    ------
    SettingsError
        If the plans differ. The message lists the differences.
    DataError
        If the saved plan is damaged.
    """
    path = folder / PLAN
    current = plan.to_json()
    if not path.exists():
        write_atomically(path, json.dumps(current, indent=2) + "\n")
        return
    try:
        saved = read_json(path)
        if not isinstance(saved, dict) or saved.keys() != current.keys():
            raise ValueError("it is not a plan of this version")
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}): give another out= to start a new run") from error
    differences = _differences(saved, current)
    if differences:
        raise SettingsError(
            f"{folder} holds a run with another plan: {'; '.join(differences)}. "
            "Give the same options to resume it, or another out= to start a new run"
        )


def _differences(saved: dict[str, Any], current: dict[str, Any]) -> list[str]:
    """Say how two plans differ, without what only follows from another difference."""
    if saved["pixels"] != current["pixels"]:
        return [f"the image was another one (pixels was {str(saved['pixels'])[:8]}, now is {current['pixels'][:8]})"]
    names = {name for name, _, _ in _changes(saved, current)}
    derived = {"prediction.expected_msa"} | ({"tissue"} if "prediction.scale" in names else set())
    return [
        f"{name.removeprefix('prediction.')} was {before}, now is {now}"
        for name, before, now in _changes(saved, current)
        if name not in derived or names <= derived
    ]


def _changes(saved: Any, current: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the name and both values of all that differs."""
    if isinstance(saved, dict) and isinstance(current, dict):
        for key in [*current, *(key for key in saved if key not in current)]:
            yield from _changes(saved.get(key), current.get(key), f"{name}.{key}" if name else key)
    elif saved != current:
        yield name, saved, current

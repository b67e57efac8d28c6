"""The survey and the plan of a slide: all that is fixed before the first tile is predicted.

The block side, the order of tasks and the number of workers do not change the result and are not part of the plan.
The tile side is part of it only for engines that are not exact.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import DataError, ImageError, SettingsError
from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.io.atomic import read_json, write_atomically
from nucleus_unet.io.plane import Plane
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.dab import Stains
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.preprocessing.streaming_percentiles import streaming_percentiles_for
from nucleus_unet.slides.grid import Block, lay_blocks
from nucleus_unet.slides.survey.stain_sample import StainSampler
from nucleus_unet.slides.survey.thumbnail import ThumbnailBuilder
from nucleus_unet.slides.survey.tissue import TissueDetector
from nucleus_unet.slides.tissue_mask import TissueMask

logger = logging.getLogger(__name__)

# Files in a run's folder, and the subfolder for intermediate files, which is deleted at the end.
PLAN, SURVEY, WORK = "plan.json", "survey.json", "work"

# Side of the regions that are read, in pixels. It is fixed, because the fingerprint of the pixels depends on it.
_REGION_SIDE = 2048


@dataclass(frozen=True, eq=False)
class Survey:
    """What is measured from all pixels of a slide.

    Attributes
    ----------
    pixels
        Fingerprint of the pixels (SHA-256, hexadecimal). Equal fingerprints mean equal pixels.
    intensity_range
        The pixel values that become 0 and 1, from `percentile_range` of the whole slide. None if all pixels are equal.
    tissue
        Cells of the slide that are not empty glass.
    stains
        Result of `nucleus_unet.preprocessing.dab.detect_dab` for the whole slide.
    thumbnail : NDArray[np.uint8] (h, w, 3)
        The slide, reduced and normalised to 0..255.
    """

    pixels: str
    intensity_range: IntensityRange | None
    tissue: TissueMask
    stains: Stains
    thumbnail: NDArray[np.uint8]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types. The thumbnail is a PNG file in base64."""
        png = imagecodecs.png_encode(self.thumbnail, level=1, filter=imagecodecs.PNG.FILTER.AVG)
        return {
            "pixels": self.pixels,
            "intensity_range": self.intensity_range,
            "tissue": self.tissue.to_json(),
            "stains": self.stains,
            "thumbnail": base64.b64encode(png).decode(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Survey:
        """Inverse of `to_json`."""
        intensity_range = _intensity_range(values["intensity_range"])
        stains = Stains(values["stains"][0], _intensity_range(values["stains"][1]))
        thumbnail = imagecodecs.png_decode(base64.b64decode(values["thumbnail"]))
        return cls(values["pixels"], intensity_range, TissueMask.from_json(values["tissue"]), stains, thumbnail)

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
    height, width = slide.shape
    percentiles = streaming_percentiles_for(slide.dtype, height * width * (slide.channels or 1))
    fingerprints: list[str] = []

    detector = TissueDetector(slide.shape, slide.channels, cell)
    thumbnail = ThumbnailBuilder(slide.shape, slide.channels)
    stains = StainSampler(slide.shape, slide.channels, slide.dtype)

    def survey_region(region: Block) -> _RegionSurvey:
        pixels = slide.read(*region)
        digest = hashlib.sha256(np.ascontiguousarray(pixels).data).digest()
        # Later passes only count pixel values.
        first_pass = None
        if not fingerprints:
            first_pass = _FirstPass(
                detector.extremes(pixels), thumbnail.sums(region, pixels), stains.sample(region, pixels)
            )
        return _RegionSurvey(region, percentiles.count(pixels), digest, first_pass)

    for _ in range(percentiles.passes):
        digest = hashlib.sha256(repr((slide.shape, slide.channels, slide.dtype.name)).encode())
        regions = track(lay_blocks(slide.shape, _REGION_SIDE))
        with ThreadPoolExecutor(workers) as pool:
            for result in prefetch_map(pool, survey_region, regions, depth=workers + 1):
                percentiles.add(result.counts)
                digest.update(result.digest)
                if result.first_pass is not None:
                    detector.add(result.region.rows.start, result.region.columns.start, result.first_pass.extremes)
                    thumbnail.add(result.region, result.first_pass.sums)
                    stains.add(result.region, result.first_pass.stains)
        percentiles.end_pass()
        fingerprints.append(digest.hexdigest())
    if len(set(fingerprints)) > 1:
        raise ImageError("slide: its pixels changed while they were read")
    values = percentiles.intensity_range()
    return Survey(fingerprints[0], values, detector.mask(values), stains.detect(values), thumbnail.image(values))


class _FirstPass(NamedTuple):
    extremes: tuple[NDArray[np.floating], NDArray[np.floating]]
    sums: NDArray[Any]
    stains: NDArray[Any]


class _RegionSurvey(NamedTuple):
    region: Block
    counts: Any
    digest: bytes
    first_pass: _FirstPass | None


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
    differences = list(_differences(saved, current))
    if differences:
        raise SettingsError(
            f"{folder} holds a run with another plan: {'; '.join(differences)}. "
            "Give the same options to resume it, or another out= to start a new run"
        )


def _differences(saved: Any, current: Any, name: str = "") -> Iterator[str]:
    if isinstance(saved, dict) and isinstance(current, dict):
        for key in [*current, *(key for key in saved if key not in current)]:
            yield from _differences(saved.get(key), current.get(key), f"{name}.{key}" if name else key)
    elif saved != current:
        yield f"{name.removeprefix('prediction.')} was {saved}, now is {current}"

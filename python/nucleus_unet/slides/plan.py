"""What is fixed before the first tile of a slide: its pixels, their levels, the model, all settings.

Block sizes, order and the number of workers are not among it, nor, where the engine is exact, those of tiles: nothing
depends on them.
"""

from __future__ import annotations

import base64
import hashlib
import json
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
from nucleus_unet.io.source import Slide
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.dab import Stains
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.preprocessing.streaming_percentiles import streaming_percentiles_for
from nucleus_unet.slides.grid import Block, lay_blocks
from nucleus_unet.slides.survey.stain_sample import ColourView
from nucleus_unet.slides.survey.thumbnail import ThumbnailView
from nucleus_unet.slides.survey.tissue import TissueView
from nucleus_unet.slides.tissue_mask import TissueMask

# In a run's folder: the plan, what is known of the slide, and all that is deleted in the end.
PLAN, SURVEY, WORK = "plan.json", "survey.json", "work"

# Of the regions that are looked at; fixed, as the pixels' digest depends on it.
_SURVEY_SIDE = 2048


@dataclass(frozen=True, eq=False)
class Survey:
    """What one look at every pixel of a slide tells.

    Attributes
    ----------
    pixels
        SHA-256 of all pixels: two slides with the same one are the same picture.
    levels
        As `percentile_range` of the whole image; None if all its pixels are equal.
    tissue
        Where there is more than empty glass.
    stains
        As `nucleus_unet.preprocessing.dab.detect_dab` of the whole image.
    thumbnail : NDArray[np.uint8] (h, w, 3)
        From black to white.
    """

    pixels: str
    levels: IntensityRange | None
    tissue: TissueMask
    stains: Stains
    thumbnail: NDArray[np.uint8]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; the thumbnail as a PNG file in base64."""
        picture = imagecodecs.png_encode(self.thumbnail, level=1, filter=imagecodecs.PNG.FILTER.AVG)
        return {
            "pixels": self.pixels,
            "levels": self.levels,
            "tissue": self.tissue.to_json(),
            "stains": self.stains,
            "thumbnail": base64.b64encode(picture).decode(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Survey:
        """Inverse of `to_json`."""
        levels = _levels(values["levels"])
        stains = Stains(values["stains"][0], _levels(values["stains"][1]))
        thumbnail = imagecodecs.png_decode(base64.b64decode(values["thumbnail"]))
        return cls(values["pixels"], levels, TissueMask.from_json(values["tissue"]), stains, thumbnail)


def _levels(values: list[float] | None) -> IntensityRange | None:
    return None if values is None else IntensityRange(*values)


@dataclass(frozen=True)
class SlidePlan:
    """All that a slide's results depend on.

    Attributes
    ----------
    height, width, channels, dtype, pixels
        The slide; ``pixels`` is a digest of them all.
    mpp
        Micrometres per pixel: as was asked for, else where the slide says so. Of the results it is the unit; the scale
        that may follow from it is ``prediction.scale``.
    tissue
        Digest of the tissue mask; None if all of the slide is taken for tissue.
    roi
        Digest of the drawn regions; None for the whole slide.
    prediction
        What a `nucleus_unet.Segmentation` of the same pixels carries.
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


def survey(
    slide: Slide, *, cell: int, workers: int, track: Callable[[Sequence[Block]], Iterable[Block]] = iter
) -> Survey:
    """Look at every pixel once, or a few times if they are floating-point numbers, in bounded memory.

    Parameters
    ----------
    slide
        From `nucleus_unet.io.source.open_slide`.
    cell
        Side of the cells in which tissue is told from glass; see `nucleus_unet.slides.tissue_mask.cell_side`.
    workers
        Threads that read.
    track
        Wraps the list of regions, to show progress.

    Raises
    ------
    ImageError
        If pixels are NaN or infinite, or cannot be read.
    """
    height, width = slide.shape
    tally = streaming_percentiles_for(slide.dtype, height * width * (slide.channels or 1))
    digests: list[str] = []

    view, thumbnail = TissueView(slide.shape, slide.channels, cell), ThumbnailView(slide.shape, slide.channels)
    colours = ColourView(slide.shape, slide.channels, slide.dtype)

    def look(region: Block) -> _Seen:
        pixels = slide.read(*region)
        digest = hashlib.sha256(np.ascontiguousarray(pixels).data).digest()
        # What a second look is for is the counts alone.
        first_look = None
        if not digests:
            first_look = _FirstLook(
                view.extremes(pixels), thumbnail.sums(region, pixels), colours.sample(region, pixels)
            )
        return _Seen(region, tally.look(pixels), digest, first_look)

    for _ in range(tally.looks):
        digest = hashlib.sha256(repr((slide.shape, slide.channels, slide.dtype.name)).encode())
        with ThreadPoolExecutor(workers) as pool:
            for seen in prefetch_map(pool, look, track(lay_blocks(slide.shape, _SURVEY_SIDE)), depth=workers + 1):
                tally.add(seen.told)
                digest.update(seen.digest)
                if seen.first_look is not None:
                    view.add(seen.region.rows.start, seen.region.columns.start, seen.first_look.extremes)
                    thumbnail.add(seen.region, seen.first_look.sums)
                    colours.add(seen.region, seen.first_look.colours)
        tally.end_look()
        digests.append(digest.hexdigest())
    if len(set(digests)) > 1:
        raise ImageError("slide: its pixels changed while they were looked at")
    levels = tally.levels()
    return Survey(digests[0], levels, view.mask(levels), colours.stains(levels), thumbnail.picture(levels))


class _FirstLook(NamedTuple):
    extremes: tuple[NDArray[np.floating], NDArray[np.floating]]
    sums: NDArray[Any]
    colours: NDArray[Any]


class _Seen(NamedTuple):
    region: Block
    told: Any
    digest: bytes
    first_look: _FirstLook | None


def save_or_check_plan(folder: Path, plan: SlidePlan) -> None:
    """Write the plan into a run's folder, or check that the one there is the same.

    Raises
    ------
    SettingsError
        If it differs; the message says in what.
    DataError
        If it is no plan.
    """
    path = folder / PLAN
    ours = plan.to_json()
    if not path.exists():
        write_atomically(path, json.dumps(ours, indent=2) + "\n")
        return
    try:
        theirs = read_json(path)
        if not isinstance(theirs, dict) or theirs.keys() != ours.keys():
            raise ValueError("it is no plan of this version")
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}): give another out= to begin anew") from error
    differences = list(_differences(theirs, ours))
    if differences:
        raise SettingsError(
            f"{folder} holds a run with another plan: {'; '.join(differences)}. "
            "Give the same options to go on with it, or another out= to begin anew"
        )


def _differences(theirs: Any, ours: Any, name: str = "") -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            yield from _differences(theirs.get(key), ours.get(key), f"{name}.{key}" if name else key)
    elif theirs != ours:
        yield f"{name.removeprefix('prediction.')} was {theirs}, now is {ours}"

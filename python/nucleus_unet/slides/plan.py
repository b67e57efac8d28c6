"""What is fixed before the first tile of a slide: its pixels, their levels, the model, all settings.

Tile and block sizes, order and the number of workers are not among it: nothing depends on them.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from nucleus_unet.errors import DataError, ImageError, SettingsError
from nucleus_unet.files import write_atomically
from nucleus_unet.images import Levels
from nucleus_unet.segmentation import Plan
from nucleus_unet.slides.geometry import Block, lay_blocks
from nucleus_unet.slides.reader import Slide
from nucleus_unet.slides.tally import tally_for

PLAN = "plan.json"

# Of the regions that are looked at; fixed, as the pixels' digest depends on it.
_SURVEY_SIDE = 2048
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Survey:
    """What one look at every pixel of a slide tells.

    Attributes
    ----------
    pixels
        SHA-256 of all pixels: two slides with the same one are the same picture.
    levels
        As `nucleus_unet.images.measure_levels` of the whole image; None if all its pixels are equal.
    """

    pixels: str
    levels: Levels | None


@dataclass(frozen=True)
class SlidePlan:
    """All that a slide's results depend on.

    Attributes
    ----------
    height, width, channels, dtype, pixels
        The slide; ``pixels`` is a digest of them all.
    mpp
        Micrometres per pixel, where the slide says so. It changes nothing; ``prediction.scale`` does.
    prediction
        What a `nucleus_unet.Segmentation` of the same pixels carries.
    """

    height: int
    width: int
    channels: int | None
    dtype: str
    pixels: str
    mpp: float | None
    prediction: Plan

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def survey(slide: Slide, *, workers: int, track: Callable[[Sequence[Block]], Iterable[Block]] = iter) -> Survey:
    """Look at every pixel once, or a few times if they are floating-point numbers, in bounded memory.

    Parameters
    ----------
    slide
        From `nucleus_unet.slides.reader.open_slide`.
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
    tally = tally_for(slide.dtype, height * width * (slide.channels or 1))
    digests = []

    def look(region: Block) -> tuple[Any, bytes]:
        pixels = slide.read(*region)
        return tally.look(pixels), hashlib.sha256(np.ascontiguousarray(pixels).data).digest()

    for _ in range(tally.looks):
        digest = hashlib.sha256(repr((slide.shape, slide.channels, slide.dtype.name)).encode())
        with ThreadPoolExecutor(workers) as pool:
            for told, part in ahead(pool, look, track(lay_blocks(slide.shape, _SURVEY_SIDE)), depth=workers + 1):
                tally.add(told)
                digest.update(part)
        tally.end_look()
        digests.append(digest.hexdigest())
    if len(set(digests)) > 1:
        raise ImageError("slide: its pixels changed while they were looked at")
    return Survey(digests[0], tally.levels())


def ahead(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], *, depth: int) -> Iterator[R]:
    """Yield ``function`` of the items in order, at most ``depth`` of them begun before they are asked for."""
    remaining = iter(items)
    begun: deque[Future[R]] = deque(pool.submit(function, item) for item in islice(remaining, depth))
    try:
        while begun:
            result = begun.popleft().result()
            begun.extend(pool.submit(function, item) for item in islice(remaining, 1))
            yield result
    finally:
        for future in begun:
            future.cancel()


def keep_plan(folder: Path, plan: SlidePlan) -> None:
    """Write the plan into a run's folder, or check that the one there is the same.

    Raises
    ------
    SettingsError
        If it differs; the message says in what.
    """
    path = folder / PLAN
    ours = plan.to_json()
    if not path.exists():
        write_atomically(path, json.dumps(ours, indent=2) + "\n")
        return
    try:
        theirs = json.loads(path.read_text())
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}): delete {folder} and begin anew") from error
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

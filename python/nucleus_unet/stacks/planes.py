"""Several planes of an image, one after another: as an iterator, or to results on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.inference.scale_log import PLANS, log_searches, without_log_of_images
from nucleus_unet.io.selection import Place
from nucleus_unet.io.source import ImageSource, open_image
from nucleus_unet.measures.channels import other_pixels
from nucleus_unet.measures.settings import MeasureSettings, resolve_settings
from nucleus_unet.options import PredictOptions
from nucleus_unet.progress import Progress, tracker
from nucleus_unet.segmentation import Segmentation
from nucleus_unet.stacks.result import StackResult
from nucleus_unet.stacks.run import Find, StackRun

Segment = Callable[[ImageSource, Place, PredictOptions, NDArray[Any] | None], Segmentation]
"""Segments, measures and classifies the plane at a place of an image. It reads the pixels if it gets none."""

# Planes at once: while the network is at one, the next is read and grouped.
_TOGETHER = 2


def each_plane(image: Any, options: PredictOptions, segment: Segment) -> Iterator[Segmentation]:
    """Return an iterator over what is found in each plane, which reads and segments them as it advances.

    Parameters
    ----------
    image
        Path or array.
    options
        Which planes, and how.
    segment
        Segments one plane.

    Raises
    ------
    ImageError
        If the image cannot be opened, or something is left to be chosen: at once. If a plane cannot be read: when the
        iterator comes to it.
    """
    planes = _each_plane(image, options, segment)
    next(planes)  # to its first `yield`: the image is open
    return planes  # type: ignore[return-value] # which yields None no more


def _each_plane(image: Any, options: PredictOptions, segment: Segment) -> Iterator[Segmentation | None]:
    progress = Progress(options.progress, options.cancel)

    def find(quiet: PredictOptions, place: Place) -> Segmentation:
        with without_log_of_images():
            return segment(source, place, quiet, None)

    with open_image(image, axes=options.axes, channel_axis=options.channel_axis) as source:
        places = options.selection.places(source)
        yield None
        with ThreadPoolExecutor(_TOGETHER) as pool, options.for_each() as quiet:
            results = prefetch_map(pool, partial(find, quiet), places, depth=_TOGETHER)
            searches = []
            for _, result in zip(tracker("planes", show=progress)(places), results, strict=True):
                searches.append((result.plan.scale, result.plan.expected_msa))
                yield result
        log_searches(searches, "plane", PLANS, is_told=options.tells_scale)


def write_planes(
    image: Any,
    out: Path,
    options: PredictOptions,
    segment: Segment,
    *,
    formats: Sequence[str],
    settings: dict[str, Any],
    overwrite: bool,
) -> StackResult:
    """Segment planes and write the results to a folder, as `nucleus_unet.Segmenter.predict` does with ``out``.

    Parameters
    ----------
    image, options, segment
        See `each_plane`.
    out, formats, overwrite
        As `nucleus_unet.Segmenter.predict` takes them.
    settings
        All that the labels depend on, beside the pixels.
    """
    path = Path(image) if isinstance(image, Path | str) else None
    run = StackRun(path, out, formats, options.selection, settings, overwrite)
    run.check()
    with open_image(image, axes=options.axes, channel_axis=options.channel_axis) as source:

        @contextmanager
        def finding() -> Iterator[Find]:
            with options.for_each() as quiet:
                yield lambda place, pixels: segment(source, place, quiet, pixels)

        return run.go(
            source,
            finding(),
            lambda place, mpp: other_pixels(source, options.selection, place, _measured(options, mpp)),
            together=_TOGETHER,
            progress=Progress(options.progress, options.cancel),
        )


def _measured(options: PredictOptions, mpp: float | None) -> MeasureSettings | None:
    return resolve_settings(options.measure, options.expand, options.neighbour_radius, options.mpp or mpp)

"""Segment one image, or several at once, from reading to the result."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nucleus_unet.classifier.check import check_fits
from nucleus_unet.classifier.model import Classifier
from nucleus_unet.errors import ImageError
from nucleus_unet.inference.engine import Engine
from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.inference.scale_log import PLANS, log_searches, without_log_of_images
from nucleus_unet.inference.segment import segment
from nucleus_unet.io.paths import check_path
from nucleus_unet.io.selection import Place
from nucleus_unet.io.source import ImageSource, open_image
from nucleus_unet.measures.channels import channel_planes, check_measurable
from nucleus_unet.measures.image import measure_image
from nucleus_unet.measures.settings import resolve_settings
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.options import PredictOptions
from nucleus_unet.progress import Progress, tracker
from nucleus_unet.segmentation import Segmentation

Image = NDArray[Any] | Path | str

# Images of a list that are segmented at once.
_TOGETHER = 2


def segment_place(
    bundle: Bundle,
    engine: Engine,
    source: ImageSource,
    place: Place,
    options: PredictOptions,
    pixels: NDArray[Any] | None = None,
) -> Segmentation:
    """Find, measure and classify the nuclei of a plane of an image; see `nucleus_unet.Segmenter.predict`.

    Parameters
    ----------
    bundle, engine
        The model, and what runs it.
    source, place
        The image, and where in it the plane lies.
    options
        As the user gave them.
    pixels : NDArray[Any] (H, W) or (H, W, 3)
        Of the plane, if they were read already.
    """
    plane = options.selection.open(source, place)
    mpp = options.mpp or plane.mpp
    settings = resolve_settings(options.measure, options.expand, options.neighbour_radius, mpp)
    classifier = options.classifier if isinstance(options.classifier, Classifier) else None
    channels = {}
    if settings is not None:
        channels = channel_planes(source, options.selection, place)
        check_measurable(channels.values(), settings)
        if classifier is not None:
            check_fits(classifier, channels, settings, bundle.fingerprint)
    pixels = source.read(plane) if pixels is None else pixels
    found = segment(bundle, engine, pixels, options, mpp=plane.mpp)
    result = Segmentation(
        found.labels, found.probabilities, found.qualities, found.plan, pixels, found.maps, mpp, place
    )
    if settings is None:
        return result
    measures, cells = measure_image(source, channels, pixels, found.labels, settings)
    result = dataclasses.replace(result, measures=measures, cells=cells)
    if classifier is None:
        return result
    classes, probabilities = classifier.classify(result.table)
    return dataclasses.replace(result, measures={**measures, **probabilities}, classes=classes)


def segment_image(bundle: Bundle, engine: Engine, image: Image, options: PredictOptions) -> Segmentation:
    """Find the nuclei of the one plane of an image that the options choose."""
    image = check_path(image, "image") if isinstance(image, Path | str) else image
    with open_image(image, axes=options.axes, channel_axis=options.channel_axis) as source:
        return segment_place(bundle, engine, source, options.selection.places(source)[0], options)


def segment_images(
    bundle: Bundle, engine: Engine, images: Sequence[Image], options: PredictOptions
) -> Iterator[Segmentation]:
    """Find the nuclei of several images: while the network is at one, others are read and grouped."""
    progress = Progress(options.progress, options.cancel)

    def numbered(quiet: PredictOptions, each: tuple[int, Image]) -> Segmentation:
        index, image = each
        try:
            with without_log_of_images(f"images[{index}]"):
                return segment_image(bundle, engine, image, quiet)
        except ImageError as error:
            raise ImageError(f"images[{index}]: {error}") from error

    with ThreadPoolExecutor(_TOGETHER) as pool, options.for_each() as quiet:
        results = prefetch_map(pool, partial(numbered, quiet), list(enumerate(images)), depth=_TOGETHER)
        searches = []
        for _, result in zip(tracker("images", show=progress)(images), results, strict=True):
            searches.append((result.plan.scale, result.plan.expected_msa))
            yield result
    log_searches(searches, "image", PLANS, is_told=options.tells_scale)

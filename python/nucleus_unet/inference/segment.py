"""One image from pixels to labels: normalise, run the network, group."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.inference.engine import Engine, Predictor
from nucleus_unet.inference.ensembles import build_predictor
from nucleus_unet.inference.grouping import group
from nucleus_unet.inference.label_scaling import scale_labels
from nucleus_unet.inference.planning import (
    ImageReader,
    choose_group_config,
    choose_scale,
    least_area,
    make_plan,
    scale_of_options,
)
from nucleus_unet.inference.predict import predict_maps
from nucleus_unet.inference.scale_log import log_nothing_found, log_search, name_in_log
from nucleus_unet.inference.scale_search import ScaleSearch
from nucleus_unet.masks import filter_by_area, relabel_by_position
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.options import PredictOptions
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.dab import dab_attenuated_range, sampling_step
from nucleus_unet.preprocessing.levels import Levels, measure_levels
from nucleus_unet.preprocessing.resample import resample, scaled_size
from nucleus_unet.progress import Progress, tracker

logger = logging.getLogger(__name__)


class Segmented(NamedTuple):
    """The nuclei of one image.

    Attributes
    ----------
    labels : NDArray[np.uint32] (H, W)
        0 background; 1..N by raster order of each nucleus's first pixel.
    probabilities : NDArray[np.float32] (N,)
        Mean foreground probability of each nucleus.
    qualities : NDArray[np.float32] (N,)
        Estimated quality of each nucleus; NaN if the model has not learned it.
    plan
        How they were found.
    maps : NDArray[np.uint8] (h, w, 4) or None
        The network's output at its scale, if the options ask for it.
    """

    labels: NDArray[np.uint32]
    probabilities: NDArray[np.float32]
    qualities: NDArray[np.float32]
    plan: Plan
    maps: NDArray[np.uint8] | None


def segment(
    bundle: Bundle, engine: Engine, pixels: NDArray[Any], options: PredictOptions, *, mpp: float | None = None
) -> Segmented:
    """Find the nuclei of one image.

    Parameters
    ----------
    bundle, engine
        The model, and what runs it.
    pixels : NDArray[Any] (H, W) or (H, W, 3)
        From `nucleus_unet.io.source.ImageSource.read`.
    options
        See `PredictOptions`.
    mpp
        Pixel size in micrometres, if the image's file gives it.
    """
    progress = Progress(options.progress, options.cancel)
    progress.check()
    tile = options.tile or engine.default_tile
    shape = pixels.shape[:2]
    levels = measure_levels(pixels)
    step = sampling_step(pixels.shape)
    attenuated_range = dab_attenuated_range(pixels[::step, ::step], levels, options.dab)
    if attenuated_range is not None:
        levels = levels.on_glass()
    image = ImageReader(lambda *region: pixels[region], pixels.shape, pixels.dtype, mpp)
    requested = scale_of_options(bundle.config, options, image)
    searched = ScaleSearch(requested or 1.0)
    if requested is None:
        searched = choose_scale(
            engine,
            bundle.config,
            image,
            levels,
            attenuated_range=attenuated_range,
            tile=tile,
            batch_size=options.batch_size,
            progress=progress,
        )
        progress.check()
    scale = searched.scale
    min_area = least_area(bundle.config, options, searched)
    group_config = choose_group_config(bundle.config, options, scale, min_area)
    plan = make_plan(
        bundle,
        engine.identity,
        options,
        group_config,
        search=searched,
        min_area=min_area,
        levels=levels,
        attenuated_range=attenuated_range,
        tile=tile,
        batch_size=options.batch_size,
    )
    if levels.intensity_range is None:
        if pixels.size:
            logger.warning("%s: all pixels are equal: there are no nuclei to find", name_in_log())
        maps = _empty_maps(shape, scale) if options.maps else None
        none = np.zeros(0, np.float32)
        return Segmented(np.zeros(shape, np.uint32), none, none, plan, maps)
    maps = None if plan.augment or levels.padding else searched.maps.get(scale)
    if maps is None:
        network = build_predictor(engine, plan)
        maps = _predict(network, pixels, levels, scale, tile, options.batch_size, progress)
        engine.release()
    grouped = group(maps, group_config)
    labels, probabilities, qualities = grouped.labels, grouped.probabilities, grouped.qualities
    if scale != 1:
        labels = scale_labels(labels, maps[..., 0], shape, scale, threshold=group_config.foreground_threshold)
        labels, kept = _renumbered(labels, min_area or 0)
        probabilities, qualities = probabilities[kept], qualities[kept]
    if len(probabilities):
        log_search(searched)
    else:  # the search may have seen some that are dropped
        log_nothing_found(scale, options)
        plan = dataclasses.replace(plan, expected_msa=None)
    return Segmented(labels, probabilities, qualities, plan, maps if options.maps else None)


def _predict(
    network: Predictor,
    pixels: NDArray[Any],
    levels: Levels,
    scale: float,
    tile: int,
    batch_size: int,
    progress: Progress,
) -> NDArray[np.uint8]:
    if scale == 1:
        shape = pixels.shape[:2]

        def read(rows: slice, columns: slice) -> NDArray[np.float32]:
            return levels.normalise(pixels[rows, columns])
    else:
        scaled = resample(levels.normalise(pixels), scale)
        shape = scaled.shape[:2]

        def read(rows: slice, columns: slice) -> NDArray[np.float32]:
            return scaled[rows, columns]

    track = tracker("tiles", show=progress)
    maps = predict_maps(network, read, shape, tile=tile, batch_size=batch_size, track=track)
    if levels.padding is not None:
        rows, columns = (slice(0, size) for size in shape)
        maps[levels.padding.mask_at_scale(lambda *part: pixels[part], pixels.shape, rows, columns, scale)] = 0
    return maps


def _empty_maps(shape: tuple[int, int], scale: float) -> NDArray[np.uint8]:
    """Return the maps of an image whose pixels are all equal: no foreground, offsets of 0."""
    maps = np.zeros((*(scaled_size(side, scale) if side else 0 for side in shape), 4), np.uint8)
    maps[..., 2:] = 128
    return maps


def _renumbered(labels: NDArray[np.uint32], min_area: int) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Renumber labels where scaling lost a nucleus, made it too small, or changed which pixel comes first.

    Returns
    -------
    labels : NDArray[np.uint32] (H, W)
        The renumbered labels.
    kept : NDArray[np.intp] (N,)
        For each nucleus, its index before.
    """
    renumbered, old_labels = relabel_by_position(filter_by_area(labels, min_area=min_area))
    return renumbered, old_labels[1:].astype(np.intp) - 1

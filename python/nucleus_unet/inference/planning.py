"""From options to the plan of an image: its scale, its grouping settings, and all else that decides the labels."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classifier.model import Classifier
from nucleus_unet.errors import SettingsError
from nucleus_unet.inference.engine import Engine, Identity
from nucleus_unet.inference.ensembles import with_attenuated_dab
from nucleus_unet.inference.freed_memory import return_freed_memory
from nucleus_unet.inference.scale_log import (
    FEW,
    is_doubtful,
    is_logged_or_named,
    log_hidden,
    log_pixel_size,
    name_in_log,
)
from nucleus_unet.inference.scale_search import ScaleSearch, find_scale
from nucleus_unet.model.bundle import Bundle, BundleConfig
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.options import ImageOptions
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.levels import Levels
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.preprocessing.scale import agree, is_stained, requested_scale, scale_from_file
from nucleus_unet.progress import Progress

PLACES = ("scene", "time", "z")
"""Options that choose planes."""
# Options that do not change the labels of a plane. The sizes of tiles and batches do if the engine is not exact.
_NOT_SETTINGS = ("progress", "cancel", "maps", *PLACES)
_SIZES = ("tile", "batch_size")


def check_for_model(config: BundleConfig, options: ImageOptions) -> None:
    """Raise `SettingsError` if the model cannot take these options, whatever the image."""
    scale = requested_scale(config, diameter=options.diameter, mpp=options.mpp)
    choose_group_config(config, options, scale or 1.0)


class ImageReader(NamedTuple):
    """An image, as far as its scale depends on it.

    Attributes
    ----------
    read
        Returns the pixels of row and column slices, (h, w) or (h, w, 3).
    shape, dtype
        Of the image.
    mpp
        Pixel size in micrometres that the file gives. None if it gives none.
    """

    read: Callable[[slice, slice], NDArray[Any]]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    mpp: float | None


def scale_of_options(config: BundleConfig, options: ImageOptions, image: ImageReader) -> float | None:
    """Return the scale that the options ask for. None if they do not, and the scale is to be found.

    A pixel size decides for stained tissue alone. The nuclei of other images have any size in micrometres.

    Parameters
    ----------
    config
        Configuration of the model.
    options
        As the user gave them.
    image
        The image.
    """
    mpp = options.mpp if options.mpp is not None and _is_stained(image) else None
    return requested_scale(config, diameter=options.diameter, mpp=mpp)


def _is_stained(image: ImageReader) -> bool:
    return len(image.shape) == 3 and is_stained(image.read, (image.shape[0], image.shape[1]), image.dtype)


def choose_scale(
    engine: Engine,
    config: BundleConfig,
    image: ImageReader,
    levels: Levels,
    *,
    attenuated_range: IntensityRange | None,
    tile: int,
    progress: Progress,
    batch_size: int = 1,
) -> ScaleSearch:
    """Choose the scale of an image where the options do not determine it.

    The pixel size of stained tissue determines the size of its nuclei, unless nuclei are found that are more than twice
    as large or as small, and these are neither few nor doubtful. Any other image is scaled by the size of its nuclei if
    the model has a score of scales, and keeps its size if not.

    Parameters
    ----------
    engine, config
        The model, and what runs it.
    image
        The image.
    levels
        Of the image.
    attenuated_range
        Of the normalised image once its DAB is attenuated; None if that is not shown to the network.
    tile, batch_size
        See `nucleus_unet.inference.predict.predict_maps`.
    progress
        How the search reports, and how it is cancelled.

    Returns
    -------
    ScaleSearch
        The scale, and what was found by the search, if there was one.

    Raises
    ------
    CancelledError
        If the call was cancelled.
    """
    from_file = None
    size = (image.shape[0], image.shape[1])
    if image.mpp is not None and config.mpp_known and _is_stained(image):
        from_file = scale_from_file(config, image.mpp, name_in_log())
    if config.scale_score is None or levels.intensity_range is None:
        return _scaled_by_file(ScaleSearch(1.0), from_file, image.mpp, config)

    def read(rows: slice, columns: slice) -> NDArray[np.float32]:
        return levels.normalise(image.read(rows, columns))

    found = find_scale(
        with_attenuated_dab(engine, attenuated_range),
        config.group,
        config.scale_score,
        read,
        size,
        tile=tile,
        batch_size=batch_size,
        look_for_hidden=is_logged_or_named(),
        progress=progress,
    )
    engine.release()
    if not found.maps:  # a large image is next, and its peak of memory counts
        return_freed_memory()
    if from_file is not None and not agree(from_file, found.scale):
        if found.number >= FEW and not is_doubtful(found.expected_msa):
            from_file = None
        else:  # few nuclei, and doubtful ones, are no evidence against the file
            found = dataclasses.replace(found, expected_msa=found.estimate_near(from_file))
    log_hidden(found, levels.intensity_range)
    return _scaled_by_file(found, from_file, image.mpp, config)


def _scaled_by_file(found: ScaleSearch, scale: float | None, mpp: float | None, config: BundleConfig) -> ScaleSearch:
    """Return the result of a search with the scale that follows from the pixel size in the file, if any does."""
    if scale is None or mpp is None:
        return found
    log_pixel_size(mpp, scale, config.diameter)
    return dataclasses.replace(found, scale=scale, is_from_file=True)


def least_area(config: BundleConfig, options: ImageOptions, search: ScaleSearch) -> int | None:
    """Return the least area of a nucleus in pixels of the image that the options ask for; None for the model's own.

    A share is that of the median area where the scale was searched, else of the area of a nucleus of the typical
    diameter.
    """
    if options.min_area is None or options.min_area >= 1 or options.min_area == 0:
        return None if options.min_area is None else int(options.min_area)
    diameter = search.diameter or config.diameter / search.scale
    return round(options.min_area * math.pi / 4 * diameter**2)


def choose_group_config(
    config: BundleConfig, options: ImageOptions, scale: float, min_area: int | None = None
) -> GroupConfig:
    """Return the model's grouping settings with what the options change; lengths are pixels at the model's scale."""
    group = config.grouping
    if options.threshold is not None:
        group = dataclasses.replace(group, foreground_threshold=float(options.threshold))
    if options.min_probability is not None:
        # Nuclei are dropped by what the options name. Otherwise a low probability would have no effect.
        group = dataclasses.replace(group, min_score=float(options.min_probability), min_quality=0.0)
    if options.min_quality is not None:
        if group.quality is None:
            raise SettingsError(
                f"min_quality: the model {config.name!r} has not learned the quality of nuclei: give min_probability "
                "(--min-probability) instead, or teach it with nucleus-unet calibrate --quality"
            )
        group = dataclasses.replace(group, min_quality=float(options.min_quality))
    if min_area is not None:
        # At another scale, the areas in pixels of the image are known only once the labels are scaled.
        group = dataclasses.replace(group, min_area=min_area if scale == 1 else 0)
    return group


def make_plan(
    bundle: Bundle,
    identity: Identity,
    options: ImageOptions,
    group_config: GroupConfig,
    *,
    search: ScaleSearch,
    min_area: int | None,
    levels: Levels,
    attenuated_range: IntensityRange | None,
    tile: int,
    batch_size: int,
) -> Plan:
    """Put together all that decides the labels of an image.

    Parameters
    ----------
    bundle, identity
        The model, and what runs it.
    options, group_config
        As the user and the model have them.
    search
        From `choose_scale`.
    min_area
        From `least_area`.
    levels
        Of the image.
    attenuated_range
        Of the normalised image once its DAB is attenuated; None if that is not shown to the network.
    tile, batch_size
        The plan names them where the engine's output depends on them.

    Returns
    -------
    Plan
        The plan of the image.
    """
    return Plan(
        model=bundle.config.name,
        fingerprint=bundle.fingerprint,
        intensity_range=None if levels.intensity_range is None else list(levels.intensity_range),
        padding=None if levels.padding is None else levels.padding.to_json(),
        scale=search.scale,
        augment=bool(options.augment),
        dab=None if attenuated_range is None else list(attenuated_range),
        min_area=min_area,
        engine=identity.engine,
        device=identity.device,
        precision=identity.precision,
        hardware=identity.hardware,
        threads=identity.threads,
        tile=None if identity.exact else tile,
        batch_size=None if identity.exact else batch_size,
        group=group_config.to_json(),
        expected_msa=search.expected_msa,
    )


def settings_of(bundle: Bundle, identity: Identity, options: ImageOptions) -> dict[str, Any]:
    """Return all that the labels of a plane depend on, beside its pixels, as plain JSON types.

    Parameters
    ----------
    bundle, identity
        The model, and what runs it.
    options
        As the user gave them.
    """
    left_out = _NOT_SETTINGS + (_SIZES if identity.exact else ())
    chosen = {name: value for name, value in options.keywords().items() if name not in left_out}
    engine = {name: value for name, value in dataclasses.asdict(identity).items() if name != "exact"}
    if isinstance(options.classifier, Classifier):
        chosen["classifier"] = options.classifier.fingerprint
    settings = {"model": bundle.config.name, "fingerprint": bundle.fingerprint, **engine, **chosen}
    # As a record has them when it is read again: a tuple would differ from the list that it becomes.
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain

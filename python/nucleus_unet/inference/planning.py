"""From options to the plan of an image: its scale, its grouping settings, and all else that decides the labels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.inference.engine import Identity
from nucleus_unet.model.bundle import Bundle, BundleConfig
from nucleus_unet.model.group_config import GroupConfig
from nucleus_unet.options import ImageOptions
from nucleus_unet.plan import Plan
from nucleus_unet.preprocessing.levels import Levels
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.preprocessing.scale import is_stained, requested_scale, scale_from_file


def check_for_model(config: BundleConfig, options: ImageOptions) -> None:
    """Raise `SettingsError` if the model cannot take these options, whatever the image."""
    scale = requested_scale(config, diameter=options.diameter, mpp=options.mpp)
    choose_group_config(config, options, scale or 1.0)


def choose_scale(
    config: BundleConfig,
    options: ImageOptions,
    *,
    mpp: float | None,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    read: Callable[[slice, slice], NDArray[Any]],
) -> float:
    """Return the magnification from the image to what the network sees.

    Parameters
    ----------
    config
        Of the model.
    options
        Its ``diameter`` or ``mpp`` decides.
    mpp
        Pixel size in micrometres that the file gives; it decides for stained tissue where the options do not.
    shape, dtype
        Of the image.
    read
        Returns the pixels of row and column slices.
    """
    requested = requested_scale(config, diameter=options.diameter, mpp=options.mpp)
    if requested is not None:
        return requested
    if mpp is None or not config.mpp_known or len(shape) == 2:
        return 1.0
    return scale_from_file(config, mpp) if is_stained(read, (shape[0], shape[1]), dtype) else 1.0


def choose_group_config(config: BundleConfig, options: ImageOptions, scale: float) -> GroupConfig:
    """Return the model's grouping settings with what the options change; lengths are pixels at the model's scale."""
    group = config.group
    if options.threshold is not None:
        group = dataclasses.replace(group, foreground_threshold=float(options.threshold))
    if options.min_area is not None:
        group = dataclasses.replace(group, min_area=math.floor(options.min_area * scale**2))
    return group


def make_plan(
    bundle: Bundle,
    identity: Identity,
    options: ImageOptions,
    group_config: GroupConfig,
    *,
    scale: float,
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
    options, group_config, scale
        As the user and the model have them.
    levels
        Of the image.
    attenuated_range
        Of the normalised image once its DAB is attenuated; None if that is not shown to the network.
    tile, batch_size
        The plan names them where the engine's output depends on them.
    """
    return Plan(
        model=bundle.config.name,
        fingerprint=bundle.fingerprint,
        intensity_range=None if levels.intensity_range is None else list(levels.intensity_range),
        padding=None if levels.padding is None else levels.padding.to_json(),
        scale=scale,
        augment=bool(options.augment),
        dab=None if attenuated_range is None else list(attenuated_range),
        min_area=None if options.min_area is None else int(options.min_area),
        engine=identity.engine,
        device=identity.device,
        precision=identity.precision,
        hardware=identity.hardware,
        threads=identity.threads,
        tile=None if identity.exact else tile,
        batch_size=None if identity.exact else batch_size,
        group=group_config.to_json(),
    )

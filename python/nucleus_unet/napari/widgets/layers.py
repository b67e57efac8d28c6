"""What the widgets know of a label layer: where it lies, and what it was found in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.extras import require
from nucleus_unet.napari.correcting import as_labels
from nucleus_unet.napari.finding import Part
from nucleus_unet.napari.regions import Placement, possible_axes, whole
from nucleus_unet.napari.widgets.common import layers_of

# In the metadata of a layer.
_KEY = "nucleus-unet"


class Source(NamedTuple):
    """What the labels of a layer were found in, and with which options."""

    part: Part
    options: Mapping[str, Any]


def remember(layer: Any, part: Part, options: Mapping[str, Any]) -> None:
    """Note what the labels of a layer were found in."""
    layer.metadata[_KEY] = Source(part, options)


def transform_of(layer: Any, placement: Placement) -> dict[str, Any]:
    """Return the options of a new layer that lies on another one, as a placement says."""
    affine = require("napari.utils.transforms", "the plugin needs napari", extra="napari").utils.transforms.Affine
    own = affine(scale=layer.scale, rotate=layer.rotate, shear=layer.shear, translate=layer.translate)
    return {
        "scale": np.asarray(layer.scale) * placement.stretch,
        "translate": np.asarray(own(np.asarray(placement.first))),
        "rotate": layer.rotate,
        "shear": layer.shear,
        "affine": layer.affine,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def label_array(layer: Any) -> NDArray[np.uint32]:
    """Return a copy of the labels of a layer as uint32.

    Raises
    ------
    SettingsError
        If the layer is a pyramid.
    MaskError
        If the labels are below 0 or beyond 32 bits.
    """
    if layer.multiscale:
        raise SettingsError(f"{layer.name}: expected labels of one level, got a pyramid")
    return as_labels(np.array(layer.data))


def same_place(one: Any, other: Any) -> bool:
    """Whether two layers have the same axes and lie on the same pixels."""
    return one.ndim == other.ndim and all(
        np.allclose(np.asarray(getattr(one, name)), np.asarray(getattr(other, name)))
        for name in ("scale", "translate", "rotate", "shear", "affine")
    )


def source_of(viewer: Any, labels: Any) -> Source:
    """Return what the labels of a layer were found in. For labels from elsewhere, the image layer that they lie on.

    Raises
    ------
    SettingsError
        If no image layer has the same pixels, or several have.
    """
    known = labels.metadata.get(_KEY)
    if isinstance(known, Source) and known.part.placement.shape == labels.data.shape:
        return known
    images = [
        image
        for image in layers_of(viewer, "Image")
        if not image.multiscale
        and tuple(image.data.shape[: image.ndim]) == tuple(labels.data.shape)
        and same_place(image, labels)
    ]
    if len(images) != 1:
        found = ", ".join(image.name for image in images) or "none"
        raise SettingsError(
            f"{labels.name}: expected one image layer with the same pixels, got {found}: "
            + ("hide none, but remove all but one" if images else "open the image of these labels")
        )
    [image] = images
    axes = possible_axes(image.ndim, rgb=image.rgb, names=image.axis_labels)
    if "C" in axes[0]:
        raise SettingsError(f"{labels.name}: expected an image without channels, got axes {axes[0]}: split them first")
    height, width = labels.data.shape[-2:]
    part = Part(image.data, axes[0], whole((height, width)), time="all", z="all")
    return Source(part, {})

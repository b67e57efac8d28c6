"""A segmentation with cells and measured channels, which no network made."""

from __future__ import annotations

import dataclasses

from nucleus_unet.io.source import open_image
from nucleus_unet.measures.channels import channel_planes
from nucleus_unet.measures.image import measure_image
from nucleus_unet.measures.settings import resolve_settings
from nucleus_unet.options import PredictOptions
from nucleus_unet.segmentation import Segmentation

from helpers.segmentations import blobs, made


def measured(*, mpp: float | None = 0.5) -> Segmentation:
    """Five nuclei with cells of 2 pixels around them, all measures of a grey image, and a pixel size."""
    nuclei = made(blobs())
    options = PredictOptions(measure="intensity,shape,neighbours", expand=2, mpp=mpp)
    settings = resolve_settings(options.measure, options.expand, options.neighbour_radius, mpp)
    assert settings is not None
    with open_image(nuclei.image) as source:
        place = options.selection.places(source)[0]
        channels = channel_planes(source, options.selection, place)
        measures, cells = measure_image(source, channels, nuclei.image, nuclei.labels, settings)
    return dataclasses.replace(nuclei, measures=measures, cells=cells, mpp=mpp)

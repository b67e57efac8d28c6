"""What somebody who runs an exported model without this package must know: numbers in JSON, and the same in words."""

from __future__ import annotations

import json
import re
from typing import Any

from nucleus_unet import __version__
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.model.config import OFFSET_SCALE
from nucleus_unet.model.graph import receptive_radius, stride
from nucleus_unet.model.targets import OFFSET_STEPS, OFFSET_ZERO
from nucleus_unet.preprocessing.normalisation import PERCENTILES

MADE_BY = "nucleus-unet export-model"
CHANNELS = ("foreground logit", "centre heat logit", "row offset", "column offset")

_CHANNEL_MEANINGS = (
    "sigmoid of it: probability that the pixel belongs to a nucleus",
    "sigmoid of it: 1 on the centre of a nucleus, falling off around it",
    f"rows from the pixel to its nucleus's centre, in units of {OFFSET_SCALE:g} pixels",
    f"columns from the pixel to its nucleus's centre, in units of {OFFSET_SCALE:g} pixels",
)

_BLACK, _WHITE = (f"{percentile:g}" for percentile in PERCENTILES)
_NORMALISING = (
    f"Take percentiles {_BLACK} and {_WHITE} of all pixels and colours of the whole image together, "
    "interpolated linearly.",
    "Map the first to 0 and the second to 1, linearly, and clip to 0..1.",
    "If the two are equal, take the least and the most number instead; if these are equal too, there are no nuclei.",
    "A grey image is shown three times, as red, green and blue.",
)

_PADDING = (
    "Add rows below and columns to the right until height and width are multiples of the stride: repeat the last ones.",
    "Drop what is said of them.",
)

_MAPPING = (
    "Foreground and heat: sigmoid, times 255, rounded.",
    f"Offsets: times {OFFSET_SCALE * OFFSET_STEPS:g}, plus {OFFSET_ZERO}, rounded, clipped to 0..255, "
    f"so that a step is 1/{OFFSET_STEPS} pixel.",
)

_GROUPING = (
    "Smooth the heat by a Gaussian of centre_sigma pixels.",
    "A centre is a pixel whose smoothed heat is at least centre_threshold and the highest within window rows and "
    "columns; of equal ones the first in raster order.",
    "A centre yields to a higher one within merge_distance pixels, "
    "unless the heat between them dips by the share merge_dip.",
    "A pixel whose foreground is at least foreground_threshold follows its offset, clipped to max_offset rows "
    "and columns; it belongs to the nearest centre within assignment_radius pixels of there, else to none.",
    "Of each nucleus the largest 4-connected piece stays, and its holes are filled.",
    "A nucleus is dropped if it has fewer than min_area pixels, a mean foreground below min_score, "
    "or a heat below min_peak at its centre.",
    "Nuclei are numbered from 1 by raster order of their first pixels.",
)


def describe(bundle: Bundle, kind: str, *, precision: str = "float32", layout: str = "NCHW") -> dict[str, Any]:
    """Describe an exported model.

    Parameters
    ----------
    bundle
        The model.
    kind
        Format of the export.
    precision
        In which it computes.
    layout
        Order of its input's axes.

    Returns
    -------
    dict
        Plain JSON types.
    """
    config = bundle.config
    step, radius = stride(config.network), receptive_radius(config.network)
    return {
        "made_by": MADE_BY,
        "version": __version__,
        "format": kind,
        "precision": precision,
        "name": config.name,
        "fingerprint": bundle.fingerprint,
        "licence": licence(bundle),
        "model_card": bundle.card,
        "input": {
            "name": "image",
            "layout": layout,
            "channels": ["red", "green", "blue"],
            "range": [0, 1],
            "normalisation": {"percentiles": list(PERCENTILES), "shared_by_channels": True, "how": list(_NORMALISING)},
            "padding": {"multiple_of": step, "how": list(_PADDING)},
            "nuclear_diameter": config.diameter,
            "micrometres_per_pixel": config.mpp if config.mpp_known else None,
        },
        "output": {
            "name": "output",
            "layout": "NCHW",
            "channels": [
                {"name": name, "meaning": meaning} for name, meaning in zip(CHANNELS, _CHANNEL_MEANINGS, strict=True)
            ],
        },
        "tiles": {
            "stride": step,
            "receptive_radius": radius,
            "how": [
                f"A tile begins at a multiple of {step} rows and columns of the image.",
                f"What is said of pixels within {radius} of a tile's edge holds only where that is the image's edge.",
            ],
        },
        "grouping": {
            "settings": config.group.to_json(),
            "maps": list(_MAPPING),
            "how": list(_GROUPING),
            "code": "nucleus_unet.inference.predict.maps_of_output, then nucleus_unet.inference.grouping.group",
        },
    }


def metadata(description: dict[str, Any]) -> dict[str, str]:
    """Bring a description to text by name, as ONNX files hold it; what is no text becomes JSON."""
    return {name: each if isinstance(each, str) else json.dumps(each) for name, each in description.items()}


def licence(bundle: Bundle) -> str:
    """Return what a bundle's model card says of its licence, in one line."""
    found = re.search(r"^## Licence\s*\n(.*?)(?=^#|\Z)", bundle.card, flags=re.MULTILINE | re.DOTALL)
    said = " ".join(found[1].split()) if found else ""
    return said or "The model came without a word on it: ask whoever made it."


def in_words(bundle: Bundle, description: dict[str, Any]) -> str:
    """Return a description as Markdown, with what the bundle's card and metrics say at the end.

    Parameters
    ----------
    bundle
        The model.
    description
        From `describe`.
    """
    given, output, grouping = description["input"], description["output"], description["grouping"]
    size = given["micrometres_per_pixel"]
    suits = f"Nuclei about {given['nuclear_diameter']:g} pixels wide suit it best" + (
        "." if size is None else f": stained tissue at {size:g} micrometres a pixel."
    )
    settings = ["| setting | value |", "|---|---|"]
    settings += [f"| {name} | {value:g} |" for name, value in grouping["settings"].items()]
    parts = [
        f"# {description['name']}",
        "Finds nuclei in microscopy images. The network says four numbers of every pixel. Grouping the pixels, which "
        "the network does not do, makes nuclei of them.",
        f"Made by `{MADE_BY}`, version {description['version']}. Fingerprint: `{description['fingerprint']}`.",
        "## Input",
        f"`{given['name']}`: {given['layout']}, float32, 0 to 1. Height and width are multiples of "
        f"{given['padding']['multiple_of']}. {suits}",
        _numbered([*given["normalisation"]["how"], *given["padding"]["how"]]),
        "## Output",
        f"`{output['name']}`: {output['layout']}, float32. Its channels:",
        "\n".join(f"- {each['name']}: {each['meaning']}." for each in output["channels"]),
        "## Tiles",
        " ".join(description["tiles"]["how"]),
        "## Grouping",
        "Maps are made of the output, as bytes:",
        _numbered(grouping["maps"]),
        "Then:",
        _numbered(grouping["how"]),
        "\n".join(settings),
        f"In Python: `{grouping['code']}`.",
        "## Validation",
        _measured(bundle),
        "## Licence",
        description["licence"] + (" These words are from the model card below." if bundle.card else ""),
    ]
    if bundle.card:
        parts += ["## Model card", re.sub(r"^#", "###", bundle.card, flags=re.MULTILINE).strip()]
    return "\n\n".join(parts) + "\n"


def _numbered(steps: list[str]) -> str:
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


def _measured(bundle: Bundle) -> str:
    try:
        overall = bundle.metrics["validation"]["overall"]
        images, truths = int(overall["images"]), int(overall["truths"])
        precision, mean = float(overall["pooled_ap"]["0.50"]), float(overall["pooled_mean_ap"])
    except (KeyError, TypeError, ValueError):
        return "The model holds no figures of images that it was not trained on."
    return (
        f"On {images} images with {truths} nuclei that it was not trained on: average precision {precision:.3f} at an "
        f"IoU of 0.5, {mean:.3f} as a mean over 0.5 to 0.95, all images pooled; measured when it was trained."
    )

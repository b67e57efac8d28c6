"""Description of an exported model for use without this package, as JSON and as Markdown."""

from __future__ import annotations

import json
import re
from typing import Any

from nucleus_unet import __version__
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.model.config import OFFSET_SCALE
from nucleus_unet.model.graph import receptive_radius, stride
from nucleus_unet.model.quadratic import CLIP
from nucleus_unet.model.targets import OFFSET_STEPS, OFFSET_ZERO
from nucleus_unet.preprocessing.normalisation import OTHERS_PERCENTILES, PERCENTILES
from nucleus_unet.wording import counted

MADE_BY = "nucleus-unet export-model"
CHANNELS = ("foreground logit", "centre heat logit", "row offset", "column offset")

_CHANNEL_MEANINGS = (
    "its sigmoid is the probability that the pixel belongs to a nucleus",
    "its sigmoid is 1 at the centre of a nucleus and decreases around it",
    f"rows from the pixel to the centre of its nucleus, in units of {OFFSET_SCALE:g} pixels",
    f"columns from the pixel to the centre of its nucleus, in units of {OFFSET_SCALE:g} pixels",
)

_BLACK, _WHITE = (f"{percentile:g}" for percentile in PERCENTILES)
_DARK, _BRIGHT = OTHERS_PERCENTILES
_NORMALISING = (
    f"Compute percentiles {_BLACK} and {_WHITE} of all values of the whole image, over all channels together, "
    "with linear interpolation.",
    "Map the first percentile to 0 and the second to 1, linearly, and clip to the range 0 to 1.",
    "If the percentiles are equal, nearly all pixels have one value. Compute percentiles "
    f"{_DARK:g} and {_BRIGHT:g} of the other pixels. Map the least of these three values to 0 and the largest to 1. If "
    "there are no other pixels, there are no nuclei.",
    "Repeat a grey image as red, green and blue.",
)

_PADDING = (
    "Pad at the bottom and at the right, by repeating the last row and column, until height and width are multiples of "
    "the stride.",
    "Remove the padding from the output.",
)

_MAPPING = (
    "Foreground and heat: sigmoid, multiplied by 255, rounded.",
    f"Offsets: multiplied by {OFFSET_SCALE * OFFSET_STEPS:g}, plus {OFFSET_ZERO}, rounded, clipped to 0..255. "
    f"A step is 1/{OFFSET_STEPS} pixel.",
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
    "If quality is not null, six numbers are measured of each nucleus. Over its pixels: the mean foreground, the "
    "smoothed heat at its centre, the mean heat, and the root mean square distance in pixels from where the offsets "
    "point to the centre, of pixels whose foreground is at least foreground_threshold. Over the edges between its "
    "pixels and others: the mean foreground on the inner and on the outer side.",
    f"Each number, less its mean and divided by its spread, is clipped to {CLIP:g} on both sides. The weights are "
    "those of 1, of the six numbers, and of their products 11, 12, ..., 16, 22, ..., 66. The logistic function of the "
    "weighted sum is the quality of the nucleus: its estimated intersection over union with the true one.",
    "A nucleus is dropped if it has fewer than min_area pixels, a mean foreground below min_score, "
    "a heat below min_peak at its centre, or a quality below min_quality.",
    "Nuclei are numbered from 1 by raster order of their first pixels.",
)


def describe(bundle: Bundle, file_format: str, *, precision: str = "float32", layout: str = "NCHW") -> dict[str, Any]:
    """Describe an exported model.

    Parameters
    ----------
    bundle
        The model.
    file_format
        Format of the export.
    precision
        Precision of the exported graph.
    layout
        Order of the input's axes.

    Returns
    -------
    dict
        The description as JSON types.
    """
    config = bundle.config
    step, radius = stride(config.network), receptive_radius(config.network)
    return {
        "made_by": MADE_BY,
        "version": __version__,
        "format": file_format,
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
                f"The output within {radius} pixels of a tile's edge is valid only if this edge is the image's edge.",
            ],
        },
        "grouping": {
            "settings": config.grouping.to_json(),
            "maps": list(_MAPPING),
            "how": list(_GROUPING),
            "code": "nucleus_unet.inference.predict.maps_of_output, then nucleus_unet.inference.grouping.group",
        },
    }


def metadata(description: dict[str, Any]) -> dict[str, str]:
    """Return a description as strings by name, for the metadata of ONNX files. Other types than str become JSON."""
    return {name: each if isinstance(each, str) else json.dumps(each) for name, each in description.items()}


def licence(bundle: Bundle) -> str:
    """Return the licence section of a bundle's model card, in one line."""
    found = re.search(r"^## Licence\s*\n(.*?)(?=^#|\Z)", bundle.card, flags=re.MULTILINE | re.DOTALL)
    text = " ".join(found[1].split()) if found else ""
    return text or "The model card states no licence: ask the author of the model."


def to_markdown(bundle: Bundle, description: dict[str, Any]) -> str:
    """Return a description as Markdown, with the validation metrics and the model card at the end.

    Parameters
    ----------
    bundle
        The model.
    description
        Description from `describe`.
    """
    given, output, grouping = description["input"], description["output"], description["grouping"]
    size = given["micrometres_per_pixel"]
    suits = f"The best nuclear diameter is about {given['nuclear_diameter']:g} pixels" + (
        "." if size is None else f", which is that of stained tissue at {size:g} micrometres per pixel."
    )
    settings = ["| setting | value |", "|---|---|"]
    settings += [f"| {name} | {value:g} |" for name, value in grouping["settings"].items() if name != "quality"]
    for name, numbers in (grouping["settings"]["quality"] or {}).items():
        settings.append(f"| {name} of the quality | {', '.join(f'{number:g}' for number in numbers)} |")
    parts = [
        f"# {description['name']}",
        "Finds nuclei in microscopy images. The network predicts four numbers for every pixel. The grouping, which is "
        "not part of the network, assigns the pixels to nuclei.",
        f"Written by `{MADE_BY}`, version {description['version']}. Fingerprint: `{description['fingerprint']}`.",
        "## Input",
        f"`{given['name']}`: {given['layout']}, float32, values 0 to 1. Height and width are multiples of "
        f"{given['padding']['multiple_of']}. {suits}",
        _numbered([*given["normalisation"]["how"], *given["padding"]["how"]]),
        "## Output",
        f"`{output['name']}`: {output['layout']}, float32. Its channels:",
        "\n".join(f"- {each['name']}: {each['meaning']}." for each in output["channels"]),
        "## Tiles",
        " ".join(description["tiles"]["how"]),
        "## Grouping",
        "Convert the output to maps of bytes:",
        _numbered(grouping["maps"]),
        "Then:",
        _numbered(grouping["how"]),
        "\n".join(settings),
        f"In Python: `{grouping['code']}`.",
        "## Validation",
        _measured(bundle),
        "## Licence",
        description["licence"] + (" This text is from the model card below." if bundle.card else ""),
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
        return "The model has no metrics on held-out images."
    return (
        f"On {counted(images, 'held-out image')} with {counted(truths, 'nucleus')}: "
        f"pooled average precision {precision:.3f} at an IoU of 0.5, "
        f"and {mean:.3f} as the mean over 0.5 to 0.95. Measured at the end of training."
    )

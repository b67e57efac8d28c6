"""What an image file contains, as ``nucleus-unet info`` tells it."""

from __future__ import annotations

from typing import Any

from nucleus_unet.errors import ImageError
from nucleus_unet.io.scene import Scene
from nucleus_unet.io.source import ImageSource

# Scenes that are described one by one; of a plate there may be thousands.
_DESCRIBED = 20


def describe(source: ImageSource) -> dict[str, Any]:
    """Return what a source contains, as JSON has it.

    Returns
    -------
    dict
        ``file``, ``format``, ``scenes`` (the names of all), ``images`` (axes, dtype, channels, pixel size in
        micrometres, levels and origin of each of the first 20 scenes, and what ``predict`` takes without options, or
        asks for), ``predict`` (the same of the file), and ``not_read``.

    Examples
    --------
    >>> import numpy as np
    >>> from nucleus_unet.io.source import open_image
    >>> describe(open_image(np.zeros((20, 30), np.uint8)))["predict"]
    'takes the grey values of 20 x 30 pixels'
    """
    count = min(len(source.scenes), _DESCRIBED)
    return {
        "file": source.name,
        "format": source.format,
        "scenes": list(source.scenes),
        "images": [_describe_scene(source, number) for number in range(count)],
        "predict": _taken(source, None),
        "not_read": list(source.warnings),
    }


def _describe_scene(source: ImageSource, number: int) -> dict[str, Any]:
    try:
        scene = source.scene(number)
    except ImageError as error:
        return {"name": source.scenes[number], "predict": f"cannot read it: {error}"}
    return {
        "name": scene.name,
        "axes": scene.sizes,
        "dtype": scene.dtype.name,
        "channels": [_describe_channel(scene, place) for place in range(len(scene.channels or scene.samples))],
        "pixel_size": scene.pixel_size,
        "levels": [list(level) for level in scene.levels],
        "origin": list(scene.origin),
        "predict": _taken(source, number),
    }


def _describe_channel(scene: Scene, place: int) -> dict[str, Any]:
    channel = (scene.channels or scene.samples)[place]
    return {"name": channel.name, "kind": channel.kind, "colour": channel.colour}


def _taken(source: ImageSource, scene: int | None) -> str:
    try:
        plane = source.plane(scene=scene)
        source.check_size(plane)
    except ImageError as error:
        return f"asks: {str(error).removeprefix(f'{source.name}: ')}"
    what = "the colours" if plane.channels else "the grey values"
    alpha = ", and how transparent they are" if plane.alpha else ""
    return f"takes {what} of {plane.shape[0]} x {plane.shape[1]} pixels{alpha}"

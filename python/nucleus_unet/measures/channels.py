"""The channels of a source, all of which are measured, and their names in columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError
from nucleus_unet.io.choice import COLOURS
from nucleus_unet.io.plane import Plane
from nucleus_unet.io.selection import Place, Selection
from nucleus_unet.io.source import ImageSource
from nucleus_unet.measures.settings import MeasureSettings
from nucleus_unet.measures.textures import require_texture

_COLOUR_NAMES = ("red", "green", "blue")


def channel_planes(source: ImageSource, selection: Selection, place: Place, *, level: int = 0) -> dict[str, Plane]:
    """Return the plane of every channel of a source at a place, by a plain name.

    Parameters
    ----------
    source
        The source.
    selection
        What is segmented. A projection is that of every channel. The channel matters only where nothing says what
        pages are.
    place
        One of the places of the selection.
    level
        Of a pyramid; 0 is the full resolution.

    Returns
    -------
    dict of str to Plane
        Names have letters, digits and underscores. A colour image is one channel without a name.
    """
    described, channel = source.scene(place.scene), selection.channel
    sizes = described.sizes

    def plane(number: int | str | None) -> Plane:
        return replace(selection, channel=number).open(source, place, level=level)

    if sizes.get("Q", 1) > 1 and sizes.get("C", 1) == 1 and channel not in (None, COLOURS):
        return {f"channel_{number}": plane(number) for number in range(sizes["Q"])}
    kinds = described.channels if "C" in sizes else described.samples
    numbered = [(number, each) for number, each in enumerate(kinds) if each.kind != "alpha"]
    are_colours = [number for number, each in numbered if each.kind == "colour"] == [0, 1, 2]
    if are_colours or channel == COLOURS:
        return {"": plane(COLOURS if channel == COLOURS else None)}
    if "C" not in sizes and len(numbered) < 2:
        return {"": plane(None)}
    planes: dict[str, Plane] = {}
    for number, each in numbered:
        name = plain_name(each.name)
        while name in planes:
            name = f"{name}_{number}"
        planes[name] = plane(number)
    return planes


def other_pixels(
    source: ImageSource, selection: Selection, place: Place, settings: MeasureSettings | None
) -> Iterator[NDArray[Any]]:
    """Yield the pixels of a place that its measures depend on, beside those that are segmented."""
    if settings is not None and settings.needs_pixels:
        planes = channel_planes(source, selection, place)
        if len(planes) > 1:
            yield from map(source.read, planes.values())


def check_measurable(planes: Iterable[Plane], settings: MeasureSettings) -> None:
    """Check before long work that channels and packages allow what is to be measured.

    Raises
    ------
    SettingsError
        If stains are to be measured and no channel has colours.
    MissingExtraError
        If textures are to be measured and scikit-image is not installed.
    """
    if "stain" in settings.groups and not any(plane.channels for plane in planes):
        raise SettingsError("measure: stain needs an image of red, green and blue, got grey values")
    if "texture" in settings.groups:
        require_texture()


def plain_name(name: str) -> str:
    """Return a name of letters, digits and underscores.

    Examples
    --------
    >>> plain_name("CD3 (Opal 520)"), plain_name("2")
    ('CD3_Opal_520', 'channel_2')
    """
    plain = re.sub(r"\W+", "_", name).strip("_")
    return f"channel_{plain}".rstrip("_") if plain.isdecimal() or not plain else plain


def column_names(name: str, pixels: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the name and the pixels (H, W) of each colour of a channel, or of its grey values."""
    if pixels.ndim == 2:
        yield name or "grey", pixels
        return
    for place, colour in enumerate(_COLOUR_NAMES):
        yield (f"{name}_{colour}" if name else colour), pixels[..., place]

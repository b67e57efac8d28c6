"""What is measured, and how far cells reach: what the options ``measure``, ``expand`` and ``neighbour_radius`` mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nucleus_unet.errors import SettingsError
from nucleus_unet.measures.lengths import parse_length

GROUPS = {
    "intensity": "brightness of every channel in nucleus, ring and cell",
    "shape": "size and form of nucleus and cell",
    "neighbours": "distance to the nearest nucleus, and nuclei around",
    "stain": "optical densities of haematoxylin and DAB",
    "texture": "grey level co-occurrence of every channel in the nucleus",
}
"""Groups of measures by the names that ``measure`` takes."""

BACKGROUND_REACH = 10
"""Pixels around the box of a cell in which its background is measured."""

NEIGHBOUR_RADIUS = 100.0
"""Pixels within which nuclei are neighbours, unless options say otherwise."""

# Parts of slides that are read around nuclei grow with it.
_MOST_EXPANSION = 1000


@dataclass(frozen=True, kw_only=True)
class MeasureSettings:
    """Settings in pixels.

    Attributes
    ----------
    groups
        Some of `GROUPS`, in their order.
    expand
        Distance in pixels that cells reach beyond nuclei. None: no cells.
    neighbour_radius
        Distance in pixels within which nuclei are neighbours.
    mpp
        Micrometres per pixel. None: nothing is measured in micrometres.
    """

    groups: tuple[str, ...]
    expand: float | None
    neighbour_radius: float
    mpp: float | None

    @property
    def reach(self) -> int:
        """How far beyond the box of a nucleus pixels and other nuclei decide its measures, in pixels.

        A pixel of the cell, or in the rectangle of the background, belongs to the nearest nucleus within ``expand``.
        """
        around = math.ceil(self.expand or 0)
        return 2 * around + BACKGROUND_REACH + 1

    @property
    def needs_pixels(self) -> bool:
        """Whether channels are read."""
        return not {"intensity", "stain", "texture"}.isdisjoint(self.groups)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON has them."""
        return {**asdict(self), "groups": list(self.groups)}


def parse_groups(name: str, value: Any) -> tuple[str, ...]:
    """Read the names of groups: a sequence, or text with commas.

    Raises
    ------
    SettingsError
        If a name is unknown, or there is none.

    Examples
    --------
    >>> parse_groups("measure", "shape,intensity"), parse_groups("measure", ["stain"])
    (('intensity', 'shape'), ('stain',))
    """
    if isinstance(value, str):
        value = [each.strip() for each in value.split(",") if each.strip()]
    expected = f"{name}: expected some of {', '.join(GROUPS)}"
    if not isinstance(value, Sequence) or not all(isinstance(each, str) for each in value):
        raise SettingsError(f"{expected}, got {value!r}")
    unknown = [each for each in value if each not in GROUPS]
    if unknown or not value:
        raise SettingsError(f"{expected}, got {', '.join(map(repr, unknown)) or 'none'}")
    return tuple(group for group in GROUPS if group in value)


def resolve_settings(
    groups: Sequence[str] | str | None, expand: float | str | None, neighbour_radius: float | str, mpp: float | None
) -> MeasureSettings | None:
    """Return the settings that options mean for an image; None if nothing is measured.

    Parameters
    ----------
    groups, expand, neighbour_radius
        The options ``measure``, ``expand`` and ``neighbour_radius``.
    mpp
        Micrometres per pixel of the image, if known.

    Raises
    ------
    SettingsError
        If a length is in micrometres and the pixel size is not known, or if it is 0 or too long.
    """
    if groups is None and expand is None:
        return None
    radius = parse_length("neighbour_radius", neighbour_radius).pixels("neighbour_radius", mpp)
    if radius == 0:
        raise SettingsError("neighbour_radius: expected a positive length, got 0")
    return MeasureSettings(
        groups=() if groups is None else parse_groups("measure", groups),
        expand=None if expand is None else parse_length("expand", expand).pixels("expand", mpp, most=_MOST_EXPANSION),
        neighbour_radius=radius,
        mpp=mpp,
    )

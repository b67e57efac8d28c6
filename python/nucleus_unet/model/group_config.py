"""The settings that turn maps into nuclei, as a model bundle stores them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from nucleus_unet import _core
from nucleus_unet.errors import SettingsError


@dataclass(frozen=True)
class GroupConfig:
    """How maps become nuclei; calibrated on validation images and stored in the bundle.

    All lengths are pixels at model scale.

    Attributes
    ----------
    foreground_threshold
        Least foreground probability of a nucleus's pixel.
    heat_threshold
        Least heat of a centre.
    heat_sigma
        Smoothing of the heat before centres are looked for.
    window
        No two centres lie within this many rows and columns of each other.
    join_distance, join_dip
        A centre gives way to a higher one within this distance, unless the heat between them dips by this share.
    snap
        A pixel belongs to the nearest centre within this distance of where its offset points.
    reach
        Offsets are clipped to this many rows and columns.
    min_area
        Least area of a nucleus, in pixels.
    min_score
        Least mean foreground probability of a nucleus.
    min_peak
        Least heat of a nucleus's centre.
    """

    foreground_threshold: float = 0.5
    heat_threshold: float = 0.25
    heat_sigma: float = 1.5
    window: int = 3
    join_distance: float = 12.0
    join_dip: float = 0.1
    snap: float = 16.0
    reach: int = 63
    min_area: int = 10
    min_score: float = 0.7
    min_peak: float = 0.3

    def __post_init__(self) -> None:
        try:
            _core.group(np.zeros((0, 0, 4), np.uint8), **self.to_json())
        except (TypeError, OverflowError) as error:
            raise SettingsError(f"grouping: {error}") from error

    @property
    def margin(self) -> int:
        """How far from a nucleus's centre the maps can change which pixels it has: so much a block reads around it."""
        return self._margin(self.heat_sigma)

    @property
    def least_foreground(self) -> int:
        """`group` never looks at the offsets of pixels whose foreground, in a map, is less.

        What the network says there is noise: without it, maps compress to half the bytes in half the time.
        """
        return math.floor(255 * self.foreground_threshold)

    @property
    def smoothing(self) -> int:
        """How far smoothing carries heat."""
        return self.margin - self._margin(0)

    def _margin(self, heat_sigma: float) -> int:
        return _core.group_margin(
            heat_sigma=heat_sigma,
            window=self.window,
            join_distance=self.join_distance,
            snap=self.snap,
            reach=self.reach,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> GroupConfig:
        """Inverse of `to_json`; missing and unknown names raise `SettingsError`."""
        expected = {each.name for each in fields(cls)}
        if not isinstance(values, dict) or set(values) != expected:
            raise SettingsError(f"grouping: expected the settings {', '.join(sorted(expected))}, got {values}")
        return cls(**values)

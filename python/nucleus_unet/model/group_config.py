"""The settings of centre-offset grouping, which turns maps into nuclei, as a model bundle stores them."""

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
    centre_threshold
        Least heat of a centre.
    centre_sigma
        Standard deviation of the Gaussian that smooths the heat before centres are searched.
    window
        No two centres lie within this many rows and columns of each other.
    merge_distance, merge_dip
        A centre yields to a higher one within this distance, unless the heat between them dips by this share.
    assignment_radius
        A pixel belongs to the nearest centre within this distance of where its offset points.
    max_offset
        Offsets are clipped to this many rows and columns.
    min_area
        Least area of a nucleus, in pixels.
    min_score
        Least mean foreground probability of a nucleus.
    min_peak
        Least heat of a nucleus's centre.
    """

    foreground_threshold: float = 0.5
    centre_threshold: float = 0.25
    centre_sigma: float = 1.5
    window: int = 3
    merge_distance: float = 12.0
    merge_dip: float = 0.1
    assignment_radius: float = 16.0
    max_offset: int = 63
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
        return self._margin(self.centre_sigma)

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

    def _margin(self, centre_sigma: float) -> int:
        return _core.group_margin(
            centre_sigma=centre_sigma,
            window=self.window,
            merge_distance=self.merge_distance,
            assignment_radius=self.assignment_radius,
            max_offset=self.max_offset,
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

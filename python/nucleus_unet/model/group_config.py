"""Settings of the grouping of maps into nuclei, which a model bundle stores."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from nucleus_unet import _core
from nucleus_unet.errors import SettingsError
from nucleus_unet.model.quality_score import QualityScore


@dataclass(frozen=True)
class GroupConfig:
    """Settings of the grouping, calibrated on validation images.

    All lengths are in pixels at the model's scale.

    Attributes
    ----------
    foreground_threshold
        Minimum foreground probability of a pixel of a nucleus, 0 to 1.
    centre_threshold
        Minimum centre heat of a centre after smoothing, 0 to 1.
    centre_sigma
        Standard deviation of the Gaussian that smooths the centre heat.
    window
        Radius of the window, in rows and columns, in which a centre is the maximum.
    merge_distance, merge_dip
        A centre is merged with a higher one within this distance, unless the heat between them falls by this share.
    assignment_radius
        Largest distance from the position to which a pixel's offset points to its centre.
    max_offset
        Largest offset along either axis. Larger offsets are clipped.
    min_area
        Minimum area of a nucleus in pixels.
    min_score
        Minimum mean foreground probability of a nucleus, 0 to 1.
    min_peak
        Minimum centre heat at the centre of a nucleus, 0 to 1.
    quality
        The function that estimates the quality of a nucleus. None: the quality of nuclei is not known.
    min_quality
        Minimum quality of a nucleus, 0 to 1. Without effect if the quality is not known.
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
    quality: QualityScore | None = None
    min_quality: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.quality, QualityScore | None):
            raise SettingsError(f"grouping: quality: expected a QualityScore or None, got {self.quality!r}")
        try:
            _core.group(np.zeros((0, 0, 4), np.uint8), **self.to_json())
        except (TypeError, ValueError, OverflowError) as error:
            raise SettingsError(f"grouping: {error}") from error

    @property
    def margin(self) -> int:
        """Largest distance in pixels from a nucleus's centre at which the maps affect the nucleus. Blocks read it."""
        return self._margin(self.centre_sigma)

    @property
    def least_foreground(self) -> int:
        """Foreground value of a map (0 to 255) below which `group` ignores the offset of a pixel.

        Such offsets are noise. Setting them to 0 halves the size of compressed maps and the time for compression.
        """
        return math.floor(255 * self.foreground_threshold)

    @property
    def smoothing(self) -> int:
        """Radius of the smoothing of the centre heat in pixels."""
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
        return {**asdict(self), "quality": None if self.quality is None else self.quality.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> GroupConfig:
        """Inverse of `to_json`. Missing and unknown names raise `SettingsError`."""
        expected = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or set(values) != expected:
            raise SettingsError(f"grouping: expected the settings {', '.join(sorted(expected))}, got {values}")
        quality = None if values["quality"] is None else QualityScore.from_json(values["quality"])
        return cls(**{**values, "quality": quality})

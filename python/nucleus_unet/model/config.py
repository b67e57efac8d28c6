"""Configuration of the network, which a model bundle stores. This module does not need torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from nucleus_unet.errors import SettingsError

OFFSET_SCALE = 16.0
"""Unit of the network's offsets, in pixels."""
OUTPUT_CHANNELS = 4
"""Number of output channels: foreground logit, centre heat logit, row offset, column offset."""
INPUT_MEAN, INPUT_SCALE = 0.45, 0.225
"""Mean and standard deviation that standardise the input, as for the pretrained encoder."""
RELU_LIMIT = 6.0
"""Upper limit of ReLU6."""
NORM_EPSILON = 1e-3
"""Constant that batch normalisation adds to the variance."""

_MAX_SIZE = 4096
_MAX_CHANNELS = 2**16


@dataclass(frozen=True)
class NetworkConfig:
    """Configuration of the network.

    Attributes
    ----------
    form
        ``"lite0"``: the encoder is the first eight blocks of an EfficientNet-Lite0, which can start from ImageNet
        weights. ``"plain"``: the original U-Net of plain convolutions.
    width
        Channels of the first level of the plain form. Each further level has twice as many.
    depth
        Number of times that the plain form halves the resolution after its stem.
    stem_stride
        1, or 2 for a space-to-depth before the first level of the plain form, with its inverse after the last level.
    decoder
        Channels of the decoder of the lite0 form at strides 8, 4, 2 and 1.
    dropout
        Probability that a channel of the deepest features is dropped in training, 0 to 1.
    """

    form: Literal["lite0", "plain"] = "lite0"
    width: int = 32
    depth: int = 3
    stem_stride: Literal[1, 2] = 2
    decoder: tuple[int, int, int, int] = (128, 96, 48, 24)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.form not in ("lite0", "plain"):
            raise SettingsError(f"form: expected 'lite0' or 'plain', got {self.form!r}")
        if self.stem_stride not in (1, 2):
            raise SettingsError(f"stem_stride: expected 1 or 2, got {self.stem_stride}")
        sizes = (self.width, self.depth, *self.decoder)
        if not all(isinstance(size, int) and 1 <= size <= _MAX_SIZE for size in sizes) or len(sizes) != 6:
            raise SettingsError(
                f"width, depth and the four channel counts of decoder: expected whole numbers of 1 to {_MAX_SIZE}, "
                f"got width={self.width}, depth={self.depth}, decoder={self.decoder}"
            )
        if self.width << self.depth > _MAX_CHANNELS:
            raise SettingsError(
                f"width and depth: expected at most {_MAX_CHANNELS:,} channels at the bottom of the U, "
                f"width * 2 ** depth, got width={self.width}, depth={self.depth}"
            )
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout: expected a probability in [0, 1), got {self.dropout}")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "decoder": list(self.decoder)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> NetworkConfig:
        """Inverse of `to_json`. Unknown or missing names raise `SettingsError`."""
        try:
            return cls(**{**values, "decoder": tuple(values["decoder"])})
        except (KeyError, TypeError) as error:
            raise SettingsError(f"network configuration: {error}") from error

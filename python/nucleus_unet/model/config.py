"""The shape of the network, as a model bundle stores it; nothing here needs torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from nucleus_unet.errors import SettingsError

OFFSET_SCALE = 16.0
"""The network gives offsets in units of so many pixels."""
OUTPUT_CHANNELS = 4
"""Foreground logit, centre heat logit, row offset, column offset."""
INPUT_MEAN, INPUT_SCALE = 0.45, 0.225
"""Inputs are percentiles in 0..1; the pretrained encoder was trained on standardised ones."""
RELU_LIMIT = 6.0
"""Where ReLU6 ends."""
NORM_EPSILON = 1e-3
"""What batch normalisation adds to a variance."""

_MAXIMUM_SIZE = 4096
_MAXIMUM_CHANNELS = 2**16


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the network; a model bundle stores it.

    Attributes
    ----------
    form
        ``"lite0"``: the first eight blocks of an EfficientNet-Lite0 as encoder, which can start from ImageNet
        weights. ``"plain"``: the classic U-Net of plain convolutions.
    width
        Channels of the plain form's first level; each level doubles them.
    depth
        How often the plain form halves the resolution behind its stem.
    stem_stride
        1, or 2 for a space-to-depth in front of the plain form's first level (and its inverse behind the last).
    decoder
        Channels of the lite0 form's decoder at strides 8, 4, 2 and 1.
    dropout
        Probability with which a channel is dropped at the bottom of the U, while training.
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
        if not all(isinstance(size, int) and 1 <= size <= _MAXIMUM_SIZE for size in sizes) or len(sizes) != 6:
            raise SettingsError(
                f"width, depth and the four channel counts of decoder: expected whole numbers of 1 to {_MAXIMUM_SIZE}, "
                f"got width={self.width}, depth={self.depth}, decoder={self.decoder}"
            )
        if self.width << self.depth > _MAXIMUM_CHANNELS:
            raise SettingsError(
                f"width and depth: expected at most {_MAXIMUM_CHANNELS:,} channels at the bottom of the U, "
                f"width * 2 ** depth, got width={self.width}, depth={self.depth}"
            )
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"dropout: expected a probability in [0, 1), got {self.dropout}")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "decoder": list(self.decoder)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> NetworkConfig:
        """Inverse of `to_json`; unknown or missing names raise `SettingsError`."""
        try:
            return cls(**{**values, "decoder": tuple(values["decoder"])})
        except (KeyError, TypeError) as error:
            raise SettingsError(f"network configuration: {error}") from error

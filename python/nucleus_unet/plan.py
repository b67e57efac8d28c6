"""The plan of an image: all that decides its labels, fixed before the first tile."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nucleus_unet.model.precision import Precision


@dataclass(frozen=True)
class Plan:
    """All that was fixed before the first tile. Equal plans give an image equal labels.

    Attributes
    ----------
    model
        Name of the bundle.
    fingerprint
        SHA-256 of its configuration and weights.
    intensity_range
        Pixel values that became 0 and 1; None for an image whose pixels are all equal.
    padding
        Values of the pixels that are no data, as of `nucleus_unet.preprocessing.padding.Padding`; None for an image
        without padding.
    scale
        Magnification from the image to what the network saw.
    augment
        Whether the network's output was averaged over eight rotations and mirror images.
    dab
        Pixel values of the image with attenuated DAB that became 0 and 1; None if only the image itself was used.
    min_area
        Minimum area of the options, in pixels of the image; None for the model's own.
    engine, device, precision, hardware
        Name and version of the library that ran the network, the device, the number format, the kind of processor: as
        far as the last bits of the output depend on them.
    threads, tile, batch_size
        Number of threads, side of a tile in pixels, tiles in one call. Each is None where the output does not depend
        on it.
    group
        Settings of the grouping.
    expected_msa
        Estimate of the mean average precision of the image's nuclei, 0 to 1; None if the scale was not searched, or if
        the pixel size in the file decided for a scale that the search did not judge. An image without nuclei has none.
        The plan of a slide is made before its nuclei are known, so it keeps the estimate of the search. The labels do
        not depend on it.
    """

    model: str
    fingerprint: str
    intensity_range: list[float] | None
    padding: dict[str, Any] | None
    scale: float
    augment: bool
    dab: list[float] | None
    min_area: int | None
    engine: str
    device: str
    precision: Precision
    hardware: str
    threads: int | None
    tile: int | None
    batch_size: int | None
    group: dict[str, Any]
    expected_msa: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

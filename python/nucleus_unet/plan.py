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
    scale
        Magnification from the image to what the network saw.
    augment
        Whether the network's answers of the image turned and mirrored were averaged.
    dab
        If the network was also asked of the image with its brown thinned, what of that became 0 and 1; else None.
    min_area
        Least area asked for, in pixels of the image; None for the model's own.
    engine, device, precision, hardware
        What ran the network, where and how, as far as its last bits may depend on it: name and version of the library,
        name of the device, kind of processor.
    threads, tile, batch_size
        Threads of the processor, side of a tile and tiles a call; each None where it changes nothing.
    group
        How maps became nuclei.
    """

    model: str
    fingerprint: str
    intensity_range: list[float] | None
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

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

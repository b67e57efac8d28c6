"""What a reader returns for an image file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageFile:
    """An image file's pixels and what the file says of them.

    Attributes
    ----------
    pixels : NDArray[Any]
        (H, W) or (H, W, C) if ``channel_axis`` is None, else with channels along that axis.
    channel_axis : int or None
        Where the file's metadata says the channels are.
    channel_names : tuple of str
        One for each channel that is a channel of its own, not a part of a colour: its name, or its number where the
        file gives none. Empty for colours.
    mpp : float or None
        Micrometres per pixel, where the file says.
    """

    pixels: NDArray[Any]
    channel_axis: int | None = None
    channel_names: tuple[str, ...] = ()
    mpp: float | None = None

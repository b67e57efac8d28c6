"""The content of an image file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageFile:
    """The pixels of an image file and its metadata.

    Attributes
    ----------
    pixels : NDArray[Any]
        (H, W) or (H, W, C) if ``channel_axis`` is None, else an array with channels along that axis.
    channel_axis : int or None
        Axis of the channels, if the metadata contain it.
    channel_names : tuple of str
        Name of each channel, or its number if it has no name. Empty for colour channels.
    mpp : float or None
        Micrometres per pixel. None if the file does not contain it.
    """

    pixels: NDArray[Any]
    channel_axis: int | None = None
    channel_names: tuple[str, ...] = ()
    mpp: float | None = None

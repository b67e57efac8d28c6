"""Check an image and select its channels. The result is (H, W) or (H, W, 3).

An image is (H, W), or (H, W, C) with one, three or four channels, of type bool, uint8, uint16, float32 or float64. The
fourth channel is alpha, which is ignored. `channel_axis` and `channel` select from images with other layouts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet.errors import ImageError

DTYPES = ("bool", "uint8", "uint16", "float32", "float64")


def prepare_image(
    image: ArrayLike,
    *,
    channel_axis: int | None = None,
    channel: int | str | None = None,
    channel_names: tuple[str, ...] = (),
) -> NDArray[Any]:
    """Check an image and convert it to (H, W) or (H, W, 3).

    Parameters
    ----------
    image : array_like
        See the description of the module.
    channel_axis
        Axis of the channels. Default: the last axis of an image with three axes.
    channel
        The channel to select, as its number or one of `channel_names`.
    channel_names
        Names of the channels, if known. Four named channels are not colours with alpha.

    Returns
    -------
    NDArray[Any]
        The selected pixels, a view if possible, with the dtype of the image.

    Raises
    ------
    ImageError
        If the shape, dtype or values are not those of an image.

    Examples
    --------
    >>> import numpy as np
    >>> prepare_image(np.zeros((5, 7, 4), np.uint8)).shape  # alpha is dropped
    (5, 7, 3)
    >>> prepare_image(np.zeros((6, 5, 7), np.uint16), channel_axis=0, channel=2).shape
    (5, 7)
    """
    if np.ma.is_masked(image):
        raise ImageError("image: expected an array without a mask; fill masked pixels with .filled(value)")
    try:
        pixels = np.asarray(image)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of different lengths
        raise ImageError(f"image: expected an array of pixels, got {type(image).__name__} ({error})") from error
    if pixels.dtype.name not in DTYPES:
        raise ImageError(f"image dtype: expected one of {', '.join(DTYPES)}, got {pixels.dtype.name}")
    pixels = _select_channels(pixels, channel_axis, channel, channel_names)
    if pixels.dtype.kind == "f":
        finite = np.isfinite(pixels)
        finite = finite if finite.ndim == 2 else finite.all(axis=-1)
        bad = finite.size - np.count_nonzero(finite)
        if bad:
            raise ImageError(
                f"image values: expected finite numbers, got {bad} pixels that are NaN or infinite; "
                "replace them first, for example with numpy.nan_to_num"
            )
    return pixels


def _select_channels(
    pixels: NDArray[Any], channel_axis: int | None, channel: int | str | None, names: tuple[str, ...]
) -> NDArray[Any]:
    if pixels.ndim == 2 and channel_axis is None:
        if channel not in (None, 0, *names[:1]):
            raise ImageError(f"channel: the image has only one, got channel={channel!r}")
        return pixels
    if pixels.ndim != 3:
        raise ImageError(
            "image shape: expected (H, W) or (H, W, C), or three axes with channel_axis=, got "
            f"{pixels.shape}" + ("; choose one plane of a stack or time series first" if pixels.ndim > 3 else "")
        )
    axis = -1 if channel_axis is None else channel_axis
    if not -3 <= axis < 3:
        raise ImageError(f"channel_axis: expected -3 to 2 for an image of three axes, got {channel_axis}")
    pixels = np.moveaxis(pixels, axis, -1)
    count = pixels.shape[-1]
    if channel is not None:
        return pixels[..., _channel_number(channel, count, names)]
    if count == 1:
        return pixels[..., 0]
    if count == 3 or (count == 4 and len(names) != 4):
        return pixels[..., :3]
    if names and len(names) == count:
        raise ImageError(f"channel: expected one of the {count} channels {_listed(names)}, got none; give its name")
    hint = f"choose one of the {count} with channel="
    if channel_axis is None and pixels.shape[0] in range(1, 41) and count > 4:
        hint = "if channels come first, give channel_axis=0; else " + hint
    raise ImageError(
        f"image shape: expected 1, 3 or 4 channels, got {count} in an image of shape {pixels.shape}; {hint}"
    )


def _channel_number(channel: int | str, count: int, names: tuple[str, ...]) -> int:
    if isinstance(channel, str):
        if channel in names:
            return names.index(channel)
        known = f"the channels are {_listed(names)}" if names else "the image has no channel names: give its number"
        raise ImageError(f"channel: no channel is named {channel!r}; {known}")
    if not 0 <= channel < count:
        raise ImageError(f"channel: expected 0 to {count - 1}, got {channel}")
    return channel


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in names)

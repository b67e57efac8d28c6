"""Check an image and select its channels. The result is (H, W) or (H, W, 3).

An image is (H, W), or (H, W, C) with one, three or four channels (alpha is ignored), of bool, integers or floating
point numbers of up to 64 bits. `channel_axis` and `channel` bring other orders and other numbers of channels to that.
"""

from __future__ import annotations

import numbers
import re
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nucleus_unet.errors import ImageError

# By kind and bytes of the dtype given, the dtype to work in: it holds every value (of 64 bits, those up to 2^53).
_WORKING = {
    **dict.fromkeys(("b1", "u1", "u2", "f4", "f8"), None),
    **dict.fromkeys(("i1", "i2", "f2"), "float32"),
    **dict.fromkeys(("i4", "i8", "u4", "u8"), "float64"),
}


# A channel's name can look like a number; a number can be given as text.
_NUMBER = re.compile(r"-?[0-9]+")


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
        A view where possible. Signed integers, integers of 32 and 64 bits and half precision become floating point
        numbers, see `working_dtype`; every other dtype stays.

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
    if isinstance(channel, str) and channel not in channel_names and len(channel) < 10 and _NUMBER.fullmatch(channel):
        channel = int(channel)
    dtype = working_dtype(pixels.dtype)
    pixels = _select_channels(pixels, channel_axis, channel, channel_names).astype(dtype, copy=False)
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


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which an image is segmented, in this machine's byte order.

    Raises
    ------
    ImageError
        If it is no dtype of pixels.

    Examples
    --------
    >>> working_dtype(np.dtype(">u2")).name, working_dtype(np.dtype(np.int64)).name
    ('uint16', 'float64')
    """
    try:
        name = _WORKING[f"{dtype.kind}{dtype.itemsize}"]
    except KeyError:
        raise ImageError(
            f"image dtype: expected bool, or integers or floating point numbers of up to 64 bits, got {dtype.name}"
        ) from None
    return dtype.newbyteorder("=") if name is None else np.dtype(name)


def _select_channels(
    pixels: NDArray[Any], channel_axis: int | None, channel: int | str | None, names: tuple[str, ...]
) -> NDArray[Any]:
    if pixels.ndim == 2 and channel_axis is None:
        if isinstance(channel, bool) or channel not in (None, 0, -1, *names[:1]):
            raise ImageError(f"channel: the image has only one, got channel={channel!r}")
        return pixels
    if pixels.ndim != 3:
        raise ImageError(
            "image shape: expected (H, W) or (H, W, C), or three axes with channel_axis=, got "
            f"{pixels.shape}" + ("; choose one plane of a stack or time series first" if pixels.ndim > 3 else "")
        )
    axis = -1 if channel_axis is None else channel_axis
    if isinstance(axis, bool) or not isinstance(axis, numbers.Integral) or not -3 <= axis < 3:
        raise ImageError(f"channel_axis: expected -3 to 2 for an image of three axes, got {channel_axis!r}")
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
    if isinstance(channel, bool) or not isinstance(channel, numbers.Integral):
        raise ImageError(f"channel: expected the number or the name of a channel, got {channel!r}")
    if not -count <= channel < count:
        raise ImageError(f"channel: expected 0 to {count - 1}, or -{count} to -1, got {channel}")
    return int(channel) % count


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(repr(name) for name in names)

"""The dtypes in which images are segmented."""

from __future__ import annotations

from typing import Any

import numpy as np

from nucleus_unet.errors import ImageError

# By kind and bytes of the dtype given, the dtype to work in: it holds every value (of 64 bits, those up to 2^53).
_WORKING = {
    **dict.fromkeys(("b1", "u1", "u2", "f4", "f8"), None),
    **dict.fromkeys(("i1", "i2", "f2"), "float32"),
    **dict.fromkeys(("i4", "i8", "u4", "u8"), "float64"),
}


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

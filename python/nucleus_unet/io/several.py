"""Tell one image from several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nucleus_unet.io.source import is_source


def several_images(image: object) -> list[Any] | None:
    """Return the images of a list, tuple, generator or other iterable; None for one image or rows of numbers.

    Examples
    --------
    >>> several_images(["a.tif", "b.tif"]), several_images("a.tif"), several_images([[0, 1], [2, 3]])
    (['a.tif', 'b.tif'], None, None)
    """
    if is_source(image) or not isinstance(image, Iterable):
        return None
    images = list(image)
    return images if not images or any(map(is_source, images)) else None

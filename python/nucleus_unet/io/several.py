"""Tell one image from several."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any


def several_images(image: object) -> list[Any] | None:
    """Return the images of a list, tuple, generator or other iterable; None for one image or rows of numbers.

    Examples
    --------
    >>> several_images(["a.tif", "b.tif"]), several_images("a.tif"), several_images([[0, 1], [2, 3]])
    (['a.tif', 'b.tif'], None, None)
    """
    if _is_image(image) or not isinstance(image, Iterable):
        return None
    images = list(image)
    return images if not images or any(map(_is_image, images)) else None


def _is_image(value: object) -> bool:
    """Whether a value is a path or an array; a list is neither, though numpy could make an array of it."""
    arrays = ("shape", "__array__", "__array_interface__")
    return isinstance(value, Path | str) or any(hasattr(value, name) for name in arrays)

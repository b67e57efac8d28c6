"""Counts in messages and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def counted(count: int | np.integer[Any], what: str) -> str:
    """Write a count with its noun, in the singular or plural.

    Parameters
    ----------
    count
        Number of things, 0 or more.
    what
        The noun in the singular.

    Examples
    --------
    >>> counted(1, "nucleus"), counted(2, "nucleus"), counted(0, "image")
    ('1 nucleus', '2 nuclei', '0 images')
    """
    plural = {"nucleus": "nuclei", "category": "categories"}.get(what, f"{what}s")
    return f"{count} {what if count == 1 else plural}"

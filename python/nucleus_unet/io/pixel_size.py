"""The size of a pixel, as metadata say it in their many ways."""

from __future__ import annotations

import math
import re

_MICROMETRES = (
    dict.fromkeys(("µm", "um", "micron", "microns", "micrometer", "micrometers", "micrometre", "micrometres"), 1.0)
    | dict.fromkeys(("nm", "nanometer", "nanometre"), 1e-3)
    | dict.fromkeys(("pm", "picometer", "picometre"), 1e-6)
    | dict.fromkeys(("å", "angstrom"), 1e-4)
    | dict.fromkeys(("mm", "millimeter", "millimetre"), 1e3)
    | dict.fromkeys(("cm", "centimeter", "centimetre"), 1e4)
    | dict.fromkeys(("m", "meter", "metre"), 1e6)
    | dict.fromkeys(("inch", "in"), 25_400.0)
)
# Dots per inch or centimetre are more often said for printing (72, 300, 600 dpi) than measured. No microscope has
# pixels this large.
_LARGEST_OF_DOTS = 10.0


def micrometres_in(unit: str) -> float:
    """Return the length of a unit in micrometres, or 0 if the unit is unknown."""
    unit = unit.replace("\\u00B5", "µ").replace("\N{GREEK SMALL LETTER MU}", "µ").replace("\N{ANGSTROM SIGN}", "Å")
    return _MICROMETRES.get(unit.strip().strip("\0").lower(), 0.0)


def plausible_pixel_size(size: str | float | None, micrometres: float = 1.0) -> float | None:
    """Return micrometres per pixel. None if the value is implausible.

    Parameters
    ----------
    size
        A number, or a text in which a comma may stand for the point.
    micrometres
        Length of its unit.

    Examples
    --------
    >>> plausible_pixel_size("0,4990"), plausible_pixel_size(499, 1e-3), plausible_pixel_size("none")
    (0.499, 0.499, None)
    """
    if isinstance(size, str):
        match = re.fullmatch(r"\s*([0-9]+(?:[.,][0-9]*)?(?:[eE][+-]?[0-9]+)?)\s*", size)
        size = float(match.group(1).replace(",", ".")) if match else None
    mpp = float(size or 0) * micrometres
    return mpp if 0.01 <= mpp <= 50 else None


def size_of_dots(dots: float | None, micrometres: float) -> float | None:
    """Return micrometres per pixel from the pixels in a unit of length. None if it is a resolution for printing."""
    if not dots or not math.isfinite(dots) or dots <= 0:
        return None
    mpp = plausible_pixel_size(micrometres / dots)
    return mpp if mpp is not None and mpp <= _LARGEST_OF_DOTS else None


def size_of_magnification(magnification: str | float | None) -> float | None:
    """Return micrometres per pixel of a scan from the magnification of its objective: 0.5 at 20, 0.25 at 40."""
    value = plausible_pixel_size(magnification)  # a plain number, perhaps with a comma
    return plausible_pixel_size(10 / value) if value and 1 <= value <= 100 else None

"""Lengths that people give in pixels or in micrometres."""

from __future__ import annotations

import math
import numbers
import re
from typing import Any, NamedTuple

from nucleus_unet.errors import SettingsError

_TEXT = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(px|pixels?|um|µm|μm|microns?)?\s*")
_EXPECTED = 'a number of pixels such as 8, or of micrometres such as "4 um"'


class Length(NamedTuple):
    """A length of at least 0.

    Attributes
    ----------
    value
        Number of pixels or micrometres.
    in_micrometres
        Whether it is in micrometres.
    """

    value: float
    in_micrometres: bool

    def pixels(self, name: str, mpp: float | None, *, most: float = math.inf) -> float:
        """Return the length in pixels.

        Parameters
        ----------
        name
            Of the option, for the message.
        mpp
            Micrometres per pixel, if known.
        most
            Greatest number of pixels.

        Raises
        ------
        SettingsError
            If the length is in micrometres and the pixel size is not known, or if it is too long.

        Examples
        --------
        >>> parse_length("expand", "4 um").pixels("expand", 0.5)
        8.0
        """
        if self.in_micrometres and mpp is None:
            raise SettingsError(
                f"{name}: the image does not tell its pixel size: give {name} in pixels, or the micrometres per pixel "
                "with mpp= (--mpp)"
            )
        length = self.value / mpp if self.in_micrometres and mpp is not None else self.value
        if length > most:
            raise SettingsError(f"{name}: expected at most {most:g} pixels, got {length:g}")
        return length


def parse_length(name: str, value: Any) -> Length:
    """Read a length: a number is in pixels, text can have a unit.

    Parameters
    ----------
    name
        Of the option, for the message.
    value
        Such as ``8``, ``"8"``, ``"8 px"``, ``"4 um"`` or ``"4µm"``.

    Raises
    ------
    SettingsError
        If it is something else.

    Examples
    --------
    >>> parse_length("expand", 8), parse_length("expand", "2.5um")
    (Length(value=8.0, in_micrometres=False), Length(value=2.5, in_micrometres=True))
    """
    if isinstance(value, str):
        found = _TEXT.fullmatch(value)
        if found is None:
            raise SettingsError(f"{name}: expected {_EXPECTED}, got {value!r}")
        return Length(float(found[1]), not (found[2] or "px").startswith("p"))
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(float(value)) or value < 0:
        raise SettingsError(f"{name}: expected {_EXPECTED}, got {value!r}")
    return Length(float(value), in_micrometres=False)

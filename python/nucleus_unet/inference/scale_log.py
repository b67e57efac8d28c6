"""What the log says about the scale of an image, and about nuclei that may be wrong."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from nucleus_unet.inference.scale_search import ScaleSearch
from nucleus_unet.options import ImageOptions
from nucleus_unet.preprocessing.normalisation import IntensityRange
from nucleus_unet.wording import counted

logger = logging.getLogger(__name__)

_EACH_IMAGE_IS_LOGGED = ContextVar("_EACH_IMAGE_IS_LOGGED", default=True)
_NO_NAME = "the image"
_NAME = ContextVar("_NAME", default=_NO_NAME)
# Of the images below this expected mSA, most are below it indeed; see docs/decisions/0018-expected-accuracy.md.
_DOUBTFUL = 0.3
# Options that drop nuclei.
_DROPPING = ("threshold", "min_quality", "min_probability", "min_area")
PLANS = "the plan of each result"
"""The place of the scale and of the expected mSA, for `log_searches`, where no file lists them."""
FEW = 3
"""Fewer nuclei do not overrule the pixel size in a file. The log warns of a smaller scale that rests on them."""


def log_pixel_size(mpp: float, scale: float, diameter: float) -> None:
    """Log the scale that follows from the pixel size in the file if it changes the image."""
    if scale != 1 and _EACH_IMAGE_IS_LOGGED.get():
        logger.info(
            "the pixel size in the file is %.4g micrometres: the image is scaled by %g; to turn this off, give "
            "--diameter %g (diameter=%g in Python)",
            *(mpp, scale, diameter, diameter),
        )


def log_hidden(found: ScaleSearch, levels: IntensityRange) -> None:
    """Warn of nuclei that a few bright pixels may hide, of a named image, too."""
    if found.hidden is not None:
        above_low = found.hidden.level * (levels.high - levels.low)
        highest = round(levels.low + above_low, 2 - math.floor(math.log10(above_low)))
        logger.warning(
            "%s: a few bright pixels may hide darker nuclei: the search for the scale sees %d, and %d with the "
            "pixels above %r clipped; if the bright ones are dirt, clip them first, with numpy.minimum(image, %r) in "
            "Python",
            *(name_in_log(), found.number, found.hidden.number, highest, highest),
        )


def log_search(found: ScaleSearch) -> None:
    """Log the scale that was found if it changes the image. Warn of an image whose nuclei are doubtful."""
    if not _EACH_IMAGE_IS_LOGGED.get():
        return
    if not found.is_from_file:
        _log_scale(found)
    if is_doubtful(found.expected_msa):
        logger.warning(
            "the nuclei of this image are doubtful (expected mSA %.2f): the image may be unlike those that the model "
            "knows; look at an overlay, and give --diameter (diameter= in Python) if the size of the nuclei is wrong",
            found.expected_msa,
        )


def _log_scale(found: ScaleSearch) -> None:
    if found.diameter is None:  # no nuclei were found or looked for
        return
    if found.scale < 1 and found.number < FEW:
        logger.warning(
            "the scale of the image rests on %d of its nuclei, about %.0f pixels wide: it is scaled by %g; if its "
            "nuclei are smaller, give --diameter (diameter= in Python)",
            *(found.number, found.diameter, found.scale),
        )
    elif found.scale != 1:
        logger.info(
            "the nuclei are about %.0f pixels wide: the image is scaled by %g; if that is wrong, give --diameter "
            "(diameter= in Python)",
            found.diameter,
            found.scale,
        )


def log_nothing_found(scale: float, options: ImageOptions) -> None:
    """Log that an image has no nuclei, as far as the model sees them and the options keep them."""
    if not _EACH_IMAGE_IS_LOGGED.get():
        return
    given = [name for name in _DROPPING if getattr(options, name) is not None]
    if given:
        hint = f"other values of {', '.join(given)} may keep some"
    elif options.diameter is not None:
        hint = "if the image has some, their diameter may be another one"
    else:
        hint = "if the image has some, give their diameter in pixels, --diameter (diameter= in Python)"
    logger.warning("no nuclei were found at scale %g: %s", scale, hint)


def is_doubtful(expected_msa: float | None) -> bool:
    """Return whether the nuclei of an image are likely to be wrong."""
    return expected_msa is not None and expected_msa < _DOUBTFUL


@contextmanager
def without_log_of_images(name: str = _NO_NAME) -> Iterator[None]:
    """Do not log the scale and the doubts of each image in this block: of many images, `log_searches` logs it.

    Parameters
    ----------
    name
        Names the image in what is still logged.
    """
    token, name_token = _EACH_IMAGE_IS_LOGGED.set(False), _NAME.set(name)
    try:
        yield
    finally:
        _EACH_IMAGE_IS_LOGGED.reset(token)
        _NAME.reset(name_token)


def name_in_log() -> str:
    """Return the name of the image, as messages begin with it."""
    return _NAME.get()


def log_searches(found: Sequence[tuple[float, float | None]], what: str, place: str, *, is_told: bool) -> None:
    """Log how many images are doubtful, and at which scales they were segmented, if these were found and not all are 1.

    Parameters
    ----------
    found
        Scale and expected mSA of each image.
    what
        What the images are, in the singular.
    place
        Where both are listed for each: a file, or the plan of each result.
    is_told
        Whether the options may determine the scale of images that have no expected mSA.
    """
    doubtful = sum(is_doubtful(expected) for _, expected in found)
    if doubtful:
        logger.warning(
            "doubtful nuclei in %d of %s (expected_msa in %s is below %g): these may be unlike what the model knows; "
            "look at overlays",
            *(doubtful, counted(len(found), what), place, _DOUBTFUL),
        )
    counts = Counter(scale for scale, expected in found if expected is not None or not is_told)
    scaled = {scale: count for scale, count in sorted(counts.items()) if scale != 1}
    if scaled:
        listed = ", ".join(f"{count} by {scale:g}" for scale, count in scaled.items())
        logger.info(
            "scaled by the size of nuclei or pixels: %d of %s, %s (the scale of each is in %s); if one is wrong, give "
            "--diameter (diameter= in Python)",
            *(sum(scaled.values()), counted(len(found), what), listed, place),
        )


def is_logged_or_named() -> bool:
    """Return whether hidden nuclei of this image can be logged.

    Planes of a stack have no name. A thousand of them would give a thousand lines.
    """
    return _EACH_IMAGE_IS_LOGGED.get() or name_in_log() != _NO_NAME

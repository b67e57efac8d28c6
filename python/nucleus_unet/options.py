"""The options of prediction: one place names, documents and validates each of them.

To add an option, add a field here, name its type in the matching `TypedDict`, and use it. `Segmenter.predict`,
`Segmenter.predict_slide` and the command line take it from here.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import numbers
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from nucleus_unet.errors import SettingsError
from nucleus_unet.measures.lengths import parse_length
from nucleus_unet.measures.settings import GROUPS, parse_groups
from nucleus_unet.progress import Show

Function = TypeVar("Function", bound=Callable[..., Any])
Check = Callable[[str, Any], Any]
"""Returns a valid value as a plain number, truth value or the like; raises `SettingsError` for any other."""
Roi = Path | str | Mapping[str, Any] | Sequence[Any]

_LARGEST = 2**31 - 1
# More threads than any machine can use.
_MOST_WORKERS = 1024
# A smaller block reads hundreds of times its own pixels around it.
_LEAST_BLOCK = 16


def _real(least: float | None = None, most: float | None = None, what: str = "number") -> Check:
    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise SettingsError(f"{name}: expected a {what}, got {value!r}")
        try:
            converted = float(value)
        except OverflowError:
            converted = math.inf
        if not math.isfinite(converted) or (least is not None and most is not None and not least <= converted <= most):
            expected = f"a finite {what}" if least is None else f"a {what} of {least:g} to {most:g}"
            raise SettingsError(f"{name}: expected {expected}, got {converted:g}")
        return converted

    return check


def _whole(least: int, most: int = _LARGEST) -> Check:
    def check(name: str, value: Any) -> int:
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or not least <= int(value) <= most:
            bounds = f"of {least} to {most}" if most < _LARGEST or (whole and value > most) else f"of at least {least}"
            raise SettingsError(f"{name}: expected a whole number {bounds}, got {value!r}")
        return int(value)

    return check


def _area(name: str, value: Any) -> int | float:
    """Accept a number of pixels, or a share between 0 and 1."""
    number = float(_real()(name, value))
    if 0 < number < 1:
        return number
    if number < 0 or number != int(number) or number > _LARGEST:
        raise SettingsError(
            f"{name}: expected a whole number of pixels, 0 or more, or a share of the median area between 0 and 1, "
            f"got {value!r}"
        )
    return int(number)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool) and not (str(getattr(value, "dtype", "")) == "bool" and value.shape == ()):
        raise SettingsError(f"{name}: expected True or False, got {value!r}")
    return bool(value)


def _channel(name: str, value: Any) -> int | str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise SettingsError(f"{name}: expected the number or the name of a channel, got {value!r}")
    return int(value)


def _length(name: str, value: Any) -> float | str:
    """Accept a length in pixels or micrometres, which is resolved when the pixel size is known."""
    parse_length(name, value)
    return value if isinstance(value, str) else float(value)


def _show(name: str, value: Any) -> Any:
    if not isinstance(value, bool) and (not callable(value) or isinstance(value, type)):
        raise SettingsError(f"{name}: expected True, False or a function of (step, done, total), got {value!r}")
    return value


def _event(name: str, value: Any) -> Any:
    if isinstance(value, type) or not callable(getattr(value, "is_set", None)):
        raise SettingsError(f"{name}: expected an event such as threading.Event(), got {value!r}")
    return value


def _anything(_name: str, value: Any) -> Any:
    """Accept what the reader of the value checks."""
    return value


def _option(default: Any, check: Check, help: str | None = None, *, flag: str | None = None) -> Any:  # noqa: A002
    """Declare an option; with ``help``, the command line offers it, as ``flag`` if that is not the field's name."""
    return field(default=default, metadata={"check": check, "help": help, "flag": flag})


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """The options that images and slides share.

    Attributes
    ----------
    threshold : float, optional
        Least foreground probability of a nucleus's pixel, 0 to 1. The default is the model's own, calibrated one.
        A higher threshold draws tighter outlines.
    min_area : int or float, optional
        Smaller nuclei are dropped: pixels of the image, or, between 0 and 1, a share of the median area of the nuclei.
        A share of 0.2 drops micronuclei and fragments where only whole nuclei count. The default is the model's own.
    diameter : float, optional
        Typical diameter of the nuclei in pixels. The image is scaled so that it becomes the model's reference diameter
        (``segmenter.bundle.config.diameter``). By default, the size of the nuclei is found from the image if the model
        has learned to (``config.scale_score``; the embedded model has), and any other image keeps its size. The pixel
        size that the file of stained tissue gives decides first, if the model knows its own (``config.mpp_known``), and
        unless the nuclei are more than twice as large or small.
    mpp : float, optional
        Pixel size of the image in micrometres; give it in place of ``diameter``.
    channel : int or str, optional
        Segment this channel only: its number (negative numbers count from the last one) or, of a file that names its
        channels, its name.
    channel_axis : int, optional
        Axis that holds the channels, if it is not the last one. The metadata of a file tells it.
    augment : bool
        Use test-time augmentation: average the network's output over eight rotations and mirror images. This is a
        little better and takes eight times as long.
    dab : bool, optional
        Whether the image is immunohistochemistry with DAB, whose brown can hide nuclei. Such an image is segmented from
        two network outputs: one of the image as it is, one with the DAB attenuated. For each pixel, the output with
        more foreground is kept. The default is to detect it from the colours. Images without colours have no DAB.
    measure : str or sequence of str, optional
        Groups of measures that the table gets further columns for: some of ``intensity``, ``shape``, ``neighbours``,
        ``stain`` (haematoxylin and DAB of stained tissue) and ``texture`` (needs the ``texture`` extra), as a list or
        with commas between them. All channels of the file are measured. `docs/how-to/measure.md` lists the columns.
    expand : float or str, optional
        Make cells: distance that they reach beyond the nuclei, in pixels, or with a unit, such as ``"4 um"``. Cells do
        not overlap: a pixel belongs to the nearest nucleus. Rings are cells without their nuclei.
    neighbour_radius : float or str
        Distance between centroids within which nuclei are neighbours, in pixels, or with a unit, such as ``"50 um"``.
    tile : int, optional
        Largest side in pixels of what one network call sees. Memory grows with its square. The default suits the
        device. On CPUs the labels do not depend on it; on other devices the plan names it.
    progress : bool or callable
        Show a progress bar if standard error is a terminal; or a function that is called with the name of the step, the
        number of parts that are done, and the number of all parts.
    cancel : threading.Event, optional
        Setting this event, from any thread, ends the call before its next tile with a `CancelledError`.
    """

    threshold: float | None = _option(None, _real(0, 1, "probability"), "Least foreground probability, 0 to 1.")
    min_area: int | float | None = _option(
        None, _area, "Drop smaller nuclei: pixels, or below 1, a share of the median area."
    )
    diameter: float | None = _option(
        None, _real(), "Typical diameter of the nuclei in pixels; the image is scaled to suit the model."
    )
    mpp: float | None = _option(
        None, _real(), "Pixel size in micrometres, in place of --diameter and of what the file says."
    )
    channel: int | str | None = _option(None, _channel, "Number or name of the channel to segment.")
    channel_axis: int | None = _option(None, _whole(-32, 31))
    augment: bool = _option(False, _flag, "Test-time augmentation: better, and 8 times slower.", flag="--augment")
    dab: bool | None = _option(
        None,
        _flag,
        "Whether to attenuate DAB (brown) in a second pass. By default, the colours decide.",
        flag="--dab/--no-dab",
    )
    measure: str | Sequence[str] | None = _option(
        None, parse_groups, f"Measures to add to the table, separated by commas: {', '.join(GROUPS)}."
    )
    expand: float | str | None = _option(
        None, _length, 'Make cells: distance that they reach beyond the nuclei, in pixels or such as "4 um".'
    )
    neighbour_radius: float | str = _option(
        100.0, _length, 'Distance within which nuclei are neighbours, in pixels or such as "50 um".'
    )
    tile: int | None = _option(None, _whole(1), "Largest side of a tile in pixels; the default suits the device.")
    progress: Show = _option(False, _show)  # noqa: RUF009
    cancel: threading.Event | None = _option(None, _event)  # noqa: RUF009

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if value is not None or each.default is not None:
                object.__setattr__(self, each.name, each.metadata["check"](each.name, value))

    def keywords(self) -> dict[str, Any]:
        """Return the options by name, as a call takes them."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}


@dataclass(frozen=True, kw_only=True)
class PredictOptions(ImageOptions):
    """The options of `Segmenter.predict`.

    Attributes
    ----------
    batch_size : int
        Number of tiles in one network call; larger batches are for GPUs.
    maps : bool
        Keep the network's output as ``Segmentation.maps``.
    """

    batch_size: int = _option(1, _whole(1), "Number of tiles in one network call, for GPUs.")
    maps: bool = _option(False, _flag)


@dataclass(frozen=True, kw_only=True)
class SlideOptions(ImageOptions):
    """The options of `Segmenter.predict_slide`.

    Attributes
    ----------
    tissue : bool
        Skip empty glass, as `nucleus_unet.slides.survey.tissue` finds it. Most of a slide is glass, and the rule keeps
        what has even a small part of a nucleus's contrast. The tissue mask is part of the plan, and the result is that
        of `predict` with all maps set to 0 outside of it. With ``tissue=False`` it is the result of `predict` itself.
    roi : path, str, mapping or sequence, optional
        Regions of interest: a GeoJSON file, as QuPath exports annotations, or its parsed content; polygons in pixels of
        the full resolution (needs the ``roi`` extra). The result has the nuclei whose centres lie in a region or on its
        border, whole, exactly as the whole slide has them. The rest of the slide is not processed.
    block : int, optional
        Largest side in pixels of a block, the part of a slide whose nuclei are grouped together; at least 16. The
        default suits the scale.
    workers : int, optional
        Number of threads that read, group and write beside those of the network. The default is the number of
        processors, up to four.
    """

    tissue: bool = _option(True, _flag, "Skip empty glass, or process all of the slide.", flag="--tissue/--no-tissue")
    roi: Roi | None = _option(None, _anything, "GeoJSON file with regions, in pixels of the full resolution.")  # noqa: RUF009
    block: int | None = _option(None, _whole(_LEAST_BLOCK), "Largest side of a block in pixels.")
    workers: int | None = _option(
        None, _whole(1, _MOST_WORKERS), "Threads beside those of the network; by default up to four."
    )


class ImageKeywords(TypedDict, total=False):
    """The names and types of `ImageOptions`, for type checkers."""

    threshold: float | None
    min_area: int | float | None
    diameter: float | None
    mpp: float | None
    channel: int | str | None
    channel_axis: int | None
    augment: bool
    dab: bool | None
    measure: str | Sequence[str] | None
    expand: float | str | None
    neighbour_radius: float | str
    tile: int | None
    progress: Show
    cancel: threading.Event | None


class PredictKeywords(ImageKeywords, total=False):
    """The names and types of `PredictOptions`, for type checkers."""

    batch_size: int
    maps: bool


class SlideKeywords(ImageKeywords, total=False):
    """The names and types of `SlideOptions`, for type checkers."""

    tissue: bool
    roi: Roi | None
    block: int | None
    workers: int | None


Options = TypeVar("Options", bound=ImageOptions)


def parse_options(kind: type[Options], keywords: Mapping[str, Any]) -> Options:
    """Make options from keywords.

    Parameters
    ----------
    kind
        `PredictOptions` or `SlideOptions`.
    keywords
        By name.

    Raises
    ------
    TypeError
        If there is no option of a name; the message names the nearest one.
    SettingsError
        If a value is of another type or out of range.

    Examples
    --------
    >>> parse_options(PredictOptions, {"min_area": 20}).min_area
    20
    """
    known = [each.name for each in dataclasses.fields(kind)]
    for name in keywords:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"the options are {', '.join(known)}"
            raise TypeError(f"there is no option {name!r}; {hint}")
    return kind(**keywords)


def takes_options(kind: type[ImageOptions]) -> Callable[[Function], Function]:
    """Show the options of a function that takes ``**options`` in its signature and its documentation."""

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        others = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
        named = [
            inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
            for each in dataclasses.fields(kind)
        ]
        function.__signature__ = signature.replace(parameters=[*others, *named])  # type: ignore[attr-defined]
        texts = "\n".join(_attributes(each) for each in reversed(kind.__mro__) if "Attributes" in (each.__doc__ or ""))
        function.__doc__ = inspect.cleandoc(function.__doc__ or "").replace(
            f"**options\n    See `{kind.__name__}`.", texts
        )
        return function

    return decorate


def _attributes(kind: type) -> str:
    """Return the attributes of a class as its documentation lists them."""
    return inspect.cleandoc(kind.__doc__ or "").partition("Attributes\n----------\n")[2].rstrip()

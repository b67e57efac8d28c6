"""The options of prediction: one place names, documents and validates each of them.

To add an option, add a field here, name its type in the matching `TypedDict`, and use it. `Segmenter.predict`,
`Segmenter.predict_slide` and the command line take it from here.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypedDict, TypeVar

from nucleus_unet.classifier.file import check_classifier
from nucleus_unet.classifier.model import Classifier
from nucleus_unet.io.projections import PROJECTIONS
from nucleus_unet.io.selection import Combine, Selection, check_channels, check_places
from nucleus_unet.measures.settings import GROUPS, NEIGHBOUR_RADIUS, parse_groups
from nucleus_unet.options.checks import (
    MOST_WORKERS,
    Check,
    anything,
    area,
    event,
    length,
    one_of,
    real_number,
    show,
    text,
    truth_value,
    whole_number,
)
from nucleus_unet.progress import Show

Function = TypeVar("Function", bound=Callable[..., Any])
Places = int | str | slice
Projection = Literal["max", "mean", "focus"]
Roi = Path | str | Mapping[str, Any] | Sequence[Any]

# A smaller block reads hundreds of times its own pixels around it.
_LEAST_BLOCK = 16


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
        A higher threshold draws tighter outlines. Far from the default, the quality of many nuclei falls below
        ``min_quality``, so fewer nuclei are found. Then lower ``min_quality``, too.
    min_quality : float, optional
        Minimum quality of a nucleus, 0 to 1: its estimated intersection over union with the true nucleus, the column
        ``quality`` of the table. Nuclei below it are dropped. The default is the model's own
        (``config.group.min_quality``), 0.46 for the default model. A lower one finds more nuclei, and more of them are
        wrong. A model that has not learned the quality (``config.quality_score`` is None) raises an error.
    min_probability : float, optional
        Minimum mean foreground probability of a nucleus, 0 to 1, the column ``probability`` of the table. It replaces
        the default of ``min_quality``. If both options are given, both apply. By default, only models that have not
        learned the quality use it, with their own value (``config.group.min_score``).
    min_area : int or float, optional
        Smaller nuclei are dropped: pixels of the image, or, between 0 and 1, a share of the median area of the nuclei.
        A share of 0.2 drops micronuclei and fragments where only whole nuclei count. Where the scale is not found from
        the image (``diameter``, ``mpp`` of stained tissue), it is a share of the area of a nucleus of the diameter that
        the scale stands for. The default is the model's own.
    diameter : float, optional
        Typical diameter of the nuclei in pixels. The image is scaled so that it becomes the model's reference diameter
        (``segmenter.bundle.config.diameter``). By default, the size of the nuclei is found from the image if the model
        has learned to (``config.scale_score``; the embedded model has), and any other image keeps its size. The pixel
        size that the file of stained tissue gives decides first, if the model knows its own (``config.mpp_known``), and
        unless the nuclei are more than twice as large or small.
    mpp : float, optional
        Pixel size of the image in micrometres, in place of what its file says. Lengths in micrometres need it. Stained
        tissue is scaled by it to the model's pixel size. Any other image is not, because its nuclei have any size.
    channel : int, str or sequence of these, optional
        Segment this channel only: its number (negative numbers count from the last one) or, of a file that names its
        channels, its name. Several become one, as ``combine`` says.
    combine : str
        How several channels become one nuclear stain: ``"sum"`` or ``"max"``, the largest value.
    z : int, str or slice, optional
        Which planes of a stack: a number, a range such as ``"0:10"``, ``"all"``; or a projection of all to one:
        ``"max"``, ``"mean"``, ``"focus"`` (each pixel from the plane that is sharpest around it).
    time : int, str or slice, optional
        Which times: a number, a range such as ``"0:10"`` or ``"::2"``, or ``"all"``.
    scene : int, str or slice, optional
        Which images of a file that has several, such as positions, scanned areas or fields of a plate: a number, a
        name, a range, or ``"all"``.
    channel_axis : int, optional
        Axis that holds the channels, if it is not the last one. The metadata of a file tells it.
    axes : str, optional
        A letter for each axis in order, such as ``"TZCYX"``, of an array or of a file that does not say it: T time, Z
        plane of a stack, C channel, Y row, X column, S sample of a colour.
    augment : bool
        Use test-time augmentation: average the network's output over eight rotations and mirror images. Outlines become
        a little finer. It takes eight times as long.
    dab : bool, optional
        Whether the image is immunohistochemistry with DAB, whose brown can hide nuclei. Such an image is segmented from
        two network outputs: one of the image as it is, one with the DAB attenuated. For each pixel, the output with
        more foreground is kept. The default is to detect it from the colours. Images without colours have no DAB.
    measure : str or sequence of str, optional
        Groups of measures that the table gets further columns for: some of ``intensity``, ``shape``, ``neighbours``,
        ``stain`` (haematoxylin and DAB of stained tissue) and ``texture`` (needs the ``texture`` extra), as a list or
        with commas between them. All channels of the file are measured. `docs/reference/measures.md` lists the columns.
    expand : float or str, optional
        Make cells: distance that they reach beyond the nuclei, in pixels, or with a unit, such as ``"4 um"``. Cells do
        not overlap: a pixel belongs to the nearest nucleus. Rings are cells without their nuclei.
    neighbour_radius : float or str
        Distance between centroids within which nuclei are neighbours, in pixels, or with a unit, such as ``"50 um"``.
    classifier : path or Classifier, optional
        Gives each nucleus a class: the table gets the columns ``class`` and ``class_probability_NAME``. A classifier
        that `nucleus_unet.classification.train_classifier` or ``nucleus-unet classify`` made, or the path of its
        file or folder. It knows which measures, cells and neighbours it needs, and the table gets these, too.
    tile : int, optional
        Largest side in pixels of what one network call sees. Memory grows with its square. The default suits the
        device. Tiles overlap by the network's receptive field, so small ones are slow: with the embedded model, tiles
        of 512 pixels compute each pixel of a large image 3.5 times, tiles of 256 pixels 256 times. On x86-64
        processors with AVX2 the labels do not depend on it. On other hardware the plan names it.
    progress : bool or callable
        Show a progress bar if standard error is a terminal; or a function that is called with the name of the step, the
        number of parts that are done, and the number of all parts.
    cancel : threading.Event, optional
        Setting this event, from any thread, ends the call before its next tile with a `CancelledError`.
    """

    threshold: float | None = _option(None, real_number(0, 1, "probability"), "Least foreground probability, 0 to 1.")
    min_quality: float | None = _option(
        None, real_number(0, 1, "quality"), "Drop nuclei with a lower quality (estimated IoU), 0 to 1."
    )
    min_probability: float | None = _option(
        None,
        real_number(0, 1, "probability"),
        "Drop nuclei by their mean foreground probability instead of their quality, 0 to 1.",
    )
    min_area: int | float | None = _option(
        None, area, "Drop smaller nuclei: pixels, or below 1, a share of the median area."
    )
    diameter: float | None = _option(
        None, real_number(), "Typical diameter of the nuclei in pixels; the image is scaled to suit the model."
    )
    mpp: float | None = _option(
        None,
        real_number(1e-4, 1e4, "pixel size in micrometres"),
        "Pixel size in micrometres, in place of what the file says. It scales stained tissue.",
    )
    channel: int | str | Sequence[int | str] | None = _option(
        None, check_channels, "Number or name of the channel to segment. Given several times, the channels become one."
    )
    combine: Combine = _option("sum", one_of("sum", "max"), "How several channels become one.")  # noqa: RUF009
    z: Places | None = _option(  # noqa: RUF009
        None, check_places(*PROJECTIONS), "Planes of a stack: max, mean, focus (projections), a number, 0:10, all."
    )
    time: Places | None = _option(None, check_places(), "Times: a number, 0:10, all.")  # noqa: RUF009
    scene: Places | None = _option(None, check_places(names=True), "Scenes: a number, a name, 0:10, all.")  # noqa: RUF009
    channel_axis: int | None = _option(None, whole_number(-32, 31))
    axes: str | None = _option(
        None, text, "A letter for each axis in order, such as TZYX, if the file does not say it."
    )
    augment: bool = _option(
        False, truth_value, "Test-time augmentation: finer outlines, 8 times slower.", flag="--augment"
    )
    dab: bool | None = _option(
        None,
        truth_value,
        "Whether to attenuate DAB (brown) in a second pass. By default, the colours decide.",
        flag="--dab/--no-dab",
    )
    measure: str | Sequence[str] | None = _option(
        None, parse_groups, f"Measures to add to the table, separated by commas: {', '.join(GROUPS)}."
    )
    expand: float | str | None = _option(
        None, length, 'Make cells: distance that they reach beyond the nuclei, in pixels or such as "4 um".'
    )
    neighbour_radius: float | str = _option(
        NEIGHBOUR_RADIUS, length, 'Distance within which nuclei are neighbours, in pixels or such as "50 um".'
    )
    classifier: Path | str | Classifier | None = _option(  # noqa: RUF009
        None, check_classifier, "File or folder of a classifier of nuclei, which `nucleus-unet classify` makes."
    )
    tile: int | None = _option(None, whole_number(1), "Largest side of a tile in pixels; the default suits the device.")
    progress: Show = _option(False, show)  # noqa: RUF009
    cancel: threading.Event | None = _option(None, event)  # noqa: RUF009

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if value is not None or each.default is not None:
                object.__setattr__(self, each.name, each.metadata["check"](each.name, value))
        if isinstance(self.classifier, Classifier):
            needed = self.classifier.options(self.measure, self.expand, self.neighbour_radius)
            for name, value in needed.items():
                object.__setattr__(self, name, value)

    @property
    def selection(self) -> Selection:
        """Which planes of a file are meant."""
        names = [each.name for each in dataclasses.fields(Selection)]
        return Selection(**{name: getattr(self, name) for name in names})

    @property
    def tells_scale(self) -> bool:
        """Whether the scale may follow from these options alone."""
        return self.diameter is not None or self.mpp is not None

    def keywords(self) -> dict[str, Any]:
        """Return the options by name, as a call takes them."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}

    def shown(self) -> Self:
        """Return the same options with a progress bar."""
        return dataclasses.replace(self, progress=True)

    @contextmanager
    def for_each(self) -> Iterator[Self]:
        """Yield the options of one of several images. At the end, cancel these, unless the caller gave an event."""
        cancel = self.cancel or threading.Event()
        try:
            yield dataclasses.replace(self, progress=False, cancel=cancel)
        finally:
            if self.cancel is None:
                cancel.set()


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

    batch_size: int = _option(1, whole_number(1), "Number of tiles in one network call, for GPUs.")
    maps: bool = _option(False, truth_value)


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

    tissue: bool = _option(
        True, truth_value, "Skip empty glass, or process all of the slide.", flag="--tissue/--no-tissue"
    )
    roi: Roi | None = _option(None, anything, "GeoJSON file with regions, in pixels of the full resolution.")  # noqa: RUF009
    block: int | None = _option(None, whole_number(_LEAST_BLOCK), "Largest side of a block in pixels.")
    workers: int | None = _option(
        None, whole_number(1, MOST_WORKERS), "Threads beside those of the network; by default up to four."
    )


class _CommonKeywords(TypedDict, total=False):
    """The options that do not choose scenes, times and planes of a stack."""

    threshold: float | None
    min_quality: float | None
    min_probability: float | None
    min_area: int | float | None
    diameter: float | None
    mpp: float | None
    channel: int | str | Sequence[int | str] | None
    combine: Combine
    channel_axis: int | None
    axes: str | None
    augment: bool
    dab: bool | None
    measure: str | Sequence[str] | None
    expand: float | str | None
    neighbour_radius: float | str
    classifier: Path | str | Classifier | None
    tile: int | None
    progress: Show
    cancel: threading.Event | None


class ImageKeywords(_CommonKeywords, total=False):
    """The names and types of `ImageOptions`, for type checkers."""

    z: Places | None
    time: Places | None
    scene: Places | None


class PredictKeywords(ImageKeywords, total=False):
    """The names and types of `PredictOptions`, for type checkers."""

    batch_size: int
    maps: bool


class OnePlaneKeywords(_CommonKeywords, total=False):
    """Names and types of `PredictOptions` for a call that returns one plane."""

    z: int | Projection | None
    time: int | None
    scene: int | None
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

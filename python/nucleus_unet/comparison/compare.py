"""Models side by side on one labelled set: figures of each, and the differences between any two."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.comparison.bootstrap import Interval, paired_bootstrap
from nucleus_unet.comparison.metric_values import FIGURES, Figure, Measured
from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.evaluation.metrics import score_image
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.training.validation import predict_examples

TRAINING_FIGURES = ("loss", "pixel_accuracy")
"""What is measured on training images, too: far better there than on unseen ones, a model has learned by heart."""

# They are looked at for two figures only.
_MOST_TRAINING_IMAGES = 100

LEAST_UNITS = 10
"""With fewer fields than this an interval says too little, and no difference is called real."""


@dataclass(frozen=True)
class ComparedModel:
    """A model and its figures.

    Attributes
    ----------
    name
        By which it was given.
    fingerprint
        SHA-256 of its configuration and weights.
    parameters
        Numbers that were trained.
    milliseconds
        For an image: the median, of finding nuclei alone, without the reading of files.
    figures
        By the names of `nucleus_unet.comparison.metric_values.FIGURES`, on images that no model was trained on.
    training
        Those of `TRAINING_FIGURES`, on images that all models were trained on; empty where there are none.
    """

    name: str
    fingerprint: str
    parameters: int
    milliseconds: float
    figures: dict[str, float]
    training: dict[str, float]


@dataclass(frozen=True)
class Difference:
    """How much higher a figure is of the second model than of the first.

    Attributes
    ----------
    figure
        By its name in `nucleus_unet.comparison.metric_values.FIGURES`.
    first, second
        Names of the models.
    interval
        The difference, and where it lies with a probability of 95 %.
    doubt
        Why these images cannot tell whether it is real; empty where they can.
    """

    figure: str
    first: str
    second: str
    interval: Interval
    doubt: str

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves out 0, and rests on images that can tell."""
        return not self.doubt and (self.interval.low > 0 or self.interval.high < 0)

    @property
    def verdict(self) -> str:
        """Say which model is better, or that the images do not tell."""
        if not any(self.interval):
            return "no difference"
        if self.doubt:
            return self.doubt
        if not self.is_real:
            return "may well be chance"
        better = (self.interval.difference > 0) == FIGURES[self.figure].higher_is_better
        return f"real: {self.second if better else self.first} is better"


@dataclass(frozen=True)
class Comparison:
    """Models compared on one set.

    Attributes
    ----------
    models
        In the order given.
    differences
        Of every two models, in every figure.
    unseen
        Whether no model was trained on the images, as far as the bundles tell.
    images, fields
        How many images the models were compared on, and how many fields or patients they show.
    training_images
        How many images were looked at that all models were trained on.
    left_out
        How many images were not looked at, since they come twice, or some of the models were trained on them or on
        others of their field.
    choice_images
        On how many of the compared images settings of a model were chosen, which favours it.
    silent
        The models whose bundles do not tell what they were trained on.
    resamples, seed
        Of the bootstrap.
    """

    models: list[ComparedModel]
    differences: list[Difference]
    unseen: bool
    images: int
    fields: int
    training_images: int
    left_out: int
    choice_images: int
    silent: list[str]
    resamples: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        differences = [
            {
                "figure": each.figure,
                "first": each.first,
                "second": each.second,
                **each.interval._asdict(),
                "real": each.is_real,
                "verdict": each.verdict,
            }
            for each in self.differences
        ]
        return {**asdict(self), "differences": differences}


def compare(
    segmenters: Mapping[str, Segmenter],
    examples: Sequence[Example],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    track: Callable[[Sequence[Example], str], Iterable[Example]] = lambda examples, _: examples,
) -> Comparison:
    """Measure models on the same images, and tell which differences are more than chance.

    What is drawn anew are fields or patients (`Example.mosaic`) with all their images: images of one field are alike,
    and taken one by one they would make intervals too narrow.

    Parameters
    ----------
    segmenters
        By name, at least two.
    examples
        Images with their nuclei. Models are compared on those that none was trained on, as far as the bundles tell
        (those that `nucleus_unet.training.pipeline.train_bundle` made do), and some of those that all were trained on
        give the figures of training. Where all are known to a model, all are looked at, and no difference is called
        real.
    resamples, seed
        Of the bootstrap.
    track
        Wraps the examples for each model, given its name, to show progress.

    Raises
    ------
    SettingsError
        There are fewer than two models.
    DataError
        There are no examples.

    Examples
    --------
    >>> rows, columns = np.mgrid[:64, :64]
    >>> disc = np.hypot(rows - 32, columns - 32) < 10
    >>> example = Example("disc", "made up", disc.astype(np.uint8) * 100, disc.astype(np.uint32), "disc")
    >>> segmenter = Segmenter.from_pretrained(device="cpu")
    >>> comparison = compare({"mine": segmenter, "yours": segmenter}, [example])
    >>> comparison.models[0].figures["pooled_ap50"], comparison.differences[0].is_real
    (1.0, False)
    """
    if len(segmenters) < 2:
        raise SettingsError(f"expected at least two models to compare, got {len(segmenters)}")
    if not examples:
        raise DataError("expected at least one image to compare models on, got none")
    seen = {name: segmenter.bundle.seen for name, segmenter in segmenters.items()}
    unseen, known = _split(examples, [each.training for each in seen.values()])
    compared, known = (unseen, known) if unseen else (list(examples), [])
    shown = known[:: math.ceil(len(known) / _MOST_TRAINING_IMAGES)] if known else []
    fields, field_of_image = np.unique([example.mosaic for example in compared], return_inverse=True)
    both = {name: _measure(segmenter, [*compared, *shown], name, track) for name, segmenter in segmenters.items()}
    measured = {name: images[: len(compared)] for name, images in both.items()}
    doubt = _doubt(bool(unseen), len(fields))
    differences = []
    for first, second in combinations(segmenters, 2):
        for name, figure in FIGURES.items():
            a, b = (_sums(figure, measured[model], field_of_image, len(fields)) for model in (first, second))
            interval = paired_bootstrap(a[0], b[0], a[1], b[1], resamples=resamples, seed=seed)
            differences.append(Difference(name, first, second, interval, doubt))
    models = [
        _summarise(name, segmenter, images[: len(compared)], images[len(compared) :])
        for (name, segmenter), images in zip(segmenters.items(), both.values(), strict=True)
    ]
    choice = frozenset[str]().union(*(each.choice for each in seen.values()))
    return Comparison(
        models=models,
        differences=differences,
        unseen=bool(unseen),
        images=len(compared),
        fields=len(fields),
        training_images=len(shown),
        left_out=len(examples) - len(compared) - len(known),
        choice_images=sum(example.digest in choice for example in compared),
        silent=[name for name, each in seen.items() if not each.training],
        resamples=resamples,
        seed=seed,
    )


def _split(
    examples: Sequence[Example], training_images: Sequence[frozenset[str]]
) -> tuple[list[Example], list[Example]]:
    """Return the examples of fields that no model was trained on, and those that all were trained on, each once."""
    once = {example.digest: example for example in examples}
    to_some = {digest for digest in once if any(digest in images for images in training_images)}
    fields_to_some = {once[digest].mosaic for digest in to_some}
    unseen = [example for example in once.values() if example.mosaic not in fields_to_some]
    known = [once[digest] for digest in once if all(digest in images for images in training_images)]
    return unseen, known


def _doubt(unseen: bool, fields: int) -> str:
    if not unseen:
        return "a model was trained on these images: they cannot tell"
    return "" if fields >= LEAST_UNITS else f"fewer than {LEAST_UNITS} fields: too few to tell"


def _measure(
    segmenter: Segmenter,
    examples: Sequence[Example],
    name: str,
    track: Callable[[Sequence[Example], str], Iterable[Example]],
) -> list[Measured]:
    segmenter.predict(examples[0].image)  # the first call also pays for what is set up once
    measured = []
    for example in track(examples, name):
        start = time.perf_counter()
        labels = segmenter.predict(example.image).labels
        milliseconds = 1000 * (time.perf_counter() - start)
        (answer,) = predict_examples(segmenter.engine, [example])
        measured.append(Measured(answer.loss, score_image(example.labels, labels), milliseconds))
    return measured


def _sums(
    figure: Figure, measured: Sequence[Measured], field_of_image: NDArray[np.intp], fields: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add up each field's share of the dividend and of the divisor."""
    shares = np.array([figure.parts(image) for image in measured], np.float64)
    sums = np.zeros((fields, 2))
    np.add.at(sums, field_of_image, shares)
    return sums[:, 0], sums[:, 1]


def _figure(name: str, measured: Sequence[Measured]) -> float:
    dividend, divisor = np.sum([FIGURES[name].parts(image) for image in measured], axis=0)
    return float(dividend / divisor) if divisor else 1.0


def _summarise(
    name: str, segmenter: Segmenter, compared: Sequence[Measured], known: Sequence[Measured]
) -> ComparedModel:
    return ComparedModel(
        name=name,
        fingerprint=segmenter.bundle.fingerprint,
        parameters=segmenter.bundle.parameters,
        milliseconds=float(np.median([image.milliseconds for image in compared])),
        figures={figure: _figure(figure, compared) for figure in FIGURES},
        training={figure: _figure(figure, known) for figure in TRAINING_FIGURES if known},
    )

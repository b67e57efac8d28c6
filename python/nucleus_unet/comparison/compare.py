"""Compare models on one labelled set: the metrics of each model and the differences between each pair."""

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
from nucleus_unet.comparison.metric_values import METRICS, ImageResult, Metric
from nucleus_unet.data.dataset import Example
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.evaluation.metrics import score_image
from nucleus_unet.inference.scale_log import without_log_of_images
from nucleus_unet.segmenter import Segmenter
from nucleus_unet.training.validation import predict_examples

TRAINING_METRICS = ("loss", "pixel_accuracy")
"""Metrics that are also measured on training images. A model that is far better there is overfitted."""

# Limits the time: training images contribute two metrics only.
_MAX_TRAINING_IMAGES = 100

MIN_FIELDS = 10
"""With fewer fields the interval is unreliable, and no difference is called significant."""


@dataclass(frozen=True)
class ComparedModel:
    """A model and its metrics.

    Attributes
    ----------
    name
        Name of the model in the comparison.
    fingerprint
        SHA-256 of its configuration and weights.
    parameters
        Number of trained parameters.
    milliseconds
        Median prediction time of an image in milliseconds, without reading the file.
    metrics
        The metrics of `nucleus_unet.comparison.metric_values.METRICS` by name, on images that no model was trained on.
    training_metrics
        The metrics of `TRAINING_METRICS` by name, on images that all models were trained on. Empty if there are no
        such images.
    """

    name: str
    fingerprint: str
    parameters: int
    milliseconds: float
    metrics: dict[str, float]
    training_metrics: dict[str, float]


@dataclass(frozen=True)
class Difference:
    """The difference in one metric between two models.

    Attributes
    ----------
    metric
        Name of the metric in `nucleus_unet.comparison.metric_values.METRICS`.
    first, second
        Names of the models.
    interval
        Value of the second model minus that of the first, with the 95 % confidence interval.
    caveat
        Why the images do not allow a verdict on significance. Empty if they do.
    """

    metric: str
    first: str
    second: str
    interval: Interval
    caveat: str

    @property
    def is_significant(self) -> bool:
        """Whether the 95 % confidence interval excludes 0 and there is no caveat."""
        return not self.caveat and (self.interval.low > 0 or self.interval.high < 0)

    @property
    def verdict(self) -> str:
        """Which model is better, or why no model is called better."""
        if not any(self.interval):
            return "no difference"
        if self.caveat:
            return self.caveat
        if not self.is_significant:
            return "not significant (95 % CI includes 0)"
        better = (self.interval.difference > 0) == METRICS[self.metric].higher_is_better
        return f"significant: {self.second if better else self.first} is better"


@dataclass(frozen=True)
class Comparison:
    """A comparison of models on one labelled set.

    Attributes
    ----------
    models
        The models, in the order given.
    differences
        The difference in each metric, for each pair of models.
    held_out
        Whether no model was trained on the compared images, as far as the bundles record it.
    images, fields
        Number of compared images, and of the fields or patients that they show.
    training_images
        Number of images for the training metrics. All models were trained on them.
    excluded_images
        Number of excluded images. An image is excluded if it is a duplicate, or if some models but not all were
        trained on it or on another image of its field.
    calibration_images
        Number of compared images on which settings of a model were chosen. Its metrics are optimistically biased.
    unknown_training_data
        Names of the models whose bundles do not record their training images.
    resamples, seed
        Number of bootstrap resamples, and seed of the draws.
    """

    models: list[ComparedModel]
    differences: list[Difference]
    held_out: bool
    images: int
    fields: int
    training_images: int
    excluded_images: int
    calibration_images: int
    unknown_training_data: list[str]
    resamples: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON types."""
        differences = [
            {
                "metric": each.metric,
                "first": each.first,
                "second": each.second,
                **each.interval._asdict(),
                "significant": each.is_significant,
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
    """Evaluate models on the same images, and find the significant differences.

    The bootstrap draws whole fields or patients (`Example.field_id`). Images of one field are similar, so drawing
    single images would make the intervals too narrow.

    Parameters
    ----------
    segmenters
        At least two models, by name.
    examples
        Labelled images. The models are compared on the images that no model was trained on. Up to 100 images that all
        models were trained on give the training metrics. Bundles from
        `nucleus_unet.training.pipeline.train_bundle` record their training images. If every image was in the training
        data of some model, all images are compared, and no difference is called significant.
    resamples, seed
        Number of bootstrap resamples, and seed of the draws.
    track
        Called with the examples and the name of each model. Returns an iterable of the examples that shows progress.

    Returns
    -------
    Comparison
        The metrics of the models and their differences.

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
    >>> comparison.models[0].metrics["pooled_ap50"], comparison.differences[0].is_significant
    (1.0, False)
    """
    if len(segmenters) < 2:
        raise SettingsError(f"expected at least two models to compare, got {len(segmenters)}")
    if not examples:
        raise DataError("expected at least one image to compare models on, got none")
    seen = {name: segmenter.bundle.seen for name, segmenter in segmenters.items()}
    held_out, known = _split(examples, [each.training for each in seen.values()])
    compared, known = (held_out, known) if held_out else (list(examples), [])
    training = known[:: math.ceil(len(known) / _MAX_TRAINING_IMAGES)] if known else []
    fields, field_of_image = np.unique([example.field_id for example in compared], return_inverse=True)
    results = {name: _measure(segmenter, [*compared, *training], name, track) for name, segmenter in segmenters.items()}
    compared_results = {name: images[: len(compared)] for name, images in results.items()}
    caveat = _caveat(bool(held_out), len(fields))
    differences = []
    for first, second in combinations(segmenters, 2):
        for name, metric in METRICS.items():
            a, b = (
                _field_sums(metric, compared_results[model], field_of_image, len(fields)) for model in (first, second)
            )
            interval = paired_bootstrap(a[0], b[0], a[1], b[1], resamples=resamples, seed=seed)
            differences.append(Difference(name, first, second, interval, caveat))
    models = [
        _summarise(name, segmenter, compared_results[name], results[name][len(compared) :])
        for name, segmenter in segmenters.items()
    ]
    choice = frozenset[str]().union(*(each.choice for each in seen.values()))
    return Comparison(
        models=models,
        differences=differences,
        held_out=bool(held_out),
        images=len(compared),
        fields=len(fields),
        training_images=len(training),
        excluded_images=len(examples) - len(compared) - len(known),
        calibration_images=sum(example.digest in choice for example in compared),
        unknown_training_data=[name for name, each in seen.items() if not each.training],
        resamples=resamples,
        seed=seed,
    )


def _split(
    examples: Sequence[Example], training_images: Sequence[frozenset[str]]
) -> tuple[list[Example], list[Example]]:
    """Return the examples of fields that no model was trained on, and those that all models were trained on.

    Duplicates are dropped.
    """
    once = {example.digest: example for example in examples}
    to_some = {digest for digest in once if any(digest in images for images in training_images)}
    fields_to_some = {once[digest].field_id for digest in to_some}
    held_out = [example for example in once.values() if example.field_id not in fields_to_some]
    known = [once[digest] for digest in once if all(digest in images for images in training_images)]
    return held_out, known


def _caveat(held_out: bool, fields: int) -> str:
    if not held_out:
        return "no verdict: a model was trained on these images"
    return "" if fields >= MIN_FIELDS else f"no verdict: fewer than {MIN_FIELDS} fields"


def _measure(
    segmenter: Segmenter,
    examples: Sequence[Example],
    name: str,
    track: Callable[[Sequence[Example], str], Iterable[Example]],
) -> list[ImageResult]:
    segmenter.predict(examples[0].image)  # warm up: the first call includes one-time initialisation
    results = []
    for example in track(examples, name):
        start = time.perf_counter()
        with without_log_of_images():
            labels = segmenter.predict(example.image).labels
        milliseconds = 1000 * (time.perf_counter() - start)
        (prediction,) = predict_examples(segmenter.engine, [example])
        results.append(ImageResult(prediction.loss, score_image(example.labels, labels, example.valid), milliseconds))
    return results


def _field_sums(
    metric: Metric, results: Sequence[ImageResult], field_of_image: NDArray[np.intp], fields: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add up the terms of numerator and denominator over the images of each field."""
    terms = np.array([metric.terms(image) for image in results], np.float64)
    sums = np.zeros((fields, 2))
    np.add.at(sums, field_of_image, terms)
    return sums[:, 0], sums[:, 1]


def _value(name: str, results: Sequence[ImageResult]) -> float:
    numerator, denominator = np.sum([METRICS[name].terms(image) for image in results], axis=0)
    return float(numerator / denominator) if denominator else 1.0


def _summarise(
    name: str, segmenter: Segmenter, compared: Sequence[ImageResult], known: Sequence[ImageResult]
) -> ComparedModel:
    return ComparedModel(
        name=name,
        fingerprint=segmenter.bundle.fingerprint,
        parameters=segmenter.bundle.parameters,
        milliseconds=float(np.median([image.milliseconds for image in compared])),
        metrics={metric: _value(metric, compared) for metric in METRICS},
        training_metrics={metric: _value(metric, known) for metric in TRAINING_METRICS if known},
    )

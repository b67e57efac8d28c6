"""Tables and pictures of the pages on a model's errors, as rows and PNGs. The template is ``errors.html``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import imagecodecs

from nucleus_unet.evaluation.evaluate import EvaluatedImage
from nucleus_unet.evaluation.metrics import THRESHOLDS, Scores
from nucleus_unet.evaluation.overlays import PREDICTION_COLOURS, TRUTH_COLOURS, error_panels

NamedScores = Iterable[tuple[str, Scores]]

LEGENDS = {
    title: {outcome.name.lower().replace("_", " "): colour for outcome, colour in colours.items()}
    for title, colours in (("Truth", TRUTH_COLOURS), ("Prediction", PREDICTION_COLOURS))
}
"""Meanings of the colours of `error_pictures`."""

IMAGE_HEADER = (
    *("image", "category", "nuclei", "predicted"),
    *("AP50", "AP75", "mean AP", "PQ", "AJI", "pixels", "FN", "FP"),
)
"""Header of `image_rows`."""


def format_metric(value: float) -> str:
    """Return a metric as text with three decimal places."""
    return f"{value:.3f}"


def error_rows(groups: NamedScores) -> list[list[str]]:
    """Return the errors of each group by cause, as shares of the true nuclei."""
    rows = []
    for name, scores in groups:
        errors = scores.errors
        counts = [errors.merged, errors.split, errors.outline, errors.missed, errors.false_negatives]
        counts += [errors.background, errors.piece, errors.bad_outline, errors.false_positives]
        rows.append([name, *(_share(count, scores.truths) for count in counts)])
    return rows


def image_rows(images: Iterable[EvaluatedImage]) -> list[list[object]]:
    """Return the metrics of every image, worst first."""
    rows = []
    for image in sorted(images, key=lambda image: image.mean_average_precision):
        score = image.score
        precision = score.average_precision
        metrics = [precision[0], precision[THRESHOLDS.index(0.75)], image.mean_average_precision]
        metrics += [score.panoptic_quality.quality, score.aggregated_jaccard, score.pixel_accuracy]
        counts = [score.truths, score.predictions]
        errors = [score.errors.false_negatives, score.errors.false_positives]
        rows.append([image.example.name, image.example.category, *counts, *map(format_metric, metrics), *errors])
    return rows


def error_pictures(images: Iterable[EvaluatedImage]) -> list[tuple[EvaluatedImage, str, dict[str, bytes]]]:
    """Return images, their errors by cause as text, and PNGs of their true and their predicted nuclei by title."""
    pictures = []
    for image in images:
        errors = asdict(image.score.errors).items()
        causes = ", ".join(f"{count} {cause.replace('_', ' ')}" for cause, count in errors if count)
        panels = error_panels(image.example.image, image.example.labels, image.counted, image.example.valid)._asdict()
        pngs = {name: bytes(imagecodecs.png_encode(panel)) for name, panel in panels.items()}
        pictures.append((image, causes, pngs))
    return pictures


def _share(count: int, truths: int) -> str:
    return f"{count / truths:.1%}" if truths else "none"

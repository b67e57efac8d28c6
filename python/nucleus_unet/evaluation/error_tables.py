"""What pages about a model's errors share: causes and images as rows of tables, and pictures of the errors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import NamedTuple

import imagecodecs

from nucleus_unet.evaluation.evaluate import EvaluatedImage
from nucleus_unet.evaluation.metrics import THRESHOLDS, Scores
from nucleus_unet.evaluation.overlays import PREDICTED_COLOURS, TRUE_COLOURS, error_panels

Groups = Iterable[tuple[str, Scores]]

LEGENDS = {
    title: {fate.name.lower().replace("_", " "): colour for fate, colour in colours.items()}
    for title, colours in (("Truth", TRUE_COLOURS), ("Prediction", PREDICTED_COLOURS))
}
"""The colours of `error_figures` and what each means."""

IMAGE_HEADER = (
    *("image", "kind", "nuclei", "predicted"),
    *("AP50", "AP75", "mean AP", "PQ", "AJI", "pixels", "lost", "wrong"),
)
"""Header of `image_rows`."""


class ErrorFigure(NamedTuple):
    """An image, how many of its nuclei are lost or wrong by cause, and PNGs by their titles."""

    image: EvaluatedImage
    causes: str
    panels: dict[str, bytes]


def figure(value: float) -> str:
    """Write a figure with three digits."""
    return f"{value:.3f}"


def cause_rows(groups: Groups) -> list[list[str]]:
    """Return what is lost and wrong in each group, by cause, as shares of the true nuclei."""
    rows = []
    for name, scores in groups:
        errors = scores.errors
        lost = [errors.merged, errors.split, errors.outline, errors.missed, errors.lost]
        wrong = [errors.empty_ground, errors.piece, errors.bad_outline, errors.wrong]
        rows.append([name, *(_share(count, scores.truths) for count in [*lost, *wrong])])
    return rows


def image_rows(images: Iterable[EvaluatedImage]) -> list[list[str]]:
    """Return the figures of every image, worst first."""
    rows = []
    for image in sorted(images, key=lambda image: image.mean_average_precision):
        score = image.score
        precision = score.average_precision
        figures = [precision[0], precision[THRESHOLDS.index(0.75)], image.mean_average_precision]
        figures += [score.panoptic_quality.quality, score.aggregated_jaccard, score.pixel_accuracy]
        counts = [str(score.truths), str(score.predictions)]
        errors = [str(score.errors.lost), str(score.errors.wrong)]
        rows.append([image.example.name, image.example.kind, *counts, *map(figure, figures), *errors])
    return rows


def error_figures(images: Iterable[EvaluatedImage]) -> list[ErrorFigure]:
    """Draw images with their true and their predicted nuclei."""
    figures = []
    for image in images:
        errors = asdict(image.score.errors).items()
        causes = ", ".join(f"{count} {cause.replace('_', ' ')}" for cause, count in errors if count)
        panels = error_panels(image.example.image, image.example.labels, image.prediction)._asdict()
        figures.append(
            ErrorFigure(image, causes, {name: bytes(imagecodecs.png_encode(panel)) for name, panel in panels.items()})
        )
    return figures


def _share(count: int, truths: int) -> str:
    return f"{count / truths:.1%}" if truths else "none"

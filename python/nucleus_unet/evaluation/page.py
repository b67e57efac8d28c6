"""The HTML page of an evaluation. It is one file with embedded pictures."""

from __future__ import annotations

from collections.abc import Sequence

from nucleus_unet.evaluation.error_tables import (
    IMAGE_HEADER,
    LEGENDS,
    NamedScores,
    error_pictures,
    error_rows,
    format_metric,
    image_rows,
)
from nucleus_unet.evaluation.evaluate import EvaluatedImage, Evaluation
from nucleus_unet.evaluation.metrics import THRESHOLDS, Scores
from nucleus_unet.reports.page import render
from nucleus_unet.reports.plots import draw_precision


def evaluation_html(evaluation: Evaluation, worst: Sequence[EvaluatedImage]) -> str:
    """Return the page of an evaluation.

    Parameters
    ----------
    evaluation
        The evaluation.
    worst
        The images of which the page has pictures.
    """
    # Pairs instead of a dict, as a subset or a category may also be named "all".
    groups = [("all", evaluation.overall), *evaluation.subsets.items()]
    return render(
        "evaluation/page.html",
        title=f"{evaluation.model}: evaluation",
        evaluation=evaluation,
        all=_score_rows([("all", evaluation.overall)]),
        subsets=_score_rows(evaluation.subsets.items()),
        categories=_score_rows(evaluation.categories.items()),
        fields=_score_rows(evaluation.fields.items()),
        curves=draw_precision(_curves(groups)),
        thresholds=[_thresholds(name, scores) for name, scores in groups],
        error_rows=error_rows([*groups, *evaluation.categories.items()]),
        legends=LEGENDS,
        worst=error_pictures(worst),
        image_header=IMAGE_HEADER,
        images=image_rows(evaluation.images),
    )


def _score_rows(groups: NamedScores) -> list[list[object]]:
    rows = []
    for name, scores in groups:
        pooled = [scores.pooled[0.5], scores.pooled[0.75], scores.pooled[0.9], scores.pooled_mean]
        pooled += [*scores.pooled_pq, scores.pooled_aji]
        single = [scores.per_image[0.5], scores.per_image_mean, scores.per_image_f1[0.5]]
        single += [scores.per_image_pq.quality, scores.per_image_aji]
        metrics = map(format_metric, [*pooled, *single, scores.pixel_accuracy])
        rows.append([name, *metrics, scores.images, scores.truths, scores.predictions])
    return rows


def _curves(groups: NamedScores) -> list[tuple[str, dict[float, float]]]:
    curves: list[tuple[str, dict[float, float]]] = []
    for name, scores in groups:
        curves += [(f"{name}, pooled", scores.pooled), (f"{name}, mean per image", scores.per_image)]
    return curves


def _thresholds(name: str, scores: Scores) -> tuple[list[str], list[list[str]]]:
    measures = {
        "average precision, pooled": scores.pooled,
        "average precision, mean per image": scores.per_image,
        "F1, pooled": scores.pooled_f1,
        "F1, mean per image": scores.per_image_f1,
    }
    rows = [
        [measure, *map(format_metric, curve.values()), format_metric(sum(curve.values()) / len(curve))]
        for measure, curve in measures.items()
    ]
    return [name, *(f"{threshold:.2f}" for threshold in THRESHOLDS), "mean"], rows

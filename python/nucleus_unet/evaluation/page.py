"""The HTML page of an evaluation. It is one file with embedded pictures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from nucleus_unet import __version__
from nucleus_unet.evaluation.evaluate import EvaluatedImage, Evaluation
from nucleus_unet.evaluation.html_fragments import (
    AVERAGES_NOTE,
    ERRORS_NOTE,
    STYLE,
    NamedScores,
    error_legend,
    error_pictures,
    error_table,
    format_metric,
    image_table,
)
from nucleus_unet.evaluation.metrics import THRESHOLDS, Scores
from nucleus_unet.reports.page import embedded, metric_tiles, page, table
from nucleus_unet.reports.plots import draw_precision

_BODY = """\
{facts}
<p>Model <code>{model}</code>, SHA-256 <code>{fingerprint}</code>, nucleus-unet {version}{augmented}. {warning}</p>
<h2>Metrics</h2>
{metrics}
<p class="note">{averages_note} Pooled metrics and means per image differ: compare only metrics of the same convention.
PQ: panoptic quality, the mean IoU of the matches at 0.5 (SQ) times F1 at 0.5 (RQ). AJI: aggregated Jaccard index in its
original definition (Kumar et al. 2017; not AJI+).</p>
<h2>Metrics by threshold</h2>
<figure><img alt="Average precision against threshold" src="{curves}"></figure>
{thresholds}
<h2>Error analysis</h2>
{errors}
{errors_note}
<h2>The worst images</h2>
{legend}
{worst}
<h2>All images</h2>
<details><summary>{images} images, worst first</summary>
{table}
</details>"""


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
    body = _BODY.format(
        model=escape(evaluation.model),
        fingerprint=escape(evaluation.fingerprint),
        version=escape(__version__),
        augmented=", averaged over rotations and reflections" if evaluation.augment else "",
        warning=evaluation.warning,
        facts=_facts(evaluation.overall),
        images=evaluation.overall.images,
        metrics=_metrics(evaluation),
        averages_note=AVERAGES_NOTE,
        curves=embedded(draw_precision(_curves(groups))),
        thresholds="".join(_thresholds(name, scores) for name, scores in groups),
        errors=error_table([*groups, *evaluation.categories.items()]),
        errors_note=ERRORS_NOTE,
        legend=error_legend(),
        worst=error_pictures(worst),
        table=image_table(evaluation.images),
    )
    return page(f"{evaluation.model}: evaluation", body, style=STYLE)


def _facts(overall: Scores) -> str:
    return metric_tiles(
        {
            "AP50": format_metric(overall.pooled[0.5]),
            "mean AP": format_metric(overall.pooled_mean),
            "PQ": format_metric(overall.pooled_pq.quality),
            "images": f"{overall.images:,}",
            "true nuclei": f"{overall.truths:,}",
            "predicted": f"{overall.predictions:,}",
        }
    )


def _metrics(evaluation: Evaluation) -> str:
    html = _scores_table([("all", evaluation.overall)])
    categories = evaluation.categories if len(evaluation.categories) > 1 else {}
    for heading, groups in ("Subsets", evaluation.subsets), ("By category", categories):
        if groups:
            html += f"<h3>{heading}</h3>\n{_scores_table(groups.items())}"
    if evaluation.fields:
        fields = _scores_table(evaluation.fields.items())
        html += f"<details><summary>Fields or patients with several images</summary>\n{fields}</details>\n"
    return html


def _scores_table(groups: NamedScores) -> str:
    # Counts come last: a phone shows the first columns only.
    above = '<tr><th></th><th colspan="8">pooled</th><th colspan="5">mean per image</th><th colspan="4"></th></tr>'
    header = ["", "AP50", "AP75", "AP90", "mean AP", "PQ", "SQ", "RQ (F1)", "AJI"]
    header += ["AP50", "mSA", "F1", "PQ", "AJI", "pixels", "images", "nuclei", "predicted"]
    rows = []
    for name, scores in groups:
        counts = map(str, (scores.images, scores.truths, scores.predictions))
        pooled = [scores.pooled[0.5], scores.pooled[0.75], scores.pooled[0.9], scores.pooled_mean]
        pooled += [*scores.pooled_pq, scores.pooled_aji]
        single = [scores.per_image[0.5], scores.per_image_mean, scores.per_image_f1[0.5]]
        single += [scores.per_image_pq.quality, scores.per_image_aji]
        rows.append([name, *map(format_metric, [*pooled, *single, scores.pixel_accuracy]), *counts])
    return table(header, rows, above=above)


def _curves(groups: NamedScores) -> list[tuple[str, dict[float, float]]]:
    curves: list[tuple[str, dict[float, float]]] = []
    for name, scores in groups:
        curves += [(f"{name}, pooled", scores.pooled), (f"{name}, mean per image", scores.per_image)]
    return curves


def _thresholds(name: str, scores: Scores) -> str:
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
    return table([name, *(f"{threshold:.2f}" for threshold in THRESHOLDS), "mean"], rows)

"""The page of an evaluation: one HTML file with everything in it, pictures too."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from nucleus_unet import __version__
from nucleus_unet.evaluation.evaluate import EvaluatedImage, Evaluation
from nucleus_unet.evaluation.html_fragments import (
    AVERAGES_NOTE,
    CAUSES_NOTE,
    STYLE,
    Groups,
    causes_table,
    error_figures,
    error_legend,
    figure,
    images_table,
)
from nucleus_unet.evaluation.metrics import THRESHOLDS, Scores
from nucleus_unet.reports.page import embedded, facts, page, table
from nucleus_unet.reports.plots import draw_precision

_BODY = """\
{facts}
<p>Model <code>{model}</code>, SHA-256 <code>{fingerprint}</code>, nucleus-unet {version}{augmented}. {warning}</p>
<h2>How good</h2>
{figures}
<p class="note">{averages_note} Pooled figures and means per image differ, so compare only like with like. PQ: panoptic
quality, the mean IoU of the matches at .5 (SQ) times F1 at .5 (RQ). AJI: aggregated Jaccard index as first defined
(Kumar et al. 2017; not AJI+).</p>
<h2>At every threshold</h2>
<figure><img alt="Average precision against threshold" src="{curves}"></figure>
{thresholds}
<h2>What is lost, and why</h2>
{causes}
{causes_note}
<h2>The worst images</h2>
{legend}
{worst}
<h2>All images</h2>
<details><summary>{images} images, worst first</summary>
{table}
</details>"""


def report_html(evaluation: Evaluation, worst: Sequence[EvaluatedImage]) -> str:
    """Write the page.

    Parameters
    ----------
    evaluation
        Its figures.
    worst
        The images to show.
    """
    # Pairs, as a subset or a kind may be called "all" too.
    groups = [("all", evaluation.overall), *evaluation.subsets.items()]
    body = _BODY.format(
        model=escape(evaluation.model),
        fingerprint=escape(evaluation.fingerprint),
        version=escape(__version__),
        augmented=", averaged over turns and mirrors" if evaluation.augment else "",
        warning=evaluation.warning,
        facts=_facts(evaluation.overall),
        images=evaluation.overall.images,
        figures=_figures(evaluation),
        averages_note=AVERAGES_NOTE,
        curves=embedded(draw_precision(_curves(groups))),
        thresholds="".join(_thresholds(name, scores) for name, scores in groups),
        causes=causes_table([*groups, *evaluation.kinds.items()]),
        causes_note=CAUSES_NOTE,
        legend=error_legend(),
        worst=error_figures(worst),
        table=images_table(evaluation.images),
    )
    return page(f"{evaluation.model}: evaluation", body, style=STYLE)


def _facts(overall: Scores) -> str:
    return facts(
        {
            "AP50": figure(overall.pooled[0.5]),
            "mean AP": figure(overall.pooled_mean),
            "PQ": figure(overall.pooled_pq.quality),
            "images": f"{overall.images:,}",
            "true nuclei": f"{overall.truths:,}",
            "predicted": f"{overall.predictions:,}",
        }
    )


def _figures(evaluation: Evaluation) -> str:
    page = _scores_table([("all", evaluation.overall)])
    kinds = evaluation.kinds if len(evaluation.kinds) > 1 else {}
    for heading, groups in ("Chosen images", evaluation.subsets), ("By kind", kinds):
        if groups:
            page += f"<h3>{heading}</h3>\n{_scores_table(groups.items())}"
    if evaluation.mosaics:
        fields = _scores_table(evaluation.mosaics.items())
        page += f"<details><summary>By field or patient, where several images show one</summary>\n{fields}</details>\n"
    return page


def _scores_table(groups: Groups) -> str:
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
        rows.append([name, *map(figure, [*pooled, *single, scores.pixel_accuracy]), *counts])
    return table(header, rows, above=above)


def _curves(groups: Groups) -> list[tuple[str, dict[float, float]]]:
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
        [measure, *map(figure, curve.values()), figure(sum(curve.values()) / len(curve))]
        for measure, curve in measures.items()
    ]
    return table([name, *(f"{threshold:.2f}" for threshold in THRESHOLDS), "mean"], rows)

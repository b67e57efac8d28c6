"""The page of an evaluation: one HTML file with everything in it, pictures too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape

import imagecodecs

from nucleus_unet import __version__
from nucleus_unet.evaluation.evaluate import EvaluatedImage, Evaluation
from nucleus_unet.evaluation.metrics import THRESHOLDS, Scores
from nucleus_unet.evaluation.pictures import PREDICTED_COLOURS, TRUE_COLOURS, Colour, error_picture
from nucleus_unet.pages import embedded, key, page, table
from nucleus_unet.plots import draw_precision

Groups = Iterable[tuple[str, Scores]]

_STYLE = """\
figure.worst img { width: 100%; image-rendering: pixelated; }
.panels { display: grid; grid-template-columns: 1fr 1fr 1fr; color: #666; }
"""

_BODY = """\
<p>{images} images with {truths} true nuclei; {predictions} were predicted.
Model <code>{model}</code>, SHA-256 <code>{fingerprint}</code>, nucleus-unet {version}{augmented}.</p>
<h2>How good</h2>
{figures}
<p class="note">A prediction and a true nucleus match at a threshold if their intersection over union (IoU) reaches it.
Average precision is TP / (TP + FP + FN). <b>Pooled</b>: counts are added over all images first. <b>Mean per image</b>:
each image counts alike. They differ, so compare only like with like. PQ: panoptic quality, the mean IoU of the matches
at .5 (SQ) times F1 at .5 (RQ). AJI: aggregated Jaccard index as first defined (Kumar et al. 2017; not AJI+).
Pixels: share of the pixels, pooled, of which nucleus or not is right.</p>
<h2>At every threshold</h2>
<figure><img alt="Average precision against threshold" src="{curves}"></figure>
{thresholds}
<h2>What is lost, and why</h2>
{causes}
<p class="note">At IoU .5, as shares of the true nuclei. Lost nuclei: <b>merged</b>: at least half of it lies in a
prediction that holds half of another nucleus too; <b>split</b>: at least half of each of two predictions lies in it;
<b>missed</b>: less than a quarter of it is covered; <b>outline</b>: the rest. Wrong predictions: on <b>empty
ground</b>: less than a quarter lies in nuclei; a <b>piece</b>: one of several predictions in one nucleus; <b>bad
outline</b>: the rest, those that merge nuclei too.</p>
<h2>The worst images</h2>
{worst}
<h2>All images</h2>
<details><summary>{images} images, worst first</summary>
{table}
</details>"""

_WORST = """<figure class="worst">
<figcaption><b>{name}</b> ({kind}): {truths} nuclei, {predictions} predicted;
AP50 {ap50}, mean AP {mean}, PQ {pq}, AJI {aji}.
{errors}</figcaption>
<img alt="Image, truth and prediction" src="{picture}">
<div class="panels"><span>image</span><span>truth</span><span>prediction</span></div>
</figure>"""


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
        images=evaluation.overall.images,
        truths=evaluation.overall.truths,
        predictions=evaluation.overall.predictions,
        figures=_figures(evaluation),
        curves=embedded(draw_precision(_curves(groups))),
        thresholds="".join(_thresholds(name, scores) for name, scores in groups),
        causes=_causes([*groups, *evaluation.kinds.items()]),
        worst=_worst(worst),
        table=_images(evaluation.images),
    )
    return page(f"{evaluation.model}: evaluation", body, style=_STYLE)


def _figures(evaluation: Evaluation) -> str:
    page = _scores_table([("all", evaluation.overall)])
    for heading, groups in ("Chosen images", evaluation.subsets), ("By kind", evaluation.kinds):
        if groups:
            page += f"<h3>{heading}</h3>\n{_scores_table(groups.items())}"
    if evaluation.mosaics:
        fields = _scores_table(evaluation.mosaics.items())
        page += f"<details><summary>By field or patient, where several images show one</summary>\n{fields}</details>\n"
    return page


def _scores_table(groups: Groups) -> str:
    above = '<tr><th colspan="4"></th><th colspan="8">pooled</th><th colspan="5">mean per image</th><th></th></tr>'
    header = ["", "images", "nuclei", "predicted", "AP50", "AP75", "AP90", "mean AP", "PQ", "SQ", "RQ (F1)", "AJI"]
    header += ["AP50", "mSA", "F1", "PQ", "AJI", "pixels"]
    rows = []
    for name, scores in groups:
        counts = map(str, (scores.images, scores.truths, scores.predictions))
        pooled = [scores.pooled[0.5], scores.pooled[0.75], scores.pooled[0.9], scores.pooled_mean]
        pooled += [*scores.pooled_pq, scores.pooled_aji]
        single = [scores.per_image[0.5], scores.per_image_mean, scores.per_image_f1[0.5]]
        single += [scores.per_image_pq.quality, scores.per_image_aji]
        rows.append([name, *counts, *map(_figure, [*pooled, *single, scores.pixel_accuracy])])
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
        [measure, *map(_figure, curve.values()), _figure(sum(curve.values()) / len(curve))]
        for measure, curve in measures.items()
    ]
    return table([name, *(f"{threshold:.2f}" for threshold in THRESHOLDS), "mean"], rows)


def _causes(groups: Groups) -> str:
    above = '<tr><th></th><th colspan="5">lost nuclei</th><th colspan="4">wrong predictions</th></tr>'
    header = ["", "merged", "split", "outline", "missed", "together"]
    header += ["on empty ground", "piece of a nucleus", "bad outline", "together"]
    rows = []
    for name, scores in groups:
        errors = scores.errors
        lost = [errors.merged, errors.split, errors.outline, errors.missed, errors.lost]
        wrong = [errors.empty_ground, errors.piece, errors.bad_outline, errors.wrong]
        rows.append([name, *(_share(count, scores.truths) for count in [*lost, *wrong])])
    return table(header, rows, above=above)


def _worst(images: Sequence[EvaluatedImage]) -> str:
    if not images:
        return "<p>None to show.</p>"
    truths = _legend("Truth", {fate.name: colour for fate, colour in TRUE_COLOURS.items()})
    predictions = _legend("Prediction", {fate.name: colour for fate, colour in PREDICTED_COLOURS.items()})
    return f"<p>{truths}<br>{predictions}</p>\n" + "\n".join(map(_figure_of, images))


def _legend(title: str, colours: Mapping[str, Colour]) -> str:
    keys = (f"{key(colour)}{name.lower().replace('_', ' ')}" for name, colour in colours.items())
    return f"{title}:" + "".join(keys)


def _figure_of(image: EvaluatedImage) -> str:
    example, score = image.example, image.score
    causes = (f"{count} {cause.replace('_', ' ')}" for cause, count in asdict(score.errors).items() if count)
    picture = imagecodecs.png_encode(error_picture(example.image, example.labels, image.prediction))
    return _WORST.format(
        name=escape(example.name),
        kind=escape(example.kind),
        truths=score.truths,
        predictions=score.predictions,
        ap50=_figure(score.average_precision[0]),
        mean=_figure(image.mean_average_precision),
        pq=_figure(score.panoptic_quality.quality),
        aji=_figure(score.aggregated_jaccard),
        errors=", ".join(causes),
        picture=embedded(bytes(picture)),
    )


def _images(images: Iterable[EvaluatedImage]) -> str:
    header = ["image", "kind", "nuclei", "predicted", "AP50", "AP75", "mean AP", "PQ", "AJI", "pixels", "lost", "wrong"]
    rows = []
    for image in sorted(images, key=lambda image: image.mean_average_precision):
        score = image.score
        precision = score.average_precision
        figures = [precision[0], precision[THRESHOLDS.index(0.75)], image.mean_average_precision]
        figures += [score.panoptic_quality.quality, score.aggregated_jaccard, score.pixel_accuracy]
        counts = [str(score.truths), str(score.predictions)]
        errors = [str(score.errors.lost), str(score.errors.wrong)]
        rows.append([image.example.name, image.example.kind, *counts, *map(_figure, figures), *errors])
    return table(header, rows)


def _figure(value: float) -> str:
    return f"{value:.3f}"


def _share(count: int, truths: int) -> str:
    return f"{count / truths:.1%}" if truths else "none"

"""What pages about a model's errors share: figures as text, causes as a table, images with their errors in colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape

import imagecodecs

from nucleus_unet.evaluation.evaluate import EvaluatedImage
from nucleus_unet.evaluation.metrics import THRESHOLDS, Scores
from nucleus_unet.evaluation.overlays import PREDICTED_COLOURS, TRUE_COLOURS, Colour, error_panels
from nucleus_unet.reports.page import embedded, key, table

Groups = Iterable[tuple[str, Scores]]

STYLE = """\
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .3rem .25rem; color: #666; }
.panels span { display: block; }
.panels img { display: block; width: 100%; image-rendering: pixelated; }
.legend span { white-space: nowrap; }
"""

AVERAGES_NOTE = """\
A prediction and a true nucleus match at a threshold if their intersection over union (IoU) reaches it. Average
precision is TP / (TP + FP + FN). <b>Pooled</b>: counts are added over all images first. <b>Mean per image</b>: each
image counts alike; mSA is that at .50 to .95. Pixels: share of the pixels, pooled, of which nucleus or not is right."""

CAUSES_NOTE = """\
<p class="note">At IoU .5, as shares of the true nuclei. Lost nuclei: <b>merged</b>: at least half of it lies in a
prediction that holds half of another nucleus too; <b>split</b>: at least half of each of two predictions lies in it;
<b>missed</b>: less than a quarter of it is covered; <b>outline</b>: the rest. Wrong predictions: on <b>empty
ground</b>: less than a quarter lies in nuclei; a <b>piece</b>: one of several predictions in one nucleus; <b>bad
outline</b>: the rest, those that merge nuclei too.</p>"""

_FIGURE = """<figure>
<figcaption><b>{name}</b> ({kind}): {truths} nuclei, {predictions} predicted;
AP50 {ap50}, mean AP {mean}, PQ {pq}, AJI {aji}.
{errors}</figcaption>
<div class="panels">{panels}</div>
</figure>"""


def figure(value: float) -> str:
    """Write a figure with three digits."""
    return f"{value:.3f}"


def causes_table(groups: Groups) -> str:
    """Lay out what is lost and wrong, by cause, as shares of the true nuclei; `CAUSES_NOTE` explains it."""
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


def error_legend() -> str:
    """Tell what the colours of `error_figures` mean."""
    truths = _legend("Truth", {fate.name: colour for fate, colour in TRUE_COLOURS.items()})
    predictions = _legend("Prediction", {fate.name: colour for fate, colour in PREDICTED_COLOURS.items()})
    return f'<p class="legend">{truths}<br>{predictions}</p>'


def error_figures(images: Sequence[EvaluatedImage]) -> str:
    """Show images with their true and their predicted nuclei; wants `STYLE`."""
    return "\n".join(map(_figure_of, images)) or "<p>None to show.</p>"


def images_table(images: Iterable[EvaluatedImage]) -> str:
    """Lay out the figures of every image, worst first."""
    header = ["image", "kind", "nuclei", "predicted", "AP50", "AP75", "mean AP", "PQ", "AJI", "pixels", "lost", "wrong"]
    rows = []
    for image in sorted(images, key=lambda image: image.mean_average_precision):
        score = image.score
        precision = score.average_precision
        figures = [precision[0], precision[THRESHOLDS.index(0.75)], image.mean_average_precision]
        figures += [score.panoptic_quality.quality, score.aggregated_jaccard, score.pixel_accuracy]
        counts = [str(score.truths), str(score.predictions)]
        errors = [str(score.errors.lost), str(score.errors.wrong)]
        rows.append([image.example.name, image.example.kind, *counts, *map(figure, figures), *errors])
    return table(header, rows)


def _legend(title: str, colours: Mapping[str, Colour]) -> str:
    keys = (f"<span>{key(colour)}{name.lower().replace('_', ' ')}</span>" for name, colour in colours.items())
    return f"{title}: " + " ".join(keys)


def _figure_of(image: EvaluatedImage) -> str:
    example, score = image.example, image.score
    causes = (f"{count} {cause.replace('_', ' ')}" for cause, count in asdict(score.errors).items() if count)
    panels = error_panels(example.image, example.labels, image.prediction)
    return _FIGURE.format(
        name=escape(example.name),
        kind=escape(example.kind),
        truths=score.truths,
        predictions=score.predictions,
        ap50=figure(score.average_precision[0]),
        mean=figure(image.mean_average_precision),
        pq=figure(score.panoptic_quality.quality),
        aji=figure(score.aggregated_jaccard),
        errors=", ".join(causes),
        panels="".join(
            f'<span>{name}<img alt="{name}" src="{embedded(bytes(imagecodecs.png_encode(picture)))}"></span>'
            for name, picture in panels._asdict().items()
        ),
    )


def _share(count: int, truths: int) -> str:
    return f"{count / truths:.1%}" if truths else "none"

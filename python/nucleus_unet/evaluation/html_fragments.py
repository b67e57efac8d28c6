"""HTML fragments of the pages on a model's errors: metrics, tables, and pictures with coloured errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape

import imagecodecs

from nucleus_unet.evaluation.evaluate import EvaluatedImage
from nucleus_unet.evaluation.metrics import THRESHOLDS, Scores
from nucleus_unet.evaluation.overlays import PREDICTION_COLOURS, TRUTH_COLOURS, Colour, error_panels
from nucleus_unet.reports.page import colour_swatch, embedded, table

NamedScores = Iterable[tuple[str, Scores]]

STYLE = """\
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .3rem .25rem; color: #666; }
.panels span { display: block; }
.panels img { display: block; width: 100%; image-rendering: pixelated; }
.legend span { white-space: nowrap; }
"""

AVERAGES_NOTE = """\
A prediction and a true nucleus match if their intersection over union (IoU) is at least the threshold. Average
precision (AP) is TP / (TP + FP + FN). <b>Pooled</b>: from the counts of all images together. <b>Mean per image</b>: the
mean over images of each image's value. mSA: AP, mean per image and over the thresholds 0.50 to 0.95. Pixels: share of
the pixels, pooled, that are correctly classified as nucleus or background."""

ERRORS_NOTE = """\
<p class="note">At IoU 0.5, as shares of the true nuclei. False negatives: <b>merged</b>: at least half of the nucleus
lies in a prediction that contains at least half of another nucleus; <b>split</b>: at least half of each of two
predictions lies in the nucleus; <b>missed</b>: predictions cover less than 1/4 of the nucleus; <b>outline</b>: all
others. False positives: <b>background</b>: less than 1/4 of the prediction lies in nuclei; <b>piece</b>: one of several
predictions in one nucleus; <b>bad outline</b>: all others, including predictions that merge nuclei.</p>"""

_ERROR_PICTURE = """<figure>
<figcaption><b>{name}</b> ({category}): {truths} nuclei, {predictions} predicted;
AP50 {ap50}, mean AP {mean}, PQ {pq}, AJI {aji}.
{errors}</figcaption>
<div class="panels">{panels}</div>
</figure>"""


def format_metric(value: float) -> str:
    """Return a metric as text with three decimal places."""
    return f"{value:.3f}"


def error_table(groups: NamedScores) -> str:
    """Return a table of the errors by cause, as shares of the true nuclei. `ERRORS_NOTE` explains the causes."""
    above = '<tr><th></th><th colspan="5">false negatives</th><th colspan="4">false positives</th></tr>'
    header = ["", "merged", "split", "outline", "missed", "total", "background", "piece", "bad outline", "total"]
    rows = []
    for name, scores in groups:
        errors = scores.errors
        counts = [errors.merged, errors.split, errors.outline, errors.missed, errors.false_negatives]
        counts += [errors.background, errors.piece, errors.bad_outline, errors.false_positives]
        rows.append([name, *(_share(count, scores.truths) for count in counts)])
    return table(header, rows, above=above)


def error_legend() -> str:
    """Return the legend of the colours of `error_pictures`."""
    truths = _legend("Truth", {outcome.name: colour for outcome, colour in TRUTH_COLOURS.items()})
    predictions = _legend("Prediction", {outcome.name: colour for outcome, colour in PREDICTION_COLOURS.items()})
    return f'<p class="legend">{truths}<br>{predictions}</p>'


def error_pictures(images: Sequence[EvaluatedImage]) -> str:
    """Return pictures of images with their true and their predicted nuclei. The page needs `STYLE`."""
    return "\n".join(map(_error_picture, images)) or "<p>None to show.</p>"


def image_table(images: Iterable[EvaluatedImage]) -> str:
    """Return a table of the metrics of every image, worst first."""
    header = ["image", "category", "nuclei", "predicted", "AP50", "AP75", "mean AP", "PQ", "AJI", "pixels", "FN", "FP"]
    rows = []
    for image in sorted(images, key=lambda image: image.mean_average_precision):
        score = image.score
        precision = score.average_precision
        metrics = [precision[0], precision[THRESHOLDS.index(0.75)], image.mean_average_precision]
        metrics += [score.panoptic_quality.quality, score.aggregated_jaccard, score.pixel_accuracy]
        counts = [str(score.truths), str(score.predictions)]
        errors = [str(score.errors.false_negatives), str(score.errors.false_positives)]
        rows.append([image.example.name, image.example.category, *counts, *map(format_metric, metrics), *errors])
    return table(header, rows)


def _legend(title: str, colours: Mapping[str, Colour]) -> str:
    keys = (f"<span>{colour_swatch(colour)}{name.lower().replace('_', ' ')}</span>" for name, colour in colours.items())
    return f"{title}: " + " ".join(keys)


def _error_picture(image: EvaluatedImage) -> str:
    example, score = image.example, image.score
    causes = (f"{count} {cause.replace('_', ' ')}" for cause, count in asdict(score.errors).items() if count)
    panels = error_panels(example.image, example.labels, image.prediction)
    return _ERROR_PICTURE.format(
        name=escape(example.name),
        category=escape(example.category),
        truths=score.truths,
        predictions=score.predictions,
        ap50=format_metric(score.average_precision[0]),
        mean=format_metric(image.mean_average_precision),
        pq=format_metric(score.panoptic_quality.quality),
        aji=format_metric(score.aggregated_jaccard),
        errors=", ".join(causes),
        panels="".join(
            f'<span>{name}<img alt="{name}" src="{embedded(bytes(imagecodecs.png_encode(picture)))}"></span>'
            for name, picture in panels._asdict().items()
        ),
    )


def _share(count: int, truths: int) -> str:
    return f"{count / truths:.1%}" if truths else "none"

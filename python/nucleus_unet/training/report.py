"""The HTML page of a training run: metrics, pictures, curves and configuration. It is one file."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import torch

from nucleus_unet import __version__
from nucleus_unet.data.dataset import Example
from nucleus_unet.evaluation.evaluate import EvaluatedImage
from nucleus_unet.evaluation.html_fragments import (
    AVERAGES_NOTE,
    ERRORS_NOTE,
    STYLE,
    error_legend,
    error_pictures,
    error_table,
    format_metric,
    image_table,
)
from nucleus_unet.evaluation.metrics import Scores, summarise, summarise_by
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.reports.page import embedded, metric_tiles, page, table
from nucleus_unet.reports.plots import draw_curves
from nucleus_unet.training.checkpoint import plain
from nucleus_unet.training.trainer import TrainConfig
from nucleus_unet.training.validation import MIN_CALIBRATION_NUCLEI

# The metric that selects the best entry of a history.
_BEST_BY = "validation_per_image_mean_ap"
_PICTURES_PER_HEADING = 3

_STYLE = """\
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f6f8; border-radius: .5rem; padding: .6rem .9rem; }
"""

_BODY = """\
{facts}
<p>{summary}</p>
{metrics}
<p class="note">{averages_note}</p>
<h2>Held-out images</h2>
{legend}
{pictures}
<h2>Error analysis</h2>
{errors}
{errors_note}
<h2>Curves</h2>
<div class="charts">{charts}</div>
<p class="note">The dotted line marks the best entry by mSA. Training loss and training pixel accuracy are means over
the augmented samples since the previous entry. All other values are measured on whole images. The training average
precision is that of a subset of the training images: if it is much higher than the held-out one, the model overfits.
All curves use the initial grouping of the run.</p>
<details><summary>All entries</summary>
{entries}
</details>
<h2>Details</h2>
{command}
{versions}
<details><summary>Training images and held-out images</summary>
{data}
{images}
</details>
<details open><summary>Configuration</summary>
{config}
</details>
<details><summary>Grouping</summary>
{grouping}
</details>
<p class="note">This page contains its pictures and works offline.</p>"""


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """A finished training run.

    Attributes
    ----------
    config
        Configuration of the run.
    bundle
        The trained model.
    history
        Entries of the training history.
    training
        The training images.
    held_out
        The held-out images with their predictions.
    origin
        The model that was fine-tuned, else None. The first entry of the history has its metrics.
    device
        Device and precision of the network during training.
    command
        The command line. None if the run was started from Python.
    """

    config: TrainConfig
    bundle: Bundle
    history: Sequence[Mapping[str, float]]
    training: Sequence[Example]
    held_out: Sequence[EvaluatedImage]
    origin: Bundle | None
    device: str
    command: str | None


def training_report_html(run: TrainingRun) -> str:
    """Return the page of a training run."""
    scores = [image.score for image in run.held_out]
    overall, categories = summarise(scores), summarise_by([image.example.category for image in run.held_out], scores)
    best = max(run.history, key=lambda entry: entry[_BEST_BY])
    charts = draw_curves(run.history, marked=best["samples"])
    body = _BODY.format(
        facts=_facts(run, overall),
        summary=_summary(run, overall, best),
        metrics=_metrics(overall, categories),
        averages_note=AVERAGES_NOTE,
        legend=error_legend(),
        pictures=_pictures(run.held_out),
        errors=error_table([("all", overall), *categories.items()]),
        errors_note=ERRORS_NOTE,
        charts="\n".join(map(_chart, charts.items())),
        entries=_entries(run.history),
        command=f"<pre>{escape(run.command)}</pre>" if run.command else "",
        versions=_versions(run),
        data=_data(run),
        images=image_table(run.held_out),
        config=_settings(plain(run.config)),
        grouping=_settings(run.bundle.config.group.to_json()),
    )
    return page(f"{run.bundle.config.name}: training", body, style=STYLE + _STYLE)


def _facts(run: TrainingRun, overall: Scores) -> str:
    def was(name: str) -> str:
        return "" if run.origin is None else f", was {format_metric(run.history[0][name])}"

    speeds = [entry["samples_per_second"] for entry in run.history if "samples_per_second" in entry]
    tiles = {
        "AP50" + was("validation_pooled_ap50"): format_metric(overall.pooled[0.5]),
        "mean AP" + was("validation_pooled_mean_ap"): format_metric(overall.pooled_mean),
        "pixel accuracy" + was("validation_pixel_accuracy"): format_metric(overall.pixel_accuracy),
        "held-out images": f"{overall.images:,}",
        "held-out nuclei": f"{overall.truths:,}",
        "training images": f"{len(run.training):,}",
        "samples": f"{run.config.samples:,}",
        "samples per second": f"{np.median(speeds):.1f}",
    }
    return metric_tiles(tiles)


def _summary(run: TrainingRun, overall: Scores, best: Mapping[str, float]) -> str:
    last = run.history[-1]
    sentences = ["The metrics are those on the held-out images, which were not used for training."]
    if overall.truths < MIN_CALIBRATION_NUCLEI:
        sentences.append(
            f"There are only {overall.truths} held-out nuclei: differences of a few hundredths are not significant, "
            "and the grouping was not calibrated."
        )
    else:
        sentences.append("The grouping was calibrated on the same images, so the metrics are optimistically biased.")
    if run.origin is not None:
        name = escape(run.origin.config.name)
        sentences.append(f"The model was fine-tuned from <code>{name}</code>, which had the metrics marked 'was'.")
    if best["samples"] == 0:
        sentences.append("The best entry by mSA is that of this model: fine-tuning did not help on these images.")
    elif best is last:
        sentences.append(
            f"The best entry by mSA is the last ({format_metric(best[_BEST_BY])}), whose weights are saved."
        )
    else:
        sentences.append(
            f"The best entry by mSA is at {best['samples']:,.0f} samples ({format_metric(best[_BEST_BY])}); "
            f"the saved weights are those of the last ({format_metric(last[_BEST_BY])})."
        )
    return " ".join(sentences)


def _metrics(overall: Scores, categories: Mapping[str, Scores]) -> str:
    above = '<tr><th></th><th colspan="4">pooled</th><th colspan="2">mean per image</th><th colspan="4"></th></tr>'
    header = ["", "AP50", "AP75", "AP90", "mean AP", "AP50", "mSA", "pixels", "images", "nuclei", "predicted"]
    rows = []
    for name, scores in [("all", overall), *categories.items()]:
        counts = map(str, (scores.images, scores.truths, scores.predictions))
        values = [scores.pooled[0.5], scores.pooled[0.75], scores.pooled[0.9], scores.pooled_mean]
        values += [scores.per_image[0.5], scores.per_image_mean, scores.pixel_accuracy]
        rows.append([name, *map(format_metric, values), *counts])
    return table(header, rows, above=above)


def _pictures(images: Sequence[EvaluatedImage]) -> str:
    """Return the pictures of the best and the worst images without duplicates, preferably of images with nuclei."""
    ranked = sorted(images, key=lambda each: (each.score.truths > 0, each.mean_average_precision), reverse=True)
    if len(ranked) == 1:
        return error_pictures(ranked)
    best = ranked[: min(_PICTURES_PER_HEADING, (len(ranked) + 1) // 2)]
    worst = sorted(ranked[len(best) :], key=lambda each: each.mean_average_precision)[:_PICTURES_PER_HEADING]
    return f"<h3>Best images</h3>\n{error_pictures(best)}\n<h3>Worst images</h3>\n{error_pictures(worst)}"


def _chart(chart: tuple[str, bytes]) -> str:
    title, picture = chart
    source = embedded(picture, "image/svg+xml")
    return f'<figure><figcaption>{title}</figcaption><img alt="{title} against samples" src="{source}"></figure>'


def _entries(history: Sequence[Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for entry in history for name in entry))
    rows = [[f"{entry[name]:.6g}" if name in entry else "" for name in names] for entry in history]
    return table([name.replace("_", " ") for name in names], rows)


def _versions(run: TrainingRun) -> str:
    origin = {} if run.origin is None else {"fine-tuned from, SHA-256": run.origin.fingerprint}
    versions = {
        "model, SHA-256": run.bundle.fingerprint,
        **origin,
        "seed": str(run.config.seed),
        "network ran on": run.device,
        "nucleus-unet": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "Python": platform.python_version(),
    }
    return table(["", ""], versions.items())


def _data(run: TrainingRun) -> str:
    sets = [run.training, [image.example for image in run.held_out]]
    counts = [Counter(example.category for example in examples) for examples in sets]
    rows = [[category, *(str(count[category]) for count in counts)] for category in sorted(set().union(*counts))]
    return table(["category", "training images", "held-out images"], rows)


def _settings(settings: Mapping[str, object]) -> str:
    return table(["", ""], _rows(settings))


def _rows(settings: Mapping[str, object], prefix: str = "") -> list[list[str]]:
    rows = []
    for name, value in settings.items():
        rows += _rows(value, f"{name}.") if isinstance(value, dict) else [[prefix + name, json.dumps(value)]]
    return rows

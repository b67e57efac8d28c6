"""The page of a training run: what it came to, pictures, curves, and all that it was told; one HTML file."""

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
    CAUSES_NOTE,
    STYLE,
    causes_table,
    error_figures,
    error_legend,
    figure,
    images_table,
)
from nucleus_unet.evaluation.metrics import Scores, summarise, summarise_by
from nucleus_unet.model.bundle import Bundle
from nucleus_unet.reports.page import embedded, facts, page, table
from nucleus_unet.reports.plots import draw_curves
from nucleus_unet.training.checkpoint import plain
from nucleus_unet.training.trainer import TrainConfig
from nucleus_unet.training.validation import LEAST_NUCLEI

# What the best entry of a history is best in.
_BEST_IN = "validation_per_image_mean_ap"
_SHOWN = 3

_STYLE = """\
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f6f8; border-radius: .5rem; padding: .6rem .9rem; }
"""

_BODY = """\
{facts}
<p>{summary}</p>
{figures}
<p class="note">{averages_note}</p>
<h2>Held-out images</h2>
{legend}
{pictures}
<h2>What is lost, and why</h2>
{causes}
{causes_note}
<h2>Curves</h2>
<div class="charts">{charts}</div>
<p class="note">The dotted line is at the best entry, by mSA. Loss and pixel accuracy of training are means over the
augmented samples since the entry before; those held out are of whole images, as are all average precisions: that of
training of a few of its images, so that learning by heart shows. Curves are drawn with one grouping, that which the run
began with.</p>
<details><summary>All entries</summary>
{entries}
</details>
<h2>Particulars</h2>
{command}
{versions}
<details><summary>Images trained on, and held out</summary>
{data}
{images}
</details>
<details open><summary>Configuration</summary>
{config}
</details>
<details><summary>Grouping</summary>
{grouping}
</details>
<p class="note">This page holds its pictures and needs no network.</p>"""


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """What there is to tell of a finished run.

    Attributes
    ----------
    config
        What the run was told.
    bundle
        The model it made, as loaded.
    history
        Its entries.
    training
        Images trained on.
    held_out
        Images held out, with what the model says of them.
    origin
        The model that was fine-tuned; None if there was none. The first entry of the history is of it.
    device
        Where and in which precision the network ran.
    command
        How the run was asked for; None if not from a command line.
    """

    config: TrainConfig
    bundle: Bundle
    history: Sequence[Mapping[str, float]]
    training: Sequence[Example]
    held_out: Sequence[EvaluatedImage]
    origin: Bundle | None
    device: str
    command: str | None


def report_html(run: TrainingRun) -> str:
    """Write the page."""
    scores = [image.score for image in run.held_out]
    overall, kinds = summarise(scores), summarise_by([image.example.kind for image in run.held_out], scores)
    best = max(run.history, key=lambda entry: entry[_BEST_IN])
    charts = draw_curves(run.history, marked=best["samples"])
    body = _BODY.format(
        facts=_facts(run, overall),
        summary=_summary(run, overall, best),
        figures=_figures(overall, kinds),
        averages_note=AVERAGES_NOTE,
        legend=error_legend(),
        pictures=_pictures(run.held_out),
        causes=causes_table([("all", overall), *kinds.items()]),
        causes_note=CAUSES_NOTE,
        charts="\n".join(map(_chart, charts.items())),
        entries=_entries(run.history),
        command=f"<pre>{escape(run.command)}</pre>" if run.command else "",
        versions=_versions(run),
        data=_data(run),
        images=images_table(run.held_out),
        config=_settings(plain(run.config)),
        grouping=_settings(run.bundle.config.group.to_json()),
    )
    return page(f"{run.bundle.config.name}: training", body, style=STYLE + _STYLE)


def _facts(run: TrainingRun, overall: Scores) -> str:
    def was(name: str) -> str:
        return "" if run.origin is None else f", was {figure(run.history[0][name])}"

    speeds = [entry["samples_per_second"] for entry in run.history if "samples_per_second" in entry]
    figures = {
        "AP50" + was("validation_pooled_ap50"): figure(overall.pooled[0.5]),
        "mean AP" + was("validation_pooled_mean_ap"): figure(overall.pooled_mean),
        "pixel accuracy" + was("validation_pixel_accuracy"): figure(overall.pixel_accuracy),
        "held-out images": f"{overall.images:,}",
        "held-out nuclei": f"{overall.truths:,}",
        "training images": f"{len(run.training):,}",
        "samples": f"{run.config.samples:,}",
        "samples a second": f"{np.median(speeds):.1f}",
    }
    return facts(figures)


def _summary(run: TrainingRun, overall: Scores, best: Mapping[str, float]) -> str:
    last = run.history[-1]
    sentences = ["Figures are of the held-out images, which this training never saw."]
    if overall.truths < LEAST_NUCLEI:
        sentences.append(
            f"{overall.truths} nuclei are few: differences of some hundredths may be chance, and the grouping stays "
            "as it was before."
        )
    else:
        sentences.append("The grouping was chosen on them too, so the figures flatter a little.")
    if run.origin is not None:
        name = escape(run.origin.config.name)
        sentences.append(f"The model was fine-tuned from <code>{name}</code>, which had the figures given as 'was'.")
    if best["samples"] == 0:
        sentences.append("The best entry, by mSA, is that model's own: fine-tuning did not help on these images.")
    elif best is last:
        sentences.append(f"The best entry, by mSA, is the last ({figure(best[_BEST_IN])}): the weights kept.")
    else:
        sentences.append(
            f"The best entry, by mSA, is at {best['samples']:,.0f} samples ({figure(best[_BEST_IN])}); "
            f"the weights kept are those of the last ({figure(last[_BEST_IN])})."
        )
    return " ".join(sentences)


def _figures(overall: Scores, kinds: Mapping[str, Scores]) -> str:
    above = '<tr><th></th><th colspan="4">pooled</th><th colspan="2">mean per image</th><th colspan="4"></th></tr>'
    header = ["", "AP50", "AP75", "AP90", "mean AP", "AP50", "mSA", "pixels", "images", "nuclei", "predicted"]
    rows = []
    for name, scores in [("all", overall), *kinds.items()]:
        counts = map(str, (scores.images, scores.truths, scores.predictions))
        values = [scores.pooled[0.5], scores.pooled[0.75], scores.pooled[0.9], scores.pooled_mean]
        values += [scores.per_image[0.5], scores.per_image_mean, scores.pixel_accuracy]
        rows.append([name, *map(figure, values), *counts])
    return table(header, rows, above=above)


def _pictures(images: Sequence[EvaluatedImage]) -> str:
    """Show the best and the worst, none twice; images without a nucleus only where there are not enough others."""
    ranked = sorted(images, key=lambda each: (each.score.truths > 0, each.mean_average_precision), reverse=True)
    if len(ranked) == 1:
        return error_figures(ranked)
    best = ranked[: min(_SHOWN, (len(ranked) + 1) // 2)]
    worst = sorted(ranked[len(best) :], key=lambda each: each.mean_average_precision)[:_SHOWN]
    return f"<h3>The best</h3>\n{error_figures(best)}\n<h3>The worst</h3>\n{error_figures(worst)}"


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
    counts = [Counter(example.kind for example in examples) for examples in sets]
    rows = [[kind, *(str(count[kind]) for count in counts)] for kind in sorted(set().union(*counts))]
    return table(["kind", "images trained on", "held out"], rows)


def _settings(settings: Mapping[str, object]) -> str:
    return table(["", ""], _rows(settings))


def _rows(settings: Mapping[str, object], prefix: str = "") -> list[list[str]]:
    rows = []
    for name, value in settings.items():
        rows += _rows(value, f"{name}.") if isinstance(value, dict) else [[prefix + name, json.dumps(value)]]
    return rows

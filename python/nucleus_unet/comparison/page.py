"""Write a comparison as an HTML page and as JSON."""

from __future__ import annotations

import json
from html import escape
from itertools import groupby
from pathlib import Path

from nucleus_unet import __version__
from nucleus_unet.comparison.compare import ComparedModel, Comparison
from nucleus_unet.comparison.metric_values import METRICS
from nucleus_unet.io.atomic import check_output_folder, write_atomically
from nucleus_unet.reports.page import page, table

PAGE, JSON_FILE = "comparison.html", "comparison.json"

_BODY = """\
<p>{images}</p>
<h2>Metrics</h2>
{models}
<p class="note">{meanings} Milliseconds: median prediction time of an image on the machine that wrote this page, without
reading the file.</p>
<h2>Differences</h2>
{differences}
<p class="note">Second model minus first. The 95 % confidence intervals (CI) come from a paired bootstrap over fields
({resamples} resamples, seed {seed}). A difference is significant if its interval excludes 0. For two equal models this
happens by chance for 1 in 20 metrics. The verdict holds for these two models only: training the same configuration with
another seed gives another model with other metrics.</p>
<p class="note">Written by nucleus-unet {version}.</p>"""

_STYLE = """\
.differences th:nth-child(2), .differences td:nth-child(2) { text-align: left; white-space: normal; min-width: 8rem; }
"""


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Write ``comparison.html`` and ``comparison.json``. Existing files of these names are replaced.

    Parameters
    ----------
    comparison
        Comparison from `nucleus_unet.comparison.compare`.
    folder
        Output folder. It is created if missing.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    SettingsError
        ``folder`` is a file.
    """
    check_output_folder(folder, "the comparison")
    text = _page(comparison)
    write_atomically(folder / JSON_FILE, json.dumps(comparison.to_json(), indent=2) + "\n")
    write_atomically(folder / PAGE, text)
    return folder / PAGE


def _page(comparison: Comparison) -> str:
    body = _BODY.format(
        images=escape(describe_images(comparison)),
        models=_models(comparison),
        meanings=" ".join(f"<b>{metric.title}</b>: {metric.meaning}." for metric in METRICS.values()),
        differences=_differences(comparison),
        resamples=f"{comparison.resamples:,}",
        seed=comparison.seed,
        version=escape(__version__),
    )
    return page("Model comparison", body, style=_STYLE)


def describe_images(comparison: Comparison) -> str:
    """Describe in a few sentences on which images the models were compared."""
    text = f"{comparison.images} images of {comparison.fields} fields or patients"
    text += " that no model was trained on" if comparison.held_out else ", each in the training data of a model"
    unknown = ", ".join(comparison.unknown_training_data)
    text += f" (training data unknown: {unknown})." if unknown else "."
    if comparison.calibration_images:
        text += f" Metrics on {comparison.calibration_images} calibration images of a model are optimistically biased."
    if comparison.training_images:
        text += f" Training metrics: {comparison.training_images} images that all models were trained on."
    if comparison.excluded_images:
        text += f" {comparison.excluded_images} duplicates or images of fields with training images are excluded."
    return text


def metric_titles(comparison: Comparison) -> list[str]:
    """Return the titles of the cells of `metric_cells`."""
    training = [f"training {METRICS[name].title}" for name in comparison.models[0].training_metrics]
    return [*training, *(metric.title for metric in METRICS.values()), "parameters", "ms per image"]


def metric_cells(model: ComparedModel) -> list[str]:
    """Return a model's training metrics (if any), metrics, number of parameters and prediction time as text."""
    metrics = [f"{value:.4f}" for value in (*model.training_metrics.values(), *model.metrics.values())]
    return [*metrics, f"{model.parameters:,}", f"{model.milliseconds:.0f}"]


def _models(comparison: Comparison) -> str:
    # One row for each metric: a phone is too narrow for one column each.
    titles = [*metric_titles(comparison), "SHA-256"]
    columns = [[*metric_cells(model), model.fingerprint[:8]] for model in comparison.models]
    rows = [[title, *values] for title, *values in zip(titles, *columns, strict=True)]
    return table(["", *(model.name for model in comparison.models)], rows)


def _differences(comparison: Comparison) -> str:
    parts = []
    for (first, second), found in groupby(comparison.differences, key=lambda each: (each.first, each.second)):
        rows = [
            [
                METRICS[each.metric].title,
                each.verdict,
                f"{each.interval.difference:+.4f}",
                f"{each.interval.low:+.4f} to {each.interval.high:+.4f}",
            ]
            for each in found
        ]
        listed = table(["", "verdict", "difference", "95 % CI"], rows)
        parts.append(f'<h3>{escape(second)} against {escape(first)}</h3>\n<div class="differences">{listed}</div>')
    return "\n".join(parts)

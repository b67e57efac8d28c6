"""Write a comparison as an HTML page and as JSON."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

from nucleus_unet.comparison.compare import ComparedModel, Comparison, Difference
from nucleus_unet.comparison.metric_values import METRICS
from nucleus_unet.io.atomic import check_output_folder, write_atomically
from nucleus_unet.reports.page import render, require_jinja
from nucleus_unet.wording import counted

PAGE, JSON_FILE = "comparison.html", "comparison.json"


def check_comparison_folder(folder: Path) -> None:
    """Check before a long comparison that its page can be written. Raises the errors of `write_comparison`."""
    check_output_folder(folder, "the comparison")
    require_jinja()


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
    MissingExtraError
        Jinja2 is missing.
    """
    check_comparison_folder(folder)
    text = _page(comparison)
    write_atomically(folder / JSON_FILE, json.dumps(comparison.to_json(), indent=2) + "\n")
    write_atomically(folder / PAGE, text)
    return folder / PAGE


def _page(comparison: Comparison) -> str:
    pairs = groupby(comparison.differences, key=lambda each: (each.first, each.second))
    return render(
        "comparison/page.html",
        title="Model comparison",
        comparison=comparison,
        images=describe_images(comparison),
        models=_models(comparison),
        metrics=METRICS.values(),
        differences=[(pair, [_difference(each) for each in found]) for pair, found in pairs],
    )


def describe_images(comparison: Comparison) -> str:
    """Describe in a few sentences on which images the models were compared."""
    fields = "1 field or patient" if comparison.fields == 1 else f"{comparison.fields} fields or patients"
    text = f"{counted(comparison.images, 'image')} of {fields}"
    text += " that no model was trained on" if comparison.held_out else ", each in the training data of a model"
    unknown = ", ".join(comparison.unknown_training_data)
    text += f" (training data unknown: {unknown})." if unknown else "."
    if comparison.calibration_images:
        calibrating = counted(comparison.calibration_images, "calibration image")
        text += f" Metrics on {calibrating} of a model are optimistically biased."
    if comparison.training_images:
        text += f" Training metrics: {counted(comparison.training_images, 'image')} that all models were trained on."
    if comparison.excluded_images:
        excluded = counted(comparison.excluded_images, "image")
        text += f" Excluded: {excluded} (duplicates, or of fields with training images)."
    return text


def metric_titles(comparison: Comparison) -> list[str]:
    """Return the titles of the cells of `metric_cells`."""
    training = [f"training {METRICS[name].title}" for name in comparison.models[0].training_metrics]
    return [*training, *(metric.title for metric in METRICS.values()), "parameters", "ms per image"]


def metric_cells(model: ComparedModel) -> list[str]:
    """Return a model's training metrics (if any), metrics, number of parameters and prediction time as text."""
    metrics = [f"{value:.4f}" for value in (*model.training_metrics.values(), *model.metrics.values())]
    return [*metrics, f"{model.parameters:,}", f"{model.milliseconds:.0f}"]


def _models(comparison: Comparison) -> list[list[str]]:
    # One row for each metric: a phone is too narrow for one column each.
    titles = ["", *metric_titles(comparison), "SHA-256"]
    columns = [[model.name, *metric_cells(model), model.fingerprint[:8]] for model in comparison.models]
    return [[title, *values] for title, *values in zip(titles, *columns, strict=True)]


def _difference(found: Difference) -> list[str]:
    low, high = found.interval.low, found.interval.high
    title = METRICS[found.metric].title
    return [title, found.verdict, f"{found.interval.difference:+.4f}", f"{low:+.4f} to {high:+.4f}"]

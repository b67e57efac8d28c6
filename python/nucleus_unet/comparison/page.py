"""A comparison as files: a page for people and JSON for machines."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

from nucleus_unet.comparison.compare import ComparedModel, Comparison, Difference
from nucleus_unet.comparison.metric_values import FIGURES
from nucleus_unet.io.atomic import check_output_folder, write_atomically
from nucleus_unet.reports.page import render, require_jinja

PAGE, FIGURES_FILE = "comparison.html", "comparison.json"


def check_comparison_folder(folder: Path) -> None:
    """Find out before a long comparison whether its page could be written; raise as `write_comparison` does."""
    check_output_folder(folder, "the comparison")
    require_jinja()


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Write ``comparison.html`` and ``comparison.json``; they replace those of an earlier comparison.

    Parameters
    ----------
    comparison
        From `nucleus_unet.comparison.compare`.
    folder
        Made if missing.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    SettingsError
        ``folder`` is a file.
    MissingExtraError
        Jinja2 is missing.
    """
    check_comparison_folder(folder)
    text = _page(comparison)
    write_atomically(folder / FIGURES_FILE, json.dumps(comparison.to_json(), indent=2) + "\n")
    write_atomically(folder / PAGE, text)
    return folder / PAGE


def _page(comparison: Comparison) -> str:
    pairs = groupby(comparison.differences, key=lambda each: (each.first, each.second))
    return render(
        "comparison/page.html",
        title="Models compared",
        comparison=comparison,
        images=said_of_images(comparison),
        models=_models(comparison),
        figures=FIGURES.values(),
        differences=[(pair, [_difference(each) for each in found]) for pair, found in pairs],
    )


def said_of_images(comparison: Comparison) -> str:
    """Say in a sentence or three on how many images models were compared."""
    said = f"{comparison.images} images of {comparison.fields} fields or patients"
    said += " that no model was trained on" if comparison.unseen else ", all known to a model from its training"
    said += f" (of {', '.join(comparison.silent)} it is not known)." if comparison.silent else "."
    if comparison.choice_images:
        said += f" Settings of a model were chosen on {comparison.choice_images} of them, which favours it."
    if comparison.training_images:
        said += f" Training figures: of {comparison.training_images} images that all were trained on."
    if comparison.left_out:
        said += f" {comparison.left_out} images are left out: they come twice, or only some models know their fields."
    return said


def titles_of_figures(comparison: Comparison) -> list[str]:
    """Return the titles of what `figures_of` tells of a model."""
    training = [f"training {FIGURES[name].title}" for name in comparison.models[0].training]
    return [*training, *(figure.title for figure in FIGURES.values()), "parameters", "ms an image"]


def figures_of(model: ComparedModel) -> list[str]:
    """Return a model's figures on training images, where there are any, and on unseen ones; its size and its time."""
    figures = [f"{value:.4f}" for value in (*model.training.values(), *model.figures.values())]
    return [*figures, f"{model.parameters:,}", f"{model.milliseconds:.0f}"]


def _models(comparison: Comparison) -> list[list[str]]:
    # A row a figure: a phone has no room for a column each.
    titles = ["", *titles_of_figures(comparison), "SHA-256"]
    columns = [[model.name, *figures_of(model), model.fingerprint[:8]] for model in comparison.models]
    return [[title, *values] for title, *values in zip(titles, *columns, strict=True)]


def _difference(found: Difference) -> list[str]:
    low, high = found.interval.low, found.interval.high
    title = FIGURES[found.figure].title
    return [title, found.verdict, f"{found.interval.difference:+.4f}", f"{low:+.4f} to {high:+.4f}"]

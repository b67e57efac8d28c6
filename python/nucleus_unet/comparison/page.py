"""A comparison as files: a page for people and JSON for machines."""

from __future__ import annotations

import json
from html import escape
from itertools import groupby
from pathlib import Path

from nucleus_unet import __version__
from nucleus_unet.comparison.compare import ComparedModel, Comparison
from nucleus_unet.comparison.metric_values import FIGURES
from nucleus_unet.io.atomic import check_output_folder, write_atomically
from nucleus_unet.reports.page import page, table

PAGE, FIGURES_FILE = "comparison.html", "comparison.json"

_BODY = """\
<p>{images}</p>
<h2>Figures</h2>
{models}
<p class="note">{meanings} Milliseconds are the median for an image on the machine that made this page, without the
reading of files.</p>
<h2>Differences</h2>
{differences}
<p class="note">Second model minus first. Intervals are of 95 %, from a paired bootstrap over fields
({resamples} resamples, seed {seed}). A difference is called real where its interval leaves out 0, which it does by
chance for one in twenty figures of equal models. It is real of these models: another training of the same recipe, from
another seed, differs too.</p>
<p class="note">Written by nucleus-unet {version}.</p>"""

_STYLE = """\
.differences th:nth-child(2), .differences td:nth-child(2) { text-align: left; white-space: normal; min-width: 8rem; }
"""


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
    """
    check_output_folder(folder, "the comparison")
    text = _page(comparison)
    write_atomically(folder / FIGURES_FILE, json.dumps(comparison.to_json(), indent=2) + "\n")
    write_atomically(folder / PAGE, text)
    return folder / PAGE


def _page(comparison: Comparison) -> str:
    body = _BODY.format(
        images=escape(said_of_images(comparison)),
        models=_models(comparison),
        meanings=" ".join(f"<b>{figure.title}</b>: {figure.meaning}." for figure in FIGURES.values()),
        differences=_differences(comparison),
        resamples=f"{comparison.resamples:,}",
        seed=comparison.seed,
        version=escape(__version__),
    )
    return page("Models compared", body, style=_STYLE)


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


def _models(comparison: Comparison) -> str:
    # A row a figure: a phone has no room for a column each.
    titles = [*titles_of_figures(comparison), "SHA-256"]
    columns = [[*figures_of(model), model.fingerprint[:8]] for model in comparison.models]
    rows = [[title, *values] for title, *values in zip(titles, *columns, strict=True)]
    return table(["", *(model.name for model in comparison.models)], rows)


def _differences(comparison: Comparison) -> str:
    parts = []
    for (first, second), found in groupby(comparison.differences, key=lambda each: (each.first, each.second)):
        rows = [
            [
                FIGURES[each.figure].title,
                each.verdict,
                f"{each.interval.difference:+.4f}",
                f"{each.interval.low:+.4f} to {each.interval.high:+.4f}",
            ]
            for each in found
        ]
        listed = table(["", "verdict", "difference", "95 %"], rows)
        parts.append(f'<h3>{escape(second)} against {escape(first)}</h3>\n<div class="differences">{listed}</div>')
    return "\n".join(parts)

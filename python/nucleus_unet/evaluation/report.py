"""Write an evaluation as an HTML page, as JSON and as a CSV table of the images."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path

from nucleus_unet.errors import SettingsError
from nucleus_unet.evaluation.evaluate import EvaluatedImage, Evaluation
from nucleus_unet.evaluation.page import evaluation_html
from nucleus_unet.io.atomic import check_output_folder, write_atomically
from nucleus_unet.reports.csv_table import csv_text
from nucleus_unet.reports.page import require_page_packages

PAGE, JSON_FILE, TABLE = "report.html", "report.json", "images.csv"


def check_report_folder(folder: Path) -> None:
    """Check before a long evaluation that its report can be written.

    Raises
    ------
    SettingsError
        ``folder`` is a file.
    MissingExtraError
        matplotlib or Jinja2 is missing.
    """
    check_output_folder(folder, "the report")
    require_page_packages()


def write_report(evaluation: Evaluation, folder: Path, *, worst: int = 12) -> Path:
    """Write ``report.html``, ``report.json`` and ``images.csv``. Existing files of these names are replaced.

    Parameters
    ----------
    evaluation
        Evaluation from `nucleus_unet.evaluation.evaluate.evaluate`.
    folder
        Output folder. It is created if missing.
    worst
        Maximum number of images of which the page has pictures.

    Returns
    -------
    Path
        Path of the page. It contains its pictures, and works offline and without the other files.

    Raises
    ------
    SettingsError
        ``folder`` is a file, or ``worst`` is negative.
    MissingExtraError
        matplotlib or Jinja2 is missing.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from nucleus_unet import Segmenter
    >>> from nucleus_unet.evaluation.evaluate import evaluate
    >>> from nucleus_unet.data.dataset import Example
    >>> rows, columns = np.mgrid[:64, :64]
    >>> disc = np.hypot(rows - 32, columns - 32) < 10
    >>> example = Example("disc", "made up", disc.astype(np.uint8) * 100, disc.astype(np.uint32), "disc")
    >>> evaluation = evaluate(Segmenter.from_pretrained(device="cpu"), [example])
    >>> write_report(evaluation, Path(tempfile.mkdtemp())).name
    'report.html'
    """
    if worst < 0:
        raise SettingsError(f"worst: expected 0 or more images, got {worst}")
    check_report_folder(folder)
    page = evaluation_html(evaluation, worst_images(evaluation, worst))
    write_atomically(folder / JSON_FILE, json.dumps(evaluation.to_json(), indent=2) + "\n")
    write_atomically(folder / TABLE, csv_text([image.to_row() for image in evaluation.images]))
    write_atomically(folder / PAGE, page)
    return folder / PAGE


def worst_images(evaluation: Evaluation, count: int) -> list[EvaluatedImage]:
    """Return the images of lowest mean average precision. Ties are ordered by number of errors, then by name.

    Images without errors at an IoU of 0.5 are left out.
    """

    def sort_key(image: EvaluatedImage) -> tuple[float, int, str]:
        errors = image.score.errors
        return image.mean_average_precision, -errors.false_negatives - errors.false_positives, image.example.name

    faulty = [image for image in evaluation.images if any(astuple(image.score.errors))]
    return sorted(faulty, key=sort_key)[:count]

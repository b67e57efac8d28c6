"""An evaluation as files: a page for people, JSON for machines, and a table of the images."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from nucleus_unet.errors import SettingsError
from nucleus_unet.evaluation.evaluate import EvaluatedImage, Evaluation
from nucleus_unet.evaluation.page import report_html
from nucleus_unet.io.atomic import check_output_folder, write_atomically
from nucleus_unet.reports.page import require_page_packages

PAGE, FIGURES, TABLE = "report.html", "report.json", "images.csv"


def check_report_folder(folder: Path) -> None:
    """Find out before a long evaluation whether its report could be written.

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
    """Write ``report.html``, ``report.json`` and ``images.csv``; they replace those of an earlier report.

    Parameters
    ----------
    evaluation
        From `nucleus_unet.evaluation.evaluate.evaluate`.
    folder
        Made if missing.
    worst
        How many images the page shows at most.

    Returns
    -------
    Path
        Of the page: it holds its pictures, and needs neither the other files nor a network.

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
    page = report_html(evaluation, worst_images(evaluation, worst))
    write_atomically(folder / FIGURES, json.dumps(evaluation.to_json(), indent=2) + "\n")
    write_atomically(folder / TABLE, _table(evaluation))
    write_atomically(folder / PAGE, page)
    return folder / PAGE


def worst_images(evaluation: Evaluation, count: int) -> list[EvaluatedImage]:
    """Choose the images of lowest mean average precision; ties go to the one with more nuclei lost, then by name.

    Images in which nothing is lost or wrong at an intersection over union of 0.5 are not among them.
    """

    def goodness(image: EvaluatedImage) -> tuple[float, int, str]:
        errors = image.score.errors
        return image.mean_average_precision, -errors.lost - errors.wrong, image.example.name

    faulty = [image for image in evaluation.images if image.score.errors.lost + image.score.errors.wrong]
    return sorted(faulty, key=goodness)[:count]


def _table(evaluation: Evaluation) -> str:
    rows = [image.to_row() for image in evaluation.images]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

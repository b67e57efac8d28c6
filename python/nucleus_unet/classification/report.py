"""The report of a trained classifier: an HTML page, and a table of the marked nuclei."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import imagecodecs
import numpy as np

from nucleus_unet.classification.validation import Validation
from nucleus_unet.classifier.model import Classifier
from nucleus_unet.io.atomic import check_output_folder, write_atomically
from nucleus_unet.reports.csv_table import csv_text
from nucleus_unet.reports.page import render, require_page_packages

if TYPE_CHECKING:
    from nucleus_unet.classification.train import TrainedClassifier

PAGE, TABLE = "report.html", "marked.csv"

# Measures and pictures of a class that the page shows.
_MEASURES, _PICTURES = 20, 24


class ShownNucleus(NamedTuple):
    """A picture of a marked nucleus with what the page says of it."""

    picture: bytes
    title: str
    sureness: str
    wrong: str


def check_report_folder(folder: Path) -> None:
    """Check before long work that the report can be written.

    Raises
    ------
    SettingsError
        If ``folder`` is a file.
    MissingExtraError
        If matplotlib or Jinja2 is missing.
    """
    check_output_folder(folder, "the classifier and its report")
    require_page_packages()


def write_report(trained: TrainedClassifier, folder: Path) -> Path:
    """Write ``report.html`` and ``marked.csv``; return the path of the page."""
    check_report_folder(folder)
    page = report_html(trained)
    write_atomically(folder / TABLE, csv_text(list(_rows(trained))))
    write_atomically(folder / PAGE, page)
    return folder / PAGE


def report_html(trained: TrainedClassifier) -> str:
    """Return the page of a trained classifier."""
    classifier, validation = trained.classifier, trained.validation
    names = [kind.name for kind in classifier.kinds]
    return render(
        "classification/page.html",
        title="Classifier of nuclei",
        classifier=classifier,
        kind={"forest": "random forest", "logistic": "logistic regression"}[classifier.estimator.kind],
        validation=validation,
        right=np.mean(validation.predicted == validation.index),
        trained=trained,
        scores=_score_rows(validation),
        names=names,
        confusion=[[kind.name, *row] for kind, row in zip(validation.kinds, validation.confusion, strict=True)],
        weights=_weight_rows(classifier),
        notes=_notes(trained),
        pictures=_shown(trained),
        images=[[image.name, *(image.classes.count(name) for name in names)] for image in trained.images],
    )


def _score_rows(validation: Validation) -> list[list[str]]:
    marked = validation.confusion.sum(axis=1)
    scores = zip(validation.kinds, validation.f1, validation.precision, validation.recall, marked, strict=True)
    return [[kind.name, *map(_number, numbers), f"{count:,}"] for kind, *numbers, count in scores]


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def _weight_rows(classifier: Classifier) -> list[list[str]]:
    weights = classifier.estimator.weights
    order = np.argsort(-weights, kind="stable")[:_MEASURES]
    return [[classifier.columns[place], f"{weights[place]:.1%}"] for place in order]


def _notes(trained: TrainedClassifier) -> list[str]:
    """Return what a reader should know before believing the numbers."""
    validation, images = trained.validation, trained.images
    notes = [validation.how]
    for kind in validation.kinds:
        holders = [image for image in images if kind.name in image.classes]
        if validation.by_image and len(holders) == 1:
            notes.append(
                f"The class {kind.name} is marked in one image only ({holders[0].name}). While that image was held "
                "out, no classifier knew the class, so its F1 is 0: mark some in another image."
            )
    few = [
        kind.name for kind, count in zip(validation.kinds, validation.confusion.sum(axis=1), strict=True) if count < 10
    ]
    if few:
        notes.append(f"Fewer than 10 marked nuclei: {', '.join(few)}. Their numbers are uncertain.")
    return notes


def _shown(trained: TrainedClassifier) -> list[tuple[str, Any, list[ShownNucleus]]]:
    """Return, for each class, its name, its colour and pictures of its nuclei, the least sure ones first."""
    validation = trained.validation
    places = [(image, number) for image in trained.images for number in range(len(image.labels))]
    shown = []
    for place, kind in enumerate(validation.kinds):
        mine = np.flatnonzero(validation.index == place)
        mine = mine[np.argsort(validation.sureness[mine], kind="stable")]
        nuclei = [_shown_nucleus(validation, int(row), *places[row]) for row in mine if places[row][0].pictures]
        shown.append((kind.name, kind.colour, nuclei[:_PICTURES]))
    return shown


def _shown_nucleus(validation: Validation, row: int, image: Any, number: int) -> ShownNucleus:
    guess = int(validation.predicted[row])
    return ShownNucleus(
        bytes(imagecodecs.png_encode(np.ascontiguousarray(image.pictures[number]))),
        f"{image.name}, nucleus {image.labels[number]}",
        f"{validation.sureness[row]:.2f}",
        "" if guess == validation.index[row] else validation.kinds[guess].name,
    )


def _rows(trained: TrainedClassifier) -> Iterator[dict[str, object]]:
    validation = trained.validation
    images = [image.name for image in trained.images for _ in image.classes]
    labels = np.concatenate([image.labels for image in trained.images])
    columns = (images, labels.tolist(), validation.index, validation.predicted, validation.sureness.tolist())
    for image, label, marked, predicted, probability in zip(*columns, strict=True):
        yield {
            "image": image,
            "label": label,
            "class": validation.kinds[marked].name,
            "predicted": validation.kinds[predicted].name,
            "probability": probability,
        }

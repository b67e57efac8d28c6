"""Apply a classifier to finished results: tables, and folders of slides."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nucleus_unet.classifier.classes import CLASS
from nucleus_unet.classifier.model import Classifier
from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.exports.csv_reader import CsvTable
from nucleus_unet.exports.parquet import TableWriter, read_notes, read_table
from nucleus_unet.io.atomic import check_output_folder, written_atomically
from nucleus_unet.slides.measuring import classified_notes, classify_slide, classify_table
from nucleus_unet.slides.writers.results import TABLE, count_if_finished

logger = logging.getLogger(__name__)

_SUFFIXES = (".csv", ".parquet")


def classify_results(path: Path | str, classifier: Classifier, *, out: Path | str | None = None) -> Path:
    """Give each nucleus of a finished result a class, without segmenting or measuring it again.

    Parameters
    ----------
    path
        Folder of a slide, whose table and outlines are replaced; or a CSV or Parquet table with measures.
    classifier
        The classifier.
    out
        Folder for the new table, which has the name of the old one. None for the folder of a slide.

    Returns
    -------
    Path
        Of the table with the classes.

    Raises
    ------
    SettingsError
        If the table lacks a column that the classifier needs, or ``out`` does not fit.
    DataError
        If the result is damaged.
    """
    path = Path(path)
    if (path / TABLE).exists():
        if out is not None:
            raise SettingsError(f"out: the classes of a slide go to its folder, {path}: leave out (--out) away")
        if count_if_finished(path) is None:
            raise DataError(f"{path}: expected the folder of a finished slide; run `nucleus-unet slide` again")
        _check_measured(classifier, path / TABLE, str(path))
        classify_slide(path, classifier)
        return path / TABLE
    if path.suffix.lower() not in _SUFFIXES:
        raise SettingsError(f"{path}: expected the folder of a finished slide, or a table of {' or '.join(_SUFFIXES)}")
    if out is None:
        raise SettingsError("out: expected a folder for the table with the classes (--out)")
    check_output_folder(Path(out), "the table with the classes")
    target = Path(out) / path.name
    if target.exists() and target.samefile(path):
        raise SettingsError(f"out: {target} is the table itself: give another folder")
    if path.suffix.lower() == ".csv":
        _classify_csv(path, target, classifier)
    else:
        _classify_parquet(path, target, classifier)
    return target


def _classify_csv(path: Path, target: Path, classifier: Classifier) -> None:
    table = CsvTable(path)
    _warn_of_cells(classifier, path)
    found = classifier.classify(table.numbers())
    table.write(target, {**found.probabilities, CLASS: found.classes.names})


def _warn_of_cells(classifier: Classifier, path: Path) -> None:
    """Log what a CSV table does not tell: whether cells and neighbours are those of the training."""
    measured = classifier.measured
    needed = [] if measured.expand is None else [f"expand={measured.expand!r}"]
    if "neighbours" in measured.groups:
        needed.append(f"neighbour_radius={measured.neighbour_radius!r}")
    if needed:
        logger.warning(
            "%s does not tell how its nuclei were measured: if it was not with %s, classes are wrong",
            path,
            " and ".join(needed),
        )


def _classify_parquet(path: Path, target: Path, classifier: Classifier) -> None:
    _check_measured(classifier, path, str(path))
    with ExitStack() as stack:
        file = stack.enter_context(written_atomically(target))
        writer = stack.enter_context(TableWriter(file, notes=classified_notes(path, classifier)))
        for group in read_table(path):
            writer.add(classify_table(classifier, group))


def measured_as(table: Path) -> Mapping[str, Any]:
    """Return how the nuclei of a table were measured; empty if it does not tell."""
    text = read_notes(table).get("measures")
    if text is None:
        return {}
    try:
        told = json.loads(text)
        return {name: told[name] for name in ("expand", "neighbour_radius", "mpp")}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{table} is damaged: it does not tell how it was measured ({error})") from error


def _check_measured(classifier: Classifier, table: Path, name: str) -> None:
    """Raise `SettingsError` if nuclei were measured in cells of another size than the classifier was trained on."""
    if told := measured_as(table):
        classifier.check_lengths(told["expand"], told["neighbour_radius"], told["mpp"], name)
        classifier.tell_differences(told["mpp"], None)

"""Measure the nuclei of a finished run, in bounded memory, and write its table and outlines again.

The numbers are those of `nucleus_unet.Segmenter.predict` to the last bit. Nuclei and their labels are final before the
first is measured, so blocks of the prediction play no part. A nucleus is measured in a region of the label image that
reaches `MeasureSettings.reach` pixels beyond its box. Nothing further away can change its cell: a pixel of the cell is
at most ``expand`` from the nucleus, and a nucleus that might win it is at most ``expand`` from the pixel.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.classifier.model import PREFIX, Classifier
from nucleus_unet.exports.nucleus_table import NucleusTable, empty_table
from nucleus_unet.exports.parquet import TableWriter, count_groups, read_notes, read_table
from nucleus_unet.io.atomic import written_atomically
from nucleus_unet.io.plane import Plane
from nucleus_unet.io.source import open_image
from nucleus_unet.measures.region import measure_region
from nucleus_unet.measures.settings import MeasureSettings
from nucleus_unet.progress import Progress, tracker
from nucleus_unet.slides.executors.shards import lock_run
from nucleus_unet.slides.neighbours import NeighbourWindow
from nucleus_unet.slides.writers.outlines import OutlineWriter
from nucleus_unet.slides.writers.results import LABELS, TABLE, list_outlines

# Nuclei whose boxes begin in one square of this side, in pixels, are measured together.
_SIDE = 1024

CLASSIFIER_NOTE = "classifier"
"""Name of the note of a table that holds the fingerprint of the classifier."""

Columns = dict[str, NDArray[Any]]


def measure_slide(
    folder: Path,
    channels: Mapping[str, Plane],
    settings: MeasureSettings,
    classifier: Classifier | None,
    *,
    progress: Progress,
) -> None:
    """Add measures, classes, and outlines of cells, to the table and the outlines of a finished run.

    A run that has these measures is left as it is. An interrupted call leaves the results without measures or with all.

    Parameters
    ----------
    folder
        Of the run.
    channels
        Channels of the slide by name, from `nucleus_unet.measures.channels.channel_planes`.
    settings
        What is measured.
    classifier
        Gives each nucleus a class, if there is one.
    progress
        How the call reports, and how it is cancelled.
    """
    notes = {"measures": json.dumps({**settings.to_json(), "channels": list(channels)}, sort_keys=True)}
    if classifier is not None:
        notes[CLASSIFIER_NOTE] = classifier.fingerprint
    with lock_run(folder):
        table = folder / TABLE
        saved = read_notes(table)
        if all(saved.get(name) == notes.get(name) for name in ("measures", CLASSIFIER_NOTE)):
            return
        neighbours = NeighbourWindow(read_table(table), settings)
        with ExitStack() as stack:
            source = stack.enter_context(open_image(folder / LABELS, indices=True))
            labels = source.plane()
            # The table is renamed last. It tells that the measures are complete.
            file = stack.enter_context(written_atomically(table))
            outlines = stack.enter_context(OutlineWriter(folder, compressed=True))
            writer = stack.enter_context(TableWriter(file, notes=notes))
            for group in _tracked(table, progress):
                measured = _measure_group(group, labels, channels, settings, progress)
                measures = {**measured.measures, **neighbours.measure(group)}
                measured = dataclasses.replace(measured, measures=measures)
                if classifier is not None:
                    measured = classify_table(classifier, measured)
                writer.add(measured)
                outlines.add(measured)
        list_outlines(folder, outlines.paths)


def classify_slide(folder: Path, classifier: Classifier) -> None:
    """Add classes to the table and the outlines of a finished run that is measured.

    An interrupted call leaves the results with their former classes, or with the new ones.

    Raises
    ------
    SettingsError
        If the table lacks a column that the classifier needs.
    """
    with lock_run(folder):
        table = folder / TABLE
        with ExitStack() as stack:
            # The table is renamed last. It tells which classifier gave the classes.
            file = stack.enter_context(written_atomically(table))
            outlines = stack.enter_context(OutlineWriter(folder, compressed=True))
            writer = stack.enter_context(TableWriter(file, notes=classified_notes(table, classifier)))
            for group in read_table(table):
                classified = classify_table(classifier, group)
                writer.add(classified)
                outlines.add(classified)
        list_outlines(folder, outlines.paths)


def classified_notes(table: Path, classifier: Classifier) -> dict[str, str]:
    """Return the notes of a table as they are with the classes of a classifier."""
    notes = {name: text for name, text in read_notes(table).items() if name == "measures"}
    return {**notes, CLASSIFIER_NOTE: classifier.fingerprint}


def classify_table(classifier: Classifier, nuclei: NucleusTable) -> NucleusTable:
    """Return nuclei with their classes, in place of earlier ones."""
    measures = {name: values for name, values in nuclei.measures.items() if not name.startswith(PREFIX)}
    found = classifier.classify({**nuclei.numbers(), **measures})
    return dataclasses.replace(nuclei, measures={**measures, **found.probabilities}, classes=found.classes)


def _tracked(table: Path, progress: Progress) -> Iterator[NucleusTable]:
    """Yield groups of nuclei without further measures, at least one."""
    groups = count_groups(table)
    nuclei = read_table(table)
    for _ in tracker("measuring", show=progress)(range(groups)):
        yield dataclasses.replace(next(nuclei), measures={}, cell=None)
    if not groups:
        yield empty_table()


def _measure_group(
    group: NucleusTable, labels: Plane, channels: Mapping[str, Plane], settings: MeasureSettings, progress: Progress
) -> NucleusTable:
    """Measure nuclei, square by square."""
    columns: Columns = {}
    cells: list[bytes] = [b""] * len(group)
    for index in _squares(group):
        progress.check()
        found, outlines = _measure_square(group, index, labels, channels, settings)
        for name, values in found.items():
            columns.setdefault(name, np.zeros(len(group), values.dtype))[index] = values
        for place, outline in zip(index.tolist(), outlines, strict=False):
            cells[place] = outline
    return dataclasses.replace(group, measures=columns, cell=None if settings.expand is None else cells)


def _squares(group: NucleusTable) -> Iterator[NDArray[np.intp]]:
    """Yield the indices of the nuclei whose boxes begin in the same square; none at all for an empty group."""
    if not len(group):
        yield np.zeros(0, np.intp)
        return
    keys = np.column_stack([group.top // _SIDE, group.left // _SIDE])
    _, square = np.unique(keys, axis=0, return_inverse=True)
    order = np.argsort(square.reshape(-1), kind="stable")
    yield from np.split(order, np.cumsum(np.bincount(square.reshape(-1)))[:-1])


def _measure_square(
    group: NucleusTable,
    index: NDArray[np.intp],
    labels: Plane,
    channels: Mapping[str, Plane],
    settings: MeasureSettings,
) -> tuple[Columns, list[bytes]]:
    """Return the measures of some nuclei, and the outlines of their cells."""
    height, width = labels.shape
    reach = settings.reach
    rows = slice(
        max(0, int(group.top[index].min(initial=height)) - reach),
        min(height, int(group.bottom[index].max(initial=0)) + reach),
    )
    columns = slice(
        max(0, int(group.left[index].min(initial=width)) - reach),
        min(width, int(group.right[index].max(initial=0)) + reach),
    )
    if not len(index):  # a pixel of background tells the names of the columns
        rows = columns = slice(0, 1)
    here = np.ascontiguousarray(labels.read(rows, columns), np.uint32) if len(index) else np.zeros((1, 1), np.uint32)
    read = ((name, plane.read(rows, columns)) for name, plane in channels.items() if settings.needs_pixels)
    measured = measure_region(here, read, settings)
    places = np.searchsorted(measured.present, group.label[index])
    outlines: list[bytes] = []
    if measured.cells is not None:
        wanted = np.where(np.isin(measured.cells, group.label[index]), measured.cells, np.uint32(0))
        found = _core.contours_wkb(np.ascontiguousarray(wanted), (rows.start, columns.start))
        order = np.argsort(np.argsort(group.label[index], kind="stable"), kind="stable")
        outlines = [found[place] for place in order]
    return {name: values[places] for name, values in measured.columns.items()}, outlines

"""From finished planes to the results of a run: label images, tables, a picture of a plate."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from uuid import uuid5

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import MissingExtraError
from nucleus_unet.exports.geojson import NAMESPACE
from nucleus_unet.exports.label_stack import write_challenge_frames, write_label_stack
from nucleus_unet.exports.stack_table import common_columns, open_stack_table
from nucleus_unet.io.atomic import write_atomically
from nucleus_unet.io.selection import Place
from nucleus_unet.reports.plate import save_plate_overview
from nucleus_unet.stacks.layout import OVERVIEW, PLANES, Layout
from nucleus_unet.stacks.store import FinishedPlane, PlaneStore

logger = logging.getLogger(__name__)


def result_files(layout: Layout, places: Sequence[Place], formats: Sequence[str]) -> list[Path]:
    """Return the paths of all results but the picture of a plate."""
    scenes = [next(group) for _, group in groupby(places, key=lambda place: place.scene)]
    files = [layout.out / PLANES, *(layout.table(each) for each in formats if each in ("csv", "parquet"))]
    files += [layout.labels(place) for place in scenes if "tif" in formats]
    return files + [layout.challenge(place) for place in scenes if "ctc" in formats]


def write_results(
    store: PlaneStore,
    layout: Layout,
    planes: Sequence[FinishedPlane],
    formats: Sequence[str],
) -> list[Path]:
    """Write the results of a run, plane by plane. Each file appears when it is whole.

    Parameters
    ----------
    store
        The finished planes.
    layout
        Where results go.
    planes
        In order.
    formats
        Some of `nucleus_unet.exports.names.STACK_FORMATS`.

    Returns
    -------
    list of Path
        What was written.
    """
    _write_planes(layout, planes)
    tables = [each for each in formats if each in ("csv", "parquet")]
    if tables:
        like = common_columns(store.table(plane.place, outlines=False) for plane in planes)
        for each in tables:
            with open_stack_table(each, layout.table(each), layout.columns, like) as table:
                for plane in planes:
                    nuclei = store.table(plane.place, outlines=each == "parquet")
                    table.add(layout.where(plane.place), nuclei)
    for _, scene in groupby(planes, key=lambda plane: plane.place.scene):
        _write_scene(store, layout, list(scene), formats)
    files = result_files(layout, [plane.place for plane in planes], formats)
    return files + _draw_plate(layout, planes)


def _write_scene(store: PlaneStore, layout: Layout, planes: Sequence[FinishedPlane], formats: Sequence[str]) -> None:
    places = [plane.place for plane in planes]
    times = len({place.frame for place in places})
    height, width = store.labels(places[0]).shape
    if "tif" in formats:
        shape = (times, len(places) // times, height, width)
        uuid = uuid5(NAMESPACE, " ".join(plane.key for plane in planes))
        labels = map(store.labels, places)
        write_label_stack(layout.labels(places[0]), labels, shape=shape, mpp=planes[0].mpp, uuid=uuid)
    if "ctc" in formats:
        most = max(plane.summary.nuclei for plane in planes)
        write_challenge_frames(layout.challenge(places[0]), _frames(store, places), count=times, most=most)


def _frames(store: PlaneStore, places: Iterable[Place]) -> Iterator[Iterable[NDArray[np.uint32]]]:
    for _, frame in groupby(places, key=lambda place: place.frame):
        yield map(store.labels, frame)


def _write_planes(layout: Layout, planes: Iterable[FinishedPlane]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*layout.columns, "nuclei", "median_area", "scale", "expected_msa"])
    for plane in planes:
        found = plane.summary
        scale, expected = f"{found.scale:g}", found.expected_msa
        table.writerow([*layout.where(plane.place).values(), found.nuclei, found.median_area, scale, expected])
    write_atomically(layout.out / PLANES, text.getvalue())


def _draw_plate(layout: Layout, planes: Iterable[FinishedPlane]) -> list[Path]:
    """Draw the number of nuclei in each well, if this is a plate."""
    if not layout.plate:
        return []
    wells: dict[tuple[str, str], int] = {}
    for plane in planes:
        row, column, _ = plane.place.scene_name.split("/")
        wells[row, column] = wells.get((row, column), 0) + plane.summary.nuclei
    try:
        save_plate_overview(layout.out / OVERVIEW, wells)
    except MissingExtraError as error:
        logger.warning("%s is not drawn: %s", OVERVIEW, error)
        return []
    return [layout.out / OVERVIEW]

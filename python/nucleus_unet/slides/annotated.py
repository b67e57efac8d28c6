"""Write a finished slide as AnnData or SpatialData. Labels go chunk by chunk; table and polygons are in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nucleus_unet.exports.anndata import to_anndata
from nucleus_unet.exports.formats import write_anndata
from nucleus_unet.exports.nucleus_table import NucleusTable, concatenate_tables, empty_table
from nucleus_unet.exports.ome_zarr import tiff_levels
from nucleus_unet.exports.spatialdata import CELL_LABELS, NUCLEUS_LABELS, to_spatialdata, write_spatialdata
from nucleus_unet.slides.writers.cells import open_cells
from nucleus_unet.slides.writers.results import LABELS


def write_annotated(
    folder: Path, path: Path, groups: Iterable[NucleusTable], *, chosen: str, mpp: float | None, name: str
) -> None:
    """Write the nuclei of a finished run as AnnData or SpatialData.

    Parameters
    ----------
    folder
        Of the run.
    path
        Of the file or folder, which is replaced if this library wrote it.
    groups
        The rows of the run's table.
    chosen
        One of `nucleus_unet.exports.names.ANNOTATED_FORMATS`.
    mpp
        Pixel size in micrometres, if known.
    name
        Name of the slide in the table.
    """
    if chosen != "spatialdata":
        numbers = [dataclasses.replace(group, outline=[b""] * len(group), cell=None) for group in groups]
        table = concatenate_tables([*numbers, empty_table()]).numbers()
        write_anndata(path, to_anndata(table, mpp=mpp, name=name), chosen)
        return
    nuclei = concatenate_tables([*groups, empty_table()])
    with _open_labels(folder) as labels:
        write_spatialdata(path, to_spatialdata(nuclei, labels=labels, image=None, mpp=mpp, name=name))


@contextmanager
def _open_labels(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Open the label images of nuclei and, if there are any, of cells."""
    with tiff_levels(folder / LABELS) as levels, open_cells(folder) as cells:
        yield {NUCLEUS_LABELS: levels[0], **({} if cells is None else {CELL_LABELS: cells})}

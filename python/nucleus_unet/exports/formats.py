"""Write nuclei in any format. To add one, name it in `names.FORMATS` and call its writer here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.classifier.classes import ClassKind
from nucleus_unet.errors import SettingsError
from nucleus_unet.exports.anndata import is_annotated_zarr, require_anndata, to_anndata, write_anndata_zarr, write_h5ad
from nucleus_unet.exports.coco import CocoWriter
from nucleus_unet.exports.csv_table import TableCsvWriter
from nucleus_unet.exports.geojson import CollectionWriter, decode_outlines, open_collection, table_features
from nucleus_unet.exports.imagej import RoiSetWriter
from nucleus_unet.exports.names import ANNOTATED_FORMATS, CELL_FORMATS, ZARR_VERSIONS, format_of, stem
from nucleus_unet.exports.nucleus_table import NucleusTable
from nucleus_unet.exports.ome_zarr import is_label_zarr, require_zarr, write_label_zarr
from nucleus_unet.exports.overlay import write_overlay_png
from nucleus_unet.exports.parquet import TableWriter, pyarrow
from nucleus_unet.exports.rle import RleCsvWriter
from nucleus_unet.exports.spatialdata import (
    CELL_LABELS,
    NUCLEUS_LABELS,
    require_spatialdata,
    to_spatialdata,
    write_spatialdata,
)
from nucleus_unet.exports.tiff import write_label_tiff
from nucleus_unet.io.atomic import written_atomically
from nucleus_unet.measures.region import rings_of

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

Add = Callable[[NucleusTable], None]
"""Adds nuclei to a file that is being written."""


def save(
    path: Path,
    labels: NDArray[np.uint32],
    table: NucleusTable,
    image: NDArray[Any],
    *,
    mpp: float | None,
    file_format: str | None = None,
    cells: NDArray[np.uint32] | None = None,
) -> None:
    """Write the nuclei of an image to a file.

    Parameters
    ----------
    path
        Replaced if it exists.
    labels : NDArray[np.uint32] (H, W)
        0 background.
    table
        The nuclei with their outlines.
    image : NDArray[Any] (H, W) or (H, W, 3)
        For the picture.
    mpp
        Pixel size in micrometres, if known.
    file_format
        Name of the format; by default the one that the file name means.
    cells : NDArray[np.uint32] (H, W)
        Label image of the cells, if there are any.
    """
    chosen = format_of(path) if file_format is None else file_format
    if chosen in CELL_FORMATS:
        if cells is None:
            raise SettingsError(f"{path}: there are no cells: give expand= (--expand), such as expand=8")
        write_label_tiff(path, cells if chosen == "cells" else rings_of(cells, labels), mpp=mpp)
        return
    if chosen == "tif":
        write_label_tiff(path, labels, mpp=mpp)
    elif chosen == "png":
        write_overlay_png(path, image, labels, table.classes)
    elif chosen in ZARR_VERSIONS:
        write_label_zarr(path, pyramid(labels), version=ZARR_VERSIONS[chosen], mpp=mpp)
    elif chosen == "spatialdata":
        write_spatialdata(path, image_as_spatialdata(labels, table, image, mpp=mpp, name=stem(path), cells=cells))
    elif chosen in ANNOTATED_FORMATS:
        write_anndata(path, to_anndata(table.numbers(), mpp=mpp, name=stem(path), image=image), chosen)
    else:
        height, width = labels.shape
        kinds = () if table.classes is None else table.classes.kinds
        with open_table_file(chosen, path, shape=(height, width), name=stem(path), kinds=kinds) as add:
            add(table)


def image_as_spatialdata(
    labels: NDArray[np.uint32],
    table: NucleusTable,
    image: NDArray[Any],
    *,
    mpp: float | None,
    name: str,
    cells: NDArray[np.uint32] | None,
) -> SpatialData:
    """Return the nuclei of an image as SpatialData; the arguments are those of `save`, ``name`` is of the image."""
    rasters = {NUCLEUS_LABELS: labels, **({} if cells is None else {CELL_LABELS: cells})}
    return to_spatialdata(table, labels=rasters, image=image, mpp=mpp, name=name)


def write_anndata(path: Path, data: AnnData, chosen: str) -> None:
    """Write AnnData in the format ``anndata`` (HDF5) or ``anndatazarr``."""
    if chosen == "anndata":
        write_h5ad(path, data)
    else:
        write_anndata_zarr(path, data)


def is_own_zarr(path: Path) -> bool:
    """Whether a folder is a zarr store that this library wrote: labels, AnnData or SpatialData."""
    return is_label_zarr(path) or is_annotated_zarr(path)


def check_extras(formats: Sequence[str]) -> None:
    """Raise `MissingExtraError` before long work if a package that writes one of the formats is not installed."""
    if "parquet" in formats:
        pyarrow()
    if ZARR_VERSIONS.keys() & set(formats):
        require_zarr()
    if "spatialdata" in formats:
        require_spatialdata()
    if set(formats) & {"anndata", "anndatazarr"}:
        require_anndata()


@contextmanager
def open_table_file(
    chosen: str, path: Path, *, shape: tuple[int, int], name: str, kinds: Sequence[ClassKind] = ()
) -> Iterator[Add]:
    """Open a file of one of `TABLE_FORMATS` for writing; yield what adds nuclei. The file appears at the end.

    Parameters
    ----------
    chosen
        Name of the format.
    path
        Replaced if it exists.
    shape
        Height and width of the image.
    name
        Name of the image in the file, where the format has one.
    kinds
        The classes of the nuclei, if they have any.
    """
    if chosen == "geojson":
        with open_collection(path) as collection:
            yield lambda nuclei: _add_to_geojson(collection, nuclei)
        return
    with written_atomically(path) as file:
        if chosen == "csv":
            with TableCsvWriter(file) as table:
                yield table.add
        elif chosen == "parquet":
            with TableWriter(file) as parquet:
                yield parquet.add
        elif chosen == "coco":
            categories = [kind.name for kind in kinds] or ["nucleus"]
            with CocoWriter(file, shape=shape, name=name, categories=categories) as coco:
                yield lambda nuclei: _add_to_coco(coco, nuclei)
        elif chosen == "roi":
            with RoiSetWriter(file) as rois:
                yield rois.add
        else:
            with RleCsvWriter(file, height=shape[0], image_id=name) as rle:
                yield lambda nuclei: _add_to_rle(rle, nuclei)


def _add_to_geojson(collection: CollectionWriter, nuclei: NucleusTable) -> None:
    for feature in table_features(nuclei):
        collection.add(feature)


def _add_to_rle(rle: RleCsvWriter, nuclei: NucleusTable) -> None:
    for polygons in decode_outlines(nuclei.outline):
        rle.add(polygons)


def _add_to_coco(coco: CocoWriter, nuclei: NucleusTable) -> None:
    index = np.zeros(len(nuclei), np.int64) if nuclei.classes is None else nuclei.classes.index
    for each, polygons, place in zip(nuclei.nuclei(), decode_outlines(nuclei.outline), index.tolist(), strict=True):
        box = each.top, each.left, each.bottom, each.right
        score = each.probability if math.isnan(each.quality) else each.quality
        coco.add(polygons, area=each.area, box=box, score=score, category=place + 1)


def pyramid(labels: NDArray[np.uint32], coarsest: int = 1024) -> list[NDArray[np.uint32]]:
    """Return a label image and its coarser levels, each with every second row and column of the one before."""
    levels = [labels]
    while max(levels[-1].shape) > coarsest:
        levels.append(levels[-1][::2, ::2])
    return levels

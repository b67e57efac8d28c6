"""The names and suffixes of the formats in which nuclei are saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nucleus_unet.errors import SettingsError


class Format(NamedTuple):
    """A file format.

    Attributes
    ----------
    suffixes
        Ends of file names that mean this format; the first one is the usual.
    title
        What a file of this format holds.
    """

    suffixes: tuple[str, ...]
    title: str


FORMATS = {
    "tif": Format((".tif", ".tiff"), "label image"),
    "cells": Format((".cells.tif", ".cells.tiff"), "label image of the cells around the nuclei"),
    "rings": Format((".rings.tif", ".rings.tiff"), "label image of the cells without their nuclei"),
    "csv": Format((".csv",), "table"),
    "parquet": Format((".parquet",), "GeoParquet: table and outlines"),
    "geojson": Format((".geojson", ".geojson.gz", ".json", ".json.gz"), "outlines, as QuPath opens them"),
    "coco": Format((".coco.json",), "COCO instances"),
    "rle": Format((".rle.csv",), "run-length encoding of the 2018 Data Science Bowl"),
    "omezarr": Format((".ome.zarr", ".zarr"), "label image as OME-Zarr 0.5"),
    "omezarr0.4": Format(("-0.4.ome.zarr",), "label image as OME-Zarr 0.4"),
    "anndata": Format((".h5ad",), "AnnData: table for scanpy and squidpy"),
    "anndatazarr": Format((".anndata.zarr",), "AnnData as a zarr folder"),
    "spatialdata": Format((".spatialdata.zarr",), "SpatialData: labels, polygons and table in one zarr folder"),
    "roi": Format((".roi.zip", ".zip"), "ImageJ ROI set, as the ROI Manager of Fiji opens it"),
    "png": Format((".png",), "picture with outlines"),
}
"""By the names that the command line takes."""

STACK_FORMATS = {
    "tif": Format((".ome.tif",), "label images of all planes, OME-TIFF"),
    "csv": Format((".csv",), "one table of all planes"),
    "parquet": Format((".parquet",), "GeoParquet: table and outlines of all planes"),
    "ctc": Format(("_RES",), "one label image for each time, as the Cell Tracking Challenge has them"),
}
"""The formats of several planes, by name."""

ZARR_VERSIONS = {"omezarr": "0.5", "omezarr0.4": "0.4"}
ANNOTATED_FORMATS = ("anndata", "anndatazarr", "spatialdata")
"""The formats of scverse: an annotated matrix, alone or with labels and polygons."""
CELL_FORMATS = ("cells", "rings")
"""The formats that need cells."""
TABLE_FORMATS = ("csv", "parquet", "geojson", "coco", "rle", "roi")
"""The formats that are written nucleus by nucleus."""


def format_of(path: Path) -> str:
    """Return the format that the suffix of a file name means; the longest suffix decides.

    Raises
    ------
    SettingsError
        If no format has this suffix.

    Examples
    --------
    >>> format_of(Path("a.coco.json")), format_of(Path("a.JSON"))
    ('coco', 'geojson')
    """
    name = path.name.lower()
    found = [(len(suffix), key) for key, each in FORMATS.items() for suffix in each.suffixes if name.endswith(suffix)]
    if not found:
        known = ", ".join(suffix for each in FORMATS.values() for suffix in each.suffixes)
        raise SettingsError(f"{path}: expected a name that ends in one of {known}")
    return max(found)[1]


def check_formats(names: Sequence[str], known: Mapping[str, Format] = FORMATS) -> None:
    """Raise `SettingsError` unless there is at least one name and each is the name of a format.

    Parameters
    ----------
    names
        Of the formats.
    known
        `FORMATS`, or `STACK_FORMATS` for several planes.
    """
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        planes = " of several planes" if known is STACK_FORMATS else ""
        raise SettingsError(f"format: expected some of {', '.join(known)}{planes}, got {', '.join(unknown) or 'none'}")


def stem(path: Path) -> str:
    """Return the name of a file without the suffix of its format."""
    suffixes = [suffix for each in FORMATS.values() for suffix in each.suffixes]
    longest = max((suffix for suffix in suffixes if path.name.lower().endswith(suffix)), key=len, default="")
    return path.name[: len(path.name) - len(longest)]

"""What was found in an image: a label image, a table with a row for each nucleus, and ways to save and show both."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.classifier.classes import CLASS, Classes
from nucleus_unet.errors import SettingsError
from nucleus_unet.exports.data_frame import data_frame
from nucleus_unet.io.paths import check_path
from nucleus_unet.io.selection import Place
from nucleus_unet.measures.region import rings_of
from nucleus_unet.preprocessing.normalisation import grey_values
from nucleus_unet.wording import counted

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from pandas import DataFrame
    from spatialdata import SpatialData

    from nucleus_unet.exports.nucleus_table import NucleusTable
    from nucleus_unet.plan import Plan

# Largest side of the picture that a notebook shows, in pixels.
_SHOWN = 512


class Result(Protocol):
    """What the results of an image and of a slide have in common."""

    def __len__(self) -> int:
        """Return the number of nuclei."""

    @property
    def plan(self) -> Any:
        """How the nuclei were found."""

    @property
    def table(self) -> dict[str, NDArray[Any]]:
        """One row for each nucleus, as columns."""

    def save(self, path: Path | str) -> Path:
        """Write the nuclei to a file, in the format that its suffix names."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Nuclei found in one image.

    Attributes
    ----------
    labels : NDArray[np.uint32] (H, W)
        0 background; 1..N by raster order of each nucleus's first pixel.
    probabilities : NDArray[np.float32] (N,)
        Mean foreground probability of each nucleus.
    qualities : NDArray[np.float32] (N,)
        Estimated intersection over union of each nucleus with the true one, 0 to 1. NaN if the model has not learned
        it.
    plan
        How they were found.
    image : NDArray[Any] (H, W) or (H, W, 3)
        The image they were found in (not a copy).
    maps : NDArray[np.uint8] (h, w, 4) or None
        The network's output at its scale, if ``maps=True`` was given: foreground and centre heat times 255, row and
        column offset in half pixels plus 128.
    mpp : float or None
        Pixel size of the image in micrometres, if an option or the file gives it.
    place : Place
        Where in its file the image lies: ``place.scene``, ``place.scene_name``, ``place.frame``, ``place.plane``.
    cells : NDArray[np.uint32] (H, W) or None
        Label image of the cells around the nuclei, if ``expand`` was given. A cell has the label of its nucleus.
    measures
        Columns of the table that ``measure`` asked for, by name, and the probabilities of classes.
    classes
        The class of each nucleus, if ``classifier`` was given.
    """

    labels: NDArray[np.uint32]
    probabilities: NDArray[np.float32]
    qualities: NDArray[np.float32]
    plan: Plan
    image: NDArray[Any] = field(repr=False)
    maps: NDArray[np.uint8] | None = field(default=None, repr=False)
    mpp: float | None = None
    place: Place = Place()  # noqa: RUF009
    cells: NDArray[np.uint32] | None = field(default=None, repr=False)
    measures: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    classes: Classes | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.probabilities)

    def __bool__(self) -> bool:
        """Return True, also for an image without nuclei."""
        return True

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the label image."""
        return np.array(self.labels, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        height, width = self.labels.shape
        nuclei = counted(len(self), "nucleus")
        if len(self):
            diameter = np.median(2 * np.sqrt(self.table["area"] / np.pi))
            nuclei += f" of {diameter:.1f} pixels in diameter (median)"
        return f"Segmentation({nuclei}, in {height} x {width} pixels)"

    def _repr_html_(self) -> str:
        """Return the outlines on the image, which notebooks show."""
        picture = base64.b64encode(self._thumbnail()).decode()
        caption = html.escape(repr(self))
        return f'<img src="data:image/png;base64,{picture}" alt="{caption}"><br>{caption}'

    def _thumbnail(self) -> bytes:
        import imagecodecs

        from nucleus_unet.exports.overlay import overlay

        step = max(1, -(-max(self.labels.shape) // _SHOWN))
        if not self.labels.size:
            return bytes(imagecodecs.png_encode(np.zeros((1, 1, 3), np.uint8)))
        small = self.image[::step, ::step], self.labels[::step, ::step]
        return bytes(imagecodecs.png_encode(overlay(*small, classes=self.classes)))

    @cached_property
    def table(self) -> dict[str, NDArray[Any]]:
        """One row for each nucleus, as columns; ``pandas.DataFrame(nuclei.table)`` makes a data frame.

        ``label``; ``row`` and ``column`` of the centroid; ``top``, ``left``, ``bottom``, ``right`` of the half-open
        bounding box; ``area`` in pixels; ``intensity``, the mean of the image over the nucleus (of the mean of the
        channels, in colour); ``probability``, the mean foreground probability; ``quality``, the estimated intersection
        over union with the true nucleus; `measures`; and ``class``, the name of the class, if ``classifier`` was given.
        """
        grey, unit = grey_values(self.image, self.plan.intensity_range)
        labels, area, box, centroid, intensity = _core.measure(self.labels, intensity=grey)
        assert intensity is not None  # as an image was given
        return {
            "label": labels,
            "row": centroid[:, 0],
            "column": centroid[:, 1],
            "top": box[:, 0],
            "left": box[:, 1],
            "bottom": box[:, 2],
            "right": box[:, 3],
            "area": area,
            "intensity": intensity * unit,
            "probability": self.probabilities,
            "quality": self.qualities,
            **self.measures,
            **({} if self.classes is None else {CLASS: self.classes.names}),
        }

    @property
    def rings(self) -> NDArray[np.uint32] | None:
        """Label image of the cells without their nuclei, (H, W); None without cells."""
        return None if self.cells is None else rings_of(self.cells, self.labels)

    def to_pandas(self) -> DataFrame:
        """Return the table as a data frame, with the labels as its index (needs the ``pandas`` extra).

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        return data_frame(self.table)

    def to_anndata(self, *, name: str = "image") -> AnnData:
        """Return the table as AnnData, for scanpy and squidpy (needs the ``anndata`` extra).

        ``X`` holds the mean intensities that ``measure`` gave, ``layers`` their other statistics, ``obs`` all other
        columns, and ``obsm["spatial"]`` the centroids (x, y) in pixels.

        Parameters
        ----------
        name
            Name of the image, which is the key in ``uns["spatial"]``.

        Raises
        ------
        MissingExtraError
            If anndata is not installed.
        """
        from nucleus_unet.exports.anndata import to_anndata

        return to_anndata(self.table, mpp=self.mpp, name=name, image=self.image)

    def to_spatialdata(self, *, name: str = "image") -> SpatialData:
        """Return image, labels, polygons and table as SpatialData (needs the ``spatialdata`` extra).

        Parameters
        ----------
        name
            Name of the image in the table.

        Raises
        ------
        MissingExtraError
            If spatialdata is not installed.
        """
        from nucleus_unet.exports.formats import image_as_spatialdata

        return image_as_spatialdata(self.labels, self.outlined, self.image, mpp=self.mpp, name=name, cells=self.cells)

    def to_rle(self, path: Path | str | None = None, *, image_id: str = "image") -> dict[int, str]:
        """Encode each nucleus as the 2018 Data Science Bowl has it, and write the CSV if a path is given.

        Parameters
        ----------
        path
            Of a CSV file with the columns ``ImageId`` and ``EncodedPixels``.
        image_id
            For the first column.

        Returns
        -------
        dict of int to str
            1-indexed, column-major ``start length`` pairs by label.
        """
        from nucleus_unet.exports.rle import write_rle_csv
        from nucleus_unet.masks import labels_to_kaggle

        encoded = labels_to_kaggle(self.labels)
        if path is not None:
            write_rle_csv(check_path(path, "path"), {image_id: list(encoded.values())})
        return encoded

    def to_geojson(self, path: Path | str | None = None) -> dict[str, Any]:
        """Trace each nucleus as a polygon, and write the file if a path is given.

        Vertices are (x, y) in pixels, pixel edges at integers: rasterising a polygon gives back the very mask. QuPath
        opens the result as detections.

        Parameters
        ----------
        path
            Ends in ``.geojson``, ``.json``, or one of these with ``.gz``.

        Returns
        -------
        dict
            A GeoJSON FeatureCollection, of cells if ``expand`` was given.

        Raises
        ------
        SettingsError
            If the path has another suffix.
        """
        from nucleus_unet.exports.geojson import feature_collection, write_geojson

        if path is not None and not check_path(path, "path").name.lower().removesuffix(".gz").endswith(
            (".geojson", ".json")
        ):
            raise SettingsError(f"{path}: expected a name ending in .geojson or .json, or one of these with .gz")
        collection = feature_collection(self.outlined)
        if path is not None:
            write_geojson(Path(path), collection)
        parsed: dict[str, Any] = json.loads(collection)
        return parsed

    @cached_property
    def outlined(self) -> NucleusTable:
        """The table with the outline of every nucleus, as exports take it."""
        from nucleus_unet.exports.nucleus_table import NUMBERS, NucleusTable

        first = {name: self.table[name] for name in NUMBERS}
        return NucleusTable(
            **first,
            outline=_core.contours_wkb(self.labels, (0, 0)),
            measures=self.measures,
            cell=None if self.cells is None else _core.contours_wkb(self.cells, (0, 0)),
            classes=self.classes,
        )

    def save(self, path: Path | str, *, file_format: str | None = None) -> Path:
        """Write the nuclei to a file; its suffix chooses the format.

        ================================== ==================================================================
        ``.tif``, ``.tiff``                label image, uint32, with the pixel size
        ``.cells.tif``, ``.rings.tif``     label image of the cells, and of the cells without their nuclei
        ``.csv``                           table, one row for each nucleus
        ``.rle.csv``                       run-length encoding of the 2018 Data Science Bowl
        ``.geojson``, ``.json``, and .gz   polygons, which QuPath opens as detections
        ``.coco.json``                     COCO instances
        ``.parquet``                       GeoParquet: table and outlines (needs the ``slides`` extra)
        ``.ome.zarr``, ``.zarr``           label image as OME-Zarr 0.5 (needs the ``zarr`` extra)
        ``.h5ad``, ``.anndata.zarr``       AnnData for scanpy and squidpy (needs the ``anndata`` extra)
        ``.spatialdata.zarr``              SpatialData: image, labels, polygons, table (needs the ``spatialdata`` extra)
        ``.roi.zip``, ``.zip``             ImageJ ROI set, which the ROI Manager of Fiji opens
        ``.png``                           the image with outlines drawn on it
        ================================== ==================================================================

        Parameters
        ----------
        path
            Path of the file, which is replaced if it exists.
        file_format
            Name of the format, one of `nucleus_unet.exports.names.FORMATS`, in place of the one that the suffix means.

        Returns
        -------
        Path
            Path of the file.

        Raises
        ------
        SettingsError
            If this is no path, no format has this suffix or name, or the image has no pixels to draw.
        MissingExtraError
            If the format needs an extra that is not installed.
        """
        from nucleus_unet.exports.formats import save
        from nucleus_unet.exports.names import check_formats

        if file_format is not None:
            check_formats([file_format])
        target = check_path(path, "path")
        save(target, self.labels, self.outlined, self.image, mpp=self.mpp, file_format=file_format, cells=self.cells)
        return target

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the image with the outline of every nucleus (needs the ``plot`` extra).

        Parameters
        ----------
        ax
            Where to draw; new axes by default.
        """
        from nucleus_unet.reports.plots import plot_outlines

        return plot_outlines(self.image, self.labels, ax)

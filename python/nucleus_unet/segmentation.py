"""What was found in an image: a label image, a table with a row for each nucleus, and ways to keep both."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import _core
from nucleus_unet.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nucleus_unet.plan import Plan

SAVE_SUFFIXES = (".tif", ".tiff", ".csv", ".geojson", ".geojson.gz", ".png")


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Nuclei found in one image.

    Attributes
    ----------
    labels : NDArray[np.uint32] (H, W)
        0 background; 1..N by raster order of each nucleus's first pixel.
    probabilities : NDArray[np.float32] (N,)
        Mean foreground probability of each nucleus.
    plan
        How they were found.
    image : NDArray[Any] (H, W) or (H, W, 3)
        The image they were found in (not a copy).
    maps : NDArray[np.uint8] (h, w, 4) or None
        What the network said, at its scale, if that was asked for: foreground and heat times 255, row and column
        offset in half pixels plus 128.
    """

    labels: NDArray[np.uint32]
    probabilities: NDArray[np.float32]
    plan: Plan
    image: NDArray[Any] = field(repr=False)
    maps: NDArray[np.uint8] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.probabilities)

    def __repr__(self) -> str:
        height, width = self.labels.shape
        return f"Segmentation({len(self)} nuclei in {height} x {width} pixels)"

    @cached_property
    def table(self) -> dict[str, NDArray[Any]]:
        """One row for each nucleus, as columns; ``pandas.DataFrame(nuclei.table)`` makes a data frame.

        ``label``; ``row`` and ``column`` of the centroid; ``top``, ``left``, ``bottom``, ``right`` of the half-open
        bounding box; ``area`` in pixels; ``intensity``, the mean of the image over the nucleus (of the mean of the
        channels, in colour); ``probability``, the mean foreground probability.
        """
        grey = self.image if self.image.ndim == 2 else self.image.mean(axis=-1)
        labels, area, box, centroid, intensity, _ = _core.measure(self.labels, intensity=grey.astype(np.float32))
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
            "intensity": intensity,
            "probability": self.probabilities,
        }

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
            write_rle_csv(Path(path), {image_id: list(encoded.values())})
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
            A GeoJSON FeatureCollection.

        Raises
        ------
        SettingsError
            If the path has another suffix.
        """
        from nucleus_unet.exports.geojson import feature_collection, write_geojson

        if path is not None and not Path(path).name.lower().removesuffix(".gz").endswith((".geojson", ".json")):
            raise SettingsError(f"{path}: expected a name ending in .geojson or .json, or one of these with .gz")
        collection = feature_collection(self.labels, self.table)
        if path is not None:
            write_geojson(Path(path), collection)
        parsed: dict[str, Any] = json.loads(collection)
        return parsed

    def save(self, path: Path | str) -> Path:
        """Write to a file; its suffix chooses the format.

        ``.tif`` or ``.tiff``: the label image, uint32. ``.csv``: run-length encoding. ``.geojson``, ``.geojson.gz``:
        polygons. ``.png``: the image with outlines drawn on it.

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        SettingsError
            If the suffix is another.
        """
        target = Path(path)
        name = target.name.lower()
        if name.endswith((".tif", ".tiff")):
            from nucleus_unet.exports.tiff import write_label_tiff

            write_label_tiff(target, self.labels)
        elif name.endswith(".csv"):
            self.to_rle(target, image_id=target.name.removesuffix(".csv"))
        elif name.endswith((".geojson", ".geojson.gz")):
            from nucleus_unet.exports.geojson import feature_collection, write_geojson

            write_geojson(target, feature_collection(self.labels, self.table))
        elif name.endswith(".png"):
            from nucleus_unet.exports.overlay import write_overlay_png

            write_overlay_png(target, self.image, self.labels)
        else:
            raise SettingsError(f"{target}: expected a name ending in {', '.join(SAVE_SUFFIXES)}")
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

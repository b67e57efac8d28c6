"""The table of nuclei as AnnData, the annotated matrix of scanpy and squidpy (https://anndata.readthedocs.io)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet import __version__
from nucleus_unet.errors import SettingsError
from nucleus_unet.exports.overlay import to_display_rgb
from nucleus_unet.extras import require
from nucleus_unet.io.atomic import folder_written_atomically, write_atomically
from nucleus_unet.measures.intensities import STATISTICS

if TYPE_CHECKING:
    from anndata import AnnData

MARK = "nucleus_unet"
"""Name in ``uns`` of what is said of the program. Our own folders are known by it."""

INSTANCE_KEY = "label"

# The mean becomes the matrix, the others layers of it.
_LAYERS = (*(name for name in STATISTICS if name != "mean"), "corrected")
_PARTS = ("nucleus", "ring", "cell")
# Longest side of the picture in pixels, as the "hires" image of Visium has it.
_PICTURE_SIDE = 2000


class Matrix(NamedTuple):
    """The columns of a table, sorted into a matrix and what describes its rows.

    Attributes
    ----------
    variables
        Name of each column of the matrix.
    parts, channels
        Part of the cell and channel of each column of the matrix.
    values : NDArray[np.float32] (N, V)
        Mean intensities.
    layers : dict of str to NDArray[np.float32] (N, V)
        The other statistics of the same intensities, by name.
    rest
        The columns that are no intensity of a channel in a part.
    """

    variables: list[str]
    parts: list[str]
    channels: list[str]
    values: NDArray[np.float32]
    layers: dict[str, NDArray[np.float32]]
    rest: dict[str, NDArray[Any]]


def to_matrix(table: Mapping[str, NDArray[Any]]) -> Matrix:
    """Sort the columns of a table into intensities of channels, which make a matrix, and all others.

    A part and a channel make a column of the matrix if all their statistics are there, as ``measure="intensity"`` and
    ``measure="stain"`` give them. If there are none, ``intensity`` is the only column of the matrix.

    Parameters
    ----------
    table
        Columns by name, such as `nucleus_unet.Segmentation.table`.

    Examples
    --------
    >>> table = {"label": np.array([1, 2]), "intensity": np.array([7.0, 9.0])}
    >>> matrix = to_matrix(table)
    >>> matrix.variables, matrix.values.tolist(), list(matrix.rest)
    (['intensity'], [[7.0], [9.0]], ['label'])
    """
    pairs = list(_pairs(table))
    if not pairs:
        rest = {name: column for name, column in table.items() if name != "intensity"}
        return Matrix(["intensity"], ["nucleus"], [""], _stacked(table, ["intensity"]), {}, rest)
    names = [f"{part}_{channel}" for part, channel in pairs]
    layers = {layer: _stacked(table, [f"{name}_{layer}" for name in names]) for layer in _LAYERS}
    taken = {f"{name}_{each}" for name in names for each in ("mean", *_LAYERS)}
    return Matrix(
        names,
        [part for part, _ in pairs],
        [channel for _, channel in pairs],
        _stacked(table, [f"{name}_mean" for name in names]),
        layers,
        {name: column for name, column in table.items() if name not in taken},
    )


def _pairs(table: Mapping[str, NDArray[Any]]) -> Iterable[tuple[str, str]]:
    """Yield part and channel of every intensity, in the order of the table."""
    for name in table:
        part, _, channel = name.removesuffix("_mean").partition("_")
        known = name.endswith("_mean") and part in _PARTS and channel
        if known and all(f"{part}_{channel}_{layer}" in table for layer in _LAYERS):
            yield part, channel


def _stacked(table: Mapping[str, NDArray[Any]], names: Sequence[str]) -> NDArray[np.float32]:
    stacked = np.empty((len(table["label"]), len(names)), np.float32)
    for place, name in enumerate(names):
        stacked[:, place] = table[name]
    return stacked


def to_anndata(
    table: Mapping[str, NDArray[Any]], *, mpp: float | None, name: str, image: NDArray[Any] | None = None
) -> AnnData:
    """Return a table of nuclei as AnnData.

    Parameters
    ----------
    table
        Columns by name, such as `nucleus_unet.Segmentation.table`.
    mpp
        Pixel size in micrometres, if known.
    name
        Name of the image, which is the key in ``uns["spatial"]``.
    image : NDArray[Any] (H, W) or (H, W, 3)
        The image, of which a picture of at most 2,000 pixels goes into ``uns["spatial"]``.

    Returns
    -------
    AnnData
        One row for each nucleus. ``X`` (float32): mean intensity of each part and channel, or ``intensity`` if no
        channels were measured; ``layers``: the other statistics; ``var``: ``part`` and ``channel``; ``obs``: all other
        columns, with the label as the name of the row; ``obsm["spatial"]``: centroids (x, y) in pixels, with pixel
        edges at whole numbers; ``obsm["spatial_um"]``: the same in micrometres, if the pixel size is known.

    Raises
    ------
    MissingExtraError
        If anndata is not installed.
    """
    anndata = require_anndata()
    pandas = require("pandas", "AnnData needs pandas", extra="anndata")
    matrix = to_matrix(table)
    rows = strings([str(label) for label in table["label"].tolist()])
    # The names of classes are the one column of text.
    rest = {name: categories(each.tolist()) if each.dtype.kind == "U" else each for name, each in matrix.rest.items()}
    obs = pandas.DataFrame({**rest, INSTANCE_KEY: table["label"].astype(np.int64)}, index=rows)
    described = {"part": categories(matrix.parts), "channel": categories(matrix.channels)}
    var = pandas.DataFrame(described, index=strings(matrix.variables))
    # The centre of the first pixel is (0.5, 0.5), as in the polygons.
    points = np.column_stack([table["column"] + 0.5, table["row"] + 0.5]).astype(np.float64)
    facts: dict[str, Any] = {"version": __version__, "unit": "pixel", **({} if mpp is None else {"mpp": float(mpp)})}
    data: AnnData = anndata.AnnData(
        X=matrix.values,
        obs=obs,
        var=var,
        layers=matrix.layers,
        obsm={"spatial": points, **({} if mpp is None else {"spatial_um": points * mpp})},
        uns={MARK: facts, "spatial": {name: _library(table["area"], image)}},
    )
    return data


def strings(values: Sequence[str]) -> Any:
    """Return an index of Python strings: not every version of anndata writes the Arrow strings of pandas 3."""
    pandas = require("pandas", "AnnData needs pandas", extra="anndata")
    return pandas.Index(values, dtype=object)


def categories(values: Sequence[str]) -> Any:
    """Return a categorical column of Python strings, in order of appearance."""
    pandas = require("pandas", "AnnData needs pandas", extra="anndata")
    known = list(dict.fromkeys(values))
    return pandas.Categorical.from_codes([known.index(value) for value in values], categories=strings(known))


def _library(area: NDArray[np.int64], image: NDArray[Any] | None) -> dict[str, Any]:
    """Return what squidpy expects of an image: a picture, its scale, and the diameter of a spot in pixels."""
    diameter = float(np.median(2 * np.sqrt(area / np.pi))) if len(area) else 1.0
    factors = {"spot_diameter_fullres": diameter}
    if image is None or not image.size:
        return {"scalefactors": factors}
    step = max(1, -(-max(image.shape[:2]) // _PICTURE_SIDE))
    picture = to_display_rgb(image[::step, ::step])
    return {"images": {"hires": picture}, "scalefactors": {**factors, "tissue_hires_scalef": 1 / step}}


def write_h5ad(path: Path, data: AnnData) -> None:
    """Write AnnData as a file of HDF5, which appears at the end."""
    h5py = require("h5py", "AnnData needs h5py", extra="anndata")
    anndata = require_anndata()
    # A file that HDF5 cannot close, as the disk is full, makes the process crash. So it is made in memory.
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        anndata.io.write_elem(file, "/", data, dataset_kwargs={"compression": "gzip"})
    write_atomically(path, content.getvalue())


def write_anndata_zarr(path: Path, data: AnnData) -> None:
    """Write AnnData as a zarr folder, which appears at the end.

    Raises
    ------
    SettingsError
        There is something at the path that this function did not write.
    """
    check_replaceable(path)
    with folder_written_atomically(path) as folder:
        data.write_zarr(folder)


def require_anndata() -> Any:
    """Import and return anndata. Raise `MissingExtraError` if it is not installed."""
    return require("anndata", "AnnData needs one more package", extra="anndata")


def is_annotated_zarr(path: Path) -> bool:
    """Whether a folder is an AnnData or SpatialData store that this library wrote: its table names the library."""
    return any((path / table / "uns" / MARK).is_dir() for table in (".", "tables/table"))


def check_replaceable(path: Path) -> None:
    """Raise `SettingsError` if there is something at a path that this library did not write."""
    if path.exists() and not is_annotated_zarr(path):
        raise SettingsError(
            f"{path} is not a zarr group that this library wrote, and would be replaced: move it, or choose another "
            "name"
        )

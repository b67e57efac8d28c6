"""Labels, polygons, table and image of nuclei as SpatialData (https://spatialdata.scverse.org)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.exports.anndata import INSTANCE_KEY, categories, check_replaceable, to_anndata
from nucleus_unet.exports.nucleus_table import NucleusTable
from nucleus_unet.extras import require
from nucleus_unet.io.atomic import folder_written_atomically

if TYPE_CHECKING:
    from spatialdata import SpatialData

# As the readers of spatialdata-io name them.
IMAGE, TABLE = "image", "table"
NUCLEUS_LABELS, CELL_LABELS = "nucleus_labels", "cell_labels"
NUCLEUS_SHAPES, CELL_SHAPES = "nucleus_boundaries", "cell_boundaries"
PIXELS, MICROMETRES = "global", "micrometers"
"""Coordinate systems. The second is there if the pixel size is known; it is spelt as OME-Zarr spells the unit."""

# Side of a chunk in pixels, and greatest side of the coarsest level.
_CHUNK, _COARSEST = 1024, 1024
_REGION_KEY = "region"


def to_spatialdata(
    table: NucleusTable,
    *,
    labels: Mapping[str, Any],
    image: NDArray[Any] | None,
    mpp: float | None,
    name: str,
) -> SpatialData:
    """Return nuclei as SpatialData.

    Parameters
    ----------
    table
        The nuclei with their outlines, and those of their cells if there are any.
    labels
        Label images by the name of the element: arrays (H, W), or objects with ``shape``, ``dtype`` and ``ndim`` that
        are read by regions. These are read when they are written, chunk by chunk.
    image : NDArray[Any] (H, W) or (H, W, 3)
        The image, if it is to be part of it.
    mpp
        Pixel size in micrometres, if known.
    name
        Name of the image in the table.

    Returns
    -------
    SpatialData
        ``image``; ``nucleus_labels`` and ``nucleus_boundaries``; with cells ``cell_labels`` and ``cell_boundaries``;
        ``table``, whose rows annotate the ``nucleus_boundaries``. All have the coordinate system ``global`` in pixels
        and, if the pixel size is known, ``micrometers``. Without nuclei there are no boundaries, because SpatialData
        has no empty ones, and the table annotates nothing.

    Raises
    ------
    MissingExtraError
        If spatialdata is not installed.
    """
    spatialdata = require_spatialdata()
    transformations = _transformations(mpp)
    outlines = {NUCLEUS_SHAPES: table.outline, CELL_SHAPES: table.cell}
    data: SpatialData = spatialdata.SpatialData(
        images={} if image is None else {IMAGE: _image(image, transformations)},
        labels={each: _raster(array, transformations) for each, array in labels.items()},
        shapes={
            each: _shapes(polygons, table.label, transformations) for each, polygons in outlines.items() if polygons
        },
        tables={TABLE: _table(table, mpp=mpp, name=name)},
    )
    return data


def write_spatialdata(path: Path, data: SpatialData) -> None:
    """Write SpatialData as a zarr folder, which appears at the end.

    Raises
    ------
    SettingsError
        There is something at the path that this function did not write.
    """
    check_replaceable(path)
    with folder_written_atomically(path) as folder:
        folder.rmdir()  # spatialdata writes to a folder of its own making
        data.write(folder, update_sdata_path=False)


def require_spatialdata() -> Any:
    """Import and return spatialdata. Raise `MissingExtraError` if it is not installed."""
    return require("spatialdata", "SpatialData needs more packages", extra="spatialdata")


def _transformations(mpp: float | None) -> dict[str, Any]:
    from spatialdata.transformations import Identity, Scale

    micrometres = {} if mpp is None else {MICROMETRES: Scale([mpp, mpp], axes=("x", "y"))}
    return {PIXELS: Identity(), **micrometres}


def _raster(array: Any, transformations: Mapping[str, Any]) -> Any:
    """Return a label image as a pyramid. Each level has every second row and column of the one before."""
    import dask.array
    from spatialdata.models import Labels2DModel
    from spatialdata.transformations import set_transformation
    from xarray import DataArray, Dataset, DataTree

    levels: list[Any] = [dask.array.from_array(array, chunks=_CHUNK, name=False)]  # type: ignore[no-untyped-call]
    while max(levels[-1].shape) > _COARSEST:
        finer = levels[-1]
        halved = finer.map_blocks(
            _every_second, chunks=tuple(tuple(-(-side // 2) for side in sides) for sides in finer.chunks)
        )
        levels.append(halved.rechunk(_CHUNK))
    if len(levels) == 1:
        return Labels2DModel.parse(levels[0], dims=("y", "x"), transformations=dict(transformations))
    tree = DataTree.from_dict(
        {f"scale{number}": Dataset({"image": DataArray(level, dims=("y", "x"))}) for number, level in enumerate(levels)}
    )
    set_transformation(tree, dict(transformations), set_all=True)
    return tree


def _every_second(block: NDArray[np.uint32]) -> NDArray[np.uint32]:
    # A copy, as a view would keep the whole block in memory.
    return np.ascontiguousarray(block[::2, ::2])


def _image(image: NDArray[Any], transformations: Mapping[str, Any]) -> Any:
    from spatialdata.models import Image2DModel

    colours = image[None] if image.ndim == 2 else np.moveaxis(image, -1, 0)
    return Image2DModel.parse(
        colours.astype(np.uint8) if colours.dtype == bool else colours,
        dims=("c", "y", "x"),
        c_coords=["grey"] if image.ndim == 2 else ["r", "g", "b"],
        transformations=dict(transformations),
        chunks={"c": len(colours), "y": _CHUNK, "x": _CHUNK},
    )


def _shapes(outlines: list[bytes], labels: NDArray[np.uint32], transformations: Mapping[str, Any]) -> Any:
    import geopandas
    import shapely
    from spatialdata.models import ShapesModel

    frame = geopandas.GeoDataFrame(geometry=shapely.from_wkb(outlines), index=labels.astype(np.int64))
    frame.index.name = INSTANCE_KEY
    return ShapesModel.parse(frame, transformations=dict(transformations))


def _table(table: NucleusTable, *, mpp: float | None, name: str) -> Any:
    from spatialdata.models import TableModel

    data = to_anndata(table.numbers(), mpp=mpp, name=name)
    if not len(table):
        return TableModel.parse(data)
    data.obs[_REGION_KEY] = categories([NUCLEUS_SHAPES] * len(table))
    return TableModel.parse(data, region=NUCLEUS_SHAPES, region_key=_REGION_KEY, instance_key=INSTANCE_KEY)

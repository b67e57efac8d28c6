"""Label pyramids as OME-Zarr, versions 0.4 (zarr format 2) and 0.5 (zarr format 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tifffile

from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.extras import require
from nucleus_unet.io.atomic import folder_written_atomically

# Side in pixels of a chunk, and of the region in memory. In zarr 3, a region is also a shard, a file of many chunks.
_CHUNK, _REGION = 512, 4096

Region = tuple[int, slice, slice]
"""Index of a level, rows, columns."""


def write_label_zarr(
    path: Path,
    labels: Path,
    *,
    version: str,
    mpp: float | None,
    track: Callable[[Sequence[Region]], Iterable[Region]] = iter,
) -> None:
    """Copy a label pyramid from an OME-TIFF to OME-Zarr, region by region.

    The zarr group is a label image, so viewers show it as labels. It may be copied into the ``labels`` group of its
    image.

    Parameters
    ----------
    path
        Output folder. It is written atomically.
    labels
        Path of the OME-TIFF.
    version
        Version of OME-Zarr: ``0.4`` or ``0.5``.
    mpp
        Micrometres per pixel, if known.
    track
        Called with the list of regions. Returns an iterable of them that shows progress.

    Raises
    ------
    MissingExtraError
        The ``zarr`` extra is not installed.
    DataError
        The TIFF is damaged.
    SettingsError
        ``path`` exists and is not a zarr group.
    """
    zarr = require_zarr()
    _check_replaceable(path)
    with _opened(labels) as file, folder_written_atomically(path) as folder:
        levels = file.series[0].levels
        group = zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3)
        group.attrs.update(_metadata(version, [level.shape for level in levels], mpp))
        targets = [_make_array(group, str(number), level.shape, version) for number, level in enumerate(levels)]
        sources = [zarr.open_array(file.series[0].aszarr(level=number), mode="r") for number in range(len(levels))]
        for level, rows, columns in track([*_regions([level.shape for level in levels])]):
            try:
                region = sources[level][rows, columns]
            except Exception as error:  # codecs raise their own exception classes for damaged data
                raise _damaged(labels, error) from error
            targets[level][rows, columns] = region


def require_zarr() -> Any:
    """Import and return zarr. Raise `MissingExtraError` if it is not installed."""
    return require("zarr", "OME-Zarr needs one more package", extra="zarr")


def _opened(labels: Path) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(labels)
    except tifffile.TiffFileError as error:
        raise _damaged(labels, error) from error


def _damaged(labels: Path, error: Exception) -> DataError:
    return DataError(f"{labels} is damaged: delete it and repeat the run to write it again ({error})")


def _make_array(group: Any, name: str, shape: tuple[int, ...], version: str) -> Any:
    options: dict[str, Any] = {"shape": shape, "dtype": "uint32", "chunks": (_CHUNK, _CHUNK), "fill_value": 0}
    if version == "0.4":
        return group.create_array(name, chunk_key_encoding={"name": "v2", "separator": "/"}, **options)
    return group.create_array(name, shards=(_REGION, _REGION), dimension_names=("y", "x"), **options)


def _regions(shapes: Iterable[tuple[int, ...]]) -> Iterator[Region]:
    for number, (height, width) in enumerate(shapes):
        for top in range(0, height, _REGION):
            for left in range(0, width, _REGION):
                yield number, slice(top, min(top + _REGION, height)), slice(left, min(left + _REGION, width))


def _metadata(version: str, shapes: Sequence[tuple[int, ...]], mpp: float | None) -> dict[str, Any]:
    unit = {} if mpp is None else {"unit": "micrometer"}
    datasets = [
        {
            "path": str(number),
            # Each level has every second pixel of the previous level, including the first: no translation.
            "coordinateTransformations": [{"type": "scale", "scale": [float((mpp or 1) * 2**number)] * 2}],
        }
        for number in range(len(shapes))
    ]
    multiscale = {
        "name": "nuclei",
        "axes": [{"name": name, "type": "space", **unit} for name in "yx"],
        "datasets": datasets,
    }
    if version == "0.4":
        return {"multiscales": [{"version": version, **multiscale}], "image-label": {"version": version}}
    return {"ome": {"version": version, "multiscales": [multiscale], "image-label": {}}}


def _check_replaceable(path: Path) -> None:
    if path.exists() and not any((path / name).exists() for name in (".zgroup", "zarr.json")):
        raise SettingsError(f"{path} is not a zarr group and would be replaced: move it, or choose another folder")

"""Label pyramids as OME-Zarr, versions 0.4 (zarr format 2) and 0.5 (zarr format 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tifffile

from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.extras import require
from nucleus_unet.io.atomic import folder_written_atomically

# Side of a chunk, and of what is in memory at a time; in zarr 3 also of a shard, the file that holds many chunks.
_CHUNK, _REGION = 512, 4096

Region = tuple[int, slice, slice]
"""Number of a level, rows, columns."""


def write_label_zarr(
    path: Path,
    labels: Path,
    *,
    version: str,
    mpp: float | None,
    track: Callable[[Sequence[Region]], Iterable[Region]] = iter,
) -> None:
    """Copy a pyramid of labels from an OME-TIFF, region by region.

    The group is a label image by itself: viewers show it as labels, and it may be put into the ``labels`` group of the
    image it belongs to.

    Parameters
    ----------
    path
        Folder to be made; it appears at the end, unless there was an error.
    labels
        The TIFF.
    version
        ``0.4`` or ``0.5``.
    mpp
        Micrometres per pixel, if known.
    track
        Wraps the list of regions, to show progress.

    Raises
    ------
    MissingExtraError
        If the ``zarr`` extra is not installed.
    DataError
        If the TIFF is damaged.
    SettingsError
        If there is something at ``path`` that is not a zarr group.
    """
    zarr = require_zarr()
    _check_replaceable(path)
    with _opened(labels) as file, folder_written_atomically(path) as folder:
        levels = file.series[0].levels
        group = zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3)
        group.attrs.update(_metadata(version, [level.shape for level in levels], mpp))
        targets = [_make_array(group, str(number), level.shape, version) for number, level in enumerate(levels)]
        sources = [zarr.open_array(file.series[0].aszarr(level=number), mode="r") for number in range(len(levels))]
        for number, rows, columns in track([*_regions([level.shape for level in levels])]):
            try:
                region = sources[number][rows, columns]
            except Exception as error:  # codecs raise classes of their own for damaged data
                raise _damaged(labels, error) from error
            targets[number][rows, columns] = region


def require_zarr() -> Any:
    """Import zarr, or say what to install."""
    return require("zarr", "OME-Zarr needs one more package", extra="zarr")


def _opened(labels: Path) -> tifffile.TiffFile:
    try:
        return tifffile.TiffFile(labels)
    except tifffile.TiffFileError as error:
        raise _damaged(labels, error) from error


def _damaged(labels: Path, error: Exception) -> DataError:
    return DataError(f"{labels} is damaged: delete it, and the same run makes it anew ({error})")


def _make_array(group: Any, name: str, shape: tuple[int, ...], version: str) -> Any:
    facts: dict[str, Any] = {"shape": shape, "dtype": "uint32", "chunks": (_CHUNK, _CHUNK), "fill_value": 0}
    if version == "0.4":
        return group.create_array(name, chunk_key_encoding={"name": "v2", "separator": "/"}, **facts)
    return group.create_array(name, shards=(_REGION, _REGION), dimension_names=("y", "x"), **facts)


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
            # A level has every second pixel of the one before, the first among them: no translation.
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

"""Label pyramids as OME-Zarr, versions 0.4 (zarr format 2) and 0.5 (zarr format 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import tifffile

from nucleus_unet.errors import DataError, SettingsError
from nucleus_unet.extras import require
from nucleus_unet.io.atomic import folder_written_atomically, read_json

# Side in pixels of a chunk, and of the region in memory. In zarr 3, a region is also a shard, a file of many chunks.
_CHUNK, _REGION = 512, 4096

_NAME = "nuclei"

Region = tuple[int, slice, slice]
"""Index of a level, rows, columns."""


class Level(Protocol):
    """A level of a pyramid: an array that is read by regions."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    def __getitem__(self, region: tuple[slice, slice], /) -> Any: ...


def write_label_zarr(
    path: Path,
    levels: Sequence[Level],
    *,
    version: str,
    mpp: float | None,
    track: Callable[[Sequence[Region]], Iterable[Region]] = iter,
) -> None:
    """Write a pyramid of labels, region by region.

    The zarr group is a label image, so viewers show it as labels. It may be copied into the ``labels`` group of its
    image.

    Parameters
    ----------
    path
        Folder to be made; it appears at the end, unless there was an error.
    levels
        Label images from the finest to the coarsest; each has every second row and column of the one before.
    version
        Version of OME-Zarr: ``0.4`` or ``0.5``.
    mpp
        Pixel size in micrometres, if known.
    track
        Called with the list of regions. Returns an iterable of them that shows progress.

    Raises
    ------
    MissingExtraError
        If the ``zarr`` extra is not installed.
    SettingsError
        ``path`` exists and is not a zarr group.
    """
    zarr = require_zarr()
    _check_replaceable(path)
    shapes = [level.shape for level in levels]
    with folder_written_atomically(path) as folder:
        group = zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3)
        group.attrs.update(_metadata(version, shapes, mpp))
        targets = [_make_array(group, str(number), shape, version) for number, shape in enumerate(shapes)]
        for number, rows, columns in track([*_regions(shapes)]):
            targets[number][rows, columns] = levels[number][rows, columns]


@contextmanager
def tiff_levels(path: Path) -> Iterator[list[Level]]:
    """Open the pyramid of a label TIFF that a run over a slide wrote.

    Raises
    ------
    DataError
        If the file is damaged, now or when a region is read.
    """
    zarr = require_zarr()
    try:
        file = tifffile.TiffFile(path)
    except tifffile.TiffFileError as error:
        raise _damaged(path, error) from error
    with file:
        series = file.series[0]
        yield [
            _TiffLevel(path, zarr.open_array(series.aszarr(level=number), mode="r"))
            for number in range(len(series.levels))
        ]


class _TiffLevel:
    def __init__(self, path: Path, array: Any) -> None:
        self._path, self._array = path, array
        self.shape: tuple[int, ...] = array.shape
        self.ndim: int = array.ndim
        self.dtype: Any = array.dtype

    def __getitem__(self, region: tuple[slice, slice]) -> Any:
        try:
            return self._array[region]
        except Exception as error:  # codecs raise classes of their own for damaged data
            raise _damaged(self._path, error) from error


def require_zarr() -> Any:
    """Import and return zarr. Raise `MissingExtraError` if it is not installed."""
    return require("zarr", "OME-Zarr needs one more package", extra="zarr")


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
        "name": _NAME,
        "axes": [{"name": name, "type": "space", **unit} for name in "yx"],
        "datasets": datasets,
    }
    if version == "0.4":
        return {"multiscales": [{"version": version, **multiscale}], "image-label": {"version": version}}
    return {"ome": {"version": version, "multiscales": [multiscale], "image-label": {}}}


def _check_replaceable(path: Path) -> None:
    """Raise `SettingsError` if there is something at the path that `write_label_zarr` has not written."""
    if path.exists() and not is_label_zarr(path):
        raise SettingsError(
            f"{path} is not a zarr group of labels that this library wrote, and would be replaced: "
            "move it, or choose another folder"
        )


def is_label_zarr(path: Path) -> bool:
    """Whether a folder is a label image that `write_label_zarr` wrote."""
    try:
        if (path / "zarr.json").exists():
            attributes = read_json(path / "zarr.json")["attributes"]["ome"]
        else:
            attributes = read_json(path / ".zattrs")
        return "image-label" in attributes and attributes["multiscales"][0]["name"] == _NAME
    except (OSError, ValueError, LookupError, TypeError):
        return False

"""Open slides that are zarr arrays or OME-Zarr images, in a folder or a zip."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from nucleus_unet.errors import ImageError
from nucleus_unet.extras import require
from nucleus_unet.io.arrays import ArraySlide
from nucleus_unet.io.tiff import micrometres_in, plausible_pixel_size

ZIP_SUFFIXES = (".zip", ".ozx")
# Metadata files of zarr arrays and groups, versions 2 and 3.
_METADATA = ("zarr.json", ".zgroup", ".zarray")


def open_zarr(path: Path, *, channel: int | str | None, channel_axis: int | None) -> ArraySlide:
    """Open a zarr array, or the full resolution of an OME-Zarr image (0.4, 0.5).

    Missing chunks have the array's fill value, as zarr specifies.

    Parameters
    ----------
    path
        Path of a folder or zip.
    channel, channel_axis
        See `open_slide`.

    Raises
    ------
    ImageError
        If it is neither of these, or if it is a stack, a time series or a plate.
    MissingExtraError
        If zarr is not installed.
    """
    zarr = require("zarr", f"{path} needs zarr", extra="zarr")
    if path.is_dir():
        if not is_zarr(path):
            raise ImageError("expected an image file or a zarr folder, got a folder without zarr's metadata")
        root = zarr.open(zarr.storage.LocalStore(path, read_only=True), mode="r")
    else:
        root = zarr.open(zarr.storage.ZipStore(path, read_only=True), path=_root_in_zip(path), mode="r")
    if isinstance(root, zarr.Array):
        return ArraySlide(root, channel=channel, channel_axis=channel_axis, name=str(path))
    return _open_group(root, path, channel, channel_axis)


def is_zarr(folder: Path) -> bool:
    """Whether a folder contains zarr metadata."""
    return any((folder / name).exists() for name in _METADATA)


def _root_in_zip(path: Path) -> str:
    """Return the folder in a zip that contains the outermost array or group."""
    with zipfile.ZipFile(path) as archive:
        candidates = [place for name in archive.namelist() if (place := PurePosixPath(name)).name in _METADATA]
    if not candidates:
        raise ImageError("expected a zip of a zarr array or group, got one without zarr's metadata")
    root = min(candidates, key=lambda place: len(place.parts)).parent
    return "" if root == PurePosixPath() else str(root)


def _open_group(group: Any, path: Path, channel: int | str | None, channel_axis: int | None) -> ArraySlide:
    attributes: Mapping[str, Any] = group.attrs.asdict()
    metadata = attributes.get("ome", attributes)  # OME-Zarr 0.5 nests its metadata, 0.4 does not
    if not isinstance(metadata, Mapping):
        raise ImageError(f"its OME-Zarr metadata are malformed: expected an object, got {metadata!r}")
    if "bioformats2raw.layout" in metadata:
        return _open_group(group["0"], path, channel, channel_axis)  # the first of several images, as for TIFF
    if "multiscales" not in metadata:
        raise ImageError(
            "expected OME-Zarr 0.4 or 0.5, or a zarr array, got a group without multiscales; "
            "give the path of an image or array in it"
        )
    array, axes, labels, mpp = _full_resolution(group, metadata)
    kept_axes = [number for number, axis in enumerate(axes) if array.shape[number] > 1 or axis in ("y", "x")]
    names = [axes[number] for number in kept_axes]
    if names not in (["y", "x"], ["c", "y", "x"], ["y", "x", "c"]):
        raise ImageError(
            f"expected one plane, got axes {', '.join(axes)} of shape {array.shape}; choose one plane first"
        )
    axis = names.index("c") if "c" in names else None
    if axis is not None and channel_axis not in (None, axis, axis - 3):
        raise ImageError(f"channel_axis: the axes are {', '.join(names)}, got {channel_axis}")
    return ArraySlide(
        _Plane(array, kept_axes),
        channel=channel,
        channel_axis=channel_axis if axis is None else axis,
        channel_names=_channel_names(labels, 1 if axis is None else array.shape[kept_axes[axis]]),
        mpp=mpp,
        name=str(path),
    )


class _Level(NamedTuple):
    """The full resolution of an OME-Zarr image, and its metadata."""

    array: Any
    axes: list[str]
    labels: list[str | None]
    mpp: float | None


def _full_resolution(group: Any, metadata: Mapping[str, Any]) -> _Level:
    try:
        multiscale = metadata["multiscales"][0]
        axes = _axes(multiscale)
        level = multiscale["datasets"][0]
        array = group[level["path"]]
        labels = [channel.get("label") for channel in metadata.get("omero", {}).get("channels", ())]
        if array.ndim != len(axes):
            raise ValueError(f"the array {level['path']} has {array.ndim} axes, not {', '.join(axes)}")
        return _Level(array, axes, labels, _pixel_size(multiscale, level, axes.index("x")))
    except ImageError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:  # the metadata may have any structure
        raise ImageError(
            "its OME-Zarr metadata are malformed: expected multiscales with axes, datasets and scales "
            f"({type(error).__name__}: {error})"
        ) from error


def _axes(multiscale: Mapping[str, Any]) -> list[str]:
    axes = multiscale.get("axes")
    if not (isinstance(axes, Sequence) and all(isinstance(axis, Mapping) for axis in axes)):
        raise ImageError(f"expected OME-Zarr 0.4 or 0.5, got version {multiscale.get('version', 'unknown')}")
    return [str(axis["name"]) for axis in axes]


def _channel_names(labels: list[str | None], count: int) -> tuple[str, ...]:
    """Return the names of the channels, or their numbers if the file has no names."""
    if len(labels) != count:
        labels = [None] * count
    return tuple(str(label or number) for number, label in enumerate(labels))


def _pixel_size(multiscale: Mapping[str, Any], level: Mapping[str, Any], x: int) -> float | None:
    """Return the micrometres per pixel: the product of the level's and the image's scales. None if implausible."""
    scales = _scales(level, x)
    if not scales:
        return None
    size = 1.0
    for scale in (*scales, *_scales(multiscale, x)):
        size *= scale
    return plausible_pixel_size(size, micrometres_in(multiscale["axes"][x].get("unit", "")))


def _scales(metadata: Mapping[str, Any], x: int) -> list[float]:
    transformations: Iterable[Mapping[str, Any]] = metadata.get("coordinateTransformations", ())
    return [float(entry["scale"][x]) for entry in transformations if entry.get("type") == "scale"]


class _Plane:
    """An array without its axes of length 1."""

    def __init__(self, array: Any, kept_axes: Sequence[int]) -> None:
        self._array, self._kept_axes = array, kept_axes
        self.shape = tuple(array.shape[axis] for axis in kept_axes)
        self.dtype, self.chunks = array.dtype, array.chunks

    def __getitem__(self, key: tuple[slice | int, ...]) -> Any:
        index: list[slice | int] = [0] * self._array.ndim
        for axis, part in zip(self._kept_axes, key, strict=True):
            index[axis] = part
        return self._array[tuple(index)]

"""Read zarr arrays and OME-Zarr images and plates, in a folder or a zip."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from nucleus_unet.errors import ImageError
from nucleus_unet.extras import require
from nucleus_unet.io.axes import colours_of, rename_axes
from nucleus_unet.io.pixel_size import micrometres_in, plausible_pixel_size
from nucleus_unet.io.scene import RGB, Channel, LazyScenes, OpenedFile, Scene, numbered
from nucleus_unet.io.segments import LARGEST_SEGMENT
from nucleus_unet.io.whole import region_reader

PLATE = "OME-Zarr plate"
"""Name of the format whose scenes are fields of wells, such as ``B/03/0``."""

# Metadata files of zarr arrays and groups, versions 2 and 3.
_METADATA = ("zarr.json", ".zgroup", ".zarray")
_COLOURS = ("#FF0000", "#00FF00", "#0000FF")
_GENERIC = ("", "red", "green", "blue", "r", "g", "b", "channel")


def open_file(file: Path | BinaryIO, *, axes: str | None = None, channel_axis: int | None = None) -> OpenedFile:
    """Open a zarr array, or an OME-Zarr image (0.4, 0.5) or plate.

    Missing chunks have the array's fill value, as zarr specifies.

    Parameters
    ----------
    file
        Path of a folder or zip.
    axes, channel_axis
        As `nucleus_unet.io.source.open_image` takes them.

    Raises
    ------
    ImageError
        If it is none of these.
    MissingExtraError
        If zarr is not installed.
    """
    from nucleus_unet.io.arrays import open_array

    zarr = require("zarr", f"{file} needs zarr", extra="zarr")
    assert isinstance(file, Path)  # as zips in memory are not opened
    try:
        if file.is_dir():
            if not is_zarr(file):
                raise ImageError("expected an image file or a zarr folder, got a folder without zarr's metadata")
            root = zarr.open(zarr.storage.LocalStore(file, read_only=True), mode="r")
        else:
            root = zarr.open(zarr.storage.ZipStore(file, read_only=True), path=_root_in_zip(file), mode="r")
    except json.JSONDecodeError as error:
        raise ImageError(f"its zarr metadata are damaged: they are not JSON ({error})") from error
    if isinstance(root, zarr.Array):
        opened = open_array(root, axes=axes, channel_axis=channel_axis)
        return OpenedFile(format="Zarr", scenes=opened.scenes)
    return rename_axes(open_group(root), axes, channel_axis)


def is_zarr(folder: Path) -> bool:
    """Whether a folder contains zarr metadata."""
    return any((folder / name).exists() for name in _METADATA)


def open_group(group: Any) -> OpenedFile:
    """Open an OME-Zarr group of the zarr library: an image, several images, or a plate.

    Raises
    ------
    ImageError
        If it is none of these.
    """
    metadata = _metadata(group)
    warnings: list[str] = []
    if "plate" in metadata:  # before the layout of bioformats2raw, which writes plates too
        names = _plate_names(group, metadata["plate"], warnings)
        return _several(PLATE, group, names, warnings)
    if "bioformats2raw.layout" in metadata:
        return _several("OME-Zarr", group, _image_names(group), warnings)
    if "well" in metadata:
        return _several(
            "OME-Zarr well", group, [str(each["path"]) for each in metadata["well"].get("images", ())], warnings
        )
    scene = _scene(group, "", warnings)
    return OpenedFile(format="OME-Zarr", scenes=(scene,), warnings=tuple(warnings))


def _several(kind: str, group: Any, names: Sequence[str], warnings: Sequence[str]) -> OpenedFile:
    """Return a file whose scenes are groups in another."""

    def open_scene(name: str) -> Scene:
        try:
            found = group[name]
        except KeyError:
            raise ImageError(f"{name} is not there, though the metadata name it") from None
        return _scene(found, name)

    return OpenedFile(format=kind, scenes=LazyScenes(names, open_scene), warnings=tuple(warnings))


def _metadata(group: Any) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = group.attrs.asdict()
    metadata = attributes.get("ome", attributes)  # OME-Zarr 0.5 nests its metadata, 0.4 does not
    if not isinstance(metadata, Mapping):
        raise ImageError(f"its OME-Zarr metadata are malformed: expected an object, got {metadata!r}")
    return metadata


def _root_in_zip(path: Path) -> str:
    """Return the folder in a zip that contains the outermost array or group."""
    with zipfile.ZipFile(path) as archive:
        candidates = [place for name in archive.namelist() if (place := PurePosixPath(name)).name in _METADATA]
    if not candidates:
        arrays = ": save one array as .npy with numpy.save" if path.suffix.lower() == ".npz" else ""
        raise ImageError(f"expected a zip of a zarr array or group, got one without zarr's metadata{arrays}")
    root = min(candidates, key=lambda place: len(place.parts)).parent
    return "" if root == PurePosixPath() else str(root)


def _image_names(group: Any) -> list[str]:
    """Return the names of the images that bioformats2raw wrote: their numbers, in order."""
    names = sorted((name for name in group.group_keys() if name.isdecimal()), key=int)
    if not names:
        raise ImageError("expected the images 0, 1, ... of bioformats2raw, got a group without them")
    return names


def _plate_names(group: Any, plate: Any, warnings: list[str]) -> list[str]:
    """Return the paths of all fields of a plate, such as ``B/03/0``. Wells that are not there are warned of."""
    names, missing = [], []
    try:
        for well in [str(well["path"]) for well in plate["wells"]]:
            try:
                found = group[well]
            except KeyError:
                missing.append(well)
                continue
            names += [f"{well}/{image['path']}" for image in _metadata(found)["well"]["images"]]
    except (LookupError, TypeError, AttributeError) as error:  # the metadata may have any structure
        raise ImageError(
            "its OME-Zarr metadata are malformed: expected a plate with wells and images "
            f"({type(error).__name__}: {error})"
        ) from error
    if missing:
        warnings.append(f"wells that its metadata name are not there: {', '.join(missing)}")
    if not names:
        raise ImageError("expected a plate with at least one field, got an empty one")
    return names


def _scene(group: Any, name: str, warnings: list[str] | None = None) -> Scene:
    metadata = _metadata(group)
    if "multiscales" not in metadata:
        raise ImageError(
            "expected OME-Zarr 0.4 or 0.5, or a zarr array, got a group without multiscales; "
            "give the path of an image or array in it"
        )
    if "image-label" in metadata:
        raise ImageError("expected an image, got a label image of OME-Zarr; give the image that it belongs to")
    level = _full_resolution(group, metadata, [] if warnings is None else warnings)
    array, axes = level.array, level.axes
    _check_chunks(array)
    sizes = dict(zip(axes, array.shape, strict=True))
    channels = _channels(metadata, sizes.get("C", 0), [] if warnings is None else warnings)
    # Channels that vary fastest and are not named are the samples of a colour image.
    if axes.endswith("C") and all(each.name.isdecimal() for each in channels) and sizes["C"] in (3, 4):
        axes, channels = axes[:-1] + "S", ()
    return Scene(
        axes=axes,
        shape=tuple(array.shape),
        dtype=np.dtype(array.dtype),
        read=region_reader(array, axes),
        name=name,
        channels=channels,
        samples=colours_of(sizes["C"]) if axes.endswith("S") else (),
        pixel_size=level.pixel_size,
        levels=level.sizes,
        coarser=tuple(region_reader(each, axes) for each in level.coarser),
    )


class _Level(NamedTuple):
    """The full resolution of an OME-Zarr image, its metadata, and the coarser levels if they are like it."""

    array: Any
    axes: str
    pixel_size: float | None
    sizes: tuple[tuple[int, int], ...]
    coarser: tuple[Any, ...]


def _full_resolution(group: Any, metadata: Mapping[str, Any], warnings: list[str]) -> _Level:
    try:
        multiscale = metadata["multiscales"][0]
        axes = _axes(multiscale)
        levels = _arrays(group, multiscale["datasets"], warnings)
        if len(metadata["multiscales"]) > 1:
            warnings.append(f"of {len(metadata['multiscales'])} images in its multiscales, the first is read")
        if levels[0][1].ndim != len(axes):
            raise ValueError(f"the array {levels[0][0]['path']} has {levels[0][1].ndim} axes, not {', '.join(axes)}")
        row, column = axes.index("Y"), axes.index("X")
        levels.sort(key=lambda level: -int(level[1].shape[row]))  # some writers begin with the smallest
        sizes = tuple((int(array.shape[row]), int(array.shape[column])) for _, array in levels)
        full, coarser = levels[0][1], tuple(array for _, array in levels[1:])
        if any(array.ndim != full.ndim or array.dtype != full.dtype or not _in_parts(array) for array in coarser):
            coarser = ()
        return _Level(full, axes, _pixel_size(multiscale, levels[0][0], column), sizes, coarser)
    except ImageError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:  # the metadata may have any structure
        raise ImageError(
            "its OME-Zarr metadata are malformed: expected multiscales with axes, datasets and scales "
            f"({type(error).__name__}: {error})"
        ) from error


def _arrays(
    group: Any, datasets: Sequence[Mapping[str, Any]], warnings: list[str]
) -> list[tuple[Mapping[str, Any], Any]]:
    """Return the levels and their arrays. Smaller levels than the first may be missing."""
    levels = []
    for number, level in enumerate(datasets):
        try:
            levels.append((level, group[level["path"]]))
        except KeyError:
            if number == 0:
                raise ImageError(f"its full resolution, the array {level['path']}, is not there") from None
            warnings.append(f"the level {level['path']} of its pyramid is not there")
    return levels


def _axes(multiscale: Mapping[str, Any]) -> str:
    axes = multiscale.get("axes")
    if not (isinstance(axes, Sequence) and all(isinstance(axis, Mapping) for axis in axes)):
        raise ImageError(f"expected OME-Zarr 0.4 or 0.5, got version {multiscale.get('version', 'unknown')}")
    letters = "".join(str(axis["name"]).upper() for axis in axes)
    if len(set(letters)) != len(axes) or set(letters) - set("TCZYX") or not {"Y", "X"} <= set(letters):
        raise ImageError(f"expected axes of t, c, z, y and x, got {', '.join(str(axis['name']) for axis in axes)}")
    return letters


def _channels(metadata: Mapping[str, Any], count: int, warnings: list[str]) -> tuple[Channel, ...]:
    """Return the channels. Three in red, green and blue that have no names of their own are a colour image."""
    try:
        said = metadata.get("omero", {}).get("channels", ())
        labels = [str(each.get("label") or "") for each in said]
        colours = [f"#{each['color']}".upper() if each.get("color") else None for each in said]
    except (LookupError, TypeError, AttributeError) as error:  # the metadata may have any structure
        warnings.append(f"the names of its channels are malformed ({type(error).__name__}: {error})")
        return numbered(count)
    if len(labels) != count:
        return numbered(count)
    generic = all(label.lower().rstrip("0123456789 :") in _GENERIC for label in labels)
    if count == 3 and tuple(colours) == _COLOURS and generic:
        return RGB
    return tuple(
        Channel(label or str(number), colour=colour)
        for number, (label, colour) in enumerate(zip(labels, colours, strict=True))
    )


def _check_chunks(array: Any) -> None:
    if not _in_parts(array):
        raise ImageError(f"its chunks are too large to be read in parts, {array.chunks}: rechunk it first")


def _in_parts(array: Any) -> bool:
    return bool(int(np.prod(array.chunks)) * np.dtype(array.dtype).itemsize <= LARGEST_SEGMENT)


def _pixel_size(multiscale: Mapping[str, Any], level: Mapping[str, Any], x: int) -> float | None:
    """Return the micrometres per pixel: the product of the level's and the image's scales. None if implausible."""
    scales = _scales(level, x)
    if not scales:
        return None
    size = 1.0
    for scale in (*scales, *_scales(multiscale, x)):
        size *= scale
    return plausible_pixel_size(size, micrometres_in(str(multiscale["axes"][x].get("unit", ""))))


def _scales(metadata: Mapping[str, Any], x: int) -> list[float]:
    transformations: Iterable[Mapping[str, Any]] = metadata.get("coordinateTransformations", ())
    return [float(entry["scale"][x]) for entry in transformations if entry.get("type") == "scale"]

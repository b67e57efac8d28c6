"""Labelled sets with COCO JSON annotations: one file lists all images and instances.

Instances are polygons or run-length encodings (https://cocodataset.org/#format-data). pycocotools (the ``coco`` extra)
rasterises polygons, as it is COCO's reference implementation. `nucleus_unet.masks` decodes the run-length encodings.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.data.label_images import Masks, numbered
from nucleus_unet.data.sources import Entry, is_hidden, is_label_file
from nucleus_unet.errors import DataError, MaskError
from nucleus_unet.extras import require
from nucleus_unet.masks import coco_to_labels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Image:
    """An image in the annotation file: its size, if given, and its instances."""

    height: int | None
    width: int | None
    annotations: list[Mapping[str, Any]]


@dataclass(frozen=True)
class CocoSet:
    """The images of a COCO annotation file and their instances.

    Attributes
    ----------
    entries
        One entry for each image, sorted by name. The name is the file name without suffix. It includes the folders if
        file names repeat.
    images
        By name: what the file says of each image.
    """

    entries: list[Entry]
    images: dict[str, _Image]

    def masks(self, name: str, shape: tuple[int, int], *, threads: int | None = None) -> Masks:
        """Decode the instances of an image. Crowd regions (``iscrowd``) are ignored.

        Parameters
        ----------
        name
            Name of the image.
        shape
            Height and width of the image in pixels.
        threads
            Number of threads. None for one per core.

        Returns
        -------
        Masks
            The label image, and which annotations are left out: those without a valid segmentation.

        Raises
        ------
        MaskError
            The annotation file gives another size for the image, or none of its annotations can be used.
        MissingExtraError
            An instance is a polygon, and pycocotools is missing.
        """
        image = self.images[name]
        stated = (image.height, image.width)
        if None not in stated and stated != shape:
            raise MaskError(f"the annotation file gives {stated} as height and width, but the image has {shape}")
        instances = [each for each in image.annotations if not _is_crowd(each)]
        crowds = len(image.annotations) - len(instances)
        if crowds and not instances:
            raise MaskError(f"all of its {crowds} annotations are crowds (iscrowd is 1), which are not single nuclei")
        if crowds:
            logger.warning("%s: %d crowd regions are ignored", name, crowds)
        masks, unusable = [], []
        for each in instances:
            try:
                masks.append(_run_lengths(each, shape))
            except MaskError as error:
                unusable.append(str(error))
        if unusable and not masks:
            raise MaskError(f"none of its {len(unusable)} annotations can be used: {unusable[0]}")
        return numbered(coco_to_labels(masks, shape, threads=threads), unusable)


def _is_crowd(annotation: Mapping[str, Any]) -> bool:
    return str(annotation.get("iscrowd") or 0) not in ("0", "0.0")


def find_coco(members: Iterable[str]) -> str | None:
    """Return the path of the COCO annotation file of a set. None if it has no JSON file or has masks as images.

    Raises
    ------
    DataError
        There are several JSON files.
    """
    paths = [path for path in map(PurePosixPath, members) if not is_hidden(path)]
    tables = sorted(str(path) for path in paths if path.suffix.lower() == ".json")
    if not tables or any(map(is_label_file, paths)):
        return None
    if len(tables) > 1:
        raise DataError(f"expected one COCO annotation file, found {len(tables)} JSON files ({', '.join(tables[:5])})")
    return tables[0]


def read_coco(content: bytes, table: str, members: Sequence[str]) -> CocoSet:
    """Read a COCO annotation file.

    Parameters
    ----------
    content, table
        Bytes of the JSON file, and its path in the source.
    members
        Paths of all files of the source. The file of an image is the one whose path ends with its ``file_name``.

    Raises
    ------
    DataError
        The file is not a COCO annotation file, or lists no image.
    """
    images, annotations = (_rows(_parse(content, table), part, table) for part in ("images", "annotations"))
    if not images:
        raise DataError(f"{table} lists no images")
    named = {number: image for number, image in enumerate(images) if _is_named(image)}
    ids = [_id(image["id"]) for image in named.values()]
    if len(set(ids)) < len(ids):
        raise DataError(f"{table}: several images have the same id")
    by_image: dict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in annotations:
        by_image[_id(annotation.get("image_id"))].append(annotation)
    names = _names([image["file_name"] for image in named.values()])
    described = {
        name: _Image(_size(image.get("height")), _size(image.get("width")), by_image.pop(key, []))
        for name, key, image in zip(names, ids, named.values(), strict=True)
    }
    if by_image:
        unknown = sum(map(len, by_image.values()))
        logger.warning("%s: %d annotations have no id of an image, or that of one that is not listed", table, unknown)
    files: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in map(PurePosixPath, members):
        if not is_hidden(path):
            files[path.name].append(path)
    entries = [
        _entry(name, _path(image["file_name"]), files) for name, image in zip(names, named.values(), strict=True)
    ]
    entries += [
        Entry(f"image {number}", problem=f"image {number} has no id or no file_name in {table}")
        for number in range(len(images))
        if number not in named
    ]
    return CocoSet(sorted(entries, key=lambda entry: entry.name), described)


def _parse(content: bytes, table: str) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{table} is not readable JSON: {error}") from error


def _is_named(image: Mapping[str, Any]) -> bool:
    return isinstance(image.get("file_name"), str) and _id(image.get("id")) is not None


def _id(value: object) -> str | None:
    """Return an id as text, because programs write the same id as a number and as text. None if it is neither."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | str) else None


def _size(value: object) -> int | None:
    try:
        return int(str(value)) or None
    except ValueError:
        return None


def _rows(parsed: object, part: str, table: str) -> list[Mapping[str, Any]]:
    rows = parsed.get(part) if isinstance(parsed, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{table}: expected a COCO annotation file with a list of {part}")
    return rows


def _path(file_name: str) -> PurePosixPath:
    return PurePosixPath(file_name.replace("\\", "/"))


def _names(file_names: Sequence[str]) -> list[str]:
    paths = [_path(file_name) for file_name in file_names]
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else [str(path.parent / path.stem) for path in paths]
    if len(set(names)) < len(names):
        repeated = next(name for number, name in enumerate(names) if name in names[:number])
        raise DataError(f"several images are named {repeated}: expected unique names")
    return names


def _entry(name: str, file_name: PurePosixPath, files: Mapping[str, Sequence[PurePosixPath]]) -> Entry:
    parts = tuple(part for part in file_name.parts if part not in ("/", ".", ".."))
    found = [path for path in files.get(file_name.name, ()) if path.parts[-len(parts) :] == parts]
    if len(found) == 1:
        return Entry(name, str(found[0]))
    problem = f"the file {file_name} was not found" if not found else f"{len(found)} files are named {file_name}"
    return Entry(name, problem=problem)


def _run_lengths(annotation: Mapping[str, Any], shape: tuple[int, int]) -> Mapping[str, Any]:
    """Return the run-length encoding of an annotation. Raise `MaskError` if its segmentation is not valid."""
    segmentation = annotation.get("segmentation")
    annotation_name = f"annotation {annotation.get('id', 'without id')}"
    if isinstance(segmentation, dict):
        try:
            coco_to_labels([segmentation], shape, threads=1)
        except MaskError as error:
            raise MaskError(f"{annotation_name}: {str(error).removeprefix('mask 0').lstrip(',: ')}") from error
        return segmentation
    if not isinstance(segmentation, list) or not segmentation:
        raise MaskError(
            f"{annotation_name}: expected polygons or a run-length encoding as segmentation (a box is not enough)"
        )
    if not any(isinstance(part, list) for part in segmentation):
        segmentation = [segmentation]  # one polygon that is not in a list
    polygons = _polygons(segmentation, shape, annotation_name)
    mask = require("pycocotools.mask", "polygons of COCO JSON need pycocotools", extra="coco").mask
    merged: Mapping[str, Any] = mask.merge(mask.frPyObjects(polygons, *shape))
    return merged


def _polygons(parts: Sequence[object], shape: tuple[int, int], annotation_name: str) -> list[list[float]]:
    """Return the valid polygons of an annotation. Slivers beside them have no area and are left out."""
    polygons, faults = [], []
    for part in parts:
        try:
            polygons.append(_check_polygon(part, shape, annotation_name).tolist())
        except MaskError as error:
            faults.append(error)
    if not polygons:
        raise faults[0]
    return polygons


def _check_polygon(polygon: object, shape: tuple[int, int], annotation_name: str) -> NDArray[np.float64]:
    """Return the coordinates, or raise `MaskError` for a polygon that would crash the rasteriser.

    The memory of the rasteriser grows with the extent of the polygon.
    """
    try:
        numbers = np.asarray(polygon, np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.ndim == 2 and numbers.shape[1] == 2:  # points as pairs
        numbers = numbers.ravel()
    if numbers.ndim != 1 or numbers.size < 6 or numbers.size % 2:
        raise MaskError(f"{annotation_name}: expected a polygon as x, y, x, y, ... of at least 3 points")
    height, width = shape
    x, y = numbers[::2], numbers[1::2]
    if not ((-width <= x) & (x <= 2 * width) & (-height <= y) & (y <= 2 * height)).all():
        raise MaskError(f"{annotation_name}: its polygon lies far outside the image of {height} x {width} pixels")
    if x.max() <= 0 or y.max() <= 0 or x.min() >= width or y.min() >= height:
        raise MaskError(f"{annotation_name}: its polygon lies outside the image of {height} x {width} pixels")
    return numbers

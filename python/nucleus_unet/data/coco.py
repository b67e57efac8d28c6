"""Training sets annotated as COCO JSON: one table of images and instances beside the images.

Instances come as polygons or run-length encodings (https://cocodataset.org/#format-data). Polygons are rasterised by
pycocotools (the ``coco`` extra), whose pixels are by definition those that COCO means; everything after that is the
business of `nucleus_unet.masks`.
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

from nucleus_unet.data.sources import Entry, is_hidden
from nucleus_unet.errors import DataError, MaskError
from nucleus_unet.extras import require
from nucleus_unet.masks import MergeReport, coco_to_labels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Image:
    """What the table says of an image: the size, where it says one, and its instances."""

    height: int | None
    width: int | None
    annotations: list[Mapping[str, Any]]


class CocoSet:
    """The images of a COCO table, and their instances.

    Attributes
    ----------
    entries
        One for each image, sorted by name: the file name without suffix, with its folders where names repeat.
    """

    entries: list[Entry]

    def __init__(self, entries: list[Entry], images: dict[str, _Image]) -> None:
        self.entries = entries
        self._images = images

    def masks(
        self, name: str, shape: tuple[int, int], *, threads: int | None = None
    ) -> tuple[NDArray[np.uint32], MergeReport]:
        """Decode the instances of an image; regions that are marked as crowds are none.

        Raises
        ------
        MaskError
            The table has another size for the image, or an instance has no outline or a faulty one.
        MissingExtraError
            An instance is a polygon and pycocotools is missing.
        """
        image = self._images[name]
        stated = (image.height, image.width)
        if None not in stated and stated != shape:
            raise MaskError(f"the table of annotations has {stated} for height and width, the file {shape}")
        instances = [each for each in image.annotations if not each.get("iscrowd")]
        if len(instances) < len(image.annotations):
            logger.warning("%s: %d crowds are left out", name, len(image.annotations) - len(instances))
        return coco_to_labels([_run_lengths(each, shape) for each in instances], shape, threads=threads)


def find_coco(members: Iterable[str]) -> str | None:
    """Return the table of a set that is laid out as COCO has it: its JSON file, if no masks lie beside it.

    Raises
    ------
    DataError
        There are several.
    """
    paths = [path for path in map(PurePosixPath, members) if not is_hidden(path)]
    tables = sorted(str(path) for path in paths if path.suffix.lower() == ".json")
    if not tables or any("masks" in path.parts for path in paths):
        return None
    if len(tables) > 1:
        raise DataError(
            f"{len(tables)} JSON files in one source ({', '.join(tables[:5])}): expected one table in COCO's form"
        )
    return tables[0]


def read_coco(content: bytes, table: str, members: Sequence[str]) -> CocoSet:
    """Read a COCO table.

    Parameters
    ----------
    content, table
        The JSON file's bytes and its path in the source.
    members
        Paths of all files of the source. An image is the file whose path ends as its ``file_name`` says.

    Raises
    ------
    DataError
        The file is no COCO table, or lists no image.
    """
    images, annotations = _parse(content, table)
    by_image: dict[object, list[Mapping[str, Any]]] = defaultdict(list)
    for annotation in annotations:
        by_image[annotation.get("image_id")].append(annotation)
    names = _names([str(image["file_name"]) for image in images])
    files: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in map(PurePosixPath, members):
        if not is_hidden(path):
            files[path.name].append(path)
    described = {
        name: _Image(image.get("height"), image.get("width"), by_image.pop(image["id"], []))
        for name, image in zip(names, images, strict=True)
    }
    if by_image:
        strange = sum(map(len, by_image.values()))
        logger.warning("%s: %d annotations are of images that it does not list", table, strange)
    entries = [_entry(name, _path(image["file_name"]), files) for name, image in zip(names, images, strict=True)]
    return CocoSet(sorted(entries, key=lambda entry: entry.name), described)


def _parse(content: bytes, table: str) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{table} is no readable JSON: {error}") from error
    images, annotations = (_rows(parsed, part, table) for part in ("images", "annotations"))
    if not images:
        raise DataError(f"{table} lists no images")
    for number, image in enumerate(images):
        if not isinstance(image.get("file_name"), str) or not isinstance(image.get("id"), int | str):
            raise DataError(f"{table}: image {number} has no id or no file_name")
    for number, annotation in enumerate(annotations):
        if not isinstance(annotation.get("image_id"), int | str):
            raise DataError(f"{table}: annotation {number} has no image_id")
    if len({image["id"] for image in images}) < len(images):
        raise DataError(f"{table}: several images have the same id")
    return images, annotations


def _rows(parsed: object, part: str, table: str) -> list[Mapping[str, Any]]:
    rows = parsed.get(part) if isinstance(parsed, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{table}: expected a table in COCO's form, with a list of {part}")
    return rows


def _path(file_name: str) -> PurePosixPath:
    return PurePosixPath(file_name.replace("\\", "/"))


def _names(file_names: Sequence[str]) -> list[str]:
    paths = [_path(file_name) for file_name in file_names]
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) == len(stems) else [str(path.parent / path.stem) for path in paths]
    if len(set(names)) < len(names):
        repeated = next(name for number, name in enumerate(names) if name in names[:number])
        raise DataError(f"several images are named {repeated}: expected a name of its own for each")
    return names


def _entry(name: str, wanted: PurePosixPath, files: Mapping[str, Sequence[PurePosixPath]]) -> Entry:
    parts = tuple(part for part in wanted.parts if part not in ("/", ".", ".."))
    found = [path for path in files.get(wanted.name, ()) if path.parts[-len(parts) :] == parts]
    if len(found) == 1:
        return Entry(name, str(found[0]))
    problem = f"no file {wanted} was found" if not found else f"{len(found)} files are called {wanted}"
    return Entry(name, problem=problem)


def _run_lengths(annotation: Mapping[str, Any], shape: tuple[int, int]) -> Mapping[str, Any]:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return segmentation
    called = f"annotation {annotation.get('id', 'without id')}"
    if not isinstance(segmentation, list) or not segmentation:
        raise MaskError(f"{called}: expected polygons or run lengths as its segmentation (a box says no pixels)")
    polygons = [_checked(polygon, shape, called) for polygon in segmentation]
    mask = require("pycocotools.mask", "polygons of COCO JSON need pycocotools", extra="coco").mask
    merged: Mapping[str, Any] = mask.merge(mask.frPyObjects(polygons, *shape))
    return merged


def _checked(polygon: object, shape: tuple[int, int], called: str) -> list[float]:
    """Refuse what would crash the rasteriser, whose memory goes with how far an outline reaches."""
    try:
        numbers = np.asarray(polygon, np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.ndim != 1 or numbers.size < 6 or numbers.size % 2:
        raise MaskError(f"{called}: expected a polygon as x, y, x, y, ... of three points or more")
    height, width = shape
    x, y = numbers[::2], numbers[1::2]
    if not ((-width <= x) & (x <= 2 * width) & (-height <= y) & (y <= 2 * height)).all():
        raise MaskError(f"{called}: its polygon lies far outside of the image's {height} x {width} pixels")
    coordinates: list[float] = numbers.tolist()
    return coordinates

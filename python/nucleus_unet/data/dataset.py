"""Reading training sets: images with their nuclei, from a folder or straight from a zip.

Understood are the layouts of `nucleus_unet.data.sources`. Images come back as stored, without colour or
alpha channels that say nothing; masks come back as one label image.
"""

import hashlib
import io
import logging
import os
import struct
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from nucleus_unet.data.coco import find_coco, read_coco
from nucleus_unet.data.sources import Entry, Source, find_entries, open_source
from nucleus_unet.data.tables import Membership, membership_finder, read_encodings
from nucleus_unet.errors import DataError, ImageError, MaskError, SettingsError
from nucleus_unet.io.pictures import decode_image
from nucleus_unet.masks import MergeReport, kaggle_to_labels, merge_mask_pngs
from nucleus_unet.progress import tracker

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Example:
    """An image and its nuclei.

    Attributes
    ----------
    name
        The image's id, unique within its source.
    kind
        What images are balanced by: the experiment's cluster where a groups table names one, else the
        source's name.
    image
        (H, W) or (H, W, 3), uint8 or uint16 as stored. Grey stored as RGB is (H, W); alpha is dropped.
    labels
        (H, W) uint32: 0 background, 1..N the nuclei by raster order of their first pixel.
    mosaic
        Examples that share it show one field or patient and stay in one fold; the name itself where unknown.
    """

    name: str
    kind: str
    image: NDArray[Any]
    labels: NDArray[np.uint32]
    mosaic: str

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that tell the image's pixels from others, whatever set and name they come with."""
        shape = f"{self.image.dtype.str}{self.image.shape}".encode()
        return hashlib.sha256(shape + np.ascontiguousarray(self.image).tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class ReadReport:
    """What was read, and what was not as it should be.

    Attributes
    ----------
    images
        Examples read.
    nuclei
        Nuclei in their label images.
    overlaps
        Name of each image whose masks overlap -> pixels claimed more than once (the earlier mask keeps them).
    empty_masks
        Name of each image with masks that hold no pixel -> how many of them.
    hidden_masks
        Name of each image with masks that lie in earlier ones and so are lost -> how many of them.
    skipped
        Name of each image that was left out -> why.
    """

    images: int
    nuclei: int
    overlaps: dict[str, int]
    empty_masks: dict[str, int]
    hidden_masks: dict[str, int]
    skipped: dict[str, str]

    def of_set(self, name: str) -> "ReadReport":
        """Return the report with every image named after its set, as `name/image`."""
        by_image = (self.overlaps, self.empty_masks, self.hidden_masks, self.skipped)
        named: list[Any] = [{f"{name}/{image}": said for image, said in each.items()} for each in by_image]
        return ReadReport(self.images, self.nuclei, *named)

    def __add__(self, other: "ReadReport") -> "ReadReport":
        """Return the report of both sets together, whose images have different names."""
        return ReadReport(
            self.images + other.images,
            self.nuclei + other.nuclei,
            self.overlaps | other.overlaps,
            self.empty_masks | other.empty_masks,
            self.hidden_masks | other.hidden_masks,
            self.skipped | other.skipped,
        )


class _Masks(NamedTuple):
    labels: NDArray[np.uint32]
    merging: MergeReport = MergeReport((), (), ())


# From an image's name and shape, and the threads to use, to its masks.
_MaskTable = Callable[[str, tuple[int, int], int | None], tuple[NDArray[np.uint32], MergeReport]]


def read_examples(
    source: Path,
    *,
    groups: Path | None = None,
    labels_csv: Path | None = None,
    group_by: str | None = None,
    threads: int | None = None,
    progress: bool = False,
) -> tuple[list[Example], ReadReport]:
    r"""Read a training set from a folder or a zip archive, which is not unpacked.

    An image that cannot be used (no masks, masks of another shape, a damaged file) is left out, logged and
    named in the report; overlapping and empty masks are logged and reported too.

    Parameters
    ----------
    source
        Folder or zip in one of these layouts, or one folder above: `<id>/images/<id>.png` with
        `<id>/masks/*.png` (Kaggle), or `images/NAME.tif` with label images `masks/NAME.tif` (or PNG).
    groups
        CSV table with the columns `image_id`, `cluster` and `mosaic` (and `foreground`, `background`, which
        name the kind where the cluster is empty).
    labels_csv
        CSV table of Kaggle run-length encodings, `ImageId,EncodedPixels`, to be used instead of mask files.
    group_by
        Regular expression that finds the mosaic in the names of images the groups table does not place: its
        first group, or all of the match. `r"^[^_]+"` keeps patient 01 of 01_1, 01_2, ... together.
    threads
        Images read at a time; None for all cores. The result does not depend on it.
    progress
        Show a progress bar if standard error is a terminal.

    Returns
    -------
    list of Example
        Sorted by name.
    ReadReport
        Counts, and what was not as it should be.

    Raises
    ------
    DataError
        The source is laid out in no way that is understood or is damaged, a table lacks its columns or
        names no image of the source, `group_by` fits not every name, or no image could be used.
    SettingsError
        `group_by` is no regular expression, or `threads` is less than 1.
    MissingExtraError
        Annotations are polygons, and pycocotools is missing.
    OSError
        A file cannot be opened.

    Examples
    --------
    >>> import tempfile, tifffile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for part in "images", "masks":
    ...     (folder / part).mkdir()
    ...     tifffile.imwrite(folder / part / "01_1.tif", np.eye(4, dtype=np.uint8))
    >>> examples, report = read_examples(folder, group_by=r"^[^_]+")
    >>> examples[0].name, examples[0].image.shape, report.nuclei
    ('01_1', (4, 4), 1)
    """
    if threads is not None and threads < 1:
        raise SettingsError(f"threads: expected at least 1 or None for all cores, got {threads}")
    # Images are read side by side, so a kernel needs threads of its own only where it may take all anyway.
    kernel_threads = None if threads is None else 1
    with open_source(Path(source)) as files:
        entries, tabled = _find(files, labels_csv)
        place = membership_finder(files.name, entries, groups, group_by)

        def read(entry: Entry) -> tuple[Example, _Masks] | str:
            try:
                return _read_example(files, entry, tabled, place, kernel_threads)
            except (ImageError, MaskError) as error:
                return str(error)

        with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
            steps = tracker("reading images", show=progress)(entries)
            results = [result for result, _ in zip(pool.map(read, entries), steps, strict=True)]
    return _collect(entries, results)


def _find(files: Source, labels_csv: Path | None) -> tuple[list[Entry], _MaskTable | None]:
    """List the images, and make the function that decodes their masks where a table holds them."""
    members = files.members()
    if labels_csv is None and (table := find_coco(members)) is not None:
        coco = read_coco(files.read(table), table, members)
        return coco.entries, lambda name, shape, threads: coco.masks(name, shape, threads=threads)
    entries = find_entries(members, need_masks=labels_csv is None)
    if labels_csv is None:
        return entries, None
    encodings = read_encodings(Path(labels_csv), entries)
    return entries, lambda name, shape, threads: _masks_of_encodings(name, encodings, shape, threads)


def _read_example(
    files: Source,
    entry: Entry,
    tabled: _MaskTable | None,
    place: Callable[[str], Membership],
    threads: int | None,
) -> tuple[Example, _Masks]:
    if entry.problem is not None:
        raise MaskError(entry.problem)
    image = _as_stored(_decode(files.read(entry.image), entry.image), entry.image)
    shape = (image.shape[0], image.shape[1])
    if tabled is not None:
        labels, merging = tabled(entry.name, shape, threads)
        masks = _Masks(_numbered(labels), merging)
    elif entry.label_image is not None:
        labels = _decode(files.read(entry.label_image), entry.label_image)
        masks = _masks_of_label_image(labels, entry.label_image, shape)
    else:
        masks = _masks_of_pngs(files, entry.masks, shape, threads)
    kind, mosaic = place(entry.name)
    return Example(entry.name, kind, image, masks.labels, mosaic), masks


def _decode(content: bytes, member: str) -> NDArray[Any]:
    """Pixels of an image file, channels last."""
    try:
        if not member.lower().endswith((".tif", ".tiff")):
            return decode_image(content)
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            series = tiff.series[0]
            pixels = series.asarray()
            return np.moveaxis(pixels, series.axes.index("S"), -1) if "S" in series.axes else pixels
    except (ValueError, RuntimeError, IndexError, MemoryError, struct.error, tifffile.TiffFileError) as error:
        raise ImageError(f"{member} is no readable image: {error}") from error


def _as_stored(pixels: NDArray[Any], member: str) -> NDArray[Any]:
    """Take away the channels that say nothing: alpha, and colour where red, green and blue are equal."""
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or channels not in (1, 2, 3, 4) or pixels.size == 0:
        raise ImageError(f"{member}: expected (H, W) or (H, W, C) with C from 1 to 4, got {pixels.shape}")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{member}: expected 8 or 16 bit unsigned integers, got {pixels.dtype}")
    if pixels.ndim == 2:
        return pixels
    red = pixels[..., 0]
    if channels < 3 or all(np.array_equal(red, pixels[..., other]) for other in (1, 2)):
        return np.ascontiguousarray(red)
    return np.ascontiguousarray(pixels[..., :3])


def _masks_of_label_image(labels: NDArray[Any], member: str, shape: tuple[int, int]) -> _Masks:
    if labels.shape != shape:
        raise MaskError(f"{member}: expected a label image of the image's shape {shape}, got {labels.shape}")
    if labels.dtype.kind not in "ui":
        raise MaskError(f"{member}: expected labels as integers, got {labels.dtype}")
    if labels.min() < 0:
        raise MaskError(f"{member}: expected 0 and positive labels, got {labels.min()}")
    return _Masks(_numbered(labels))


def _numbered(labels: NDArray[Any]) -> NDArray[np.uint32]:
    """Renumber the instances 1..N by raster order of their first pixel."""
    # The pixels where the label changes along a row are enough, and far fewer to sort.
    flat = labels.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    values, first, inverse = np.unique(flat[starts], return_index=True, return_inverse=True)
    numbers = np.zeros(len(values), dtype=np.uint32)
    order = np.argsort(first)
    instances = order[values[order] != 0]
    numbers[instances] = np.arange(1, len(instances) + 1)
    return np.repeat(numbers[inverse], np.diff(starts, append=flat.size)).reshape(labels.shape)


def _masks_of_encodings(
    name: str, encodings: dict[str, list[str]], shape: tuple[int, int], threads: int | None
) -> tuple[NDArray[np.uint32], MergeReport]:
    if name not in encodings:
        raise MaskError("no row in the table of encodings (an image without nuclei needs one, with no pixels)")
    return kaggle_to_labels(encodings[name], shape, threads=threads)


def _masks_of_pngs(files: Source, members: Sequence[str], shape: tuple[int, int], threads: int | None) -> _Masks:
    labels, merging = merge_mask_pngs([files.read(member) for member in members], shape, threads=threads)
    return _Masks(_numbered(labels), merging)


def _collect(
    entries: Sequence[Entry], results: Sequence[tuple[Example, _Masks] | str]
) -> tuple[list[Example], ReadReport]:
    examples = []
    nuclei = 0
    overlaps, empty_masks, hidden_masks, skipped = {}, {}, {}, {}
    for entry, result in zip(entries, results, strict=True):
        if isinstance(result, str):
            logger.warning("%s is left out: %s", entry.name, result)
            skipped[entry.name] = result
            continue
        example, masks = result
        examples.append(example)
        nuclei += int(masks.labels.max())
        if lost := masks.merging.lost_pixels:
            logger.warning("%s: %d pixels belong to several masks; the first keeps them", entry.name, lost)
            overlaps[entry.name] = lost
        if empty := len(masks.merging.empty):
            logger.warning("%s: %d masks are empty", entry.name, empty)
            empty_masks[entry.name] = empty
        if hidden := len(masks.merging.hidden):
            logger.warning("%s: %d masks lie in earlier ones and are lost", entry.name, hidden)
            hidden_masks[entry.name] = hidden
    if not examples:
        reasons = "\n".join(f"  {name}: {why}" for name, why in list(skipped.items())[:5])
        raise DataError(f"none of {len(entries)} images can be used:\n{reasons}")
    return examples, ReadReport(len(examples), nuclei, overlaps, empty_masks, hidden_masks, skipped)
